"""Text from a TCP server, a record for each delimiter. For trying things out.

At most once: a socket cannot be read again, so what was received after the last checkpoint is lost when the job is
restored, and the reader goes on with whatever the server sends next. One subtask reads; the others end at once.
"""

import codecs
import logging
import socket
import time
from dataclasses import dataclass
from typing import Final, final

from penstock.base.errors import JobDefinitionError, StoreUnavailable
from penstock.connectors.queued_splits import QueuedSplitReader, QueueEnumerator
from penstock.operators.source_api import (
    Boundedness,
    InputStatus,
    ReaderOutput,
    Source,
    SourceReader,
    SourceReaderContext,
    SplitEnumerator,
    SplitEnumeratorContext,
)

log = logging.getLogger(__name__)

_CONNECT_TIMEOUT_S: Final = 10.0
_RECEIVE_TIMEOUT_S: Final = 0.5
"""How long a silent server holds a thread after the reader was closed."""
_RECEIVE_BYTES: Final = 64 << 10


@final
@dataclass(frozen=True, slots=True)
class SocketSplit:
    """The one connection."""

    split_id: str = "socket"


@final
class SocketSource(Source[SocketSplit, list[SocketSplit]]):
    """Reads until the server closes the connection, and then as often again as it may retry."""

    def __init__(
        self, host: str, port: int, delimiter: str = "\n", max_retries: int = 0, retry_delay_ms: int = 500
    ) -> None:
        if not delimiter:
            raise JobDefinitionError("the delimiter of a socket source is at least one character")
        if not 0 < port < 65536:
            raise JobDefinitionError(f"a port is from 1 to 65535, found {port}")
        self.host = host
        self.port = port
        self.delimiter = delimiter
        self.max_retries = max_retries
        """How often a connection is tried again before giving up; -1: for ever."""
        self.retry_delay_ms = retry_delay_ms

    def get_boundedness(self) -> Boundedness:
        return Boundedness.CONTINUOUS_UNBOUNDED

    def create_enumerator(
        self, context: SplitEnumeratorContext[SocketSplit]
    ) -> SplitEnumerator[SocketSplit, list[SocketSplit]]:
        return QueueEnumerator(context, [SocketSplit()])

    def restore_enumerator(
        self, context: SplitEnumeratorContext[SocketSplit], state: list[SocketSplit]
    ) -> SplitEnumerator[SocketSplit, list[SocketSplit]]:
        return QueueEnumerator(context, state)

    def create_reader(self, context: SourceReaderContext) -> SourceReader[SocketSplit]:
        return _SocketReader(context, self)


@final
class _SocketReader(QueuedSplitReader[SocketSplit]):
    """Connects and receives in the background; cuts and emits on the task's thread."""

    def __init__(self, context: SourceReaderContext, source: SocketSource) -> None:
        super().__init__(context)
        self._source = source
        self._connection = _Connection(source)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._records: list[str] = []
        self._receiving = False
        self._ended = False
        self._error: BaseException | None = None

    def begin(self, split: SocketSplit) -> None:
        self._split = split

    def read(self, output: ReaderOutput) -> InputStatus:
        if self._error is not None:
            raise self._error
        if self._records:
            share = self.share(output)
            output.collect_batch(self._records[:share])
            del self._records[:share]
        if self._records:
            return InputStatus.MORE_AVAILABLE
        if self._ended:
            return self.end_split()
        if not self._receiving:
            self._receiving = True
            self.context.run_in_background(self._connection.receive, self._received)
        return InputStatus.NOTHING_AVAILABLE

    def current(self) -> SocketSplit:
        return self._split

    def is_available(self) -> bool:
        return super().is_available() or bool(self._records) or self._ended or self._error is not None

    def close(self) -> None:
        self._connection.close()

    def _received(self, data: bytes | None, error: BaseException | None) -> None:
        self._receiving = False
        self._error = error
        if error is not None:
            return
        self._ended = data is None
        *records, self._rest = (self._rest + self._decoder.decode(data or b"", self._ended)).split(
            self._source.delimiter
        )
        if self._ended and self._rest:
            records.append(self._rest)
            self._rest = ""
        if self._source.delimiter == "\n":
            records = [record.removesuffix("\r") for record in records]
        self._records += records


@final
class _Connection:
    """The socket, and when it is opened anew. `receive` runs in the background, one call at a time."""

    def __init__(self, source: SocketSource) -> None:
        self._source = source
        self._socket: socket.socket | None = None
        self._retries = 0
        self._closed = False

    def receive(self) -> bytes | None:
        """Some bytes; none, if there are none just now; None: the server has closed, and that was the last try."""
        if self._closed:
            return b""
        try:
            if self._socket is None:
                self._connect()
            return self._receive()
        except OSError as error:
            self._drop()
            if not self._may_retry():
                raise StoreUnavailable(f"cannot read from {self._source.host}:{self._source.port}: {error}") from error
            return b""

    def close(self) -> None:
        """Let go; a `receive` under way comes back soon."""
        self._closed = True
        if self._socket is not None:
            self._socket.close()

    def _connect(self) -> None:
        address = (self._source.host, self._source.port)
        self._socket = socket.create_connection(address, timeout=_CONNECT_TIMEOUT_S)
        self._socket.settimeout(_RECEIVE_TIMEOUT_S)

    def _receive(self) -> bytes | None:
        assert self._socket is not None
        try:
            data = self._socket.recv(_RECEIVE_BYTES)
        except TimeoutError:
            return b""
        if data:
            self._retries = 0
            return data
        self._drop()
        return b"" if self._may_retry() else None

    def _may_retry(self) -> bool:
        """Whether to try again, after the delay."""
        if 0 <= self._source.max_retries <= self._retries or self._closed:
            return False
        self._retries += 1
        log.info("connecting again", extra={"host": self._source.host, "port": self._source.port})
        time.sleep(self._source.retry_delay_ms / 1000)
        return True

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
