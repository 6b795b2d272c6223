"""print, discard, SinkFunction and collect."""

import errno
import io
import pickle
from typing import Any

import pytest

from penstock.base.errors import StorageError, UserFunctionError
from penstock.common.configuration import Configuration
from penstock.common.typeinfo import Types
from penstock.operators.collect import Collect, CollectCoordinator
from penstock.operators.functions import SinkFunction
from penstock.operators.operator import Operator
from penstock.operators.simple_sinks import Discard, InvokeSink, Print
from penstock.testing.operators import FakeClock, OperatorHarness


def printed(operator: Operator, values: list[Any], capsys: pytest.CaptureFixture[str], **how: Any) -> str:
    with OperatorHarness(operator, **how) as harness:
        harness.process(values)
    return capsys.readouterr().out


def test_print_formats_by_the_declared_type(capsys: pytest.CaptureFixture[str]) -> None:
    pair = Types.TUPLE([Types.STRING(), Types.BOOLEAN()])
    assert printed(Print(pair), [("a", True)], capsys) == "(a,true)\n"
    assert printed(Print(), [("a", True), None], capsys) == "('a', True)\nNone\n"


def test_print_names_the_subtask_only_where_there_are_several(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(Print(), [1], capsys, parallelism=2, subtask=1) == "2> 1\n"
    assert printed(Print(None, "it"), [1], capsys) == "it> 1\n"
    assert printed(Print(None, "it"), [1], capsys, parallelism=2) == "it:1> 1\n"


def test_print_can_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with OperatorHarness(Print(to_stderr=True)) as harness:
        harness.process([1])
    assert capsys.readouterr().err == "1\n"


def test_print_names_the_record_that_cannot_be_told() -> None:
    class Mute:
        def __repr__(self) -> str:
            raise RuntimeError("no words")

    with (
        OperatorHarness(Print()) as harness,
        pytest.raises(UserFunctionError, match=r"failed in record <Mute instance at .*>: RuntimeError: no words"),
    ):
        harness.process([1, Mute()])


def written_to(stream: io.TextIOBase | None, values: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", stream)
    with OperatorHarness(Print()) as harness:
        harness.process(values)


def test_print_escapes_what_the_encoding_of_its_output_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    written_to(stream, ["ü"], monkeypatch)
    assert stream.buffer.getvalue() == b"\\xfc\n"  # type: ignore[attr-defined]


def test_where_nobody_reads_printing_is_no_error_and_a_full_disk_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    written_to(None, ["a"], monkeypatch)
    with pytest.raises(StorageError, match="prints cannot be written to standard output: No space left on device"):
        written_to(Full(), ["a"], monkeypatch)


def test_discard_emits_nothing() -> None:
    with OperatorHarness(Discard()) as harness:
        harness.process([1])
        assert harness.values == []


def test_a_sink_function_is_invoked_with_each_record_and_its_time() -> None:
    class Keep(SinkFunction):
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def invoke(self, value: Any, context: SinkFunction.Context) -> None:
            self.seen.append((value, context.timestamp(), context.current_watermark()))

    sink = Keep()
    with OperatorHarness(InvokeSink(sink)) as harness:
        harness.watermark(5)
        harness.process(["a"], [7])
        harness.process(["b"])
    assert sink.seen == [("a", 7, 5), ("b", None, 5)]


class Client:
    """The coordinator's context, as far as collecting needs it."""

    parallelism = 1
    clock = FakeClock()
    configuration = Configuration()

    def __init__(self) -> None:
        self.received: list[Any] = []

    def send(self, subtask: int, event: bytes) -> None:
        raise AssertionError

    def call_later(self, delay_s: float) -> None:
        raise AssertionError

    def fail_job(self, error: BaseException) -> None:
        raise error

    def deliver(self, payload: bytes) -> None:
        self.received.extend(pickle.loads(payload))


def carry(harness: OperatorHarness, coordinator: CollectCoordinator) -> None:
    while harness.sent_events:
        coordinator.handle_event(0, 0, harness.sent_events.pop(0))


def test_without_checkpoints_collected_records_are_sent_at_once() -> None:
    client, coordinator = Client(), CollectCoordinator()
    coordinator.start(client)
    with OperatorHarness(Collect(), checkpointing=False) as harness:
        harness.process([1, 2])
        carry(harness, coordinator)
        assert client.received == [1, 2]


def test_with_checkpoints_the_client_gets_each_record_once_in_spite_of_a_restore() -> None:
    client, coordinator = Client(), CollectCoordinator()
    coordinator.start(client)
    with OperatorHarness(Collect()) as harness:
        harness.process([1])
        carry(harness, coordinator)
        assert client.received == []
        snapshot = harness.snapshot(1)
        harness.complete(1)
        carry(harness, coordinator)
        assert client.received == [1]
        harness.process(["lost"])
    with OperatorHarness(Collect(), restore=snapshot) as restored:
        carry(restored, coordinator)
        restored.process([2])
        restored.snapshot(2)
        restored.complete(2)
        carry(restored, coordinator)
    assert client.received == [1, 2]
