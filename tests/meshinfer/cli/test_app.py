import subprocess
import sys

import pytest
from typer.testing import CliRunner

from meshinfer import __version__
from meshinfer.cli.app import app

OPTIONS = {
    "join": [
        "--model", "--name", "--listen", "--peer", "--no-mdns", "--api-host", "--api-port", "--memory",
        "--stages", "--cache-dir", "--mesh", "--min-peers", "--offline", "--no-load-on-use", "--verbose",
        "--log-format", "--invite", "--open", "--config-dir",
    ],
    "demo": [
        "--peers", "--prompt", "--model", "--temperature", "--max-tokens", "--seed", "--cache-dir",
        "--log-format",
    ],
    "chat": ["QUESTION", "--url", "--model", "--system", "--temperature", "--max-tokens", "--seed"],
    "topology": ["--url", "--model", "--watch", "--why", "--json", "--mermaid", "--dot", "--svg"],
    "models": ["--url", "--cache-dir"],
    "load": ["--url", "--stages"],
    "unload": ["--url"],
    "plan": [
        "MODEL", "--on", "--context", "--readers", "--quant", "--link", "--stages", "--url", "--offline",
        "--json",
    ],
    "bench": [
        "--peers", "--prompt", "--tokens", "--readers", "--rounds", "--url", "--model", "--cache-dir",
        "--offline", "--json", "--svg",
    ],
    "trace": ["REQUEST", "--url", "--json"],
    "drain": ["--undo", "--url", "--timeout"],
    "doctor": ["--url", "--peer", "--mesh", "--listen", "--cache-dir", "--listen-for", "--json"],
    "leave": ["--url", "--timeout"],
    "key": ["show", "new"],
}  # fmt: skip

HEAVY = (
    "prompt_toolkit",
    "mlx",
    "mlx_lm",
    "transformers",
    "numpy",
    "fastapi",
    "uvicorn",
    "rich",
    "httpx2",
    "huggingface_hub",
)

LOOK = """
import sys
sys.argv = ["meshinfer", "--help"]
from meshinfer.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
heavy = sorted({name.partition(".")[0] for name in sys.modules} & set(%r))
print("heavy:", heavy)
"""


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def test_help_imports_nothing_heavy() -> None:
    command = [sys.executable, "-c", LOOK % (HEAVY,)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "Commands:" in done.stdout
    assert done.stdout.splitlines()[-1] == "heavy: []"


@pytest.mark.parametrize("command", OPTIONS)
def test_help_tells_every_option_and_an_example(command: str) -> None:
    status, out, _ = run(command, "--help")
    assert status == 0
    assert [option for option in OPTIONS[command] if option not in out] == []
    assert f"meshinfer {command}" in out.partition("Examples:")[2]
    assert max(map(len, out.splitlines())) <= 80


def test_help_names_every_command_in_a_line_of_its_own() -> None:
    _, out, _ = run("--help")
    listed = [line.split() for line in out.partition("Commands:")[2].splitlines() if line.strip()]
    assert [words[0] for words in listed] == list(OPTIONS)
    assert "..." not in out.partition("Commands:")[2]


def test_the_release_is_told() -> None:
    assert run("--version") == (0, f"meshinfer {__version__}\n", "")


def test_without_a_command_there_is_help() -> None:
    _, out, err = run()
    assert "Commands:" in out + err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["jion"], "join"),
        (["join", "--bogus"], "--bogus"),
        (["join", "--listen", "nowhere"], "--listen 'nowhere'"),
        (["join", "--listen", "127.0.0.1:70000"], "--listen '127.0.0.1:70000'"),
        (["join", "--peer", "192.168.1.4"], "--peer '192.168.1.4'"),
        (["join", "--peer", "192.168.1.4:0"], "--peer '192.168.1.4:0'"),
        (["join", "--stages", "some"], "--stages 'some'"),
        (["join", "--stages", "0"], "--stages '0'"),
        (["join", "--memory", "lots"], "'--memory'"),
        (["join", "--memory", "0"], "--memory 0"),
        (["join", "--memory", "-3"], "--memory -3"),
        (["join", "--memory", "nan"], "--memory nan"),
        (["join", "--memory", "inf"], "--memory inf"),
        (["join", "--api-port", "70000"], "'--api-port'"),
        (["join", "--name", "my mac"], "'my mac'"),
        (["join", "--mesh", "a/b"], "'a/b'"),
        (["join", "--min-peers", "0"], "'--min-peers'"),
        (["demo", "--peers", "0"], "'--peers'"),
        (["demo", "--peers", "many"], "'--peers'"),
        (["demo", "--temperature", "3"], "'--temperature'"),
        (["chat", "--url", "nowhere:0"], "'--url'"),
        (["chat", "--max-tokens", "0"], "'--max-tokens'"),
        (["topology", "--url", "ftp://a"], "'--url'"),
        (["topology", "--json", "--watch"], "--watch"),
        (["plan"], "MODEL"),
        (["plan", "kimi-k2", "--on", "4 x M3 Ultr"], "did you mean M3 Ultra"),
        (["plan", "kimi-k2", "--on", ""], "no machine is listed"),
        (["plan", "kimi-k2", "--on", "M3 Ultra 100GB"], "96, 256 or 512 GB"),
        (["plan", "kimi-k2", "--on", "M1", "--link", "string"], "--link 'string'"),
        (["plan", "kimi-k2", "--on", "M1", "--url", "127.0.0.1:1"], "--url"),
        (["plan", "kimi-k2", "--link", "tb5"], "--link"),
        (["plan", "kimi-k2", "--on", "M1", "--quant", "7"], "--quant '7'"),
        (["plan", "kimi-k2", "--on", "M1", "--stages", "some"], "--stages 'some'"),
        (["plan", "kimi-k2", "--on", "M1", "--context", "0"], "'--context'"),
        (["plan", "kimi-k2", "--on", "M1", "--readers", "0"], "'--readers'"),
        (["bench", "--url", "nowhere:0"], "'--url'"),
        (["bench", "--peers", "0"], "--peers '0'"),
        (["bench", "--peers", "1,17"], "--peers '1,17'"),
        (["bench", "--prompt", "long"], "--prompt 'long'"),
        (["bench", "--readers", "1,1"], "--readers '1,1'"),
        (["bench", "--tokens", "1"], "'--tokens'"),
        (["bench", "--rounds", "0"], "'--rounds'"),
        (["bench", "--model", "smollm2"], "--peers"),
        (["bench", "--peers", "1", "--url", "127.0.0.1:1"], "--url"),
        (["bench", "--json", "/nowhere/out.json"], "/nowhere"),
        (["bench", "--svg", "/"], "directory"),
        (["leave", "--url", "nowhere:0"], "'--url'"),
        (["leave", "--timeout", "-1"], "'--timeout'"),
    ],
)
def test_wrong_use_names_the_option_and_ends_with_2(arguments: list[str], named: str) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert named in err
