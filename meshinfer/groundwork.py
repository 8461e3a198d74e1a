"""Lays the ground on which a peer's actors stand: a network, a disk, a clock and a machine that are real."""

import asyncio
import sys
import time
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from meshinfer.topology.question import Answer, Infeasible, Planner, Question
from meshinfer.transports.base import Address
from meshinfer.transports.fabric import Fabric
from meshinfer.transports.plugging import watch_interfaces

from .composition import Ground, Loom
from .library import Library
from .machine.interfaces import published_addresses
from .model.base import Progress
from .model.local import load_shard
from .own_machine import OwnMachine
from .premises import Premises
from .reports import Reports

if TYPE_CHECKING:
    from .actors.discovery import DiscoveryActor

FERRY = (sys.executable, "-P", str(Path(__file__).parent / "model" / "ferry.py"))
"""The program that carries a fabric, run by its path, with none of this process in it."""


async def lay_ground(
    premises: Premises,
    machine: OwnMachine,
    library: Library,
    reports: Reports,
    progress: Progress,
    api_url: str,
) -> Ground:
    """Put together what the actors get. progress: told how far a load is. api_url: empty without an API."""
    config, guard, listening = premises.config, premises.guard, premises.address
    return Ground(
        config=config,
        hello=premises.hello(),
        begin_run=premises.begin_run,
        addresses=published_addresses(listening),
        find_addresses=lambda: asyncio.to_thread(published_addresses, listening),
        seeds=tuple(Address(f"tcp://{peer}") for peer in config.peers),
        api_url=api_url,
        memory_bytes=await machine.memory_bytes(),
        compute=premises.compute,
        fetch=library.fetch,
        receive=library.receive,
        stock=library.stock(),
        list_models=library.on_disk,
        load=load_shard,
        progress=progress,
        doing=reports.doing,
        equipment=machine.equipment,
        discovery=await asyncio.to_thread(_import_discovery) if config.is_mdns_on else None,
        transport=premises.transport,
        listener=premises.listener,
        datagrams=premises.datagrams,
        board=reports.board,
        labels=guard.labels,
        refused=guard.refused,
        keeper=guard.keeper,
        think=_think,
        now_s=time.monotonic,
        pause=asyncio.sleep,
        random=Random(),
        created_ms=time.time_ns() // 1_000_000,
        stage_work=reports.stage_work,
        head_work=reports.head_work,
        ledger=reports.ledger,
        timings=reports.timings,
        watch_interfaces=watch_interfaces,
        cables=reports.cables,
        strangers=reports.strangers,
        expected_bit_s=machine.expected_bit_s,
        may_clear=machine.may_clear if config.clear_on_cables else None,
        loom=Loom(
            machine.fabric_means,
            FERRY,
            lambda lead, ends: Fabric(lead, ends, config.link, config.fabrics, premises.pool),
        ),
        woven=reports.woven,
    )


async def _think(planner: Planner, question: Question) -> Answer | Infeasible:
    return await asyncio.to_thread(planner, question)


def _import_discovery() -> "type[DiscoveryActor]":
    # What speaks mDNS takes long to import.
    from .actors.discovery import DiscoveryActor

    return DiscoveryActor
