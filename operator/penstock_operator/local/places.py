"""Where the local world keeps what it keeps."""

import fcntl
import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO, final

from penstock_operator.errors import OperatorError
from penstock_operator.local.deployments import RevisionKey
from penstock_operator.local.objects import write_whole

_ROOT: Final = ".penstock/local"


@final
@dataclass(frozen=True, slots=True)
class Places:
    """Below one folder, which one process at a time may use."""

    root: Path

    @property
    def objects(self) -> Path:
        return self.root / "objects"

    @property
    def processes(self) -> Path:
        return self.root / "processes"

    @property
    def secret(self) -> Path:
        """What the processes of all jobs prove to each other."""
        return self.root / "secret"

    @property
    def events(self) -> Path:
        """What was told, a JSON object a line."""
        return self.root / "events.jsonl"

    def logs(self, key: RevisionKey) -> Path:
        return self.root / "logs" / key.path

    def of(self, key: RevisionKey) -> Path:
        """What a revision's processes need."""
        return self.processes / key.path

    def prepare(self) -> None:
        """OperatorError where it cannot be."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            known = self.secret.exists()
        except OSError as error:
            raise self._unusable(error) from error
        if not known:
            write_whole(self.secret, secrets.token_hex(32).encode())

    def lock(self) -> int:
        """For as long as this process lives, or until the descriptor is closed. OperatorError when another has it."""
        try:
            descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise OperatorError(
                f"another process looks after the jobs in {self.root}: end that one first, or name another folder "
                "with --state-dir"
            ) from None
        return descriptor

    def open_log(self) -> TextIO:
        """For what this process logs. OperatorError where it cannot be written."""
        try:
            return (self.root / "operator.log").open("a", encoding="utf-8", buffering=1)
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> OperatorError:
        sentence = f"cannot keep anything in {self.root}: {error.strerror}; name another folder with --state-dir"
        return OperatorError(sentence)


def default_folder(manifests: tuple[Path, ...]) -> Path:
    """Each set of manifests has its own below the user's home, so that two of them can be run at once."""
    whole = sorted(str(manifest.resolve()) for manifest in manifests)
    digest = hashlib.sha256("\n".join(whole).encode()).hexdigest()[:8]
    return Path.home() / _ROOT / f"{manifests[0].resolve().parent.name}-{manifests[0].stem}-{digest}"
