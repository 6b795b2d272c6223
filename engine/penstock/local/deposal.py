"""That a JobManager was deposed by another of its revision, noted where its successor in the same place finds it.

The journal tells revisions apart, not two JobManagers of one. There are two where one is on a machine that nobody hears
of and was replaced: brought up again by whoever keeps processes there, it would depose its replacement, which comes up
again and deposes it. So it waits to be told. The place is the folder for temporary files: each pod has its own.
"""

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import final
from urllib.parse import quote

from penstock.base.ids import JobId


@final
class Deposal:
    """Of one revision's JobManager, in this place."""

    def __init__(self, job: JobId, revision: str) -> None:
        self._file = Path(tempfile.gettempdir()) / f"penstock-deposed-{job}-{quote(revision, safe='')}"

    @property
    def noted(self) -> bool:
        """Whether it was deposed the last time it drove the job."""
        return self._file.exists()

    def note(self) -> None:
        """It ends, because another drives the job. Where nothing can be written it is left to the journal."""
        with suppress(OSError):
            self._file.touch()

    def forget(self) -> None:
        """It is to drive the job, or was told to end."""
        with suppress(OSError):
            self._file.unlink(missing_ok=True)
