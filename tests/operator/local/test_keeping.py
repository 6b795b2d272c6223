"""Processes are kept running as a kubelet keeps containers, by whoever comes after one that was killed too."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from penstock_operator.local.keeping import Keeper, KeepingSettings, Room
from penstock_operator.local.processes import Command, find, start

FOREVER = "import signal; signal.pause()"
CRASHES_FIRST = """
import pathlib, signal
ends = pathlib.Path("ends")
ends.write_text(ends.read_text() + "." if ends.exists() else ".")
if len(ends.read_text()) <= 3:
    raise SystemExit(1)
signal.pause()
"""
DEAF = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
while True: signal.pause()
"""
SETTINGS = KeepingSettings(backoff_first_s=0.01, backoff_max_s=0.02, grace_s=0.2)


class Kept:
    """Keepers over one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.changes = asyncio.Event()
        self.room = Room(4)
        self.ahead_ms = 0

    def keeper(self, program: str, name: str = "a", slots: int = 1) -> Keeper:
        command = Command([sys.executable, "-c", program], {}, self.folder, self.folder / f"{name}.log")

        async def commanded() -> Command:
            return command

        return Keeper(
            self.folder / f"{name}.json",
            commanded,
            slots=slots,
            room=self.room,
            settings=SETTINGS,
            now_ms=lambda: int(time.time() * 1000) + self.ahead_ms,
            changed=self.changes.set,
        )

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():
                self.changes.clear()
                if not holds():
                    await self.changes.wait()


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


async def test_a_killed_process_is_started_again_and_counted(kept: Kept) -> None:
    async with AsyncExitStack() as stack:
        keeper = kept.keeper(FOREVER)
        stack.push_async_callback(keeper.stop)
        await kept.until(lambda: keeper.pid is not None)
        first = keeper.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await kept.until(lambda: keeper.pid not in (first, None))
        assert keeper.record.restarts == 1
        assert "SIGKILL" in keeper.record.last_end
        assert keeper.crashes == ""


async def test_a_successor_adopts_what_runs(kept: Kept) -> None:
    keeper = kept.keeper(FOREVER)
    await kept.until(lambda: keeper.pid is not None)
    await keeper.leave()
    successor = kept.keeper(FOREVER)
    await kept.until(lambda: kept.room.free == 3)
    assert successor.pid == keeper.pid
    assert successor.record.restarts == 0
    await successor.stop()
    assert keeper.pid is None
    assert list(kept.folder.glob("*.json")) == []


async def test_a_process_whose_pid_nobody_could_write_down_is_found(kept: Kept) -> None:
    keeper = kept.keeper(FOREVER)
    await kept.until(lambda: keeper.pid is not None)
    await keeper.leave()
    mark, pid = keeper.record.mark, keeper.pid
    (kept.folder / "a.json").write_text(f'{{"mark": "{mark}"}}')
    successor = kept.keeper(FOREVER)
    await kept.until(lambda: successor.pid is not None)
    assert successor.pid == pid
    await successor.stop()


async def test_a_successor_starts_again_what_died_unseen(kept: Kept) -> None:
    keeper = kept.keeper(FOREVER)
    await kept.until(lambda: keeper.pid is not None)
    await keeper.leave()
    first = keeper.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await asyncio.to_thread(os.waitpid, first, 0)
    successor = kept.keeper(FOREVER)
    await kept.until(lambda: successor.pid is not None)
    assert successor.record.restarts == 1
    await successor.stop()


async def test_one_that_ends_again_and_again_is_trouble_with_its_last_words(kept: Kept) -> None:
    keeper = kept.keeper("raise SystemExit('no such script: job.py')")
    await kept.until(lambda: keeper.crashes != "")
    assert "exit code 1" in keeper.crashes
    assert "no such script: job.py" in keeper.crashes
    await keeper.stop()


async def test_one_that_has_recovered_is_no_trouble_any_more(kept: Kept) -> None:
    keeper = kept.keeper(CRASHES_FIRST)
    await kept.until(lambda: keeper.pid is not None and keeper.record.ends_in_a_row == 3)
    assert keeper.crashes != ""
    kept.ahead_ms = 31_000
    assert keeper.crashes == ""
    await keeper.stop()


async def test_a_process_that_ignores_sigterm_is_killed_after_its_grace(kept: Kept) -> None:
    keeper = kept.keeper(DEAF)
    await kept.until(lambda: keeper.pid is not None)
    while "deaf" not in (kept.folder / "a.log").read_text():
        await asyncio.sleep(0.01)
    await keeper.stop()
    assert keeper.pid is None


async def test_without_room_nothing_is_started_until_somebody_goes(kept: Kept) -> None:
    first = kept.keeper(FOREVER, "a", slots=3)
    await kept.until(lambda: first.pid is not None)
    second = kept.keeper(FOREVER, "b", slots=2)
    await kept.until(lambda: second.no_room)
    assert second.pid is None
    await first.stop()
    await kept.until(lambda: second.pid is not None)
    assert not second.no_room
    await second.stop()


async def test_a_process_is_looked_after_while_nothing_can_be_written_down(kept: Kept) -> None:
    async with AsyncExitStack() as stack:
        keeper = kept.keeper(FOREVER, "notes/a")
        stack.push_async_callback(keeper.stop)
        await kept.until(lambda: keeper.pid is not None)
        first, notes = keeper.pid, kept.folder / "notes"
        notes.rename(kept.folder / "away")
        notes.write_text("in the way")
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await kept.until(lambda: "it cannot be started" in keeper.crashes and "cannot be written" in keeper.crashes)
        notes.unlink()
        await kept.until(lambda: keeper.pid not in (None, first))


async def test_what_cannot_be_started_is_told(kept: Kept, tmp_path: Path) -> None:
    command = Command([str(tmp_path / "nothing")], {}, tmp_path, tmp_path / "log")
    with pytest.raises(FileNotFoundError):
        start(command, "mark-of-nothing")
    assert find("mark-of-nothing") is None
