import pytest

from meshinfer.model.precision import PRECISIONS, WrongPrecision, parse_precision


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("4", "4"), ("q4", "4"), ("4bit", "4"), ("4-bit", "4"), (" 4 bits ", "4"), ("int8", "8"), ("Q6", "6"),
        ("bf16", "bf16"), ("BF16", "bf16"), ("bfloat16", "bf16"), ("fp16", "bf16"), ("16", "bf16"),
        ("mxfp4", "mxfp4"), ("MXFP8", "mxfp8"), ("nvfp4", "nvfp4"),
    ],
)  # fmt: skip
def test_precisions_are_read_as_people_write_them(text: str, name: str) -> None:
    assert parse_precision(text) is PRECISIONS[name]


@pytest.mark.parametrize("text", ["", "7", "1", "9", "four", "q4_k_m", "mxfp5", "-4", "4" * 999])
def test_what_mlx_cannot_store_is_refused_with_what_it_can(text: str) -> None:
    with pytest.raises(WrongPrecision, match="Give one of bf16, 8, 6, 5, 4, 3, 2, mxfp8, mxfp4, nvfp4"):
        parse_precision(text)


def test_a_near_miss_is_guessed() -> None:
    with pytest.raises(WrongPrecision, match=r"did you mean mxfp[48]\?"):
        parse_precision("mxfp5")
