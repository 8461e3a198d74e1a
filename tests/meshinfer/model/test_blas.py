import subprocess
import sys

import pytest

from meshinfer.model.blas import preload_openblas

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="macOS has its own BLAS")


def _blas_in_a_fresh_process(before: str) -> str:
    code = f"{before}\nfrom meshinfer.model.blas import preload_openblas as p\nprint(p())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=150
    )
    return done.stdout


def test_it_either_loads_openblas_or_says_what_to_install() -> None:
    blas = preload_openblas()
    assert blas.is_loaded or "install" in (blas.advice or "") or "imported before" in (blas.advice or "")
    assert not (blas.is_loaded and blas.advice)


def test_asked_again_it_answers_the_same() -> None:
    assert preload_openblas() is preload_openblas()


def test_when_mlx_came_first_it_says_so() -> None:
    assert "imported before" in _blas_in_a_fresh_process("import mlx.core")
