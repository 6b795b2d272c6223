"""What is no manifest is refused with all that is wrong and where; what was there before stays."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from penstock_operator.__main__ import commands
from penstock_operator.errors import OperatorError
from penstock_operator.local.applying import Applier
from penstock_operator.local.manifest import BYTES_MAX, ManifestRefused, read_manifest, read_manifests
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

WRONG = """\
# A comment.
apiVersion: penstock.dev/v1alpha1
kind: FlinkJob
metadata:
  name: Words
spec:
  job:
    script: job.py
    parallelism: 0
    paralelism: 2
  flinkConfiguration:
    state.backend.type: rocksdb
    rest.port: 8081
  taskManager:
    slots: many
    podTemplate:
      spec:
        containers:
        - name: one
        - image: two
---
apiVersion: v1
kind: Secret
metadata: {name: s3}
data:
  KEY: "not base64"
"""


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
        ("just words", ':1: expected an object with apiVersion, kind, metadata and spec, found "just words"'),
        ("", "there is no FlinkJob in it"),
        (
            GOOD.replace("v1alpha1", "v7"),
            ':1: FlinkJob: apiVersion: found "penstock.dev/v7", allowed is penstock',
        ),
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
    with pytest.raises(ManifestRefused, match=":1: it is not text: expected UTF-8"):
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


def test_files_may_share_what_jobs_refer_to_and_nothing_else(file: Path, tmp_path: Path) -> None:
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s3}\nstringData: {KEY: one}\n"
    other, alone = tmp_path / "other.yaml", tmp_path / "secret.yaml"
    file.write_text(f"{GOOD}---\n{secret}")
    other.write_text(f"{GOOD.replace('name: count', 'name: other')}---\n{secret}")
    alone.write_text(secret)
    assert [len(manifest) for manifest in read_manifests([file, other, alone]).values()] == [2, 2, 1]
    other.write_text(f"{GOOD}---\n{secret.replace('one', 'two')}")
    with pytest.raises(OperatorError) as refused:
        read_manifests([file, other])
    assert str(refused.value) == (
        f"{other}: FlinkJob count: it stands in {file} too\n{other}: Secret s3: it stands in {file} too"
    )
    with pytest.raises(OperatorError, match=r"there is no FlinkJob in .*secret\.yaml"):
        read_manifests([alone])


def test_a_job_that_is_taken_out_of_its_file_runs_on_and_that_is_said(file: Path, tmp_path: Path) -> None:
    said: list[str] = []
    objects = Objects(tmp_path / "objects", lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    applier = Applier(objects, lambda text, *style: said.append(text))
    file.write_text(f"{GOOD}---\n{GOOD.replace('name: count', 'name: other')}")
    applier.apply(file, read_manifest(file))
    file.write_text(GOOD)
    applier.apply_saved(file)
    assert said[-1] == "FlinkJob other is not in flinkjob.yaml any more: it runs on until Ctrl-C"
    file.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: script}\n")
    applier.apply_saved(file)
    assert "there is no FlinkJob in it any more" in said[-1] and len(objects.all("FlinkJob")) == 2


def test_an_edit_that_cannot_be_written_down_is_told_and_applied_when_it_is_saved_again(
    file: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    folder = tmp_path / "objects"
    objects = Objects(folder, lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    applier = Applier(objects, lambda text, *style: said.append(text))
    folder.write_text("in the way")
    file.write_text(GOOD)
    applier.apply_saved(file)
    assert "is not applied, save it again when that is mended" in said[-1] and objects.get(JOB) is None
    folder.unlink()
    applier.apply_saved(file)
    assert objects.get(JOB) is not None


def findings(file: Path, text: str) -> list[tuple[int | None, str]]:
    file.write_text(text)
    with pytest.raises(ManifestRefused) as refused:
        read_manifest(file)
    return [(finding.line, finding.sentence) for finding in refused.value.findings]


def test_every_error_has_its_line(file: Path) -> None:
    found = findings(file, WRONG)
    told = {(line, sentence.partition(" found ")[0]) for line, sentence in found}
    assert told == {
        (5, "FlinkJob Words: metadata.name:"),
        (6, "FlinkJob Words: spec.checkpoints.dir:"),
        (9, "FlinkJob Words: spec.job.parallelism:"),
        (10, "FlinkJob Words: spec.job.paralelism:"),
        (13, "FlinkJob Words: spec.flinkConfiguration.rest.port:"),
        (15, "FlinkJob Words: spec.taskManager.slots:"),
        (20, "FlinkJob Words: spec.taskManager.podTemplate.spec.containers[1].name:"),
        (25, "Secret s3: data: expected base64 of texts; stringData takes them as they are"),
    }
    assert [line for line, _ in found] == sorted(line for line, _ in found if line)


def test_what_is_missing_has_the_line_of_what_it_is_missing_in(file: Path) -> None:
    ((line, sentence),) = findings(file, GOOD.replace("dir: checkpoints", "endpoint: http://s3"))
    assert (line, sentence.partition(": found")[0]) == (6, "FlinkJob count: spec.checkpoints.dir")


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("a: [1, 2\nb: 3\n", 2, "it is not YAML: while parsing a flow sequence"),
        ("a: 1\n\tb: 2\n", 2, "it is not YAML: while scanning"),
        ("a: 1\nb: {c: 1, d: 2,\n  c: 3}\n", 3, "c is there twice in one map"),
        (f"{GOOD}---\n\n{GOOD}", 9, "FlinkJob count: it is there twice"),
    ],
)
def test_what_is_no_manifest_has_its_line_too(file: Path, text: str, line: int, sentence: str) -> None:
    assert any(found == line and told.startswith(sentence) for found, told in findings(file, text))


def test_paths_count_from_the_manifest_and_times_are_texts(file: Path) -> None:
    file.write_text(GOOD + "  flinkConfiguration: {since: 2024-05-06}\n")
    wanted = read_manifest(file)[JOB]
    assert wanted.spec["job"]["script"] == str(file.with_name("count.py"))
    assert wanted.spec["checkpoints"]["dir"] == file.with_name("checkpoints").as_uri()
    assert wanted.spec["flinkConfiguration"] == {"since": "2024-05-06"}


def test_validate_says_what_is_right_and_all_that_is_wrong(file: Path) -> None:
    right, wrong = file.with_name("right.yaml"), file.with_name("wrong.yaml")
    right.write_text(GOOD)
    wrong.write_text(WRONG)
    alone = CliRunner().invoke(commands, ["validate", "-f", str(right)])
    both = CliRunner().invoke(commands, ["validate", "-f", str(right), "-f", str(wrong)])
    assert (alone.exit_code, alone.output) == (0, f"{right}: FlinkJob count: nothing is wrong\n")
    assert both.exit_code == 1
    assert both.stdout == alone.stdout
    assert both.stderr.splitlines()[0].startswith(f"{wrong}:5: FlinkJob Words: metadata.name: found")
    assert len(both.stderr.splitlines()) == 8
