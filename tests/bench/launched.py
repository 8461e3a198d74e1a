"""One rank of mlx-lm's own pipeline, started by `mlx.launch`: answers when it is told to.

    mlx.launch -n 2 --backend ring tests/bench/launched.py MODEL_DIRECTORY PORT

Each rank connects to PORT on this machine and tells its rank by a byte. For each line with a number it
computes an answer of so many tokens to `PROMPT`; rank 0 sends a byte for every token.
"""

import socket
import sys

PROMPT = (40, 41, 42, 43, 44, 45)


def main() -> None:
    """Load this rank's layers, and answer until the other side hangs up."""
    from meshinfer.model.runtime import prepare_mlx

    prepare_mlx()
    import mlx.core as mx
    from mlx_lm.generate import generate_step
    from mlx_lm.utils import sharded_load

    group = mx.distributed.init(backend="ring")
    model = sharded_load(sys.argv[1], pipeline_group=group)[0]
    prompt = mx.array(PROMPT)
    with socket.create_connection(("127.0.0.1", int(sys.argv[2]))) as sock, sock.makefile("r") as orders:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(bytes([group.rank()]))
        for order in orders:
            for _ in generate_step(prompt, model, max_tokens=int(order)):
                if group.rank() == 0:
                    sock.sendall(b".")


if __name__ == "__main__":
    main()
