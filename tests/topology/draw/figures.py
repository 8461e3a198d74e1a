"""Figures to draw: one to look at, and drawn ones for properties."""

from hypothesis import strategies as st

from meshinfer.topology.draw.figure import Figure, Seat, Spare, Way
from meshinfer.topology.ring import PeerId

GB = 10**9

TEXTS = st.text(max_size=40) | st.sampled_from(
    ['a "b" <c> & d', "日本語のマック", "x\x1b[2J\n", "\\", "]]>", "🙂"]
)
STATES = st.sampled_from(["serving", "loading", "suspect", "dead", "idle", "stands by"])


def seat(name: str, first: int, end: int, state: str = "serving", taken: int = GB, own: int = GB) -> Seat:
    return Seat(PeerId(name), name, (first, end), state, own, taken, 16 * GB)


def ring(*seats: Seat, spares: tuple[Spare, ...] = (), rtt_us: int = 210, token_us: int = 80_000) -> Figure:
    """A live ring with ways that are alike."""
    count = seats[-1].layers[1]
    ways = tuple(Way(rtt_us, 0, True) for _ in seats) if len(seats) > 1 else ()
    return Figure("home", "smollm2", True, "", 4, "abcdef0123", count, token_us, seats, ways, spares)


TWO = ring(
    seat("desk", 0, 15),
    seat("lap", 15, 30, "loading"),
    spares=(Spare(PeerId("shelf"), "shelf", "stands by", 8 * GB, "its disk is full"),),
)


@st.composite
def figures(draw: st.DrawFn, most_seats: int = 16) -> Figure:
    count = draw(st.integers(0, most_seats))
    layers = draw(st.integers(max(1, count), 130))
    cuts = (
        sorted(draw(st.sets(st.integers(1, layers - 1), min_size=count - 1, max_size=count - 1)))
        if count > 1
        else []
    )
    bounds = zip([0, *cuts], [*cuts, layers], strict=True) if count else ()
    sizes = st.integers(0, 10**13)
    seats = tuple(
        Seat(PeerId(f"{place:032x}"), draw(TEXTS), bound, draw(STATES), draw(sizes), draw(sizes), draw(sizes))
        for place, bound in enumerate(bounds)
    )
    way = st.builds(Way, st.integers(0, 10**7), st.integers(0, 10**5), st.booleans())
    spares = st.builds(Spare, st.just(PeerId("s")), TEXTS, STATES, sizes, TEXTS)
    return Figure(
        draw(TEXTS),
        draw(TEXTS),
        draw(st.booleans()),
        draw(TEXTS),
        draw(st.integers(0, 10**6)),
        draw(st.text("0123456789abcdef", max_size=32)),
        layers if count else 0,
        draw(st.integers(0, 10**7)),
        seats,
        tuple(draw(st.lists(way, min_size=count, max_size=count))) if count > 1 else (),
        tuple(draw(st.lists(spares, max_size=3))),
    )
