"""schemathesis against our own OpenAPI document, and a peer of its own that answers in a few tokens."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from meshinfer import ApiConfig, Peer, PeerConfig
from meshinfer.config import RequestLimits
from meshinfer.topology.agreement import AgreementTiming
from tests.tiny import make_tiny_model

pytestmark = pytest.mark.asyncio(loop_scope="session")

CONFIG = Path(__file__).with_name("schemathesis.toml")

EXAMPLES = "10"

NEVER_ENDS = "/mesh/events"
TAKES_THE_MODEL_AWAY = "/mesh/models/unload"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def brief_peer(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Peer]:
    """A peer whose model has so little context that every answer is short."""
    path = tmp_path_factory.mktemp("contract")
    config = PeerConfig(
        model=str(make_tiny_model(path / "tiny", context_tokens=128)),
        name="brief",
        is_mdns_on=False,
        is_download_allowed=False,
        api=ApiConfig(),
        memory_bytes=1_000_000_000,
        cache_dir=path / "cache",
        agreement=AgreementTiming(settle_s=0.1, widen_s=0.1, improve_s=0.1),
        requests=RequestLimits(default_max_tokens=4),
    )
    async with Peer(config) as peer:
        async with asyncio.timeout(60):
            await peer.until_live()
        yield peer


async def failures(peer: Peer, directory: Path, *choice: str) -> str:
    """What schemathesis has to say against a peer; empty if nothing. Same cases at each run."""
    st = (sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG))
    cases = ("--phases", "examples,fuzzing", "--mode", "all", "--max-examples", EXAMPLES)
    same = ("--generation-deterministic", "--no-shrink", "--no-color")
    running = await asyncio.create_subprocess_exec(
        *(*st, "run", f"{peer.api_url}/openapi.json", *cases, *same, *choice),
        cwd=directory,
        env={**os.environ, "PYTHONWARNINGS": "default"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        told, _ = await running.communicate()
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    return "" if running.returncode == 0 else told.decode()


async def test_a_peer_keeps_to_its_document(brief_peer: Peer, tmp_path: Path) -> None:
    choice = ("--exclude-path", NEVER_ENDS, "--exclude-path", TAKES_THE_MODEL_AWAY)
    told = await failures(brief_peer, tmp_path, *choice)
    assert not told, told
    assert brief_peer.snapshot().mesh.is_live


async def test_what_concerns_the_mesh_alone_keeps_to_it_without_a_model_too(
    idle_peer: Peer, tmp_path: Path
) -> None:
    choice = ("--include-path-regex", "^/(mesh|health)", "--exclude-path", NEVER_ENDS)
    told = await failures(idle_peer, tmp_path, *choice)
    assert not told, told
