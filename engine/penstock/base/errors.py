"""Errors, sorted by what the caller can do about them.

Each text says what, which, what was expected and what was found. Layers above may subclass;
the command line turns any of them into one sentence and a non-zero exit code.
"""

from typing import final


class PenstockError(Exception):
    """Base of all errors that Penstock raises on purpose."""


class ConfigurationError(PenstockError):
    """A key or value of the configuration is wrong: the user mends it."""


class JobDefinitionError(PenstockError):
    """The user's program is wrong in a way that shows before it runs."""


class UserFunctionError(PenstockError):
    """The user's code raised while the job ran; the cause is the user's own exception."""


class StateError(PenstockError):
    """State cannot be used as asked: a name with two types, a value that cannot be serialised."""


class IncompatibleState(StateError):
    """State in a checkpoint does not fit the program that is to start from it."""


class StorageError(PenstockError):
    """Base of what object stores raise."""


class StoreUnavailable(StorageError):
    """The store cannot be reached or answers with a passing fault: trying again may help."""


class StoreRefused(StorageError):
    """The store said no: credentials, permissions, missing bucket, full disk. Trying again will not help."""


class PartsLost(StoreRefused):
    """The store has no more what it had taken of an upload."""


class NotFound(StorageError):
    """There is no such object."""


class NoSuchUpload(NotFound):
    """A multipart upload is neither open nor was it completed: aborted, expired, or never started."""


class AlreadyExists(StorageError):
    """A create-if-absent found the object there."""


class DamagedData(PenstockError):
    """Bytes are there, but not those that were written: checksum, length or format do not match."""


class CheckpointFailed(PenstockError):
    """One checkpoint did not complete; the job goes on unless it tolerates no more."""


@final
class StateTooLarge(CheckpointFailed):
    """A piece of state has more bytes than its storage takes."""

    def __init__(self, found: int, limit: int) -> None:
        super().__init__(f"a piece of state has {found} bytes, at most {limit} are taken")
        self.found = found
        self.limit = limit


class LeadershipLost(PenstockError):
    """Another JobManager has taken a later epoch: this one must end without writing."""


class ProtocolError(PenstockError):
    """A peer sent what the protocol does not allow, or did not prove itself."""


class PeerUnavailable(PenstockError):
    """A peer cannot be reached, does not answer in time, or the connection to it was lost."""


class PeerLost(PeerUnavailable):
    """A task that another one sends to, or hears from, is gone: whoever lost it says why."""


class JobFailed(PenstockError):
    """The job ended in FAILED; the cause chain says why."""


class ValueMismatch(PenstockError, TypeError):
    """A value does not fit the type that was declared for it: the user mends the function or the declaration."""


class UncopyableValue(PenstockError, TypeError):
    """A function emits a value that holds what cannot be copied, such as a lock or a connection."""
