import os
import resource
import threading

import pytest

from meshinfer.model.runtime import prepare_mlx, quieten_hugging_face


def test_preparing_mlx_leaves_the_limit_of_open_files_alone() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    prepare_mlx()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before


def test_setrlimit_is_the_real_one_again_afterwards() -> None:
    real = resource.setrlimit
    prepare_mlx()
    assert resource.setrlimit is real


def test_many_threads_may_prepare_at_once() -> None:
    threads = [threading.Thread(target=prepare_mlx) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    import mlx_lm

    assert mlx_lm.__version__


def test_what_the_user_set_in_the_environment_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    quieten_hugging_face()
    assert os.environ["TOKENIZERS_PARALLELISM"] == "true"
