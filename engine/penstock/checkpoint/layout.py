"""Where things lie in a checkpoint folder. Pure names: every path of a job is made and read here.

    <job id>/chk-<n>/_metadata          what makes checkpoint n restorable
    <job id>/chk-<n>/<file name>        files that belong to checkpoint n alone
    <job id>/shared/<file name>         files that several checkpoints may refer to
    <job id>/taskowned/                 files whose life tasks decide
    <job id>/journal/<12 digits>        the journal's slots

A file name begins with the epoch and the checkpoint it was uploaded for: `e3-c17-<label>-<random>`. So a listing
alone tells which files may go; nothing is ever written twice under one name.
"""

import re
from typing import Final, final

import msgspec

from penstock.base.ids import CheckpointId, Epoch, JobId

METADATA: Final = "_metadata"
_FILE_NAME: Final = re.compile(r"e(\d+)-c(\d+)-.+")
_CHECKPOINT_FOLDER: Final = re.compile(r"chk-(\d+)")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._]+")
_LABEL_MAX: Final = 80


@final
class Provenance(msgspec.Struct, frozen=True):
    """For which checkpoint, under which epoch, a file was uploaded."""

    epoch: Epoch
    checkpoint: CheckpointId


def checkpoint_folder(job: JobId, checkpoint: CheckpointId) -> str:
    return f"{job}/chk-{checkpoint}"


def metadata_path(job: JobId, checkpoint: CheckpointId) -> str:
    return f"{checkpoint_folder(job, checkpoint)}/{METADATA}"


def exclusive_path(job: JobId, checkpoint: CheckpointId, name: str) -> str:
    return f"{checkpoint_folder(job, checkpoint)}/{name}"


def shared_prefix(job: JobId) -> str:
    return f"{job}/shared/"


def shared_path(job: JobId, name: str) -> str:
    return f"{shared_prefix(job)}{name}"


def checkpoints_prefix(job: JobId) -> str:
    return f"{job}/chk-"


def journal_prefix(job: JobId) -> str:
    return f"{job}/journal/"


def journal_slot(job: JobId, slot: int) -> str:
    assert 0 <= slot < 10**12, f"{slot} is not a slot number"
    return f"{journal_prefix(job)}{slot:012d}"


def savepoint_folder_name(job: JobId, random: str) -> str:
    """As Flink's: `savepoint-<first six of the job id>-<12 random hexadecimal digits>`."""
    assert len(random) == 12, f"{random!r} must have 12 digits"
    return f"savepoint-{job[:6]}-{random}"


def file_name(provenance: Provenance, label: str, random: str) -> str:
    """`label` says to people what the file is; characters that a store might mind are replaced."""
    label = _UNSAFE.sub("_", label)[:_LABEL_MAX] or "file"
    return f"e{provenance.epoch}-c{provenance.checkpoint}-{label}-{random}"


def provenance_of(path: str) -> Provenance | None:
    """What the name of an uploaded file says about it; None when it is no name of ours."""
    found = _FILE_NAME.fullmatch(path.rpartition("/")[2])
    return Provenance(Epoch(int(found[1])), CheckpointId(int(found[2]))) if found else None


def checkpoint_of(path: str) -> CheckpointId | None:
    """The n of `<job id>/chk-<n>/...`; None for any other path."""
    parts = path.split("/")
    found = _CHECKPOINT_FOLDER.fullmatch(parts[1]) if len(parts) > 2 else None
    return CheckpointId(int(found[1])) if found else None


def is_shared(path: str) -> bool:
    """Whether this is `<job id>/shared/...`."""
    return path.split("/")[1:2] == ["shared"]
