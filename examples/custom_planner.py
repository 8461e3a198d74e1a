"""A planner of your own: here, one that keeps laptops out of the ring, since people carry them away.

    python examples/custom_planner.py smollm2

A planner is a pure function from a question (who is there, with how much memory, how fast, over which links)
to a ring. This one asks meshinfer's own about fewer peers; another could weigh watts, or who pays for them.
"""

import asyncio
import sys
from contextlib import AsyncExitStack
from dataclasses import replace

import meshinfer


def without_laptops(question: meshinfer.Question) -> meshinfer.Answer | meshinfer.Infeasible:
    stationary = tuple(peer for peer in question.candidates if not peer.name.startswith("laptop"))
    return meshinfer.plan_ring(replace(question, candidates=stationary))


async def main(model: str) -> None:
    async with AsyncExitStack() as stack:
        known: tuple[str, ...] = ()
        for name in ("laptop", "desk", "shelf"):
            config = meshinfer.PeerConfig(
                model=model,
                name=name,
                stages="all",
                min_peers=3,
                is_mdns_on=False,
                peers=known,
                planner=without_laptops,
            )
            peer = await stack.enter_async_context(meshinfer.Peer(config))
            known = (*known, peer.address.removeprefix("tcp://"))
        async with asyncio.timeout(600):
            seen = await peer.until_live()
        print("in the ring:", ", ".join(stage.name for stage in seen.mesh.models[0].ring))
        print("in the mesh:", ", ".join(sorted(member.name for member in seen.mesh.members)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
