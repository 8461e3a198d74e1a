"""What a reader asks and gets is in the answer and nowhere else: canaries are planted, and looked for."""

import asyncio
import json
import logging
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest

from meshinfer import ApiConfig, Peer, PeerConfig
from meshinfer.actors.mail import Begin
from meshinfer.actors.requests import sink_for
from meshinfer.cli.json_lines import JsonTerminal
from meshinfer.cli.logs import show_logs
from meshinfer.cli.terminal import Terminal
from meshinfer.messages import Constraint, ConstraintKind, Opening, Sampling, SessionId
from meshinfer.topology.agreement import AgreementTiming
from tests.meshinfer.actors.mailbag import tapped_log
from tests.tiny import make_tiny_model

PROMPT, SYSTEM, ARGUMENT, ANSWER = "xylophonequark", "velvetnarwhal", "cobaltmongoose", "tangerineyak"
CANARIES = (PROMPT, SYSTEM, ARGUMENT, ANSWER)
HASTE = AgreementTiming(settle_s=0.1, widen_s=0.1, improve_s=0.1)


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("", "meshinfer")]
    before = [(logger, logger.level, list(logger.handlers)) for logger in loggers]
    yield
    logging.captureWarnings(False)
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers = handlers


def question() -> dict[str, Any]:
    call = {"name": "find", "arguments": json.dumps({"what": ARGUMENT})}
    return {
        "messages": [
            {"role": "system", "content": f"Say {SYSTEM}."},
            {"role": "user", "content": f"Is it {PROMPT}?"},
            {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": call}]},
            {"role": "tool", "tool_call_id": "1", "content": ARGUMENT},
        ],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "said", "schema": {"const": ANSWER}, "strict": True},
        },
        "max_tokens": 64,
    }


async def test_what_was_asked_and_answered_is_found_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(home))
    show_logs(Terminal(), 2)
    show_logs(JsonTerminal(), 2)
    model = make_tiny_model(tmp_path / "tiny", layers=4)
    config = PeerConfig(
        model=str(model),
        name="p0",
        is_mdns_on=False,
        api=ApiConfig(),
        memory_bytes=100_000_000,
        stages="all",
        agreement=HASTE,
        cache_dir=home / "cache",
        config_dir=home / "config",
    )
    async with Peer(config) as peer, httpx2.AsyncClient(base_url=peer.api_url, timeout=60) as client:
        async with asyncio.timeout(60):
            await peer.until_live()
        asked = await client.post(
            "/v1/chat/completions", json=question(), headers={"Idempotency-Key": "once", "X-Request-ID": "me"}
        )
        assert asked.status_code == 200, asked.text
        assert ANSWER in asked.json()["choices"][0]["message"]["content"]
        refused = await client.post("/v1/chat/completions", json=question() | {"temperature": PROMPT})
        assert refused.status_code == 400
        tokens = (await client.post("/tokenize", json={"prompt": PROMPT})).json()["tokens"]
        await crash(peer, tokens)
        shown = [await everything_shown(client), repr(peer.snapshot()), repr(asdict(peer.snapshot()))]
        assert "meshinfer_answer_tokens_total" in shown[0]
    out, err = capsys.readouterr()
    assert "actor requests failed and is started anew" in err
    assert '"level": "debug"' in err or '"level":"debug"' in err
    files = [file for file in home.rglob("*") if file.is_file()]
    assert files
    shown += [out, err, *(file.read_bytes().decode("latin-1") for file in files)]
    as_ids = ", ".join(map(str, tokens[:6]))
    for text in shown:
        found = [canary for canary in (*CANARIES, as_ids, as_ids.replace(" ", "")) if canary in text]
        assert not found


async def crash(peer: Peer, tokens: list[int]) -> None:
    """Let an actor fail with a question in its hands, as a bug would."""
    opening = Opening(Sampling(), len(tokens), 8, (), constraint=Constraint(ConstraintKind.REGEX, ANSWER))
    # A list cannot be a key: the actor fails when it looks the model up.
    broken = Begin(cast("str", [PROMPT]), SessionId("s"), tuple(tokens), opening, sink_for(8))
    with tapped_log() as log:
        await peer._parts.requests.tell(broken)
        await log.line_with("actor requests failed and is started anew")


async def everything_shown(client: httpx2.AsyncClient) -> str:
    """All that the API shows to whoever asks."""
    paths = (await client.get("/openapi.json")).json()["paths"]
    simple = [path for path, ways in paths.items() if "get" in ways and "{" not in path]
    simple.remove("/mesh/events")
    answers = [await client.get(path) for path in [*simple, "/mesh/trace/me", "/mesh/why"]]
    texts = [answer.text for answer in answers]
    async with client.stream("GET", "/mesh/events") as events:
        async for part in events.aiter_text():
            texts.append(part)
            break
    return "\n".join(texts)
