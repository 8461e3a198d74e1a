import pytest

from meshinfer.cli.work_lines import work_lines


@pytest.mark.parametrize(
    ("work", "lines"),
    [
        ({"name": "mac-1", "answers": 0, "waiting": 0, "transfers": []}, []),
        (
            {"name": "mac-1", "answers": 2, "waiting": 1, "answer_tokens_per_s": 24.0},
            ["", "mac-1: 2 answers being written, 1 waiting, 24 tokens/s written"],
        ),
        (
            {"transfers": [{"what": "fetching tiny", "done_bytes": 10**9, "total_bytes": 4 * 10**9}]},
            ["", "fetching tiny  ━━━━━┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄  1.0 GB of 4.0 GB"],
        ),
        (
            {"transfers": [{"what": "fetching", "done_bytes": 10**6, "total_bytes": 0}]},
            ["", "fetching, 1.0 MB"],
        ),
    ],
)
def test_what_a_peer_does_is_told_in_a_line(work: dict[str, object], lines: list[str]) -> None:
    assert [line.plain for line in work_lines(work, 80)] == lines
