"""Loads a split's pieces in the background, one ahead, so that the task's thread never waits for a network."""

from typing import Any, final

from penstock.connectors.formats import SplitReader
from penstock.operators.source_api import SourceReaderContext


@final
class BackgroundPieces:
    """The pieces of one split. At most one load runs at a time."""

    def __init__(self, reader: SplitReader, context: SourceReaderContext) -> None:
        self._reader = reader
        self._context = context
        self._piece: Any = None
        self._error: BaseException | None = None
        self._loading = False
        self._closed = False

    @property
    def ready(self) -> bool:
        """Whether `take` has something to say."""
        return self._piece is not None or self._error is not None

    def take(self) -> Any:
        """The next piece; None: not yet here. Raises what went wrong."""
        if self._error is not None:
            raise self._error
        if self._piece is None:
            self._load()
            return None
        piece, self._piece = self._piece, None
        return piece

    def load_ahead(self) -> None:
        """Begin with the next piece if it is wanted in any case."""
        if not self._reader.done and self._reader.may_load_ahead:
            self._load()

    def close(self) -> None:
        """Release the reader, once no load runs in it."""
        self._closed = True
        if not self._loading:
            self._reader.close()

    def _load(self) -> None:
        if not self._loading and self._piece is None:
            self._loading = True
            self._context.run_in_background(self._reader.load, self._loaded)

    def _loaded(self, piece: Any, error: BaseException | None) -> None:
        self._loading = False
        if self._closed:
            self._reader.close()
        self._piece, self._error = piece, error
