"""Choices of PyFlink's file connectors that are made by objects: how files are cut, dealt out, and merged."""

from dataclasses import dataclass
from enum import Enum
from typing import final


@final
class FileEnumeratorProvider(Enum):
    """Whether big files are cut into splits."""

    SPLITTABLE = True
    NON_SPLITTABLE = False

    @staticmethod
    def default_splittable_file_enumerator() -> "FileEnumeratorProvider":
        return FileEnumeratorProvider.SPLITTABLE

    @staticmethod
    def default_non_splittable_file_enumerator() -> "FileEnumeratorProvider":
        return FileEnumeratorProvider.NON_SPLITTABLE


@final
class FileSplitAssignerProvider(Enum):
    """Which reader gets which split: whoever asks gets the next one."""

    LOCALITY_AWARE = "locality aware"

    @staticmethod
    def locality_aware_split_assigner() -> "FileSplitAssignerProvider":
        return FileSplitAssignerProvider.LOCALITY_AWARE


@final
class FileCompactor(Enum):
    """How small files would be merged; `FileSink.enable_compact` says what to do instead."""

    CONCATENATE = "concatenate"
    IDENTICAL = "identical"

    @staticmethod
    def concat_file_compactor(file_delimiter: bytes | None = None) -> "FileCompactor":
        return FileCompactor.CONCATENATE

    @staticmethod
    def identical_file_compactor() -> "FileCompactor":
        return FileCompactor.IDENTICAL


@final
@dataclass(frozen=True, slots=True)
class FileCompactStrategy:
    """When small files would be merged; `FileSink.enable_compact` says what to do instead."""

    checkpoints: int | None = None
    size_threshold: int | None = None
    threads: int = 1

    @staticmethod
    def builder() -> "FileCompactStrategy.Builder":
        return FileCompactStrategy.Builder()

    @final
    class Builder:
        """Sets one at a time."""

        def __init__(self) -> None:
            self._checkpoints: int | None = None
            self._size_threshold: int | None = None
            self._threads = 1

        def enable_compaction_on_checkpoint(
            self, num_checkpoints_before_compaction: int
        ) -> "FileCompactStrategy.Builder":
            self._checkpoints = num_checkpoints_before_compaction
            return self

        def set_size_threshold(self, size_threshold: int) -> "FileCompactStrategy.Builder":
            self._size_threshold = size_threshold
            return self

        def set_num_compact_threads(self, num_compact_threads: int) -> "FileCompactStrategy.Builder":
            self._threads = num_compact_threads
            return self

        def build(self) -> "FileCompactStrategy":
            return FileCompactStrategy(self._checkpoints, self._size_threshold, self._threads)
