"""What a mesh of a simulation is made of: the model, the machines, and how their peers are set up."""

from dataclasses import replace

from meshinfer.actors.mail import LocalModel
from meshinfer.actors.placement import PlacementLimits
from meshinfer.config import ActorLimits, PeerConfig, RequestLimits
from meshinfer.topology.agreement import AgreementTiming
from meshinfer.topology.knobs import lan
from meshinfer.topology.ring import PeerId
from meshinfer.transports.gauge import GaugeTiming
from meshinfer.transports.trunk import TrunkLimits
from tests.simulation.life import Surroundings
from tests.simulation.machine import Machine
from tests.simulation.model import fake_model
from tests.simulation.story import Setting

LAYER_BYTES = 100_000_000
END_BYTES = 50_000_000
KV_TOKENS = 256
RING_WAIT_S = 8.0
PROGRESS_S = 10.0


NAMES = ("fake", "other")
"""What the models of a mesh are called."""


def make_models(setting: Setting) -> tuple[LocalModel, ...]:
    """The models that the mesh is asked for; each has another number of layers, and so other answers."""
    numbered = enumerate(NAMES[: setting.models])
    return tuple(_model(name, setting.layers + number, setting.is_hybrid) for number, name in numbered)


def _model(name: str, layers: int, is_hybrid: bool) -> LocalModel:
    """`layers` layers, and embeddings that head and tail share."""
    return LocalModel(
        *fake_model(
            layers,
            LAYER_BYTES,
            name=name,
            embedding_bytes=END_BYTES,
            tail_bytes=END_BYTES,
            shared_bytes=END_BYTES,
            context_tokens=KV_TOKENS,
            is_hybrid=is_hybrid,
        )
    )


def make_machines(setting: Setting, around: Surroundings) -> list[Machine]:
    """Machines with the memory that the setting says, and ids in no order."""
    random = around.chance.stream("machines")
    whole_bytes = sum(model.card.total_bytes for model in around.models)
    machines = []
    for number, share in enumerate(setting.memory_shares):
        peer = PeerId(f"{random.getrandbits(8):02x}{number:02x}{random.getrandbits(112):028x}")
        pace = setting.paces[number]
        machines.append(Machine(f"p{number}", peer, whole_bytes * share // 1000, pace, around))
    return machines


def peer_config(setting: Setting, name: str, number: int) -> PeerConfig:
    """How a peer is set up: as by default, but for what is small here, and for shorter patience."""
    return PeerConfig(
        # The first one brings a model, the third one the other; of the rest some follow the mesh.
        model=None if number % 3 == 1 else NAMES[1] if number % 3 == 2 and setting.models > 1 else NAMES[0],
        name=name,
        mesh="sim",
        is_mdns_on=False,
        trunks=TrunkLimits(gauge=GaugeTiming(most_bytes=0)),
        stages=setting.stages,
        min_peers=setting.min_peers,
        membership=replace(lan(), flap_limit=setting.flap_limit),
        agreement=AgreementTiming(drain_s=setting.drain_s),
        requests=RequestLimits(
            max_running=setting.max_running,
            max_waiting=setting.max_waiting,
            prefill_chunk_tokens=setting.prefill_chunk_tokens,
            ring_wait_s=RING_WAIT_S,
            progress_timeout_s=PROGRESS_S,
            stall_least_s=1.0,
            stall_most_s=PROGRESS_S / 2,
        ),
        actors=ActorLimits(leave_timeout_s=10.0),
    )


def placement_limits(setting: Setting) -> PlacementLimits:
    """What placement makes of the configuration."""
    limits = peer_config(setting, "any", 0).requests
    return PlacementLimits(setting.min_peers, limits.kv_reserve_tokens, limits.prefill_chunk_tokens)
