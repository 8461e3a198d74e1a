import sys

import pytest

from meshinfer.machine.tools import MAX_OUTPUT_BYTES, ToolFailed, ToolMissing, run_tool


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_what_a_tool_writes_is_returned() -> None:
    assert run_tool(python("print('told', end='')"), 60.0) == "told"


def test_a_tool_that_is_missing_is_named() -> None:
    with pytest.raises(ToolMissing, match="no-such-tool is not installed"):
        run_tool(["no-such-tool", "-x"], 60.0)


def test_a_tool_that_refuses_is_quoted() -> None:
    with pytest.raises(ToolFailed, match="ended with status 3: only root may"):
        run_tool(python("import sys; print('only root may', file=sys.stderr); sys.exit(3)"), 60.0)


def test_a_tool_that_is_slow_is_ended() -> None:
    with pytest.raises(ToolFailed, match=r"has not answered for 0\.2 s"):
        run_tool(python("import signal; signal.pause()"), 0.2)


def test_of_too_much_output_the_beginning_is_read() -> None:
    code = f"import sys; sys.stdout.write('x' * {MAX_OUTPUT_BYTES + 9}); sys.stderr.write('y' * 9_000_000)"
    assert len(run_tool(python(code), 60.0)) == MAX_OUTPUT_BYTES


def test_what_is_no_text_is_read_all_the_same() -> None:
    assert run_tool(python("import sys; sys.stdout.buffer.write(bytes([255, 65]))"), 60.0) == "\ufffdA"
