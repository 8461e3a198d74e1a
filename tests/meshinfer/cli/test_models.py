from pathlib import Path

from .conftest import Start


def test_built_in_models_are_listed_even_before_they_are_here(
    start: Start, tmp_path: Path, nobody: str
) -> None:
    models = start("models", "--cache-dir", str(tmp_path), "--url", nobody)
    models.until("^model +size +where$")
    models.until(r"^smollm2-q4 +– +not here yet: 93 MB from PyPI$")
    models.until(r"^smollm2-float32 +– +not here yet: 93 MB from PyPI$")
    models.until(r"^smollm2 is smollm2-(q4|float32) on this machine$")
    models.until(f"^no peer answers at {nobody}$")
    assert models.ended() == 0


def test_a_running_peer_tells_what_it_serves(join: Start, start: Start, tiny: Path, tmp_path: Path) -> None:
    peer = join("--model", str(tiny), "--name", "mac-1")
    url = peer.until(r"^API on (\S+)/v1")[1]
    peer.until("^ring live")
    models = start("models", "--cache-dir", str(tmp_path), "--url", url)
    # The directory is this machine's, whatever the mesh has.
    models.until(r"^smollm2-q4 +– +not here yet: 93 MB from PyPI$")
    models.until(f"^mac-1 at {url} serves tiny$")
    assert models.ended() == 0
    models = start("models", "--url", url)
    models.until("^tiny .*mac-1")
    models.until(f"^mac-1 at {url} serves tiny$")
    assert models.ended() == 0


def test_a_peer_that_wants_a_key_is_told_before_this_machines_own_list(join: Start, start: Start) -> None:
    url = join("--api-key", "0123456789abcdef").until(r"^API on (\S+)/v1")[1]
    models = start("models", "--url", url)
    models.until("needs a key: .* put it into MESHINFER_API_KEY; these are this machine's own models:$")
    models.until("^smollm2-q4 ")
    assert models.ended() == 0
