"""Whoever follows a document does what stands there, and notices what is not as it says."""

import os
from pathlib import Path

import pytest

from penstock.testing.documents import Reader, files_of, like, sections_for
from penstock.testing.terminals import Paper

DOCUMENT = """\
# A guide

```python job.py
print("counted")
```

```python wait.py
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, {2})
print("up", flush=True)
exit(128 + signal.sigwait({2}))
```

## First

```sh laptop
NAME=reader    # said once
python job.py
```

```text
counted
```

```sh laptop
echo "for $NAME: r1-3f8a2 took 12 s"
nobody knows this
```

```text
for reader: r2-77d08 took ...
```

## Second

```sh cluster
false
```

```sh laptop stays
python wait.py
```

```text
up
```

```sh laptop
# Ctrl-C in the first window
echo over
```
"""


@pytest.fixture
def guide(tmp_path: Path) -> Path:
    path = tmp_path / "guide.md"
    path.write_text(DOCUMENT)
    return path


def reader(guide: Path) -> Reader:
    for name, text in files_of(guide).items():
        guide.with_name(name).write_text(text)
    return Reader(guide.parent, os.environ, not_run=["nobody knows this"])


def test_a_guide_is_followed_to_the_letter(guide: Path) -> None:
    sections = sections_for("laptop", guide)
    assert list(sections) == ["First", "Second"]
    for blocks in sections.values():
        with reader(guide) as somebody:
            somebody.follow(blocks)


@pytest.mark.parametrize(
    ("right", "wrong", "why"),
    [
        ('print("counted")', 'print("weighed")', "something else was shown:\nweighed"),
        ("\npython job.py", "\npython missing.py", "«python missing.py» ended with 2"),
        ("took ...", "lasted ...", "for reader: r1-3f8a2 took 12 s"),
    ],
)
def test_what_is_not_so_is_found(guide: Path, right: str, wrong: str, why: str) -> None:
    guide.write_text(DOCUMENT.replace(right, wrong))
    with pytest.raises(AssertionError) as found, reader(guide) as somebody:
        somebody.follow(sections_for("laptop", guide)["First"])
    assert why in str(found.value)
    assert "at guide.md:" in found.value.__notes__[0]


@pytest.mark.parametrize(
    ("shown", "said", "alike"),
    [
        ("word-count   Stable   1.5s", "NAME  STATE\nword-count  Stable  3m4s", True),
        ("Stable\nGone", "Stable: 1\n\nit is Gone\n", True),
        ("Gone\nStable", "Stable: 1\n\nit is Gone\n", False),
        ("savepoint-4c1417-b3124a3473bd is there", "savepoint-000000-aaaaaaaaaaaa is there", True),
        ("12,000 records", "7 records", True),
        ("12 records", "no records", False),
    ],
)
def test_numbers_times_and_ids_may_differ_and_nothing_else(shown: str, said: str, alike: bool) -> None:
    assert bool(like(shown).search(said)) == alike


def test_what_a_live_view_has_drawn_anew_stands_there_once() -> None:
    paper = Paper()
    for piece in ("one\r\n\x1b[1mlive", " 1\x1b[0m\r\x1b", "[2Klive 2\r\n", "more\r\x1b[1A\x1b[2Kdone\x1b[J\n"):
        paper.write(piece)
    assert paper.text.splitlines() == ["one", "done"]
