import asyncio
import os
import signal

import pytest

from meshinfer.cli.leaving import INTERRUPTED, Leaving, ending_signals, on_signals
from meshinfer.cli.terminal import Terminal


class Ended(Exception):
    """Stands for the end of the process."""


@pytest.fixture(autouse=True)
def _process_survives(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(status: int) -> None:
        assert status == INTERRUPTED
        raise Ended

    monkeypatch.setattr("os._exit", end)


async def forever() -> int:
    await asyncio.Event().wait()
    return 0


async def test_asking_often_cancels_once(capsys: pytest.CaptureFixture[str]) -> None:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(forever())
        leaving = Leaving(task, Terminal())
        leaving.ask()
        leaving.ask()
        assert task.cancelling() == 1
    assert capsys.readouterr().out == "leaving… (Ctrl-C once more to stop at once)\n"


async def test_a_signal_asks_and_the_next_one_ends() -> None:
    async with asyncio.TaskGroup() as group:
        leaving = Leaving(group.create_task(forever()), Terminal())
        leaving.signalled()
        with pytest.raises(Ended):
            leaving.signalled()


async def test_signals_arrive_on_the_loop() -> None:
    arrived = asyncio.Event()
    before = {number: signal.getsignal(number) for number in ending_signals()}
    try:
        async with asyncio.timeout(60):
            with on_signals(arrived.set):
                for number in ending_signals():
                    os.kill(os.getpid(), number)
                    await arrived.wait()
                    arrived.clear()
        # Afterwards, while the interpreter ends, there is nothing left to ask.
        with pytest.raises(Ended):
            signal.raise_signal(signal.SIGINT)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_nohup_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    assert signal.SIGHUP in ending_signals()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert ending_signals() == [signal.SIGINT, signal.SIGTERM]
    finally:
        signal.signal(signal.SIGHUP, before)
