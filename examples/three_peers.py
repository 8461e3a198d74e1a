"""Three peers in one process: a ring without a second machine, for trying things out and for tests.

    python examples/three_peers.py smollm2 "What is the capital of France?"

Each peer has its own compute thread, its own port on loopback and its own third of the layers.
"""

import asyncio
import sys
from contextlib import AsyncExitStack

import meshinfer


async def main(model: str, question: str) -> None:
    async with AsyncExitStack() as stack:
        peers: list[meshinfer.Peer] = []
        for name in ("red", "green", "blue"):
            config = meshinfer.PeerConfig(
                model=model,
                name=name,
                stages="all",
                min_peers=3,
                is_mdns_on=False,
                peers=tuple(peer.address.removeprefix("tcp://") for peer in peers),
            )
            peers.append(await stack.enter_async_context(meshinfer.Peer(config)))
        async with asyncio.timeout(600):
            for peer in peers:
                seen = await peer.until_live()
        for stage in seen.mesh.models[0].ring:
            print(f"{stage.name}: layers {stage.layers[0]} to {stage.layers[1] - 1}")
        # Any of them answers, whoever holds which layers.
        async for piece in peers[1].generate([{"role": "user", "content": question}], max_tokens=64):
            print(piece.text, end="", flush=True)
        print()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
