"""Records of a running job, read by the program that started it."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Self, final

from penstock.base.errors import PenstockError
from penstock.datastream.execution import JobControl


@final
class CloseableIterator:
    """Iterates over collected records; closing it early cancels the job."""

    def __init__(self, control: JobControl, decode: Callable[[bytes], Iterable[Any]]) -> None:
        self._control = control
        self._decode = decode
        self._payloads: Iterator[bytes] = control.results()
        self._ready: deque[Any] = deque()
        self._exhausted = False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        while not self._ready:
            if self._exhausted:
                raise StopIteration
            try:
                payload = next(self._payloads, None)
            except PenstockError as error:
                # How we came to know is nothing to the program.
                raise error.with_traceback(None) from None
            if payload is None:
                self._exhausted = True
            else:
                self._ready.extend(self._decode(payload))
        return self._ready.popleft()

    def next(self) -> Any:
        """The next record; StopIteration after the last."""
        return next(self)

    def close(self) -> None:
        """Stop reading; a job that still runs is cancelled."""
        if not self._exhausted:
            self._exhausted = True
            self._ready.clear()
            self._control.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
