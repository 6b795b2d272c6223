"""What people see of the local world: live lines on a terminal, plain lines elsewhere. Decides nothing."""

from collections.abc import Sequence
from types import TracebackType
from typing import Final, Protocol, Self, final

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from penstock_operator.local.looks import Look

_LINE_EACH_S: Final = 2.0
_COLOURS: Final = {
    "Stable": "bold green",
    "Finished": "bold green",
    "Deployed": "green",
    "Failed": "bold red",
    "RolledBack": "bold yellow",
}


class Screen(Protocol):
    """Shows how the jobs are, and what has happened."""

    def show(self, looks: Sequence[Look], now_s: float) -> None:
        """This is how they are now."""

    def say(self, sentence: str, style: str = "") -> None:
        """It has happened; it stays there to be read."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def screen(console: Console) -> Screen:
    """The one that fits where the console writes to."""
    return LiveScreen(console) if console.is_terminal else PlainScreen(console)


@final
class PlainScreen:
    """A line for what happens, and one for each job when it has changed or every two seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: dict[str, tuple[str, str, float]] = {}

    def show(self, looks: Sequence[Look], now_s: float) -> None:
        for look in looks:
            lifecycle, doing, at_s = self._said.get(look.name, ("", "", float("-inf")))
            due = now_s - at_s >= _LINE_EACH_S and look.records_per_s is not None
            if (lifecycle, doing) != (look.lifecycle, look.doing) or due:
                self._said[look.name] = look.lifecycle, look.doing, now_s
                self.say(look.line())

    def say(self, sentence: str, style: str = "") -> None:
        self._console.print(sentence, soft_wrap=True, markup=False, highlight=False)
        self._console.file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


@final
class LiveScreen:
    """A table at the bottom of the terminal; what happens scrolls by above it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=True)
        self._looks: Sequence[Look] = ()

    def show(self, looks: Sequence[Look], now_s: float) -> None:
        self._looks = looks
        self._live.update(Group(_table(looks), *(_doing(look) for look in looks if look.doing or look.error)))

    def say(self, sentence: str, style: str = "") -> None:
        self._console.print(Text(sentence, style=style), soft_wrap=True)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)
        for look in self._looks:
            self.say(look.line(), "dim")


def _table(looks: Sequence[Look]) -> Table:
    table = Table(box=None, expand=False, pad_edge=False, header_style="dim")
    for title in ("job", "lifecycle", "state", "parallelism", "TaskManagers", "records/s", "checkpoints", "restarts"):
        table.add_column(title, no_wrap=True)
    for look in looks:
        table.add_row(
            Text(look.name, style="bold"),
            Text(look.lifecycle, style=_COLOURS.get(look.lifecycle, "bold cyan")),
            look.state,
            "" if look.parallelism is None else str(look.parallelism),
            look.taskmanagers,
            "" if look.records_per_s is None else f"{look.records_per_s:,.0f}",
            _checkpoints(look),
            str(look.restarts),
        )
    return table


def _doing(look: Look) -> Text:
    """Below the table, whose columns would change their widths with it."""
    return Text.assemble(
        (f"{look.name}: ", "bold"), look.doing, "; " if look.doing and look.error else "", (look.error, "red")
    )


def _checkpoints(look: Look) -> str:
    if look.checkpoint_age_s is None:
        return str(look.checkpoints) if look.checkpoints else ""
    return f"{look.checkpoints}, {look.checkpoint_age_s:.0f} s ago"
