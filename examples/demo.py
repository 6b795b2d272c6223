"""`make demo`: counts words, kills a worker process in the middle, and compares every count.

Runs word_count.py on the sources of Python's own standard library, shows how it comes along, and sends SIGKILL to one
of its workers once there is a checkpoint to go back to and much of the text is still to be read. The counts, which the
job writes into files exactly once, are then compared with those of `collections.Counter` over the same text. The exit
code is 0 only if all are equal and state was restored.
"""

import asyncio
import os
import signal
import sys
import tempfile
from collections import Counter, deque
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from word_count.word_count import standard_library, words_of

from penstock.base.clock import SystemClock
from penstock.base.errors import PenstockError
from penstock.cli.progress import Progress, changes, count, look, rate, size
from penstock.cli.views import View, live_view
from penstock.datastream import script
from penstock.datastream.execution import Executor, using
from penstock.jobmanager.job_master import JobMaster
from penstock.local.cluster import LocalCluster
from penstock.local.executor import LocalExecutor

PAUSE_S = 0.025
"""After each 1,000 lines, so that there is something to watch, and checkpoints before the kill."""
KILL_AT, TOO_LATE = 0.4, 0.9
"""Shares of the lines that have been read: when the worker is killed, and when that would prove nothing any more."""
LOOK_EVERY_S = 0.2
LINE_EVERY_S = 1.0


class Lines:
    """The live view where there is no terminal: a line a second, and one for whatever happens."""

    def __init__(self) -> None:
        self.looks: deque[Progress] = deque(maxlen=int(2 / LOOK_EVERY_S))
        self.next_s = 0.0

    def show(self, progress: Progress) -> None:
        for sentence in changes(self.looks[-1] if self.looks else None, progress):
            print(sentence, flush=True)
        if self.looks and progress.records_in < self.looks[-1].records_in:
            self.looks.clear()  # Counters begin anew when tasks do.
        self.looks.append(progress)
        if progress.elapsed_s >= self.next_s:
            self.next_s = progress.elapsed_s + LINE_EVERY_S
            print(
                f"{progress.elapsed_s:5.1f} s  {count(rate(self.looks[0], progress)[0]):>8} records/s  "
                f"{progress.completed:2} checkpoints  {size(progress.state_bytes):>9} of state  "
                f"{progress.restarts} restarts",
                flush=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class Demo:
    """What runs beside the job, on its cluster's loop: looks for the view, and the kill."""

    def __init__(self, view: View, lines: int) -> None:
        self.view = view
        self.lines = lines
        self.killed = False
        self.restored_from: int | None = None

    async def watch(self, cluster: LocalCluster, master: JobMaster) -> None:
        try:
            while True:
                progress = self.look(master)
                if not self.killed and progress.completed and progress.records_in > KILL_AT * self.lines:
                    self.kill(cluster, progress)
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            self.look(master)

    def look(self, master: JobMaster) -> Progress:
        clock = SystemClock()
        progress = look(master, master.status.name, clock.monotonic(), clock.now_ms())
        self.view.show(progress)
        self.restored_from = progress.restored_from
        return progress

    def kill(self, cluster: LocalCluster, progress: Progress) -> None:
        share = progress.records_in / self.lines
        if cluster.workers is None or share > TOO_LATE:
            return
        worker = cluster.workers.alive[-1]
        pid = cluster.workers.pid(worker)
        assert pid is not None, "who is alive has a process"
        os.kill(pid, signal.SIGKILL)
        self.killed = True
        print(f"\n*** kill -9 {pid}: worker {worker} dies with {share:.0%} of the lines read\n", flush=True)


def run_job(output: Path, checkpoints: Path, lines: int) -> Demo:
    """word_count.py to its end, with a worker killed on the way."""
    arguments = [
        "--output",
        str(output),
        "--checkpoints",
        str(checkpoints),
        "--pause",
        str(PAUSE_S),
        "--parallelism",
        "2",
    ]
    view = live_view() if sys.stderr.isatty() else Lines()
    demo = Demo(view, lines)
    with view, using(cast(Executor, LocalExecutor(demo.watch))):
        script.run(Path(__file__).parent / "word_count" / "word_count.py", arguments)
    return demo


def counts_in(output: Path) -> Counter[str]:
    """What the job has published. A word that is there twice is a mistake, and its counts are added to show it."""
    counts: Counter[str] = Counter()
    for path in output.rglob("*"):
        if path.is_file() and not path.name.startswith((".", "_")):
            for line in path.read_text("utf-8").splitlines():
                word, _, number = line.partition(" ")
                counts[word] += int(number)
    return counts


def verdict(demo: Demo, counts: Counter[str], expected: Counter[str]) -> int:
    """Says what came out; the exit code."""
    for word, number in sorted(expected.items(), key=lambda pair: (-pair[1], pair[0]))[:10]:
        print(
            f"{number:9,}  {word}" if counts[word] == number else f"{counts[word]:9,}  {word}  (should be {number:,})"
        )
    wrong = [word for word in counts.keys() | expected.keys() if counts[word] != expected[word]]
    if wrong:
        print(f"\n{len(wrong):,} of {len(expected):,} counts are off, among them '{min(wrong)}'")
        return 1
    if demo.restored_from is None:
        print(f"\n{len(expected):,} words, all counts exact, but nothing was restored: the job was over too soon")
        return 1
    print(f"\nrestored from checkpoint {demo.restored_from} after the kill")
    print(f"{len(expected):,} words, all counts exact")
    return 0


def main() -> int:
    texts = [Path(path).read_text("utf-8", "replace") for path in standard_library()]
    lines, megabytes = sum(text.count("\n") for text in texts), sum(map(len, texts)) / 1e6
    print(f"counting the words of {megabytes:.1f} MB in {len(texts)} files, {lines:,} lines", flush=True)
    with tempfile.TemporaryDirectory(prefix="penstock-demo-") as folder:
        output = Path(folder) / "counts"
        demo = run_job(output, Path(folder) / "checkpoints", lines)
        counts = counts_in(output)
    print(flush=True)
    return verdict(demo, counts, Counter(word for text in texts for word in words_of(text)))


if __name__ == "__main__":
    os.environ.setdefault("PENSTOCK_LOG_LEVEL", "ERROR")  # That a worker is gone is what the demo itself tells.
    try:
        sys.exit(main())
    except PenstockError as error:
        sys.exit(f"the demo failed: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
