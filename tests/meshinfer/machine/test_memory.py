from pathlib import Path

import pytest

from meshinfer.machine.memory import RESERVE_BYTES, STEP_BYTES, MemoryTerms, measure_memory

GIB = 1 << 30


@pytest.mark.parametrize(
    ("terms", "bound_bytes"),
    [
        # Metal's word counts where it is told: 498.2 GB of 512 GiB, nearly all of it free.
        (MemoryTerms(512 * GIB, 508 * GIB, 498_216_206_336), 498_216_206_336),
        (MemoryTerms(512 * GIB, 300 * GIB, 498_216_206_336), 300 * GIB - RESERVE_BYTES),
        (MemoryTerms(512 * GIB, 508 * GIB), 384 * GIB),
        # What little there is is not all given away.
        (MemoryTerms(8 * GIB, 3 * GIB), 3 * GIB // 2),
        (MemoryTerms(64 * GIB, 60 * GIB, limit_bytes=8 * GIB), 6 * GIB),
        (MemoryTerms(8 * GIB, 6 * GIB, working_set_bytes=GIB), GIB),
    ],
)
def test_the_scarcest_term_is_the_budget(terms: MemoryTerms, bound_bytes: int) -> None:
    assert bound_bytes - STEP_BYTES < terms.budget_bytes <= bound_bytes


def test_there_is_always_a_budget() -> None:
    assert MemoryTerms(0, 0).budget_bytes == STEP_BYTES


def test_each_term_is_told() -> None:
    text = MemoryTerms(512 * GIB, 508 * GIB, 498_216_206_336, 600 * GIB).text
    assert text == (
        "498.2 GB for weights and KV cache (545.5 GB free of 549.8 GB, "
        "Metal takes at most 498.2 GB, this container may use 644.2 GB)"
    )


@pytest.mark.parametrize(
    ("text", "limit_bytes"), [("1048576\n", 1_048_576), ("max\n", None), (f"{1 << 60}\n", None), ("", None)]
)
def test_a_container_is_bounded_by_its_limit(tmp_path: Path, text: str, limit_bytes: int | None) -> None:
    (tmp_path / "memory.max").write_text(text)
    assert measure_memory(cgroup=tmp_path).limit_bytes == limit_bytes


def test_this_machine_has_memory(tmp_path: Path) -> None:
    terms = measure_memory(cgroup=tmp_path)
    assert 0 < terms.available_bytes <= terms.total_bytes
    assert terms.limit_bytes is None
