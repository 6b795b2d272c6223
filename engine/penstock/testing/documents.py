"""Documents whose commands are run: their blocks of code, and a reader who follows them to the letter.

What a block is says its first line, of which readers see the first word as its colours only:

    ```sh laptop            commands for this machine
    ```sh cluster           commands for a cluster
    ```sh laptop stays      a command that stays up, in a window of its own
    ```text                 what the commands before it show, or the newest window; numbers may differ, ... is anything
    ```python job.py        a file of this name

A comment `# Ctrl-C` among the commands is done, not said: in the newest window that is still open.
"""

import contextlib
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self, final

from penstock.testing.processes import kill_and_wait, started_with
from penstock.testing.terminals import CTRL_C, Terminal

World = Literal["laptop", "cluster"]

_BLOCK: Final = re.compile(r"^```(.*)\n((?:.*\n)*?)^```$", re.MULTILINE)
_HEADING: Final = re.compile(r"^## (.*)$", re.MULTILINE)
_CTRL_C: Final = re.compile(r"^# Ctrl-C\b")
_VARIES: Final = re.compile(
    r"(?P<anything>\.\.\.)"
    r"|(?P<time>(?:\d+(?:\.\d+)?(?:ms|[smhd]))+)(?![0-9A-Za-z])"
    r"|(?P<id>(?=[a-f]*\d)[0-9a-f]{5,})"
    r"|(?P<number>\d[\d.,:]*)"
    r"|(?P<space>\s+)"
)
_LIKE: Final = {
    "anything": ".*?",
    "time": r"(?:\d+(?:\.\d+)?(?:ms|[smhd]))+",
    "id": "[0-9a-f]+",
    "number": r"\d[\d.,:]*",
    "space": r"\s+",
}
_MARK: Final = "PENSTOCK_DOCUMENT_TEST"
_BLOCK_S: Final = 150.0
_ENDS_WELL: Final = (0, 1, 130, -signal.SIGINT)
"""After Ctrl-C: ours, kubectl, shells, and who is caught by it in the moment of his own end."""
# What a block sets is there in the next one, as in a window that stays open.
_SCRIPT: Final = """
set -eEuo pipefail
trap 'echo "«$BASH_COMMAND» ended with $?" >&2' ERR
[ ! -e "$PENSTOCK_WINDOW" ] || . "$PENSTOCK_WINDOW"
set -a
{commands}
set +a
export -p >"$PENSTOCK_WINDOW"
"""


@final
@dataclass(frozen=True, slots=True)
class Block:
    """One block of code of a document."""

    document: Path
    line: int
    section: str
    """The heading of second rank that it stands below."""
    kind: tuple[str, ...]
    """The words of its first line."""
    text: str

    @property
    def where(self) -> str:
        return f"{self.document.name}:{self.line}"

    @property
    def language(self) -> str:
        return self.kind[0] if self.kind else ""

    @property
    def commands(self) -> list[str]:
        """One for each line that begins one."""
        return [line for line in self.text.replace("\\\n", " ").splitlines() if line.strip()]


def blocks_of(document: Path) -> list[Block]:
    """All of a document, in order."""
    text = document.read_text()
    headings = [(match.start(), match[1]) for match in _HEADING.finditer(text)]
    return [
        Block(
            document,
            text.count("\n", 0, match.start()) + 1,
            next((title for start, title in reversed(headings) if start < match.start()), ""),
            tuple(match[1].split()),
            match[2],
        )
        for match in _BLOCK.finditer(text)
    ]


def sections_for(world: World, document: Path) -> dict[str, list[Block]]:
    """What is for one world of each section that has anything for it: commands, and what they show."""
    chosen: dict[str, list[Block]] = {}
    ours = False
    for block in blocks_of(document):
        match block.kind:
            case ("sh", where, *_):
                ours = where == world
            case ("text",):
                pass
            case _:
                continue
        if ours:
            chosen.setdefault(block.section, []).append(block)
    return chosen


def files_of(document: Path) -> dict[str, str]:
    """Those that it shows, by name."""
    return {
        block.kind[1]: block.text
        for block in blocks_of(document)
        if len(block.kind) == 2 and block.language not in ("sh", "text")
    }


