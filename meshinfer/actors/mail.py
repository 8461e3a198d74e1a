"""What the actors of one peer say to each other. What peers say to peers is in `meshinfer.messages`."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from meshinfer import wire
from meshinfer.errors import MeshError
from meshinfer.messages import Farewell, Finish, Hello, Opening, SessionId, TokenLogprobs
from meshinfer.model.base import ModelCard, ModelFiles
from meshinfer.model.language import Tokenizer
from meshinfer.topology.conduct import Offence
from meshinfer.topology.desire import DesiredModel
from meshinfer.topology.explain import Grounds
from meshinfer.topology.member import Member
from meshinfer.topology.plan import Plan
from meshinfer.topology.record import DiskModel, PeerRecord, Resident
from meshinfer.topology.ring import PeerId, Ring
from meshinfer.topology.target import Target
from meshinfer.transports.base import Address, Buffer

from .actor import Reply

# --- between peers and actors


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message from another peer. Whoever handles it releases `buffer`, where its tensors lie."""

    sender: Hello
    message: wire.Message
    buffer: Buffer | None = None

    def release(self) -> None:
        """Give back the memory of the message's tensors."""
        if self.buffer is not None:
            self.buffer.release()


@dataclass(frozen=True, slots=True)
class LinkLost:
    """The link to a peer broke: what was under way over it may be lost."""

    peer: PeerId


# --- to links


@dataclass(frozen=True, slots=True)
class Send:
    """Carry a message to a peer; without a link it is lost, and membership is told."""

    peer: PeerId
    message: wire.Message


@dataclass(frozen=True, slots=True)
class Reach:
    """Try once to link with a peer that is known or was sighted, at any of its addresses.

    is_sighted: no member tells of it, somebody on the network does: it is passed over while many such are
    dialled.
    """

    addresses: tuple[Address, ...]
    peer: PeerId | None = None
    is_sighted: bool = False


@dataclass(frozen=True, slots=True)
class Leave:
    """Say goodbye on every link; answered when all are closed."""

    reason: str
    done: Reply[None]


@dataclass(frozen=True, slots=True)
class Reintroduce:
    """This peer began a new life: end all links, and greet as `hello` from now on."""

    hello: Hello


@dataclass(frozen=True, slots=True)
class PartWith:
    """A peer is none of the mesh any more: end its line, whether or not it hears why."""

    peer: PeerId
    reason: str


