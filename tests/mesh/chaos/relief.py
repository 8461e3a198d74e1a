"""The end of a fault, in its time."""

import threading
import time

from tests.mesh.chaos.faults import Fault, relieve
from tests.mesh.chaos.mesh import ChaosMesh

_OVER_S = 150.0
"""How long it may take, beyond the time that the fault lasts: a peer that leaves hands over first."""


class Relief:
    """Ends a fault after its time, in a thread of its own: the reader goes on reading."""

    def __init__(self, mesh: ChaosMesh, fault: Fault) -> None:
        self._mesh = mesh
        self._fault = fault
        self._wrong: list[str] = []
        self._thread = threading.Thread(target=self._wait_and_relieve, name=f"relieve {fault}", daemon=True)
        self.is_begun = False

    @property
    def is_over(self) -> bool:
        """Whether nothing of the fault is left."""
        return self.is_begun and not self._thread.is_alive()

    def begin(self) -> None:
        """Count its time from now on."""
        self.is_begun = True
        self._thread.start()

    def wait(self) -> list[str]:
        """Wait until the fault is over; return what went wrong about that."""
        if self.is_begun:
            self._thread.join(_OVER_S)
            if self._thread.is_alive():
                self._wrong.append(f"{self._fault} is not over after {_OVER_S:.0f} s")
        return self._wrong

    def _wait_and_relieve(self) -> None:
        time.sleep(self._fault.for_s)
        try:
            relieve(self._mesh, self._fault)
        except Exception as error:
            self._wrong.append(f"{self._fault} could not be ended: {error!r}")
