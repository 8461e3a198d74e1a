"""Looks into one life of a peer, through the mail of its actors and through its shards."""

from collections.abc import Callable
from typing import Any

from meshinfer.actors.actor import Mailbox
from meshinfer.actors.mail import (
    Clear,
    Drain,
    Engage,
    Envelope,
    Install,
    Loaded,
    Publish,
    Retire,
    ViewChanged,
)
from meshinfer.messages import Activation, Row, SessionId
from meshinfer.model.base import Step
from meshinfer.topology.desire import DesiredModel, wanted_models
from meshinfer.topology.member import Member
from meshinfer.topology.plan import Plan
from meshinfer.topology.record import PeerRecord, Version
from meshinfer.topology.ring import PeerId, Run, Stage
from meshinfer.topology.target import Target
from tests.simulation.ledger import Ledger

_NOBODY = PeerRecord(PeerId("0" * 32), Run(0), Version(0), "nobody", "", (), "", 0)
_MOST_MAIL = 512


class TappedMailbox(Mailbox[Any]):
    """A mailbox whose mail is looked at when it is taken out."""

    def __init__(self, name: str, capacity: int, probe: "Probe") -> None:
        super().__init__(name, capacity)
        self._probe = probe

    async def tell(self, message: Any) -> None:
        """Leave a message; wait while the mailbox is full."""
        await super().tell(message)
        self._probe.left(self)

    def offer(self, message: Any) -> bool:
        """Leave a message if there is room."""
        is_left = super().offer(message)
        self._probe.left(self)
        return is_left

    async def take(self) -> Any:
        """Wait for the next message."""
        message = await super().take()
        if message is not None:
            self._probe.took(self.name, message)
        return message


class Probe:
    """One life of `peer`. runs: all that it had in this life. is_over: its process was killed.

    members, desires: the mesh as its placement sees it, and the models that it is to run. active: what it
    computes under.
    """

    def __init__(self, peer: PeerId, name: str, ledger: Ledger, tell: Callable[[str], None]) -> None:
        self.peer = peer
        self._name = name
        self._ledger = ledger
        self._tell = tell
        self._greatest: dict[str, Target] = {}
        self._frames: dict[tuple[Row, ...], tuple[Envelope, Activation]] = {}
        self._plans: dict[str, Plan] = {}
        self.runs: list[int] = []
        self.is_over = False
        self.members: tuple[Member, ...] = ()
        self.desires: tuple[DesiredModel, ...] = ()
        self.active: set[Target] = set()

    def mailbox(self, name: str, capacity: int) -> Mailbox[Any]:
        """Make a mailbox that is looked into."""
        return TappedMailbox(name, capacity, self)

    def left(self, box: Mailbox[Any]) -> None:
        """Something was left in a mailbox."""
        if len(box) > _MOST_MAIL and not self.is_over:
            self._ledger.report("mail", f"{len(box)} messages wait for {box.name} of {self._name}")
        self._ledger.most_mail = max(self._ledger.most_mail, len(box))

    def took(self, box: str, message: object) -> None:
        """An actor takes a message out of its mailbox."""
        if self.is_over:
            return
        if box == "stage":
            self._stage_took(message)
        elif box == "placement":
            self._placement_took(message)
        elif box == "membership" and isinstance(message, Publish):
            self._ledger.publishes(self.peer, message.change(_NOBODY).follows)

    def _stage_took(self, message: object) -> None:
        match message:
            case Envelope(_, Activation() as frame):
                self._frames[frame.rows] = (message, frame)
            case Install(plan):
                self._tell(f"{self._name} loads {plan.target} {_text(plan)}")
                self._ledger.installs(self.peer, plan, self._greatest.get(plan.fingerprint))
                self._greatest[plan.fingerprint] = plan.target
                self._plans[str(plan.target)] = plan
            case Engage(target):
                self._tell(f"{self._name} activates {target}")
                self._ledger.activates(self.peer, target)
                self.active.add(target)
            case Drain(target) | Retire(target):
                self._tell(f"{self._name} {type(message).__name__.lower()}s {target}")
                self._rest(target)
            case Clear():
                for target in list(self.active):
                    self._rest(target)
            case _:
                pass

    def _rest(self, target: Target) -> None:
        if target in self.active:
            self.active.discard(target)
            self._ledger.rests(self.peer, target)

    def _placement_took(self, message: object) -> None:
        match message:
            case ViewChanged(members, desires):
                self.members, self.desires = members, wanted_models(desires)
            case Loaded(target):
                self._ledger.is_ready(self.peer, target)
            case _:
                pass

    def layers_of(self, step: Step) -> int:
        """How many layers a step goes through here."""
        found = self._frames.get(step.rows)
        plan = self._plans.get(str(found[1].target)) if found else None
        stage = plan.ring.stage_of(self.peer) if plan else None
        return len(stage.layers) if stage else 1

    def die(self) -> None:
        """The process is gone."""
        self.is_over = True
        self._ledger.rests(self.peer)

    def plan_of(self, task_name: str) -> Plan:
        """The plan whose layers a task of the stage loads."""
        return self._plans[task_name.removeprefix("load ")]

    def computes(self, plan: Plan, stage: Stage, step: Step) -> None:
        """A shard computes a step."""
        if self.is_over:
            return
        target = plan.target
        for row in step.rows:
            positions = range(row.position, row.position + len(row.tokens))
            prefix = row.opening.prefix if row.opening else None
            self._ledger.computes(
                self.peer, stage, target, row.session, positions, prefix.length if prefix else 0
            )
        found = self._frames.pop(step.rows, None)
        if found is None:
            self._ledger.report("I2", f"{self._name} computes {step.rows[0].session} without a frame")
            return
        envelope, frame = found
        is_same = frame.target == target
        self._ledger.require(is_same, "I2", f"a frame of {frame.target} is computed under {target}")
        self._ledger.require_sender(plan, self.peer, envelope.sender, self.runs)

    def retains(self) -> None:
        """A shard keeps what it computed of a session that is over."""
        self._ledger.counts["retained"] += 1

    def resumes(self, plan: Plan, session: SessionId, tokens: int, is_kept: bool) -> None:
        """A shard begins a session out of what was kept of it."""
        if not self.is_over:
            self._ledger.resumes(self.peer, plan.target, session, tokens, is_kept)

    def fills(self, plan: Plan, session: SessionId, layers: range, tokens: int) -> None:
        """A shard computes caches that were missing."""
        if not self.is_over:
            self._ledger.fills(plan.target, session, len(layers) * tokens)


def _text(plan: Plan) -> str:
    return " ".join(f"{s.peer[:4]}:{s.first_layer}–{s.end_layer - 1}" for s in plan.ring.stages)
