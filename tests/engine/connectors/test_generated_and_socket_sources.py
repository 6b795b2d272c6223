"""Generated records keep their rate and their indices; sockets give what they are sent."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.base.errors import JobDefinitionError, StoreUnavailable
from penstock.connectors.data_generator import DataGeneratorSource
from penstock.connectors.rate_limiter import RateLimiterStrategy, TokenBucket
from penstock.connectors.socket_source import SocketSource
from penstock.operators.source_api import Boundedness, InputStatus
from penstock.testing.sources import SourceRun


def double(index: int) -> int:
    return 2 * index


@given(st.integers(0, 3000), st.integers(1, 4))
def test_each_index_is_generated_once(count: int, parallelism: int) -> None:
    run = SourceRun(DataGeneratorSource(double, count), parallelism=parallelism).run()
    assert run.has_ended
    assert sorted(run.all_values) == [2 * index for index in range(count)]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 12), st.integers(1, 4), st.integers(1, 4))
def test_a_restored_generator_goes_on_with_the_same_indices(polls: int, before: int, after: int) -> None:
    source = DataGeneratorSource(double, 9_999)
    first = SourceRun(source, parallelism=before)
    for poll in range(polls):
        first.poll(poll % before)
    second = SourceRun(source, parallelism=after, restored=first.snapshot()).run()
    assert sorted(first.all_values + second.all_values) == [2 * index for index in range(9_999)]


def test_without_a_count_it_never_ends() -> None:
    source = DataGeneratorSource(double)
    run = SourceRun(source, parallelism=2)
    assert source.get_boundedness() is Boundedness.CONTINUOUS_UNBOUNDED
    assert {run.poll(0) for _ in range(10)} == {InputStatus.MORE_AVAILABLE}
    assert run.values[0][:3] == [0, 4, 8]


@pytest.mark.parametrize(("rate", "parallelism"), [(1, 1), (10, 1), (10, 3), (50_000, 2)])
def test_the_rate_is_that_of_all_subtasks_together(rate: int, parallelism: int) -> None:
    run = SourceRun(DataGeneratorSource(double, None, RateLimiterStrategy.per_second(rate)), parallelism=parallelism)
    for _ in range(3000):
        run.clock.advance(1)
        for subtask in range(parallelism):
            while run.poll(subtask) is InputStatus.MORE_AVAILABLE:
                pass
    assert len(run.all_values) == pytest.approx(3 * rate, abs=parallelism + rate * 0.06)


def test_who_has_used_up_the_rate_waits_whatever_splits_there_are_and_takes_what_came_meanwhile_at_once() -> None:
    source = DataGeneratorSource(double, None, RateLimiterStrategy.per_second(50_000))
    run = SourceRun(source, restored=SourceRun(source, parallelism=3).snapshot())
    while run.poll() is InputStatus.MORE_AVAILABLE:
        pass
    run.batches.clear()
    run.clock.advance(1)
    assert run.poll() is InputStatus.NOTHING_AVAILABLE
    assert run.batches == [50]
    assert not run.readers[0].is_available()


def test_splits_take_turns_at_a_rate_too() -> None:
    source = DataGeneratorSource(double, None, RateLimiterStrategy.per_second(1000))
    run = SourceRun(source, restored=SourceRun(source, parallelism=2).snapshot())
    for _ in range(6):
        run.poll()
        run.clock.advance(1)
    assert run.all_values == [0, 2, 4, 6, 8, 10]


def test_a_token_bucket_makes_up_for_little_only() -> None:
    bucket = TokenBucket(100)
    assert bucket.take(1000, 0.0) == 1
    assert bucket.take(1000, 60.0) == 5
    assert bucket.next_at(60.0) == pytest.approx(60.01)


def test_records_per_checkpoint_wait_for_its_confirmation() -> None:
    run = SourceRun(DataGeneratorSource(double, 10, RateLimiterStrategy.per_checkpoint(4))).run()
    assert len(run.all_values) == 4
    run.readers[0].notify_checkpoint_complete(1)
    assert len(run.run().all_values) == 8


@contextmanager
def server(serve: Callable[[socket.socket], None], connections: int = 1) -> Iterator[int]:
    """A TCP server that serves so many connections, one after the other."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def run() -> None:
            for _ in range(connections):
                connection, _ = listening.accept()
                with connection:
                    serve(connection)

        thread = threading.Thread(target=run)
        thread.start()
        yield listening.getsockname()[1]
        thread.join()


def read(source: SocketSource, parallelism: int = 1) -> SourceRun:
    run = SourceRun(source, parallelism=parallelism)
    while not run.has_ended:
        run.run()
    run.close()
    return run


def test_a_socket_gives_a_record_for_each_delimiter_and_the_rest_at_the_end() -> None:
    with server(lambda connection: connection.sendall("a\r\n\né\nrest".encode())) as port:
        assert read(SocketSource("127.0.0.1", port), parallelism=2).all_values == ["a", "", "é", "rest"]


def test_the_delimiter_may_be_any_text() -> None:
    with server(lambda connection: connection.sendall(b"a||b\n||c")) as port:
        assert read(SocketSource("127.0.0.1", port, "||")).all_values == ["a", "b\n", "c"]


def test_a_closed_connection_is_opened_again_as_often_as_allowed() -> None:
    with server(lambda connection: connection.sendall(b"x\n"), connections=2) as port:
        source = SocketSource("127.0.0.1", port, max_retries=1, retry_delay_ms=1)
        run = SourceRun(source)
        while len(run.all_values) < 2:
            run.poll()
            run.do_background()
        run.close()


def test_a_server_that_is_not_there_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(StoreUnavailable, match=f"127.0.0.1:{port}"):
        read(SocketSource("127.0.0.1", port))


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(JobDefinitionError, match="found 0"):
        RateLimiterStrategy.per_second(0)
    with pytest.raises(JobDefinitionError, match="found 70000"):
        SocketSource("h", 70000)
    with pytest.raises(JobDefinitionError, match="found -1"):
        DataGeneratorSource(double, -1)
