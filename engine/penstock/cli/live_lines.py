"""The lines of the live view, coloured and cut to the terminal's width. Imports rich, so it is imported late."""

from collections.abc import Sequence
from io import StringIO
from typing import Final

from rich.console import Console
from rich.text import Text

from penstock.cli.progress import Progress, count, rate
from penstock.cli.texts import size

_COLOURS: Final = {
    "RUNNING": "bold green",
    "FINISHED": "bold green",
    "RESTARTING": "bold yellow",
    "CREATED": "bold yellow",
}


def state_lines(earlier: Progress, now: Progress, width: int) -> list[str]:
    """How the job is, one terminal line each."""
    read, taken = rate(earlier, now)
    head = Text.assemble(
        (now.name, "bold"),
        "  ",
        (now.state, _COLOURS.get(now.state, "bold red")),
        f"  {now.elapsed_s:.0f} s",
        f"  restarts {now.restarts}" if now.restarts else "",
    )
    records = f"records      {count(read)}/s in, {count(taken)}/s out  ({_totals(now)})"
    lines = [head, Text(records)]
    if now.completed or now.failed:
        newest = f"; last {now.last_checkpoint} in {now.last_duration_ms} ms, {size(now.last_bytes)}"
        lines.append(
            Text(
                f"checkpoints  {now.completed} completed, {now.failed} failed"
                + (newest if now.last_checkpoint is not None else "")
                + f"; state {size(now.state_bytes)}"
            )
        )
    if now.failure:
        lines.append(Text(f"last failure {now.failure}", style="yellow"))
    return _rendered(lines, width)


def total_line(now: Progress, width: int) -> str:
    """What went in and came out since the tasks were last started, and how many checkpoints there were."""
    checkpoints = f"; {now.completed} checkpoints" if now.completed else ""
    return _rendered([Text(f"records {_totals(now)}{checkpoints}", style="dim")], width)[0]


def said(sentences: Sequence[str], width: int) -> list[str]:
    """What has happened, one terminal line each."""
    return _rendered([Text(sentence, style="dim") for sentence in sentences], width)


def _totals(now: Progress) -> str:
    return f"{count(now.records_in)} in, {count(now.records_out)} out"


def _rendered(lines: list[Text], width: int) -> list[str]:
    """One terminal line each, cut at its width."""
    console = Console(file=StringIO(), force_terminal=True, width=width, legacy_windows=False, highlight=False)
    found = []
    for line in lines:
        line.truncate(width - 1, overflow="ellipsis")
        with console.capture() as capture:
            console.print(line, end="", no_wrap=True)
        found.append(capture.get())
    return found
