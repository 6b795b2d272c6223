"""SP7, SP9, RS: whatever legal edits a program undergoes between savepoints, it still knows what it knew."""

import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import Phase, given, note, seed, settings
from hypothesis import strategies as st

from penstock.base.errors import IncompatibleState
from penstock.checkpoint.metadata import decode
from penstock.records.batch import SavepointFormat
from penstock.state.open import BackendKind
from penstock.testing.evolving import RECORDED, Form, Kind, Model, Number, Stage, probes
from penstock.testing.graph_runs import GraphRun

EXAMPLES = 30
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where files cost nothing to sync: a savepoint has many."""
KINDS: tuple[Kind, ...] = ("keyed", "later", "hold", "hold", "rules", "plain")
UIDS = "abcde"
Step = tuple[Form, BackendKind, SavepointFormat]


@st.composite
def forms(draw: st.DrawFn, kinds: dict[str, Kind], max_parallelism: int | None) -> Form:
    uids = draw(st.lists(st.sampled_from(sorted(kinds)), min_size=2, max_size=4, unique=True))
    stages = []
    for index, uid in enumerate(uids):
        before = st.lists(st.integers(0, index - 1), max_size=2, unique=True) if index else st.just([])
        stages.append(
            Stage(
                uid,
                kinds[uid],
                tuple(draw(before)),
                draw(st.sampled_from([f"stage {uid}", "renamed"])),
                draw(st.integers(1, 3)),
                draw(st.booleans()),
                draw(st.sampled_from(["default", "default", "other"])),
                draw(st.booleans()),
            )
        )
    return Form(tuple(stages), draw(st.booleans()), draw(st.integers(1, 3)), max_parallelism)


@st.composite
def histories(draw: st.DrawFn) -> list[Step]:
    """Forms of one program, each with the backend it runs on and the format of the savepoint that ends it."""
    kinds = {uid: draw(st.sampled_from(KINDS)) for uid in UIDS}
    groups = draw(st.sampled_from([None, 5, 16]))
    steps: list[Step] = []
    backend: BackendKind = draw(st.sampled_from(["hashmap", "rocksdb"]))
    for _ in range(draw(st.integers(2, 3))):
        # The other backend reads only what is canonical.
        moves = draw(st.sampled_from([True, True, False]))
        format: SavepointFormat = "canonical" if moves else draw(st.sampled_from(["native", "canonical"]))
        steps.append((draw(forms(kinds, groups)), backend, format))
        if moves:
            backend = "rocksdb" if backend == "hashmap" else "hashmap"
    return steps


@contextmanager
def told(expected: Counter[tuple[Any, ...]]) -> Iterator[None]:
    """All of it is said meanwhile, and nothing else."""
    RECORDED.clear()
    yield
    assert Counter(RECORDED) == expected


def live(history: Sequence[Step], folder: Path) -> None:
    model, savepoint, now_ms, numbers = Model(), None, 0, iter(range(10_000))
    rng = Random(str(history))
    for number, (form, backend, format) in enumerate(history):
        with started(model, form, folder / str(number), backend, savepoint) as run:
            model.let_go.clear()
            with told(model.let_go):
                for _ in range(3):
                    fed: list[Number] = [
                        (next(numbers), now_ms + rng.randrange(1, 40)) for _ in range(rng.randrange(5, 25))
                    ]
                    times = dict(fed)
                    run.feed("numbers", times, times.__getitem__)
                    model.feed(fed)
                    rule = rng.randrange(100)
                    run.feed("rules", [rule], always(now_ms))
                    model.rule(rule)
                    now_ms += rng.randrange(30)
                    run.watermark(now_ms)
                    model.watermark(now_ms)
            with told(model.probed()):
                run.feed("numbers", probes(), always(now_ms + 1))
            with told(model.savepoint()):
                savepoint = run.savepoint(format)


def always(timestamp_ms: int) -> Callable[[Any], int]:
    return lambda _: timestamp_ms


def started(model: Model, form: Form, folder: Path, backend: BackendKind, savepoint: str | None) -> GraphRun:
    """The job goes on in this form: at once, or with the permission that it needs and is refused without."""
    removed = _removed(form, savepoint)
    graph = form.graph()
    if removed:
        with pytest.raises(IncompatibleState) as refused:
            GraphRun(graph, folder / "refused", backend=backend, savepoint=savepoint)
        assert all(f"(uid {uid})" in str(refused.value) for uid in removed)
    before = set(model.known)
    with told(model.start(form)):
        run = GraphRun(graph, folder, backend=backend, savepoint=savepoint, allow_unclaimed=bool(removed))
    assert removed <= before - set(model.known)
    return run


def _removed(form: Form, savepoint: str | None) -> set[str]:
    if savepoint is None:
        return set()
    held = decode((Path(savepoint) / "_metadata").read_bytes(), savepoint).operators
    return {operator.uid for operator in held if not operator.is_empty} - {stage.uid for stage in form.stages}


# Without shrinking, which would take minutes: the seed is printed, and what it gave.
@settings(max_examples=EXAMPLES, database=None, phases=[Phase.generate], report_multiple_bugs=False)
@given(histories())
def lives(history: list[Step]) -> None:
    note(str(history))
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        live(history, Path(folder))


@pytest.mark.soak
def test_a_program_knows_what_it_knew_whatever_edits_it_undergoes(soak_s: float | None) -> None:
    first, until = int(os.environ["PENSTOCK_SEED"]), time.monotonic() + (soak_s or 0)
    for number in count(first):
        seed(number)(lives)()
        if time.monotonic() >= until:
            break
