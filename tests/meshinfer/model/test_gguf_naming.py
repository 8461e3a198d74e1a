import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.model.gguf_naming import instead, title


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"basename": "Llama-3.2", "size_label": "1B", "finetune": "Instruct"}, "Llama-3.2-1B-Instruct"),
        (
            {
                "basename": "Mistral",
                "size_label": "7B",
                "finetune": "Instruct",
                "version": "v0.3",
                "name": "x",
            },
            "Mistral-7B-Instruct-v0.3",
        ),
        ({"name": "Qwen2.5 0.5B Instruct"}, "Qwen2.5-0.5B-Instruct"),
        ({"base_model.0.repo_url": "https://huggingface.co/Qwen/Qwen3-4B"}, "Qwen3-4B"),
        ({"name": "../.."}, None),
        ({"name": 7}, None),
        ({}, None),
    ],
)
def test_a_model_is_called_what_its_metadata_say(metadata: dict[str, str], expected: str | None) -> None:
    assert title({f"general.{key}": value for key, value in metadata.items()}) == expected


@given(st.text(max_size=300))
def test_a_title_may_stand_in_a_file_name(name: str) -> None:
    found = title({"general.name": name})
    assert found is None or (0 < len(found) <= 64 and not set(found) & set("/\\: \n") and found[0] != ".")


def test_without_a_name_the_community_is_pointed_at() -> None:
    assert "look in mlx-community on Hugging Face" in instead({})
