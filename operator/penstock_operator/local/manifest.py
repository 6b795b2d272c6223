"""Manifest files as this machine reads them: the objects in them, with paths that were relative made whole.

FlinkJob and FlinkStateSnapshot are checked as a cluster would, every error at once. Secret and ConfigMap may stand
beside them, for what refers to them. Other kinds are for a cluster, and passed over. Nothing is applied here.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import yaml

from penstock_operator.errors import OperatorError
from penstock_operator.local.objects import API_VERSION, Kind, ObjectKey
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


class ManifestRefused(OperatorError):
    """There is something wrong in it; nothing of it may be applied."""

    def __init__(self, file: Path, findings: list[str]) -> None:
        super().__init__("\n".join(f"{file}: {finding}" for finding in findings))
        self.findings = tuple(findings)
        """Every one, a sentence each."""


def read_manifest(file: Path) -> Manifest:
    """ManifestRefused with all that is wrong."""
    found: Manifest = {}
    findings: list[str] = []
    for number, document in enumerate(_documents(file), 1):
        if document is None:
            continue
        where = f"document {number}"
        if not isinstance(document, dict):
            findings.append(f"{where}: expected an object with apiVersion, kind, metadata and spec, found {document!r}")
            continue
        kind = _KINDS.get((str(document.get("apiVersion")), str(document.get("kind"))))
        if kind is None:
            if str(document.get("kind")) in {known for _, known in _KINDS}:
                findings.append(f"{where}: apiVersion: expected {API_VERSION}, found {document.get('apiVersion')!r}")
            continue
        key, wanted, wrong = _object(kind, document, file.parent)
        findings += [f"{kind} {key.name}: {finding}" for finding in wrong]
        if key in found:
            findings.append(f"{kind} {key.name}: it is there twice")
        found[key] = wanted
    if not findings and not any(key.kind == "FlinkJob" for key in found):
        findings.append("there is no FlinkJob in it")
    if findings:
        raise ManifestRefused(file, findings)
    return found


def _documents(file: Path) -> list[Any]:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ManifestRefused(file, [f"it cannot be read: {error.strerror}"]) from error
    if len(data) > BYTES_MAX:
        raise ManifestRefused(file, [f"it has {len(data)} bytes; at most {BYTES_MAX} are taken"])
    try:
        documents = list(yaml.load_all(data.decode(), Loader=_Loader))
        size = sum(_size(document, {}) for document in documents)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ManifestRefused(file, [f"it is not YAML: {' '.join(str(error).split())}"]) from error
    if size > VALUES_MAX:
        raise ManifestRefused(file, [f"it has {size} values with all its aliases; at most {VALUES_MAX} are taken"])
    return documents


def _size(value: Any, known: dict[int, int]) -> int:
    """How many values there are; what aliases repeat counts as often as it is there. RecursionError: in itself."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        inner = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_size(one, known) for one in inner)
    return known[id(value)]


@final
class _Loader(yaml.SafeLoader):
    """YAML as Kubernetes reads it: times and dates are texts."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _object(kind: Kind, document: dict[str, Any], folder: Path) -> tuple[ObjectKey, Wanted, list[str]]:
    metadata = document.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    key = ObjectKey(kind, str(metadata.get("namespace") or "default"), str(metadata.get("name") or ""))
    given = metadata.get("annotations")
    annotations = {str(name): str(value) for name, value in given.items()} if isinstance(given, dict) else {}
    annotations[FOLDER] = str(folder.resolve())
    match kind:
        case "FlinkJob" | "FlinkStateSnapshot":
            spec = _resolved(document.get("spec"), folder.resolve(), kind)
            validate = validate_job if kind == "FlinkJob" else validate_snapshot
            _, errors = validate(spec)
            wrong = [str(error) for error in (*validate_name(key.name), *errors)]
        case _:
            spec, wrong = _data(document)
    return key, Wanted(spec if isinstance(spec, dict) else {}, annotations), wrong


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


def _data(document: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Of a Secret or ConfigMap, as texts."""
    data, plain = document.get("data") or {}, document.get("stringData") or {}
    if not isinstance(data, dict) or not isinstance(plain, dict):
        return {}, ["data: expected names and values"]
    texts = {str(name): str(value) for name, value in data.items()}
    if document["kind"] == "Secret":
        try:
            texts = {name: base64.b64decode(value, validate=True).decode() for name, value in texts.items()}
        except (binascii.Error, UnicodeDecodeError):
            return {}, ["data: expected base64 of texts; stringData takes them as they are"]
    return {**texts, **{str(name): str(value) for name, value in plain.items()}}, []
