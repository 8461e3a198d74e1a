"""Questions for the planner's tests: plain ones to write down, and drawn ones for properties."""

from hypothesis import strategies as st

from meshinfer.topology.desire import SPREAD_ALL, SPREAD_AUTO
from meshinfer.topology.footprint import Footprint
from meshinfer.topology.question import Candidate, Question
from meshinfer.topology.record import LinkMeasure
from meshinfer.topology.ring import PeerId, Ring, Run, Stage

MB = 10**6
MIB = 1 << 20


def peer_id(index: int) -> PeerId:
    return PeerId(f"{index:032x}")


def peer(index: int, memory_mb: int, **more: object) -> Candidate:
    return Candidate(peer_id(index), Run(1), f"peer-{index}", memory_mb * MB, **more)  # type: ignore[arg-type]


def peers(*memory_mb: int, ns_per_mib: int = 1000) -> tuple[Candidate, ...]:
    return tuple(peer(index, size, ns_per_mib=ns_per_mib) for index, size in enumerate(memory_mb))


def even(layers: int, layer_mb: int = 10, ends_mb: int = 0) -> Footprint:
    """Equal layers of which a step reads all, without KV cache."""
    weights = (layer_mb * MB,) * layers
    return Footprint(weights, weights, (0,) * layers, ends_mb * MB, ends_mb * MB, ends_mb * MB)


def ring_of(layers: int, *stages: tuple[int, int, int]) -> Ring:
    """A ring of (peer index, first layer, end layer)."""
    return Ring(layers, tuple(Stage(peer_id(index), Run(1), first, end) for index, first, end in stages))


def ranges(ring: Ring) -> list[tuple[int, int, int]]:
    """The inverse of `ring_of`."""
    return [(int(stage.peer, 16), stage.first_layer, stage.end_layer) for stage in ring.stages]


@st.composite
def footprints(draw: st.DrawFn, most_layers: int = 6) -> Footprint:
    layers = draw(st.integers(1, most_layers))
    unit = draw(st.sampled_from([1000, MIB]))

    def each(most: int) -> st.SearchStrategy[tuple[int, ...]]:
        size = st.integers(0, most).map(lambda units: units * unit)
        alike = size.map(lambda one: (one,) * layers)
        return alike | st.lists(size, min_size=layers, max_size=layers).map(tuple)

    head, tail = draw(st.integers(0, 12)) * unit, draw(st.integers(0, 12)) * unit
    weights = draw(each(9))
    return Footprint(
        weights,
        draw(st.just(weights) | each(9)),
        draw(each(2)),
        head,
        tail,
        draw(st.sampled_from([0, min(head, tail)])),
        draw(st.sampled_from([0, 2 * unit])),
        draw(st.sampled_from([0, 5000, 10**6])),
        draw(st.none() | st.sets(st.integers(1, max(1, layers - 1))).map(lambda cuts: _within(cuts, layers))),
    )


def _within(cuts: set[int], layers: int) -> tuple[int, ...]:
    return tuple(sorted(cut for cut in cuts if cut < layers))


@st.composite
def questions(draw: st.DrawFn, most_peers: int = 5, most_layers: int = 6) -> Question:
    """Layers, memory, speed and ways that differ; weights in memory already; ways that are down."""
    footprint = draw(footprints(most_layers))
    count, layers = draw(st.integers(1, most_peers)), footprint.layer_count
    # From far too little memory to room for all on each peer.
    memory = st.integers(0, footprint.total_bytes // 2 + 1) | st.just(footprint.total_bytes)

    def links(index: int) -> st.SearchStrategy[tuple[LinkMeasure, ...]]:
        measure = st.builds(
            LinkMeasure,
            st.sampled_from([peer_id(other) for other in range(count + 1) if other != index]),
            st.sampled_from([0, 100, 200, 400, 1000, 20_000]),
            st.sampled_from([0, 100, 1000, 5000]),
            st.sampled_from([True, True, False]),
        )
        return st.lists(measure, max_size=count).map(tuple)

    candidates = [
        Candidate(
            peer_id(index),
            Run(1),
            f"peer-{index}",
            draw(memory),
            draw(st.sampled_from([0, 1000, 1000, 2000, 9000, 300_000])),
            draw(st.sampled_from([0, 500])),
            draw(st.just(()) | ranges_within(layers).map(lambda held: (held,))),
            draw(links(index)),
            draw(st.none() | st.lists(ranges_within(layers), max_size=2).map(tuple)),
        )
        for index in range(count)
    ]
    return Question(
        "m",
        footprint,
        draw(st.sampled_from([SPREAD_AUTO, SPREAD_ALL, 1, 2, 3])),
        tuple(candidates),
        draw(st.none() | present_rings(count, layers)),
    )


def ranges_within(layers: int) -> st.SearchStrategy[tuple[int, int]]:
    bounds = st.integers(0, layers)
    return st.tuples(bounds, bounds).filter(lambda pair: pair[0] < pair[1])


@st.composite
def present_rings(draw: st.DrawFn, count: int, layers: int) -> Ring:
    """Rings of some of the peers and of one that has gone, one of whose runs may be over."""
    order = draw(st.permutations(range(count + 1)))
    cuts = draw(st.lists(st.integers(1, layers), max_size=count, unique=True).map(sorted))
    ends = [*(cut for cut in cuts if cut < layers), layers]
    run = draw(st.sampled_from([1, 1, 2]))
    bounds = zip(order, [0, *ends], ends, strict=False)
    return Ring(layers, tuple(Stage(peer_id(i), Run(run if i == 0 else 1), a, b) for i, a, b in bounds))