def like(shown: str) -> re.Pattern[str]:
    """What finds these lines in an output, in this order, whatever is between them."""
    lines = [line.strip() for line in shown.splitlines() if line.strip()]
    return re.compile(r"[^\n]*\n(?:.*\n)*?[^\n]*?".join(_line_like(line) for line in lines))


def _line_like(line: str) -> str:
    pieces, end = [], 0
    for match in _VARIES.finditer(line):
        pieces += [re.escape(line[end : match.start()]), _LIKE[str(match.lastgroup)]]
        end = match.end()
    return "".join([*pieces, re.escape(line[end:])])


@final
class Reader:
    """Somebody who sits in a folder and does what documents say. Whatever that started is gone when he is."""

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        *,
        not_run: Collection[str] = (),
        within: Sequence[str] = (),
    ) -> None:
        """`not_run`: commands that he passes over. `within`: what runs a command that follows it."""
        self._folder = folder
        self._mark = secrets.token_hex(8)
        state = folder / f".window-{self._mark}"
        self._environment = {**environment, "PENSTOCK_WINDOW": str(state), _MARK: self._mark}
        self._not_run = frozenset(not_run)
        self._within = list(within)
        self._windows: list[Terminal] = []
        self._said = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            for window in self._windows:
                error.add_note(f"a window shows:\n{window.text[-6000:]}")
        for window in self._windows:
            window.close()
        for pid in started_with(_MARK, self._mark):
            kill_and_wait(pid)

    def follow(self, blocks: Iterable[Block]) -> None:
        """Do what they say, in order; AssertionError where something else comes of it."""
        for block in blocks:
            try:
                self._do(block)
            except AssertionError as error:
                error.add_note(f"at {block.where}, {block.section!r}:\n{block.text}")
                raise
        for window in reversed(self._windows):
            if not window.over:
                self._interrupt(window)

    def _do(self, block: Block) -> None:
        match block.kind:
            case ("sh", _, "stays"):
                self._windows.append(
                    Terminal(
                        [*self._within, "bash", "-c", _in_window(block.text)],
                        folder=self._folder,
                        environment=self._environment,
                    )
                )
                self._said = ""
            case ("sh", _):
                self._said = "".join(self._run(part) for part in self._parts(block))
            case _:
                self._compare(block.text)

    def _parts(self, block: Block) -> Iterator[str]:
        """Commands, and apart from them each Ctrl-C."""
        part: list[str] = []
        for line in block.text.splitlines():
            if line.partition("  #")[0].strip() in self._not_run:
                continue
            if _CTRL_C.match(line):
                yield from (["\n".join(part)] if part else [])
                yield CTRL_C
                part = []
            else:
                part.append(line)
        yield "\n".join(part)

    def _run(self, commands: str) -> str:
        if commands == CTRL_C:
            self._interrupt(next(window for window in reversed(self._windows) if not window.over))
            return ""
        done = subprocess.run(
            [*self._within, "bash", "-c", _SCRIPT.format(commands=commands)],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_BLOCK_S,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def _compare(self, shown: str) -> None:
        """With what the last commands said; or else with what the newest window shows, sooner or later."""
        pattern = like(shown)
        if pattern.search(self._said):
            return
        assert self._windows, f"something else was shown:\n{self._said}"
        try:
            self._windows[-1].shows(pattern.pattern)
        except AssertionError as error:
            error.add_note(f"and the commands said:\n{self._said}")
            raise

    def _interrupt(self, window: Terminal) -> None:
        window.type(CTRL_C)
        code = window.wait()
        assert code in _ENDS_WELL, f"it ended with {code}:\n{window.text}"


def _in_window(command: str) -> str:
    return f'[ ! -e "$PENSTOCK_WINDOW" ] || . "$PENSTOCK_WINDOW"\nexec {command.strip()}'


@contextlib.contextmanager
def ports_of_ones_own() -> Iterator[list[str]]:
    """What runs commands where all ports are free, and nobody else's are seen; on this machine where it may not."""
    alone = ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec cat"]
    with subprocess.Popen(
        alone, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as holder:
        assert holder.stdout is not None
        up = holder.stdout.readline() == "up\n"
        yield ["nsenter", f"--net=/proc/{holder.pid}/ns/net"] if up else []


def checkout(repository: Path, folder: Path) -> Path:
    """The files of the repository as they are, in a folder of their own."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=repository,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        source, target = repository / name, folder / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    return folder
