"""What a peer knows of the machine that it runs on, and what follows from that for its settings."""

import asyncio
import logging
import time
from contextlib import AsyncExitStack

from meshinfer.topology.equipment import Equipment

from .actors.cables import CableView
from .actors.watch import Bell, Watch
from .config import THUNDERBOLT, MachineLimits, PeerConfig
from .errors import ConfigError
from .fabric import FabricMeans, means_of
from .inventory import Inventory
from .machine.facts import MachineFacts
from .machine.memory import memory_budget_bytes
from .machine.netkinds import expected_bit_s
from .machine.off_loop import off_loop
from .machine.private_cables import is_private_cable, why_not_there
from .machine.rdma import rdma_devices
from .machine.watching import watch_machine
from .machine.watts import Watts
from .model.metal import working_set_bytes

logger = logging.getLogger(__name__)


class OwnMachine:
    """Looked at while the peer lives, between `start` and the end of its stack.

    bell: rung when other facts are known. cables: the links that go by it.
    """

    def __init__(self, config: PeerConfig, bell: Bell, cables: Watch[tuple[CableView, ...]]) -> None:
        self._config = config
        self._facts: Watch[MachineFacts | None] = Watch(None, bell)
        # They change every second, and few care: no reader of snapshots is woken for them.
        self._watts: Watch[Watts | None] = Watch(None, Bell())
        self._cables = cables
        self._inventory = Inventory()

    @property
    def facts(self) -> MachineFacts | None:
        """This machine and its interfaces, as of a few seconds ago; None until its tools have told."""
        return self._facts.value

    @property
    def watts(self) -> Watts | None:
        """What power it takes, over the last seconds; None where nothing tells without root."""
        return self._watts.value

    async def check_cables(self) -> None:
        """Look whether it has the interfaces by which activations may go in clear, and warn of these.

        Raises:
            ConfigError: it has not; the text says which there are.
        """
        names = self._config.clear_on_cables
        if names in ((), (THUNDERBOLT,)):
            return
        if reason := await asyncio.to_thread(why_not_there, names):
            raise ConfigError(f"--clear-on-cables {reason}")
        logger.warning(
            "activations go in clear by %s: whoever is on that network can read them", ", ".join(names)
        )

    async def memory_bytes(self) -> int:
        """What weights and KV cache may take: as its user says, or as much as it can spare."""
        return self._config.memory_bytes or await _measure_memory(self._config.machine)

    def start(self, stack: AsyncExitStack, name: str) -> None:
        """Look at it until `stack` unwinds. name: of the peer."""
        # Cancelled when the peer leaves, and asks nothing of anybody else.
        watching = asyncio.create_task(
            watch_machine(self._config.machine, self._facts.set, self._watts.set), name=f"machine {name}"
        )
        stack.push_async_callback(_cancel, watching)

    def expected_bit_s(self, interface: str) -> int:
        """How wide links by an interface may be, in bit/s; 0 where that is not known."""
        known = self.facts
        return expected_bit_s(interface, known.network if known is not None else None)

    def may_clear(self, interface: str) -> bool:
        """Whether payloads may go in clear by an interface, as far as this end is concerned."""
        wanted, known = self._config.clear_on_cables, self.facts
        if wanted != (THUNDERBOLT,):
            return interface in wanted
        return known is not None and is_private_cable(interface, known.network)

    def fabric_means(self) -> FabricMeans:
        """What there is now to carry activations by other means than TCP."""
        known = self.facts
        if self._config.fabric == "auto" and not self._config.is_open:
            return FabricMeans(why_not="what goes by it is not sealed: --fabric jaccl takes it all the same")
        if known is None:
            return means_of(self._config.fabric, {}, "this machine is still being looked at")
        return means_of(self._config.fabric, rdma_devices(known.rdma, known.network), known.rdma.text)

    def equipment(self) -> Equipment:
        """What others are told of it now."""
        return self._inventory.taken(self.facts, self.watts, self._cables.value, time.monotonic())


async def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait([task])


async def _measure_memory(limits: MachineLimits) -> int:
    """What a peer may use here where its user does not say; Metal is asked, but not waited for too long."""
    try:
        async with asyncio.timeout(limits.metal_timeout_s):
            recommended_bytes = await off_loop(working_set_bytes, "meshinfer-metal")
    except (TimeoutError, ImportError, RuntimeError) as error:
        logger.warning("Metal does not tell how much memory it recommends: %s", error or "no answer in time")
        recommended_bytes = None
    return await asyncio.to_thread(memory_budget_bytes, recommended_bytes)