@dataclass(frozen=True, slots=True)
class Routes:
    """How peers are reached while there is no link to them: (peer, over which linked one)."""

    routes: tuple[tuple[PeerId, PeerId], ...]


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where the records of peers say that they take links."""

    addresses: tuple[tuple[PeerId, tuple[Address, ...]], ...]


@dataclass(frozen=True, slots=True)
class Misbehaved:
    """A member broke a rule; `what` says how, for people. Links cut off who does so often."""

    peer: PeerId
    offence: Offence
    what: str


# --- from links to membership


@dataclass(frozen=True, slots=True)
class LinkUp:
    """A peer is linked."""

    hello: Hello


@dataclass(frozen=True, slots=True)
class LinkDown:
    """A peer is linked no longer. farewell: set when it said goodbye."""

    peer: PeerId
    reason: str
    farewell: Farewell | None


@dataclass(frozen=True, slots=True)
class Refusing:
    """Nobody listens at any address of a known peer: its process is gone."""

    peer: PeerId


@dataclass(frozen=True, slots=True)
class Undelivered:
    """There is no link to a peer, so a message to it was lost."""

    peer: PeerId


@dataclass(frozen=True, slots=True)
class Measured:
    """How the path is that carries what goes to a peer. mb_s: 0 while that is not measured."""

    peer: PeerId
    rtt_us: int
    mb_s: int


# --- to membership


@dataclass(frozen=True, slots=True)
class Publish:
    """Change this peer's own record; run and version are kept by membership.

    plans: bodies of the plans that the record follows from now on; others fetch them from here.
    """

    change: Callable[[PeerRecord], PeerRecord]
    plans: tuple[Plan, ...] = ()


@dataclass(frozen=True, slots=True)
class Flapped:
    """This peer could not do what a plan counted on it for: let plans do without it for a while."""

    reason: str


@dataclass(frozen=True, slots=True)
class Released:
    """This peer, which is leaving, is needed no more: others took over, or nobody can. Said once."""


@dataclass(frozen=True, slots=True)
class Depart:
    """This peer wants to leave: let others take over. Answered when it is needed no more."""

    done: Reply[None]


@dataclass(frozen=True, slots=True)
class SayGoodbye:
    """Tell everybody that this peer is gone. Answered when that was said."""

    done: Reply[None]


@dataclass(frozen=True, slots=True)
class Desire:
    """Tell the mesh that it should run a model, or should no longer; the better of that and what it knows
    counts.
    """

    model: DesiredModel


# --- from membership to placement and weights


@dataclass(frozen=True, slots=True)
class ViewChanged:
    """The mesh as seen from here. desires: what it was asked for, those that were taken back included.

    plans: all bodies that are known here, whoever told them.
    """

    members: tuple[Member, ...]
    desires: tuple[DesiredModel, ...]
    plans: tuple[Plan, ...] = ()


# --- from weights to placement, and back


@dataclass(frozen=True, slots=True)
class LocalModel:
    """The model's files on this machine, and what was read of them.

    stored: which layers' weights are among them, as ranges (first, end); those of others can be brought.
    """

    files: ModelFiles
    card: ModelCard
    tokenizer: Tokenizer
    stored: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class ModelHere:
    """Which files this peer has of a model that the mesh was asked for, or that it was itself.

    name: as in the mesh. fault: why it cannot hold layers of it, for people. fetching: what is on its way.
    """

    name: str
    model: LocalModel | None
    fault: str = ""
    fetching: str = ""


@dataclass(frozen=True, slots=True)
class ModelsHere:
    """All that this peer has of the mesh's models. started_with: fingerprint of the one that its user named.

    on_disk: what it could load without a network.
    """

    models: tuple[ModelHere, ...] = ()
    started_with: str = ""
    on_disk: tuple[DiskModel, ...] = ()

    def of(self, name: str) -> ModelHere:
        """What it has of one model."""
        return next((here for here in self.models if here.name == name), ModelHere(name, None))


@dataclass(frozen=True, slots=True)
class Unusable:
    """The files of a model cannot be loaded after all; is_passing: it may go well in a while."""

    fingerprint: str
    reason: str
    is_passing: bool = False


@dataclass(frozen=True, slots=True)
class Obtain:
    """Get the files of a model, whether the mesh runs it or not: by its name or source.

    done: refused with a MeshError, an OSError or a MemoryError where they cannot be had.
    """

    wanted: str
    is_download_allowed: bool
    done: Reply[LocalModel]


# --- from outside to placement


@dataclass(frozen=True, slots=True)
class Load:
    """Have the mesh run a model; others make way for it where they must and may.

    spread: None keeps what it was asked for with. patience_s: how long to wait for one that answers now.
    done: the name by which the mesh runs it; refused with NoRoom.
    """

    model: LocalModel
    spread: int | None
    is_download_allowed: bool
    patience_s: float
    done: Reply[str]


@dataclass(frozen=True, slots=True)
class Unload:
    """Have the mesh run a model no longer. done: refused with WrongModel if it does not run it."""

    name: str
    done: Reply[None]


@dataclass(frozen=True, slots=True)
class Explain:
    """Tell from what the plan of a model is made. name: None is the one that was asked for first.

    done: refused with WrongModel if the mesh does not run it, with NoRing if its files are not here yet.
    """

    name: str | None
    done: Reply[Grounds]


# --- from placement to the stage


@dataclass(frozen=True, slots=True)
class Clear:
    """Placement begins anew, and knows of no plan: let go of all. Goes to the head too."""


@dataclass(frozen=True, slots=True)
class Install:
    """Load the layers that `plan` gives this peer, while other plans are computed; what lies in memory of
    the same layers is used again.
    """

    plan: Plan
    files: ModelFiles
    card: ModelCard
    tokenizer: Tokenizer


@dataclass(frozen=True, slots=True)
class Engage:
    """All stages are ready: compute frames of `target`."""

    target: Target


@dataclass(frozen=True, slots=True)
class Drain:
    """Another plan takes over: under `target` finish what runs, and begin nothing. Goes to the head too."""

    target: Target


@dataclass(frozen=True, slots=True)
class Retire:
    """The plan is over, or no longer valid: compute nothing more under it.

    is_unwanted: the model is not to run any more, so nothing of it is kept for a next plan.
    """

    target: Target
    is_unwanted: bool = False


# --- from the head and from requests to placement


@dataclass(frozen=True, slots=True)
class HeadBegan:
    """The head lives, and knows of no ring: said once at its start, and after each restart."""


@dataclass(frozen=True, slots=True)
class RequestsBegan:
    """Requests live, and do not know how any model is served: said as `HeadBegan` is."""


# --- from the stage to placement


@dataclass(frozen=True, slots=True)
class Began:
    """The stage lives, and holds nothing: said once at its start, and after each restart."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The layers of `target` are in memory; kv_tokens is the room for KV cache beside them.

    Said again when that room changed, because another plan's layers came or went. is_trimmable: whether all
    of the model's caches can be cut.
    """

    target: Target
    kv_tokens: int
    is_trimmable: bool = True


@dataclass(frozen=True, slots=True)
class Holds:
    """Which layers lie in memory from now on, for whatever plan."""

    resident: tuple[Resident, ...]


@dataclass(frozen=True, slots=True)
class Drained:
    """No session is left under `target`, which takes no new ones."""

    target: Target


@dataclass(frozen=True, slots=True)
class Paced:
    """What a decode step of a plan costs here, per MiB of weights: the median of the last ones."""

    target: Target
    ns_per_mib: int


@dataclass(frozen=True, slots=True)
class LoadFailed:
    """The layers of `target` cannot be loaded here; is_passing: they may be in a while."""

    target: Target
    reason: str
    is_passing: bool = False


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A frame of `target` came from the ring predecessor before we knew that all stages are ready."""

    target: Target


