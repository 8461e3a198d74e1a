"""What Metal tells about this Mac, through mlx."""

import sys


def working_set_bytes(platform: str = sys.platform) -> int | None:
    """How much memory Metal recommends to use at most; None where there is no Metal.

    It follows `sysctl iogpu.wired_limit_mb`. On a Mac the first call imports mlx, which takes a second or
    two, as joining does anyway; elsewhere it costs nothing.
    """
    if platform != "darwin":
        return None
    from .runtime import prepare_mlx

    prepare_mlx()
    import mlx.core as mx

    return read_working_set(mx.device_info()) if mx.metal.is_available() else None


def read_working_set(device: object) -> int | None:
    """Find it in what mlx tells of a device; None where it is not told."""
    match device:
        case {"max_recommended_working_set_size": int(size_bytes)} if size_bytes > 0:
            return size_bytes
        case _:
            return None
