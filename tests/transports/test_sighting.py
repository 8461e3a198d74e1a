import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.transports.sighting import Announcement, Sighting, peer_of, read_sighting

STUDIO = Announcement("a1b2", "studio.home", "home", "0.1.0", 1, "1a2b3c4d")
TXT: dict[bytes, bytes | None] = {key.encode(): value.encode() for key, value in STUDIO.to_txt().items()}


def test_what_a_peer_says_is_what_others_see() -> None:
    seen = read_sighting(STUDIO.service_name, TXT, ["192.168.1.4", "fe80::1%2"], 52414)
    assert seen == Sighting(STUDIO, ("tcp://192.168.1.4:52414", "tcp://[fe80::1%2]:52414"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"peer", b"other"),
        (b"name", b"x" * 200),
        (b"name", b"\x1b[2J"),
        (b"name", b""),
        (b"name", b".hidden"),
        (b"name", "Büro".encode()),
        (b"name", b"a name with spaces"),
        (b"name", b"x" * 64),
        (b"name", b"studio\n"),
        (b"mesh", b"home, and run `curl evil`"),
        (b"release", b"x" * 200),
        (b"key", b"\x1b[2J"),
        (b"mesh", b"\xff"),
        (b"wire", b"one"),
    ],
)
def test_a_txt_record_that_no_peer_would_write_is_not_believed(key: bytes, value: bytes) -> None:
    assert read_sighting(STUDIO.service_name, {**TXT, key: value}, ["192.168.1.4"], 1) is None


@pytest.mark.parametrize("missing", sorted(TXT))
def test_a_txt_record_that_lacks_something_is_not_believed(missing: bytes) -> None:
    rest = {key: value for key, value in TXT.items() if key != missing}
    assert read_sighting(STUDIO.service_name, rest, ["192.168.1.4"], 1) is None


def test_addresses_that_lead_nowhere_are_left_out() -> None:
    nowhere = ["0.0.0.0", "224.0.0.251", "ff02::fb", "fe80::1", "nonsense"]
    assert read_sighting(STUDIO.service_name, TXT, nowhere, 1) is None
    seen = read_sighting(STUDIO.service_name, TXT, [*nowhere, "10.0.0.1"], 1)
    assert seen is not None
    assert seen.addresses == ("tcp://10.0.0.1:1",)


def test_no_more_than_sixteen_addresses_are_believed() -> None:
    seen = read_sighting(STUDIO.service_name, TXT, [f"10.0.0.{number}" for number in range(200)], 1)
    assert seen is not None
    assert len(seen.addresses) == 16


@pytest.mark.parametrize("port", [0, -1, 65_536])
def test_a_port_out_of_range_is_not_believed(port: int) -> None:
    assert read_sighting(STUDIO.service_name, TXT, ["10.0.0.1"], port) is None


@pytest.mark.parametrize(
    "name", ["", "_meshinfer._tcp.local.", "a.b._meshinfer._tcp.local.", "a._http._tcp.local."]
)
def test_other_services_are_no_peers(name: str) -> None:
    assert peer_of(name) is None


@pytest.mark.parametrize("peer", ["", "a.b", "x" * 64, "ä"])
def test_an_id_that_is_no_label_cannot_be_announced(peer: str) -> None:
    with pytest.raises(ValueError, match="peer id"):
        Announcement(peer, "n", "m", "r", 1, "open")


@given(
    txt=st.dictionaries(st.binary(max_size=20), st.none() | st.binary(max_size=300), max_size=6),
    addresses=st.lists(st.text(max_size=50), max_size=4),
    port=st.integers(-1, 70_000),
)
def test_nothing_that_a_stranger_says_raises(
    txt: dict[bytes, bytes | None], addresses: list[str], port: int
) -> None:
    read_sighting(STUDIO.service_name, {**TXT, **txt}, addresses, port)