# --- from placement to the head


@dataclass(frozen=True, slots=True)
class Open:
    """This peer is the head of a live ring; kv_tokens is the room of its tightest stage.

    Said again when that room changed. is_trimmable: as in Loaded. fingerprint: of the ring's model.
    """

    target: Target
    kv_tokens: int
    ring: Ring
    is_trimmable: bool = True
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Close:
    """The ring of `target` is no more: forget its sessions, their origins bring them back."""

    target: Target


# --- to requests


@dataclass(frozen=True, slots=True)
class Serving:
    """The plan that a model's sessions go to: live, or None with the reason why there is none.

    is_forming: a plan is agreed on, and its stages load. is_paused: because of `reason` nothing new is
    submitted to the plan, while what runs goes on. kept: other plans whose stages finish what runs.
    is_over: the mesh does not run this model any more, so nothing is to be waited for.
    """

    fingerprint: str
    plan: Plan | None
    reason: str
    is_forming: bool = False
    is_paused: bool = False
    kept: tuple[Target, ...] = ()
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class Sampled:
    """One token of an answer. finish: set on the last; a stop token that ends it is not part of the text.

    logprobs: where they were asked for. cached_tokens: of the prompt, that were not computed.
    """

    token: int
    finish: Finish | None
    logprobs: TokenLogprobs | None = None
    cached_tokens: int = 0


Sink = asyncio.Queue[Sampled | MeshError]
"""Where a reader takes its tokens; large enough for the whole answer, so a slow reader stops nobody."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Start a session for a reader, with the model of this content."""

    fingerprint: str
    session: SessionId
    prompt: tuple[int, ...]
    opening: Opening
    sink: Sink


@dataclass(frozen=True, slots=True)
class Abandon:
    """The reader went away, or has what it wanted."""

    session: SessionId


@dataclass(frozen=True, slots=True)
class OnTheWay:
    """The layers of `target` are on their way to this disk: said now and then, until they are there."""

    target: Target


@dataclass(frozen=True, slots=True)
class OnDisk:
    """Which layers' weights of a model are on this machine's disk now, as ranges (first, end)."""

    fingerprint: str
    stored: tuple[tuple[int, int], ...]


LinkEvent = LinkUp | LinkDown | Refusing | Undelivered | Measured
StageEvent = Began | Loaded | LoadFailed | Confirmed | Drained | Holds | Paced | OnTheWay | OnDisk
StageOrder = Clear | Install | Engage | Drain | Retire
HeadOrder = Clear | Open | Drain | Close
