"""Which files a snapshot of the heap builds on and which keys it holds: the pure rules."""

from penstock.base.ids import CheckpointId
from penstock.state.handles import FileHandle, StateFile
from penstock.state.hashmap.chain import FILES_MAX, Chain, Mode, must_rewrite

C1, C2, C3, C4 = map(CheckpointId, range(1, 5))


def file(name: str, size: int) -> StateFile:
    return StateFile(name, FileHandle(name, size, "xxh3:0"), True)


BASE, DELTA = file("base", 1_000), file("delta", 10)


def confirmed() -> Chain:
    chain = Chain()
    chain.begin(C1, [{"a"}], "incremental")
    chain.written(C1, (BASE,))
    chain.confirm(C1)
    return chain


def test_the_first_snapshot_is_a_base() -> None:
    plan, _ = Chain().begin(C1, [{"a"}], "incremental")
    assert plan.mode is Mode.BASE and plan.chain == ()


def test_after_a_confirmed_one_only_changes_are_written() -> None:
    plan, _ = confirmed().begin(C2, [{"b"}], "incremental")
    assert plan.mode is Mode.CHANGES and plan.chain == (BASE,) and plan.backlog == []


def test_what_an_unconfirmed_one_held_belongs_to_the_next() -> None:
    chain = confirmed()
    _, interval = chain.begin(C2, [{"b"}], "incremental")
    plan, _ = chain.begin(C3, [{"c"}], "incremental")
    assert plan.chain == (BASE,)
    assert plan.backlog == [interval.parts] and interval.parts == [{"b"}]


def test_a_late_confirmation_moves_the_chain_on() -> None:
    chain = confirmed()
    chain.begin(C2, [{"b"}], "incremental")
    chain.written(C2, (BASE, DELTA))
    chain.begin(C3, [{"c"}], "incremental")
    chain.confirm(C2)
    plan, _ = chain.begin(C4, [{"d"}], "incremental")
    assert plan.chain == (BASE, DELTA)
    assert plan.backlog == [[{"c"}]]


def test_nothing_builds_on_the_old_files_while_a_new_base_is_unconfirmed() -> None:
    chain = confirmed()
    chain.files = (BASE, file("delta", 501))
    plan, _ = chain.begin(C2, [{"b"}], "incremental")
    assert plan.mode is Mode.BASE
    plan, _ = chain.begin(C3, [{"c"}], "incremental")
    assert plan.mode is Mode.BASE


def test_one_that_stands_alone_leaves_the_chain_as_it_is() -> None:
    chain = confirmed()
    plan, _ = chain.begin(C2, [{"b"}], "full")
    assert plan.mode is Mode.ALONE and plan.chain == ()
    chain.written(C2, (file("savepoint", 5),))
    chain.confirm(C2)
    plan, _ = chain.begin(C3, [{"c"}], "incremental")
    assert plan.chain == (BASE,) and plan.backlog == [[{"b"}]]


def test_a_chain_is_rewritten_when_its_changes_exceed_half_its_base() -> None:
    assert not must_rewrite([100])
    assert not must_rewrite([100, 30, 20])
    assert must_rewrite([100, 30, 21])
    assert must_rewrite([10**9, *[1] * FILES_MAX])
