"""What leaves meshinfer when something cannot be done: each says what was wrong and what to do.

MeshError
├── ConfigError          a setting cannot be used
├── ModelError
│   ├── UnknownModel     no such directory, repository or built-in model
│   ├── BrokenModel      files are missing, torn or contradict each other
│   │   └── CorruptTensor what came of a tensor is not what was announced; `giver` says who sent it
│   ├── ModelMismatch    same name, other content than the mesh runs
│   ├── UnsupportedModel the architecture or format cannot be run here
│   ├── DiskFull         no room for the model's files
│   └── NoLongerWanted   fetching was given up halfway, as was asked; what came stays
├── RequestError         a request cannot be served as it was asked (its `param` names the field)
│   ├── PromptTooLong    prompt and answer exceed the model's context
│   └── WrongModel       the mesh does not run the model that was asked for
├── NoRing               no live ring serves the model now
│   └── NoRoom           the peers have no memory for the model beside the others
├── Overloaded           too many requests wait already; `retry_after_s` says when to come back
├── DeadlineExceeded     the answer took longer than its request, or this peer, allows
├── RingBroken           the ring broke during an answer and no other took over in time
└── StageFailed          a stage could not compute; the text names the peer and the cause
"""


class MeshError(Exception):
    """Root of all that leaves meshinfer."""


class ConfigError(MeshError):
    """A setting cannot be used; the text names it, what was expected and what to do."""


class ModelError(MeshError):
    """A model cannot be used."""


class UnknownModel(ModelError):
    """No such directory, repository or built-in model."""


class BrokenModel(ModelError):
    """A model's files are missing, torn or contradict each other; the text names file and tensor."""


class CorruptTensor(BrokenModel):
    """What came of a tensor (or a whole file) is not what was announced, and was thrown away."""

    def __init__(self, tensor: str, giver: str, text: str) -> None:
        super().__init__(text)
        self.tensor = tensor
        self.giver = giver


class ModelMismatch(ModelError):
    """This peer's copy of the model differs from the one that the mesh runs."""


class UnsupportedModel(ModelError):
    """The architecture, or the format of the weights, cannot be run here."""


class DiskFull(ModelError):
    """No room for a model's files; the text says how much is needed and where."""


class NoLongerWanted(ModelError):
    """Fetching was given up halfway, as was asked; what came so far stays and need not come again."""


class RequestError(MeshError):
    """A request cannot be served as it was asked; `param` names the field at fault."""

    def __init__(self, text: str, param: str | None = None) -> None:
        super().__init__(text)
        self.param = param


class PromptTooLong(RequestError):
    """Prompt and answer exceed the model's context, or what the ring has memory for."""


class WrongModel(RequestError):
    """The mesh does not run the model that was asked for."""


class NoRing(MeshError):
    """No live ring serves the model now; the text says what is missing."""


class NoRoom(NoRing):
    """The peers have no memory for a model beside the others; the text says how much is missing."""


class Overloaded(MeshError):
    """Too many requests wait already."""

    def __init__(self, text: str, retry_after_s: float = 1.0) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class DeadlineExceeded(MeshError):
    """The answer took longer than its request, or this peer, allows; it is cancelled everywhere."""


class RingBroken(MeshError):
    """The ring broke during an answer and no other took over in time."""


class StageFailed(MeshError):
    """A stage could not compute; the text names the peer and the cause."""
