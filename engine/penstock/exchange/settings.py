"""Bounds of connections and channels. Made once by the runtime from the configuration, handed down in parts."""

from typing import Final, final

import msgspec


@final
class ConnectionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one connection of either kind."""

    handshake_timeout_s: float = 10.0
    """Time that a peer has to prove itself, from the moment the connection stands."""
    connect_timeout_s: float = 20.0
    """Time for the connection to come about."""
    close_timeout_s: float = 5.0
    """Time that a peer has to read what was sent before the connection was closed."""
    unproven_max: int = 256
    """Connections of one server that have not proved themselves yet; more are closed at once."""
    keepalive_idle_s: int = 15
    keepalive_interval_s: int = 5
    keepalive_probes: int = 4
    """TCP's own probes notice a machine that vanished while a connection is silent. There is deliberately no
    TCP_USER_TIMEOUT: Linux applies it to a peer that lives but does not read, which user code may cause for long."""


CONNECTION_DEFAULTS: Final = ConnectionSettings()


@final
class ExchangeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of the data plane of one worker."""

    connection: ConnectionSettings = CONNECTION_DEFAULTS
    window_bytes: int = 512 * 1024
    """What a receiver grants to each sender: the most that lies in sockets and queues of one channel, unless a single
    record is larger."""
    frame_bytes: int = 128 * 1024
    """What a batch is split to, and the most that goes into one frame. At most half the window, so that a receiver
    that holds back a quarter of it always leaves room for a frame."""
    batch_records: int = 1000
    """Records that a channel gathers before they go out without waiting for the buffer timeout."""
    batches_per_frame: int = 4
    """As many times that on a channel to another worker: to send and take a frame costs what a hundred records do."""
    local_batches: int = 8
    """Elements that wait in a channel inside the worker before its producer rests."""
    local_records: int = 2048
    """Records that wait in a channel inside the worker before its producer rests. Few, for they and the state that
    they touch share the processor's cache."""

    def __post_init__(self) -> None:
        assert 0 < 2 * self.frame_bytes <= self.window_bytes, "a frame is at most half the window"
        assert min(self.batch_records, self.batches_per_frame, self.local_batches, self.local_records) > 0, (
            "bounds are positive"
        )
