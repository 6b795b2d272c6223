"""Adds what was counted elsewhere to a savepoint of word_count.py, with no job running.

penstock stop                                          says where the savepoint is
penstock state edit SAVEPOINT --to FOLDER/mended examples/edit_state.py counted.csv
penstock run -s FOLDER/mended examples/word_count/word_count.py   goes on

The file has the columns word and count.
"""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from penstock.state.edit import Entry, bootstrap, edit

END_OF_INPUT = 2**63 - 1
"""As in word_count.py: each word has a timer that emits its count in the end."""

FILE = str(Path(sys.argv[1]).resolve())
with open(FILE, newline="") as file:
    elsewhere = {row["word"]: int(row["count"]) for row in csv.DictReader(file)}


@edit("count", "count")
def add(entry: Entry) -> Entry:
    """Called once for every word of the savepoint."""
    entry.value += elsewhere.pop(entry.key, 0)
    return entry


@bootstrap("count", "count", file=FILE)
def begin(row: dict[str, Any]) -> Iterator[Entry]:
    """Called once for every row of the file, after that: words that the savepoint has not."""
    if row["word"] in elsewhere:
        yield Entry(row["word"], elsewhere[row["word"]])


@bootstrap("count", "_timers.event-time", file=FILE)
def remember(row: dict[str, Any]) -> Entry:
    """Timers are entries like all others."""
    return Entry(row["word"], True, map_key=END_OF_INPUT)
