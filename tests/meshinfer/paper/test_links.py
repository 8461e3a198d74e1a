import pytest

from meshinfer.paper.links import LINKS, LinkKind, WrongLink, read_link


@pytest.mark.parametrize("name", LINKS)
def test_links_have_names(name: str) -> None:
    assert read_link(name.upper()) is LINKS[name]


@pytest.mark.parametrize(
    ("text", "name"),
    [("Thunderbolt 5", "tb5"), ("thunderbolt4", "tb4"), ("Wi-Fi", "wifi"), (" TB 5 ", "tb5")],
)
def test_links_have_more_names(text: str, name: str) -> None:
    assert read_link(text) is LINKS[name]


@pytest.mark.parametrize(
    ("text", "mb_s"),
    [
        ("25GbE", 2875), ("100 gbe", 11500), ("40Gb/s", 4600), ("40 gbps", 4600), ("100Mbit/s", 12),
        ("5g", 575),
        ("5GB/s", 5000), ("250 MB/s", 250), ("1.5GB/s", 1500), ("2GBps", 2000),
    ],
)  # fmt: skip
def test_speeds_are_bits_unless_bytes_are_written(text: str, mb_s: int) -> None:
    assert read_link(text) == LinkKind(text, 400, mb_s)


@pytest.mark.parametrize("text", ["", "string", "tb9", "fast", "GbE", "-1GbE", "1e9GbE", "12"])
def test_what_is_no_link_is_refused_with_those_there_are(text: str) -> None:
    with pytest.raises(WrongLink, match=r"give one of tb5, tb4, .*, or a speed such as 25GbE"):
        read_link(text)


@pytest.mark.parametrize("text", ["999999GbE", "0.001Mb/s", "0GbE"])
def test_speeds_that_join_no_machines_are_refused(text: str) -> None:
    with pytest.raises(WrongLink, match="from 1 to 100000 MB/s join machines"):
        read_link(text)
