"""`make demo`: runs a manifest, changes it while it runs, kills processes, and compares every count.

Runs word_count/flinkjob.yaml as `penstock-operator local` does, on the sources of Python's own standard library. While
that counts, the demo saves the manifest with another parallelism and another argument, and sends SIGKILL to the
JobManager and to a TaskManager. The counts, which the job writes into files exactly once, are then compared with those
of `collections.Counter` over the same text. The exit code is 0 only if all are equal, and the job was upgraded,
recovered and restored on the way.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from word_count.word_count import standard_library, words_of

from penstock_operator.local.command import run_local
from penstock_operator.local.looks import Look
from penstock_operator.local.running import LocalOperator, LocalSettings
from penstock_operator.local.screen import Screen

HERE = Path(__file__).parent
SLOTS_MAX = 16
PATIENCE_S = 50.0
LOOK_EACH_S = 0.1


class Demo:
    """What happens to the job: runs beside the operator, on its loop."""

    def __init__(self, manifest: Path) -> None:
        self.manifest = manifest
        self.done: list[str] = []

    async def play(self, operator: LocalOperator, screen: Screen) -> None:
        """Edit the manifest, kill the JobManager, kill a TaskManager; each as soon as what came before is over."""
        self.operator, self.screen = operator, screen
        with contextlib.suppress(TimeoutError):
            await self.until(lambda look: look.lifecycle == "Stable")
            first = self.revision()
            self.say("saves the manifest with parallelism 2 instead of 1, and another pause")
            text = self.manifest.read_text()
            self.manifest.write_text(text.replace("parallelism: 1", "parallelism: 2").replace("0.04", "0.05"))
            await self.until(lambda look: look.lifecycle == "Stable" and self.revision() != first)
            self.done.append("upgraded from a savepoint")
            await self.kill("jobmanager")
            await self.kill("taskmanager-0")
        await asyncio.Event().wait()

    async def kill(self, name: str) -> None:
        """SIGKILL, and wait for checkpoints after it."""
        before = self.look().checkpoints
        pid = self.operator.pids("word-count")[name]
        self.say(f"kill -9 {pid}: the {name.partition('-')[0]} dies")
        os.kill(pid, signal.SIGKILL)
        await self.until(lambda look: self.operator.pids("word-count").get(name) not in (pid, None))
        await self.until(lambda look: look.state == "RUNNING" and look.checkpoints not in (0, before))
        self.done.append(f"recovered from the death of a {name.partition('-')[0]}")

    async def until(self, holds: Callable[[Look], bool]) -> None:
        """TimeoutError when the job is over first, or it takes too long."""
        async with asyncio.timeout(PATIENCE_S):
            while not holds(self.look()):
                if self.look().lifecycle in ("Finished", "Failed"):
                    raise TimeoutError("the job was over too soon")
                await asyncio.sleep(LOOK_EACH_S)

    def look(self) -> Look:
        return self.operator.looks()[0]

    def revision(self) -> str:
        return self.operator.revision("word-count")

    def say(self, sentence: str) -> None:
        self.screen.say(f"\n*** the demo {sentence}\n", "bold magenta")


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
    if len(demo.done) < 3:
        print(f"\n{len(expected):,} words, all counts exact, but only {demo.done}: the job was over too soon")
        return 1
    print(f"\n{'; '.join(demo.done)}")
    print(f"{len(expected):,} words, all counts exact")
    return 0


def main() -> int:
    texts = [Path(path).read_text("utf-8", "replace") for path in standard_library()]
    lines, megabytes = sum(text.count("\n") for text in texts), sum(map(len, texts)) / 1e6
    print(f"counting the words of {megabytes:.1f} MB in {len(texts)} files, {lines:,} lines", flush=True)
    with tempfile.TemporaryDirectory(prefix="penstock-demo-") as name:
        folder = Path(name)
        shutil.copytree(HERE / "word_count", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("state"))
        manifest, output = folder / "flinkjob.yaml", folder / "counts"
        manifest.write_text(manifest.read_text().replace("args: [", f"args: [--output, {output}, "))
        demo = Demo(manifest)
        settings = LocalSettings((manifest,), SLOTS_MAX, until_finished=True)
        code = run_local(folder / "operator", settings, beside=demo.play)
        counts = counts_in(output)
    print(flush=True)
    return code or verdict(demo, counts, Counter(word for text in texts for word in words_of(text)))


if __name__ == "__main__":
    sys.exit(main())
