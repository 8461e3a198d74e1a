import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.errors import BrokenModel, UnsupportedModel
from meshinfer.model.variant import DTYPES, KV_BITS, Variant, read_variant, split_variant

VARIANTS = st.builds(
    Variant,
    st.sampled_from(("", *DTYPES)),
    st.sampled_from((0, *KV_BITS)),
    st.sampled_from(("", "./a+b", "/x y", "C:/50%41?&dtype=x", "~/ö")),
)


@given(VARIANTS)
def test_what_a_source_says_is_read_again(variant: Variant) -> None:
    text = f"org/name@v1?{variant}" if str(variant) else "org/name@v1"
    assert split_variant(text) == ("org/name@v1", variant)


@pytest.mark.parametrize(
    "wanted", ["m?dtype=int8", "m?kv_bits=5", "m?kv_bits=-8", "m?kv_bits=x", "m?adaptor=x"]
)
def test_what_is_no_variant_is_refused(wanted: str) -> None:
    with pytest.raises(UnsupportedModel, match=r"give one of|question mark"):
        split_variant(wanted)


@pytest.mark.parametrize("said", [1, {"dtype": "float32"}, {"dtype": 1, "kv_bits": 0, "adapter": ""}])
def test_a_config_that_says_nonsense_is_broken(said: object) -> None:
    with pytest.raises(BrokenModel, match="meshinfer"):
        read_variant({"meshinfer": said})
