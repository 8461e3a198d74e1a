"""Which release of meshinfer this is."""

from importlib.metadata import PackageNotFoundError, version

try:
    RELEASE = version("meshinfer-mlx")
except PackageNotFoundError:
    # A checkout that was never installed.
    RELEASE = "0+checkout"
