"""Where things lie in a job's checkpoint folder, as the engine lays them out. Pure names.

    <job id>/chk-<n>/_metadata          what makes checkpoint n restorable
    <job id>/chk-<n>/<file>             files of checkpoint n alone
    <job id>/shared/e3-c17-<file>       files that several checkpoints may refer to: of epoch 3, for checkpoint 17
    <job id>/savepoints/<name>          a note about a savepoint that is being written
    <job id>/journal/<12 digits>        the journal's slots

and, below any folder, `savepoint-<first six of the job id>-<12 hexadecimal digits>/`.
"""

import re
from typing import Final

METADATA: Final = "_metadata"
_CHECKPOINT: Final = re.compile(r"[0-9a-f]{32}/chk-(\d+)/.+")
_CHECKPOINT_FOLDER: Final = re.compile(r"([0-9a-f]{32})/chk-(\d+)")
_SHARED: Final = re.compile(r"[0-9a-f]{32}/shared/e\d+-c(\d+)-.+")
_SAVEPOINT: Final = re.compile(r"savepoint-[0-9a-f]{6}-[0-9a-f]{12}")


def journal_prefix(job: str) -> str:
    return f"{job}/journal/"


def journal_slot(job: str, slot: int) -> str:
    return f"{journal_prefix(job)}{slot:012d}"


def checkpoints_prefix(job: str) -> str:
    return f"{job}/chk-"


def shared_prefix(job: str) -> str:
    return f"{job}/shared/"


def notes_prefix(job: str) -> str:
    return f"{job}/savepoints/"


def checkpoint_folder(job: str, checkpoint: int) -> str:
    return f"{job}/chk-{checkpoint}"


def checkpoint_of(path: str) -> int | None:
    """The n of a file in `<job id>/chk-<n>/`."""
    found = _CHECKPOINT.fullmatch(path)
    return int(found[1]) if found else None


def checkpoint_at(folder: str) -> tuple[str, int] | None:
    """Job and number of a checkpoint's folder."""
    found = _CHECKPOINT_FOLDER.fullmatch(folder)
    return (found[1], int(found[2])) if found else None


def uploaded_for(path: str) -> int | None:
    """The checkpoint for which a shared file was uploaded; None where it is called otherwise."""
    found = _SHARED.fullmatch(path)
    return int(found[1]) if found else None


def is_savepoint_name(name: str, job: str) -> bool:
    """Whether a folder is called as savepoints of the job are."""
    return _SAVEPOINT.fullmatch(name) is not None and name.startswith(f"savepoint-{job[:6]}-")
