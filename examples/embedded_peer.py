"""A peer inside your own asyncio application: it joins the mesh, answers, and leaves.

    python examples/embedded_peer.py smollm2 "What is the capital of France?"

Every further process that runs this (or `meshinfer join`) on this machine finds the first one by mDNS.
"""

import asyncio
import sys

import meshinfer


async def main(model: str, question: str) -> None:
    config = meshinfer.PeerConfig(model=model, name="embedded")
    async with meshinfer.Peer(config) as peer:
        async with asyncio.timeout(600):
            await peer.until_live()
        chat = [{"role": "user", "content": question}]
        async for piece in peer.generate(chat, max_tokens=64):
            print(piece.text, end="", flush=True)
        print()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
