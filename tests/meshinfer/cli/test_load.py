from pathlib import Path

from tests.tiny import make_tiny_model

from .conftest import Start


def test_a_model_is_loaded_listed_and_unloaded_from_a_terminal(
    join: Start, start: Start, tiny: Path, tmp_path: Path
) -> None:
    second = make_tiny_model(tmp_path / "second", seed=5)
    peer = join("--model", str(tiny), "--name", "mac-1")
    url = peer.until(r"^API on (\S+)/v1")[1]
    peer.until("^ring live")
    loading = start("load", str(second), "--url", url)
    loading.until("^second is live$")
    assert loading.ended() == 0
    peer.until(r"^second is live, epoch \d+: mac-1 layers 0–3$")
    models = start("models", "--url", url)
    models.until("^model +size +on disk +loaded +tok/s +last used$")
    models.until(r"^tiny +\S+ .B +mac-1 +mac-1 0–3 ")
    models.until(r"^second +\S+ .B +mac-1 +mac-1 0–3 ")
    models.until(f"^mac-1 at {url} serves tiny, second$")
    unloading = start("unload", "second", "--url", url)
    unloading.until("^second is unloaded$")
    assert unloading.ended() == 0
    peer.until("^second is unloaded$")
    again = start("unload", "second", "--url", url)
    again.until("^error: the mesh does not run second: it runs tiny$")
    assert again.ended() == 1


def test_a_model_is_loaded_cast_beside_itself(join: Start, start: Start, tiny: Path) -> None:
    peer = join("--model", str(tiny), "--name", "mac-1")
    url = peer.until(r"^API on (\S+)/v1")[1]
    peer.until("^ring live")
    # By the name that it has on a disk of the mesh.
    loading = start("load", "tiny", "--dtype", "bfloat16", "--url", url)
    loading.until(r"^tiny\+bfloat16 is live$")
    assert loading.ended() == 0


def test_a_variant_that_there_is_not_is_refused(start: Start) -> None:
    loading = start("load", "tiny", "--dtype", "int4")
    loading.until("^error: dtype 'int4': give one of float32, bfloat16, float16$")
    assert loading.ended() == 2


def test_a_model_that_is_nowhere_is_refused(join: Start, start: Start) -> None:
    url = join("--name", "mac-1").until(r"^API on (\S+)/v1")[1]
    loading = start("load", "tyni", "--url", url)
    loading.until("^error: unknown model 'tyni'")
    assert loading.ended() == 1
