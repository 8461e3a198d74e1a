import pytest

from meshinfer.cli.bench.sizes import WrongSizes, parse_sizes


@pytest.mark.parametrize(
    ("text", "sizes"), [("128", (128,)), ("4,1,2", (4, 1, 2)), (" 1, 16 ", (1, 16)), ("007", (7,))]
)
def test_numbers_are_read_in_their_order(text: str, sizes: tuple[int, ...]) -> None:
    assert parse_sizes(text, 128) == sizes


@pytest.mark.parametrize("text", ["", ",", "1,,2", "0", "129", "-1", "1.5", "1e2", "many", "²", "1-4", "1 2"])
def test_anything_else_is_told_what_there_should_be(text: str) -> None:
    with pytest.raises(WrongSizes, match="give numbers from 1 to 128, with commas between them"):
        parse_sizes(text, 128)


def test_the_same_number_twice_is_a_mistake() -> None:
    with pytest.raises(WrongSizes, match="'1,2,01' holds 1 twice"):
        parse_sizes("1,2,01", 4)
