"""One large language model, run over several machines, with no coordinator.

    async with meshinfer.Peer(meshinfer.PeerConfig(model="smollm2")) as peer:
        await peer.until_live()
        async for piece in peer.generate("The capital of France is"):
            print(piece.text, end="")

Importing this imports no mlx, opens nothing, and touches neither signals nor logging.
"""

from meshinfer.topology.planner import plan_ring
from meshinfer.topology.question import Answer, Infeasible, Planner, Question
from meshinfer.transports.base import Transport

from .config import ApiConfig, PeerConfig
from .errors import (
    BrokenModel,
    ConfigError,
    DeadlineExceeded,
    DiskFull,
    MeshError,
    ModelError,
    ModelMismatch,
    NoRing,
    NoRoom,
    Overloaded,
    PromptTooLong,
    RequestError,
    RingBroken,
    StageFailed,
    UnknownModel,
    UnsupportedModel,
    WrongModel,
)
from .generation import Choice, Conversation, Piece, Prompt
from .loading import Loading
from .messages import Constraint, ConstraintKind, Finish, Sampling
from .peer import Peer
from .release import RELEASE as __version__
from .snapshot import Activity, Snapshot

__all__ = [
    "Activity",
    "Answer",
    "ApiConfig",
    "BrokenModel",
    "Choice",
    "ConfigError",
    "Constraint",
    "ConstraintKind",
    "Conversation",
    "DeadlineExceeded",
    "DiskFull",
    "Finish",
    "Infeasible",
    "Loading",
    "MeshError",
    "ModelError",
    "ModelMismatch",
    "NoRing",
    "NoRoom",
    "Overloaded",
    "Peer",
    "PeerConfig",
    "Piece",
    "Planner",
    "Prompt",
    "PromptTooLong",
    "Question",
    "RequestError",
    "RingBroken",
    "Sampling",
    "Snapshot",
    "StageFailed",
    "Transport",
    "UnknownModel",
    "UnsupportedModel",
    "WrongModel",
    "__version__",
    "plan_ring",
]
