"""Applies manifests to the objects of this machine, as `kubectl apply` would, and says what came of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, final

from penstock_operator.errors import Unavailable
from penstock_operator.local.manifest import (
    Finding,
    Manifest,
    ManifestRefused,
    check_alone,
    has_job,
    read_manifest,
)
from penstock_operator.local.objects import Kind, ObjectKey, Objects

_FILE: Final = "penstock.dev/manifest"
"""Annotation: the file that an object was read from."""
_ORDER: Final[tuple[Kind, ...]] = ("Secret", "ConfigMap", "FlinkJob", "FlinkStateSnapshot")


@final
class Applier:
    """`say(sentence, style)` tells people."""

    def __init__(self, objects: Objects, say: Callable[[str, str], None]) -> None:
        self._objects = objects
        self._say = say
        self._applied: dict[Path, Manifest] = {}

    def apply_saved(self, file: Path) -> None:
        """What was just saved; if there is anything wrong with it, all of that is said and nothing is done."""
        try:
            manifest = read_manifest(file)
            check_alone(file, manifest, self._applied)
            if has_job(self._applied.get(file, {})) and not has_job(manifest):
                raise ManifestRefused(file, [Finding(None, "there is no FlinkJob in it any more")])
            self.apply(file, manifest)
        except ManifestRefused as error:
            findings = (f"  {finding}" for finding in error.findings)
            self._say("\n".join((f"{file.name} is not applied, what runs is left as it is:", *findings)), "red")
        except Unavailable as error:
            self._say(f"{file.name} is not applied, save it again when that is mended: {error}", "red")

    def apply(self, file: Path, manifest: Manifest) -> None:
        """Snapshots that are no longer in the file are deleted. FlinkJobs never are: it may be half a file. Unavailable
        where it cannot be written down."""
        for key in sorted(manifest, key=lambda key: (_ORDER.index(key.kind), key)):
            stored = self._objects.get(key)
            if stored is not None and stored.metadata.deletion_timestamp is not None:
                self._say(f"{key.kind} {key.name} is being deleted, and not applied before it is gone", "yellow")
                continue
            wanted = manifest[key]
            if self._objects.apply(key, wanted.spec, {**wanted.annotations, _FILE: str(file)}):
                self._say(f"{key.kind} {key.name} {'created' if stored is None else 'changed'}", "dim")
        for key in self._left_out("FlinkStateSnapshot", file, manifest):
            self._objects.delete(key)
            self._say(f"{key.kind} {key.name} deleted", "dim")
        for key in self._left_out("FlinkJob", file, manifest):
            self._say(f"{key.kind} {key.name} is not in {file.name} any more: it runs on until Ctrl-C", "yellow")
        self._applied[file] = manifest

    def _left_out(self, kind: Kind, file: Path, manifest: Manifest) -> list[ObjectKey]:
        """What was read from that file before, and does not stand in it now."""
        return [
            key
            for key, stored in self._objects.all(kind)
            if key not in manifest and stored.metadata.annotations.get(_FILE) == str(file)
        ]
