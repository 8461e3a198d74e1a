"""Every example runs as its first lines say."""

import os
import subprocess
import sys
from pathlib import Path

from tests.reference import greedy_text
from tests.tiny import make_tiny_model

ROOT = Path(__file__).resolve().parent.parent


def test_a_peer_in_an_application_answers_as_one_process_does(tmp_path: Path) -> None:
    model = make_tiny_model(tmp_path / "tiny")
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "embedded_peer.py", str(model), "Hello there"],
        capture_output=True,
        text=True,
        timeout=120,
        # Its own home: no peer of this machine's user is met or disturbed.
        env={**os.environ, "HOME": str(tmp_path)},
        check=True,
    )
    assert done.stdout == greedy_text(model, "Hello there", 64, is_chat=True) + "\n"
