"""Frames of the data plane, and their fixed fields. The producer's worker connects; credits flow back.

    OPEN      channel                 producer -> consumer   I shall send on this channel; how much may I?
    GRANT     channel, bytes          consumer -> producer   so many bytes more
    BATCH     channel, batch          producer -> consumer   a whole batch
    FIRST     channel, size, bytes    producer -> consumer   a batch larger than a frame begins
    PART      channel, bytes          producer -> consumer   and goes on
    CONTROL   channel, element        producer -> consumer   watermark, status, barrier, end of data
    CLOSE     channel                 producer -> consumer   EndOfPartition: nothing follows
    WITHDRAW  channel                 producer -> consumer   the producer is gone: do not wait for it

Credit counts the encoded bytes of batches and control elements, without frame headers.
"""

import enum
import struct
from typing import Final

from penstock.base.errors import ProtocolError
from penstock.base.ids import ChannelId

CHANNEL: Final = struct.Struct("<Q")
CHANNEL_AND_SIZE: Final = struct.Struct("<QQ")
HEADER_BYTES_MAX: Final = CHANNEL_AND_SIZE.size


class Kind(enum.IntEnum):
    """Kinds of frames; those of the handshake are below 16."""

    OPEN = 16
    GRANT = 17
    BATCH = 18
    FIRST = 19
    PART = 20
    CONTROL = 21
    CLOSE = 22
    WITHDRAW = 23


def channel_of(payload: bytes | bytearray) -> ChannelId:
    """Every payload begins with it."""
    if len(payload) < CHANNEL.size:
        raise ProtocolError(f"a data frame has {len(payload)} bytes, too short for its channel")
    return ChannelId(CHANNEL.unpack_from(payload)[0])


def channel_and_size_of(payload: bytes | bytearray) -> tuple[ChannelId, int]:
    """The fields of GRANT, and the first ones of FIRST."""
    if len(payload) < CHANNEL_AND_SIZE.size:
        raise ProtocolError(f"a data frame has {len(payload)} bytes, expected at least {CHANNEL_AND_SIZE.size}")
    channel, size = CHANNEL_AND_SIZE.unpack_from(payload)
    return ChannelId(channel), size
