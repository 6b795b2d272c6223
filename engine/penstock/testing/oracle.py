"""What the jobs of `penstock.testing.jobs` must have committed in the end, computed in plain Python.

Each line is `key count number`. The counts of a key must be 1, 2, 3... without gap or repetition: so keyed state was
neither lost nor counted twice. The numbers must be all numbers once: so no record was. Which number got which count is
left open, because records of two subtasks meet in any order.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from penstock.testing.jobs import KEYS, RULES, key_of
from penstock.testing.services import S3Server

_SHOWN_MAX: Final = 5


@final
@dataclass(frozen=True, slots=True)
class Expectation:
    """The output of one job as two multisets."""

    counts: Counter[str]
    """`key count`"""
    numbers: Counter[int]

    @staticmethod
    def of(name: str, numbers: int, parallelism: int) -> "Expectation":
        """What the job with this name commits. With two pipelines each counts its own half."""
        halves = [range(numbers // 2), range(numbers // 2, numbers)] if name == "pipelines" else [range(numbers)]
        counts: Counter[str] = Counter()
        for half in halves:
            by_key = Counter(map(key_of, half))
            counts.update(f"{key} {count}" for key in range(KEYS) for count in range(1, by_key[key] + 1))
        expected = Counter(range(numbers))
        if name == "broadcast":
            counts.update(f"rule{index} {count}" for index in range(parallelism) for count in range(1, RULES + 1))
            expected.update(dict.fromkeys(range(numbers, numbers + RULES), parallelism))
        return Expectation(counts, expected)

    def differences(self, lines: Iterable[str]) -> list[str]:
        """In what the lines are not exactly this; empty if they are."""
        counts, numbers = _parsed(lines)
        return (
            _difference("lost numbers", self.numbers - numbers)
            + _difference("numbers too often", numbers - self.numbers)
            + _difference("lost counts", self.counts - counts)
            + _difference("counts too often", counts - self.counts)
        )

    def losses(self, lines: Iterable[str]) -> list[str]:
        """What is missing; more than enough is no fault of at-least-once."""
        _, numbers = _parsed(lines)
        return _difference("lost numbers", self.numbers - numbers)


def read_output(uri: str, minio: S3Server | None = None) -> list[str]:
    """All committed lines below a folder or bucket; hidden files are not committed."""
    lines: list[str] = []
    for data in _objects(uri, minio) if uri.startswith("s3://") else _files(Path(uri)):
        text = data.decode()
        assert text.endswith("\n") or not text, f"a committed file of {uri} ends within a line: {text[-100:]!r}"
        lines.extend(text.splitlines())
    return lines


def open_uploads_of(uri: str, minio: S3Server | None = None) -> list[str]:
    """What writers have begun and neither published nor taken back: hidden files, or uploads that are still open."""
    if not uri.startswith("s3://"):
        folder = Path(uri)
        return sorted(str(p) for p in folder.rglob("*") if p.is_file() and _is_hidden(p.relative_to(folder)))
    assert minio is not None, "an S3 output needs its server"
    bucket = uri.removeprefix("s3://").partition("/")[0]
    return [upload["Key"] for upload in minio.client().list_multipart_uploads(Bucket=bucket).get("Uploads", [])]


def _files(folder: Path) -> list[bytes]:
    found = [path for path in folder.rglob("*") if path.is_file()]
    return [path.read_bytes() for path in found if not _is_hidden(path.relative_to(folder))]


def _is_hidden(path: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


def _objects(uri: str, minio: S3Server | None) -> list[bytes]:
    assert minio is not None, "an S3 output needs its server"
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    client = minio.client()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/" if prefix else "")
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    return [client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys]


def _parsed(lines: Iterable[str]) -> tuple[Counter[str], Counter[int]]:
    counts: Counter[str] = Counter()
    numbers: Counter[int] = Counter()
    for line in lines:
        head, _, number = line.rpartition(" ")
        counts[head] += 1
        numbers[int(number)] += 1
    return counts, numbers


def _difference(what: str, found: "Counter[Any]") -> list[str]:
    if not found:
        return []
    shown = ", ".join(str(item) for item in sorted(found)[:_SHOWN_MAX])
    return [f"{found.total()} {what}: {shown}{', ...' if len(found) > _SHOWN_MAX else ''}"]
