"""Operations: one per trigger id, remembered for a while once over."""

from penstock.jobmanager.operations import OperationFailure, Operations


class Time:
    def __init__(self) -> None:
        self.ms = 0

    def now(self) -> int:
        return self.ms


def test_what_is_asked_twice_under_one_id_is_done_once() -> None:
    operations = Operations(kept_s=1, now_ms=Time().now)
    first, new = operations.begin("savepoint", "a" * 32)
    assert new
    assert operations.begin("savepoint", "a" * 32) == (first, False)
    assert operations.begin("checkpoint", "a" * 32)[1], "ids of another kind of operation are others"
    assert operations.find("savepoint", "a" * 32) is first


def test_an_outcome_is_remembered_for_the_time_that_was_given_and_forgotten_then() -> None:
    time = Time()
    operations = Operations(kept_s=1, now_ms=time.now)
    running, _ = operations.begin("savepoint", "running")
    ended, _ = operations.begin("savepoint", "ended")
    operations.complete(ended, location="/there")
    time.ms = 1000
    assert operations.find("savepoint", "ended") is ended and ended.location == "/there"
    time.ms = 1001
    assert operations.find("savepoint", "ended") is None
    assert operations.find("savepoint", "running") is running, "what is under way is not forgotten"


def test_watchers_hear_of_the_end_once_and_only_the_first_end_counts() -> None:
    operations, heard = Operations(kept_s=1, now_ms=Time().now), list[str]()
    operation, _ = operations.begin("savepoint", None)
    operation.on_completed(lambda: heard.append("before"))
    operations.fail(operation, OperationFailure("no"))
    operations.complete(operation, location="/there")
    operation.on_completed(lambda: heard.append("after"))
    assert heard == ["before", "after"]
    assert operation.failure == OperationFailure("no")
