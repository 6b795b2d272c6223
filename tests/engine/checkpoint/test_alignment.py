"""Barrier alignment inside one task."""

from hypothesis import given
from hypothesis import strategies as st

from penstock.base.ids import CheckpointId
from penstock.checkpoint.alignment import Aborted, Alignment, Block, Command, Snapshot, UnblockAll

SEVEN, EIGHT = CheckpointId(7), CheckpointId(8)


def test_a_source_takes_its_snapshot_when_triggered() -> None:
    assert Alignment(0).triggered(SEVEN) == [Snapshot(SEVEN)]


def test_a_channel_is_blocked_until_the_last_barrier_comes() -> None:
    alignment = Alignment(2)
    assert alignment.barrier(0, SEVEN) == [Block(0)]
    assert alignment.blocked == {0}
    assert alignment.barrier(1, SEVEN) == [Snapshot(SEVEN), UnblockAll()]
    assert alignment.blocked == frozenset()


def test_with_one_input_nothing_is_ever_blocked() -> None:
    assert Alignment(1).barrier(0, SEVEN) == [Snapshot(SEVEN)]


def test_at_least_once_blocks_nothing() -> None:
    alignment = Alignment(2, exactly_once=False)
    assert alignment.barrier(0, SEVEN) == []
    assert alignment.barrier(0, EIGHT) == []
    assert alignment.barrier(1, SEVEN) == [Snapshot(SEVEN)]
    assert alignment.barrier(1, EIGHT) == [Snapshot(EIGHT)]


def test_at_least_once_gives_up_an_older_one_that_a_newer_one_overtook() -> None:
    alignment = Alignment(2, exactly_once=False)
    alignment.barrier(0, SEVEN)
    alignment.barrier(0, EIGHT)
    assert alignment.barrier(1, EIGHT) == [Snapshot(EIGHT), Aborted(SEVEN, "checkpoint 8 was complete first")]
    assert alignment.barrier(1, SEVEN) == []


def test_a_newer_barrier_cancels_an_older_alignment() -> None:
    alignment = Alignment(3)
    alignment.barrier(0, SEVEN)
    assert alignment.barrier(1, EIGHT) == [
        Aborted(SEVEN, "the barrier of checkpoint 8 came first"),
        UnblockAll(),
        Block(1),
    ]
    assert alignment.barrier(2, SEVEN) == []
    assert alignment.barrier(0, EIGHT) == [Block(0)]
    assert alignment.barrier(2, EIGHT) == [Snapshot(EIGHT), UnblockAll()]


def test_a_barrier_older_than_one_already_seen_is_ignored() -> None:
    alignment = Alignment(2)
    alignment.barrier(0, EIGHT)
    assert alignment.barrier(1, SEVEN) == []
    assert alignment.triggered(SEVEN) == []


def test_an_abort_opens_the_channels_and_later_barriers_of_it_are_ignored() -> None:
    alignment = Alignment(2)
    alignment.barrier(0, SEVEN)
    assert alignment.aborted(SEVEN) == [UnblockAll()]
    assert alignment.barrier(1, SEVEN) == []
    assert alignment.pending is None


def test_an_abort_that_comes_before_the_barrier_counts_too() -> None:
    alignment = Alignment(2)
    assert alignment.aborted(EIGHT) == []
    assert alignment.barrier(0, EIGHT) == []
    assert alignment.barrier(0, SEVEN) == [Block(0)]


def test_a_channel_that_ended_counts_as_aligned() -> None:
    alignment = Alignment(2)
    alignment.barrier(0, SEVEN)
    assert alignment.ended(1) == [Snapshot(SEVEN), UnblockAll()]
    assert alignment.barrier(0, EIGHT) == [Snapshot(EIGHT)]


def test_a_task_whose_inputs_have_all_ended_is_triggered_as_a_source_is() -> None:
    alignment = Alignment(2)
    alignment.ended(0)
    assert alignment.triggered(SEVEN) == []
    assert alignment.ended(1) == [Snapshot(SEVEN)]
    assert alignment.all_ended
    assert alignment.triggered(EIGHT) == [Snapshot(EIGHT)]


@given(
    st.integers(1, 4),
    st.booleans(),
    st.lists(
        st.tuples(st.sampled_from(["barrier", "end", "abort"]), st.integers(0, 3), st.integers(1, 8)), max_size=60
    ),
)
def test_snapshots_go_up_and_no_channel_stays_blocked_for_nothing(
    channels: int, exactly_once: bool, events: list[tuple[str, int, int]]
) -> None:
    """Whatever comes, in channel order: each checkpoint is taken or given up once, and blocking always has a reason."""
    alignment = Alignment(channels, exactly_once=exactly_once)
    newest = [0] * channels
    ended: set[int] = set()
    blocked: set[int] = set()
    snapshots: list[int] = []
    aborted: set[int] = set()
    for kind, channel, step in events:
        channel %= channels
        commands: list[Command] = []
        if kind == "abort":
            checkpoint = CheckpointId(step)
            commands = alignment.aborted(checkpoint)
        elif channel in ended or channel in blocked:
            continue
        elif kind == "end":
            ended.add(channel)
            commands = alignment.ended(channel)
        else:
            newest[channel] = checkpoint = CheckpointId(newest[channel] + step % 3 + 1)
            commands = alignment.barrier(channel, checkpoint)
        for command in commands:
            match command:
                case Block(index):
                    assert exactly_once
                    blocked.add(index)
                case UnblockAll():
                    blocked.clear()
                case Snapshot(taken):
                    assert taken not in aborted
                    assert all(index in ended or newest[index] >= taken for index in range(channels))
                    snapshots.append(taken)
                case Aborted(given_up, _):
                    assert given_up not in snapshots and given_up not in aborted
                    aborted.add(given_up)
        assert blocked == alignment.blocked
        assert not blocked or alignment.pending is not None
        assert len(blocked | ended) < channels or not blocked
    assert snapshots == sorted(set(snapshots))
