"""What is no manifest is refused with all that is wrong and where; what was there before stays."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from penstock_operator.local.applying import Applier
from penstock_operator.local.manifest import BYTES_MAX, ManifestRefused, read_manifest
from penstock_operator.local.objects import ObjectKey, Objects

JOB = ObjectKey("FlinkJob", "default", "count")
GOOD = """\
apiVersion: penstock.dev/v1alpha1
kind: FlinkJob
metadata: {name: count}
spec:
  job: {script: count.py}
  checkpoints: {dir: checkpoints}
"""
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "flinkjob.yaml"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("job: [", "it is not YAML: while parsing"),
        ("\tjob: 1", "it is not YAML: while scanning"),
        ("a: *nowhere", "it is not YAML: found undefined alias"),
        ("a: !!python/object:os.system {}", "it is not YAML: could not determine a constructor"),
        ("? [a]\n: b", "it is not YAML: while constructing a mapping"),
        (f"a: {'1' * 5_000}", "it is not YAML: Exceeds the limit"),
        ("a: &a [*a]", "it is not YAML: maximum recursion depth exceeded"),
        (BOMB, "values with all its aliases; at most 1000000 are taken"),
        ("[" * 50_000, "it is not YAML: maximum recursion depth exceeded"),
        ("just words", "document 1: expected an object with apiVersion, kind, metadata and spec, found 'just words'"),
        ("", "there is no FlinkJob in it"),
        (GOOD.replace("v1alpha1", "v7"), "document 1: apiVersion: expected penstock.dev/v1alpha1, found"),
        (f"{GOOD}---\n{GOOD}", "FlinkJob count: it is there twice"),
        ("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: '?'}", "data: expected base64 of texts"),
    ],
)
def test_what_is_no_manifest_is_refused_in_a_sentence(file: Path, text: str, sentence: str) -> None:
    file.write_text(text)
    with pytest.raises(ManifestRefused) as refused:
        read_manifest(file)
    assert sentence in str(refused.value)


def test_bytes_that_are_no_text_or_too_many_are_refused(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ManifestRefused, match="it is not YAML: 'utf-8' codec"):
        read_manifest(file)
    file.write_bytes(b"a" * (BYTES_MAX + 1))
    with pytest.raises(ManifestRefused, match=f"it has {BYTES_MAX + 1} bytes; at most {BYTES_MAX} are taken"):
        read_manifest(file)
    with pytest.raises(ManifestRefused, match="it cannot be read: No such file"):
        read_manifest(file.with_name("other.yaml"))


def test_fields_that_nobody_knows_and_wrong_types_are_all_named_at_once(file: Path) -> None:
    file.write_text(GOOD.replace("script: count.py", "scrip: count.py, parallelism: two") + "  restart: yes\n")
    with pytest.raises(ManifestRefused) as refused:
        read_manifest(file)
    for field in ("spec.job.scrip", "spec.job.parallelism", "spec.restart"):
        assert f"FlinkJob count: {field}" in str(refused.value)


def test_a_broken_edit_leaves_what_was_applied(file: Path, tmp_path: Path) -> None:
    said: list[str] = []
    objects = Objects(tmp_path / "objects", lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    applier = Applier(objects, lambda text, *style: said.append(text))
    file.write_text(GOOD)
    applier.apply(file, read_manifest(file))
    before = objects.get(JOB)
    file.write_text(f"{GOOD}  job: [")
    applier.apply_saved(file)
    assert objects.get(JOB) == before
    assert "it is not YAML" in said[-1] and "line 7" in said[-1]
