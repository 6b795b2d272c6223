"""Numbers, collections and text files: everything once, over any parallelism and any restore."""

import gzip
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.base.errors import JobDefinitionError, NotFound
from penstock.common.time import Duration
from penstock.connectors import splits
from penstock.connectors.collection import CollectionSource
from penstock.connectors.file_source import FileSource
from penstock.connectors.number_sequence import NumberSequenceSource, shrinking_ranges
from penstock.connectors.text_format import TextLineFormat
from penstock.operators.source_api import Source
from penstock.testing.sources import SourceRun


def text(*paths: Path) -> FileSource:
    return FileSource.for_record_stream_format(TextLineFormat(), *map(str, paths)).build()


@given(st.integers(-50, 50), st.integers(0, 3000), st.integers(1, 5))
def test_a_number_sequence_has_every_number_once(start: int, more: int, parallelism: int) -> None:
    run = SourceRun(NumberSequenceSource(start, start + more), parallelism=parallelism).run()
    assert sorted(run.all_values) == list(range(start, start + more + 1))


def test_a_number_sequence_is_dealt_out_in_contiguous_ranges() -> None:
    run = SourceRun(NumberSequenceSource(1, 10), parallelism=2).run()
    assert run.values == [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]]


@given(st.integers(-50, 50), st.integers(0, 10_000_000), st.integers(1, 40))
def test_a_long_number_sequence_is_dealt_out_in_ever_smaller_ranges(start: int, total: int, readers: int) -> None:
    ranges = shrinking_ranges(start, start + total, readers)
    assert [found.next for found in ranges] == [start, *(found.stop for found in ranges[:-1])][: len(ranges)]
    assert not ranges or ranges[-1].stop == start + total
    sizes = [found.stop - found.next for found in ranges]
    if len(ranges) > readers:
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[-2] >= 10_000, "worth asking for"
        # Whoever is late with the largest holds up the others by half of their share at most.
        assert sizes[0] <= max(10_000, total / (2 * readers))
    assert len({found.split_id for found in ranges}) == len(ranges)


def test_a_reader_that_is_slow_gets_less_of_a_number_sequence() -> None:
    run = SourceRun(NumberSequenceSource(1, 400_000), parallelism=2)
    while not run.has_ended:
        run.poll(0)
        run.poll(0)
        run.poll(1)
    counts = [len(values) for values in run.values]
    assert sum(counts) == 400_000
    assert 1.8 <= counts[0] / counts[1] <= 2.2


def test_a_number_sequence_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(JobDefinitionError, match="found 2 to 1"):
        NumberSequenceSource(2, 1)


def test_a_collection_keeps_its_order() -> None:
    values = [{"n": n} for n in range(2500)]
    assert SourceRun(CollectionSource(values)).run().all_values == values


def test_an_empty_collection_ends_at_once() -> None:
    run = SourceRun(CollectionSource([])).run()
    assert run.has_ended and run.all_values == []


def test_polls_emit_no_more_than_a_thousand_records() -> None:
    run = SourceRun(NumberSequenceSource(1, 5000)).run()
    assert max(run.batches) == 1000


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Source[Any, Any], list[Any]]]:
    """Each with all its records, sorted."""
    folder = tmp_path_factory.mktemp("input")
    (folder / "a.txt").write_text("".join(f"a{n}\n" for n in range(40_000)))
    (folder / "b.txt").write_text("".join(f"b{n}\n" for n in range(10)))
    (folder / "c.gz").write_bytes(gzip.compress("".join(f"c{n}\n" for n in range(40_000)).encode()))
    made = [NumberSequenceSource(1, 99_999), CollectionSource(range(7_777)), text(folder)]
    return [(source, sorted(SourceRun(source).run().all_values)) for source in made]


@pytest.mark.parametrize("kind", [0, 1, 2])
@settings(max_examples=10, deadline=None)
@given(polls=st.integers(0, 60), before=st.integers(1, 4), after=st.integers(1, 4))
def test_a_restored_source_emits_what_was_not_emitted_before(
    sources: list[tuple[Source[Any, Any], list[Any]]], kind: int, polls: int, before: int, after: int
) -> None:
    source, whole = sources[kind]
    first = SourceRun(source, parallelism=before)
    for poll in range(polls):
        first.poll(poll % before)
    second = SourceRun(source, parallelism=after, restored=first.snapshot()).run()
    assert second.has_ended
    assert sorted(first.all_values + second.all_values) == whole


def test_folders_are_read_with_their_subfolders_but_without_hidden_names(tmp_path: Path) -> None:
    for name in ("a", "_b", ".c", "d/e", "d/_f", "_g/h"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{name}\n")
    assert SourceRun(text(tmp_path)).run().all_values == ["a", "d/e"]


def test_a_hidden_file_is_read_when_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "_a").write_text("1\n")
    assert SourceRun(text(tmp_path / "_a")).run().all_values == ["1"]


def test_empty_lines_are_kept_and_line_ends_are_stripped(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"a\r\n\r\n\nb\x85c\x0bd")
    assert SourceRun(FileSource((TextLineFormat("latin-1")), (str(tmp_path),))).run().all_values == [
        "a",
        "",
        "",
        "b\x85c\x0bd",
    ]


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        SourceRun(text(tmp_path / "nowhere"))


def test_a_big_file_is_read_by_all_readers(tmp_path: Path) -> None:
    (tmp_path / "big").write_text("".join(f"{n:09d}\n" for n in range(5 * splits.SPLIT_BYTES_MIN // 10)))
    run = SourceRun(text(tmp_path), parallelism=2).run()
    assert all(run.values)
    assert sorted(run.all_values) == [f"{n:09d}" for n in range(len(run.all_values))]


def test_a_watched_folder_gives_each_new_file_once(tmp_path: Path) -> None:
    builder = FileSource.for_record_stream_format(TextLineFormat(), str(tmp_path / "in"))
    source = builder.monitor_continuously(Duration.of_seconds(1)).build()
    run = SourceRun(source, parallelism=2).run()
    assert run.all_values == []
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_text("a\n")
    run.clock.advance(1000)
    assert run.run().all_values == ["a"]
    restored = SourceRun(source, parallelism=1, restored=run.snapshot())
    (tmp_path / "in" / "b").write_text("b\n")
    restored.run().clock.advance(1000)
    assert restored.run().all_values == ["b"]
    assert not restored.has_ended
