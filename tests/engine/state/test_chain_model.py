"""What heap snapshots hold and build on: however checkpoints overlap, fail and are confirmed, nothing is left out."""

from collections.abc import Collection
from random import Random

import pytest

from penstock.base.ids import CheckpointId
from penstock.state.backend import SnapshotForm
from penstock.state.handles import FileHandle, StateFile
from penstock.state.hashmap.chain import Chain, Mode

KEYS = range(8)


class Model:
    """Keyed state, its snapshots as dicts, and the chain that says which keys each of them holds."""

    def __init__(self) -> None:
        self.chain = Chain()
        self.state: dict[int, int] = {}
        self.touched: set[int] = set()
        self.notes = True
        self.files: dict[str, dict[int, int]] = {}
        self.under_way: dict[CheckpointId, tuple[Mode, tuple[StateFile, ...]]] = {}
        self.modes: list[Mode] = []
        self._id = 0

    def touch(self, key: int) -> None:
        self.state[key] = self.state.get(key, 0) + 1
        if self.notes:
            self.touched.add(key)

    def stop_noting(self) -> None:
        """Until the next barrier."""
        self.chain.stop_noting([self.touched])
        self.touched, self.notes = set(), False

    def begin(self, form: SnapshotForm = "incremental") -> CheckpointId:
        """A barrier. What the snapshot holds on top of its files must be the whole state."""
        self._id += 1
        checkpoint, touched, self.touched, self.notes = CheckpointId(self._id), self.touched, set(), True
        plan, _ = self.chain.begin(checkpoint, [touched], form)
        keys: Collection[int] = self.state
        if plan.mode is Mode.CHANGES:
            keys = touched.union(*(part for parts in plan.backlog for part in parts))
        name = f"file-{checkpoint}"
        self.files[name] = {key: self.state[key] for key in keys}
        files = (*plan.chain, StateFile(name, FileHandle(name, 1 + 10 * (plan.mode is Mode.BASE), "c"), shared=True))
        restored: dict[int, int] = {}
        for file in files:
            restored.update(self.files[file.name])
        assert restored == self.state
        self.under_way[checkpoint] = (plan.mode, files)
        self.modes.append(plan.mode)
        return checkpoint

    def write(self, checkpoint: CheckpointId) -> None:
        self.chain.written(checkpoint, self.under_way[checkpoint][1])

    def confirm(self, checkpoint: CheckpointId) -> None:
        """Completed: those before it never will be."""
        self.write(checkpoint)
        for older in [other for other in self.under_way if other < checkpoint]:
            self.abort(older)
        self.chain.confirm(checkpoint)
        del self.under_way[checkpoint]

    def abort(self, checkpoint: CheckpointId) -> None:
        self.chain.abort(checkpoint)
        del self.under_way[checkpoint]


def test_a_base_that_is_given_up_after_an_older_one_was_confirmed_leaves_its_keys_to_the_next() -> None:
    model = Model()
    model.touch(1)
    one = model.begin()
    model.touch(2)
    two = model.begin()
    model.confirm(one)
    model.abort(two)
    model.begin()
    assert model.modes == [Mode.BASE, Mode.BASE, Mode.CHANGES]


def test_a_snapshot_that_stands_alone_while_the_first_base_is_under_way_takes_no_keys_from_the_next() -> None:
    model = Model()
    model.touch(1)
    one = model.begin()
    model.touch(2)
    model.begin("full")
    model.confirm(one)
    model.begin()
    assert model.modes == [Mode.BASE, Mode.ALONE, Mode.CHANGES]


@pytest.mark.parametrize("seed", range(50))
def test_every_snapshot_with_the_files_it_builds_on_holds_the_whole_state(seed: int) -> None:
    model, rng = Model(), Random(seed)
    for _ in range(400):
        match rng.choice(("touch", "touch", "begin", "alone", "anew", "write", "confirm", "abort", "abort", "stop")):
            case "touch":
                model.touch(rng.choice(KEYS))
            case "begin":
                model.begin()
            case "anew" if rng.random() < 0.3:
                model.begin("anew")
            case "alone" if rng.random() < 0.3:
                model.begin("full")
            case "write" if model.under_way:
                model.write(rng.choice(list(model.under_way)))
            case "confirm" if model.under_way and rng.random() < 0.5:
                model.confirm(rng.choice(list(model.under_way)))
            case "abort" if model.under_way:
                model.abort(rng.choice(list(model.under_way)))
            case "stop" if rng.random() < 0.2:
                model.stop_noting()
            case _:
                pass
    assert set(model.modes) == set(Mode)
