"""Meshes with one safeguard taken away: the simulation is worth what it finds in them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

from meshinfer.actors import traffic
from meshinfer.actors.mail import Envelope
from meshinfer.actors.traffic import Traffic
from meshinfer.messages import Activation
from meshinfer.topology import agreement
from meshinfer.topology.agreement import Agreement
from meshinfer.topology.fence import Passage
from meshinfer.topology.following import Effect
from meshinfer.topology.member import Member
from meshinfer.topology.plan import Plan
from meshinfer.topology.record import Phase
from meshinfer.topology.ring import PeerId
from meshinfer.topology.validity import why_invalid
from meshinfer.topology.view import View


def _no_fence() -> list[Any]:
    """A stage computes whatever comes, under what it holds."""

    def lets_through(plan: Plan, phase: Phase, me: PeerId, frame: Passage) -> bool:
        return True

    strict = Traffic.enter

    async def enter(self: Traffic, envelope: Envelope, frame: Activation) -> None:
        held = self._installed.get(frame.target) or next(reversed([*self._installed.values()]), None)
        taken = replace(frame, target=held.target, first_layer=held.stage.first_layer) if held else frame
        await strict(self, envelope, taken)

    return [
        mock.patch.object(traffic, "lets_through", lets_through),
        mock.patch.object(Traffic, "enter", enter),
    ]


def _no_unanimity() -> list[Any]:
    """Who is ready computes, whatever the others are."""

    def is_ready(plan: Plan, members: Sequence[Member], except_for: PeerId | None = None) -> bool:
        return True

    return [mock.patch.object(agreement, "is_ready", is_ready)]


def _no_adoption() -> list[Any]:
    """Nobody takes up a plan of others."""

    def greatest_wanted(self: Agreement, view: View) -> Plan | None:
        return None

    return [mock.patch.object(Agreement, "_greatest_wanted", greatest_wanted)]


def _no_run() -> list[Any]:
    """A plan stays valid when one of its stages was started anew."""

    def why(plan: Plan, view: View) -> str:
        reason = why_invalid(plan, view)
        return "" if reason.endswith("was started anew") else reason

    return [mock.patch.object(agreement, "why_invalid", why)]


def _no_demotion() -> list[Any]:
    """Plans that became invalid are kept."""

    def demote(self: Agreement, view: View) -> list[Effect]:
        return []

    return [mock.patch.object(Agreement, "_demote", demote)]


MUTANTS: dict[str, Callable[[], list[Any]]] = {
    "no-fence": _no_fence,
    "no-unanimity": _no_unanimity,
    "no-adoption": _no_adoption,
    "no-run": _no_run,
    "no-demotion": _no_demotion,
}


@contextmanager
def mutated(name: str | None) -> Iterator[None]:
    """Take a safeguard away for a while; None takes none."""
    with ExitStack() as stack:
        for patch in MUTANTS[name]() if name is not None else []:
            stack.enter_context(patch)
        yield
