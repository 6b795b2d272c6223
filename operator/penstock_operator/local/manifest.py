"""Manifest files as this machine reads them: the objects in them, with paths that were relative made whole.

FlinkJob and FlinkStateSnapshot are checked as a cluster would, every error at once. Secret and ConfigMap may stand
beside them, for what refers to them. Other kinds are for a cluster, and passed over. Nothing is applied here.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from penstock_operator.errors import OperatorError
from penstock_operator.local.documents import Document, Unreadable, documents
from penstock_operator.local.objects import API_VERSION, Kind, ObjectKey
from penstock_operator.model.field_errors import shown
from penstock_operator.model.validation import validate_job, validate_name, validate_snapshot

BYTES_MAX: Final = 3_000_000
"""What an API server takes."""
VALUES_MAX: Final = 1_000_000
"""A few lines of YAML can stand for more than there is memory."""
LOCAL_IMAGE: Final = "none"
"""Stands in a manifest that names none: there are no images on this machine, only the Python that runs this."""
FOLDER: Final = "penstock.dev/folder"
"""Annotation: where the manifest lies. Processes start there."""
_KINDS: Final[dict[tuple[str, str], Kind]] = {
    (API_VERSION, "FlinkJob"): "FlinkJob",
    (API_VERSION, "FlinkStateSnapshot"): "FlinkStateSnapshot",
    ("v1", "Secret"): "Secret",
    ("v1", "ConfigMap"): "ConfigMap",
}
_URIS: Final = (
    ("checkpoints", "dir"),
    ("checkpoints", "savepointDir"),
    ("job", "initialSavepointPath"),
    ("savepoint", "path"),
)


@final
@dataclass(frozen=True, slots=True)
class Wanted:
    """An object of a manifest."""

    spec: dict[str, Any]
    annotations: Mapping[str, str]


Manifest = dict[ObjectKey, Wanted]


@final
@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    line: int | None
    """None where it is not about one."""
    sentence: str

    def __str__(self) -> str:
        return self.sentence if self.line is None else f"line {self.line}: {self.sentence}"


@final
class ManifestRefused(OperatorError):
    """There is something wrong in it; nothing of it may be applied."""

    def __init__(self, file: Path, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        """Every one, in the order of their lines."""
        super().__init__("\n".join(f"{_place(file, finding)}: {finding.sentence}" for finding in self.findings))


def read_manifest(file: Path) -> Manifest:
    """ManifestRefused with all that is wrong."""
    found: Manifest = {}
    findings: list[Finding] = []
    for document in _documents(file):
        findings += [Finding(line, f"{key} is there twice in one map") for line, key in document.twice()]
        kind, wrong = _kind(document)
        findings += wrong
        if kind is not None:
            key, wanted, wrong = _object(kind, document, file.parent)
            findings += wrong
            if key in found:
                findings.append(Finding(document.line, f"{kind} {key.name}: it is there twice"))
            found[key] = wanted
    if not findings and not found:
        findings.append(Finding(None, "there is no FlinkJob in it"))
    if findings:
        raise ManifestRefused(file, sorted(findings, key=lambda finding: finding.line or 0))
    return found


def read_manifests(files: Iterable[Path]) -> dict[Path, Manifest]:
    """All of them; OperatorError with all that is wrong in any."""
    found: dict[Path, Manifest] = {}
    wrong: list[str] = []
    for file in files:
        try:
            manifest = read_manifest(file)
            check_alone(file, manifest, found)
            found[file] = manifest
        except ManifestRefused as error:
            wrong.append(str(error))
    if not wrong and not any(map(has_job, found.values())):
        wrong.append(f"there is no FlinkJob in {' or '.join(map(str, found))}")
    if wrong:
        raise OperatorError("\n".join(wrong))
    return found


def has_job(manifest: Manifest) -> bool:
    return any(key.kind == "FlinkJob" for key in manifest)


def check_alone(file: Path, manifest: Manifest, others: Mapping[Path, Manifest]) -> None:
    """ManifestRefused where something of it stands in another file too, which would be applied in turns. What jobs
    share, such as their Secret, may stand beside each of them, in the same words."""
    twice = [
        Finding(None, f"{key.kind} {key.name}: it stands in {other} too")
        for other, known in others.items()
        for key in manifest.keys() & known.keys()
        if other != file and (key.kind in ("FlinkJob", "FlinkStateSnapshot") or manifest[key].spec != known[key].spec)
    ]
    if twice:
        raise ManifestRefused(file, sorted(twice, key=str))


def _place(file: Path, finding: Finding) -> str:
    """As compilers write it, so that editors find it."""
    return str(file) if finding.line is None else f"{file}:{finding.line}"


def _documents(file: Path) -> list[Document]:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ManifestRefused(file, [Finding(None, f"it cannot be read: {error.strerror}")]) from error
    if len(data) > BYTES_MAX:
        raise ManifestRefused(file, [Finding(None, f"it has {len(data)} bytes; at most {BYTES_MAX} are taken")])
    try:
        found = list(documents(data.decode()))
    except Unreadable as error:
        raise ManifestRefused(file, [Finding(error.line, f"it is not YAML: {error}")]) from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ManifestRefused(file, [Finding(line, "it is not text: expected UTF-8")]) from error
    if (size := sum(document.size for document in found)) > VALUES_MAX:
        sentence = f"it has {size} values with all its aliases; at most {VALUES_MAX} are taken"
        raise ManifestRefused(file, [Finding(None, sentence)])
    return found


def _kind(document: Document) -> tuple[Kind | None, list[Finding]]:
    """None for what is to be passed over, or is wrong."""
    value = document.value
    if not isinstance(value, dict):
        sentence = f"expected an object with apiVersion, kind, metadata and spec, found {shown(value)}"
        return None, [Finding(document.line, sentence)]
    version, name = str(value.get("apiVersion")), str(value.get("kind"))
    kind = _KINDS.get((version, name))
    expected = [known for known, other in _KINDS if other == name]
    if kind is None and expected:
        sentence = f"{name}: apiVersion: found {shown(value.get('apiVersion'))}, allowed is {expected[0]}"
        return None, [Finding(document.line_of("apiVersion"), sentence)]
    return kind, []


def _object(kind: Kind, document: Document, folder: Path) -> tuple[ObjectKey, Wanted, list[Finding]]:
    value = document.value
    metadata = value.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    key = ObjectKey(kind, str(metadata.get("namespace") or "default"), str(metadata.get("name") or ""))
    given = metadata.get("annotations")
    annotations = {str(name): str(value) for name, value in given.items()} if isinstance(given, dict) else {}
    annotations[FOLDER] = str(folder.resolve())
    match kind:
        case "FlinkJob" | "FlinkStateSnapshot":
            spec = _resolved(value.get("spec"), folder.resolve(), kind)
            validate = validate_job if kind == "FlinkJob" else validate_snapshot
            _, errors = validate(spec)
            wrong = [(error.field, str(error)) for error in (*validate_name(key.name), *errors)]
        case _:
            spec, wrong = _data(value)
    findings = [Finding(document.line_of(field), f"{kind} {key.name}: {sentence}") for field, sentence in wrong]
    return key, Wanted(spec if isinstance(spec, dict) else {}, annotations), findings


def _resolved(spec: Any, folder: Path, kind: Kind) -> Any:
    """With paths from the root, and an image that nobody asks for on this machine."""
    if not isinstance(spec, dict):
        return spec
    spec = {"image": LOCAL_IMAGE, **spec} if kind == "FlinkJob" else dict(spec)
    for part, name in _URIS:
        spec = _changed(spec, part, name, lambda text: _uri(text, folder))
    return _changed(spec, "job", "script", lambda text: str(folder / text))


def _changed(spec: dict[str, Any], part: str, name: str, change: Any) -> dict[str, Any]:
    inner = spec.get(part)
    if not isinstance(inner, dict) or not isinstance(inner.get(name), str) or not inner[name]:
        return spec
    return {**spec, part: {**inner, name: change(inner[name])}}


def _uri(text: str, folder: Path) -> str:
    scheme, colon, rest = text.partition(":")
    if not colon:
        return (folder / text).as_uri()
    return (folder / rest).as_uri() if scheme == "file" and not rest.startswith("/") else text


def _data(document: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Of a Secret or ConfigMap, as texts."""
    data, plain = document.get("data") or {}, document.get("stringData") or {}
    if not isinstance(data, dict) or not isinstance(plain, dict):
        return {}, [("data", "data: expected names and values")]
    texts = {str(name): str(value) for name, value in data.items()}
    if document["kind"] == "Secret":
        try:
            texts = {name: base64.b64decode(value, validate=True).decode() for name, value in texts.items()}
        except (binascii.Error, UnicodeDecodeError):
            return {}, [("data", "data: expected base64 of texts; stringData takes them as they are")]
    return {**texts, **{str(name): str(value) for name, value in plain.items()}}, []
