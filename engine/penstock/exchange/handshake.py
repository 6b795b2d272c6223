"""Who may talk to us: mutual proof of a shared secret, before anything else is read.

    client -> server   HELLO      magic, version, purpose, client nonce
    server -> client   CHALLENGE  magic, version, server nonce
    client -> server   PROOF      HMAC-SHA256(token, "client", version, purpose, both nonces)
    server -> client   PROOF      HMAC-SHA256(token, "server", version, purpose, both nonces)

or, from the server at any point, REFUSED with one byte of reason. All fields have a fixed size; nothing is unpickled
or decoded here. Both ends are pure: frames in, frames out, ProtocolError when the peer does not prove itself; nonces
are given. The secret authenticates, it does not encrypt. Used by `penstock.exchange.connection`.
"""

import enum
import hashlib
import hmac
import struct
from typing import Any, Final, Protocol, final

import msgspec

from penstock.base.errors import ConfigurationError, ProtocolError

MAGIC: Final = b"PENSTOCK"
VERSION: Final = 1
NONCE_BYTES: Final = 32
PROOF_BYTES: Final = 32
_HELLO: Final = struct.Struct(f"<8sHB{NONCE_BYTES}s")
_CHALLENGE: Final = struct.Struct(f"<8sH{NONCE_BYTES}s")
PAYLOAD_BYTES_MAX: Final = 64
"""No frame of the handshake is larger."""


class Kind(enum.IntEnum):
    """Kinds of the handshake's frames. Those of RPC and data begin at 16."""

    HELLO = 1
    CHALLENGE = 2
    PROOF = 3
    REFUSED = 4


class Purpose(enum.IntEnum):
    """What a connection is for; a client at the wrong port is told so."""

    RPC = 1
    DATA = 2


class Refusal(enum.IntEnum):
    """Why the server refuses, as the client is told."""

    VERSION = 1
    PURPOSE = 2
    TOKEN = 3


_REFUSAL_TEXTS: Final = {
    Refusal.VERSION: f"the peer speaks another version of the protocol than {VERSION}: both must run the same Penstock",
    Refusal.PURPOSE: "the peer's port is for another kind of connection: RPC and data ports were mixed up",
    Refusal.TOKEN: "the peer has another secret token: both must be started with the same one",
}


@final
class Frame(msgspec.Struct, frozen=True):
    """One frame to send."""

    kind: int
    payload: bytes


@final
class HandshakeRefused(ProtocolError):
    """The client did not prove itself; `answer` is the last thing it is told."""

    def __init__(self, text: str, refusal: Refusal) -> None:
        super().__init__(text)
        self.answer = Frame(Kind.REFUSED, bytes([refusal]))


class Handshake(Protocol):
    """One end of the handshake."""

    def start(self) -> Frame | None:
        """The first frame, if this end begins."""

    def on_frame(self, kind: int, payload: bytes | bytearray) -> Frame | None:
        """Take a frame, and answer; `done` afterwards says whether the peer has proved itself."""

    @property
    def done(self) -> bool:
        """Whether the peer has proved itself."""


def check_token(token: bytes) -> bytes:
    """Refuse an empty secret: it would let everybody in."""
    if not token:
        raise ConfigurationError("the shared secret token is empty: expected at least one byte")
    return token


@final
class ClientHandshake:
    """The end that connected."""

    def __init__(self, token: bytes, purpose: Purpose, nonce: bytes) -> None:
        self._token = check_token(token)
        self._purpose = purpose
        self._nonce = nonce
        self._server_nonce: bytes | None = None
        self._done = False

    @property
    def done(self) -> bool:
        return self._done

    def start(self) -> Frame:
        return Frame(Kind.HELLO, _HELLO.pack(MAGIC, VERSION, self._purpose, self._nonce))

    def on_frame(self, kind: int, payload: bytes | bytearray) -> Frame | None:
        if kind == Kind.REFUSED:
            raise ProtocolError(_refusal_text(payload))
        if kind == Kind.CHALLENGE and self._server_nonce is None:
            return self._prove(payload)
        if kind == Kind.PROOF and self._server_nonce is not None:
            expected = _proof(b"server", self._token, self._purpose, self._nonce, self._server_nonce)
            if not hmac.compare_digest(expected, payload):
                raise ProtocolError("the server did not prove that it knows the secret token")
            self._done = True
            return None
        raise _unexpected(kind, payload)

    def _prove(self, payload: bytes | bytearray) -> Frame:
        magic, version, nonce = _unpack(_CHALLENGE, payload, "CHALLENGE")
        if magic != MAGIC:
            raise ProtocolError("the server does not speak Penstock's protocol")
        if version != VERSION:
            raise ProtocolError(f"the server speaks version {version} of the protocol, we speak {VERSION}")
        self._server_nonce = nonce
        return Frame(Kind.PROOF, _proof(b"client", self._token, self._purpose, self._nonce, nonce))


@final
class ServerHandshake:
    """The end that was connected to."""

    def __init__(self, token: bytes, purpose: Purpose, nonce: bytes) -> None:
        self._token = check_token(token)
        self._purpose = purpose
        self._nonce = nonce
        self._client_nonce: bytes | None = None
        self._done = False

    @property
    def done(self) -> bool:
        return self._done

    def start(self) -> Frame | None:
        return None

    def on_frame(self, kind: int, payload: bytes | bytearray) -> Frame | None:
        if kind == Kind.HELLO and self._client_nonce is None:
            return self._challenge(payload)
        if kind == Kind.PROOF and self._client_nonce is not None and not self._done:
            expected = _proof(b"client", self._token, self._purpose, self._client_nonce, self._nonce)
            if not hmac.compare_digest(expected, payload):
                raise HandshakeRefused("the client did not prove that it knows the secret token", Refusal.TOKEN)
            self._done = True
            return Frame(Kind.PROOF, _proof(b"server", self._token, self._purpose, self._client_nonce, self._nonce))
        raise _unexpected(kind, payload)

    def _challenge(self, payload: bytes | bytearray) -> Frame:
        magic, version, purpose, nonce = _unpack(_HELLO, payload, "HELLO")
        if magic != MAGIC:
            raise ProtocolError("the client does not speak Penstock's protocol")
        if version != VERSION:
            raise HandshakeRefused(
                f"the client speaks version {version} of the protocol, we speak {VERSION}", Refusal.VERSION
            )
        if purpose != self._purpose:
            raise HandshakeRefused(
                f"the client wants a connection of kind {purpose}, this port is for {self._purpose.name}",
                Refusal.PURPOSE,
            )
        self._client_nonce = nonce
        return Frame(Kind.CHALLENGE, _CHALLENGE.pack(MAGIC, VERSION, self._nonce))


def _proof(role: bytes, token: bytes, purpose: Purpose, client_nonce: bytes, server_nonce: bytes) -> bytes:
    said = MAGIC + role + struct.pack("<HB", VERSION, purpose) + client_nonce + server_nonce
    return hmac.new(token, said, hashlib.sha256).digest()


def _unpack(fields: struct.Struct, payload: bytes | bytearray, name: str) -> tuple[Any, ...]:
    if len(payload) != fields.size:
        raise ProtocolError(f"the peer's {name} has {len(payload)} bytes, expected {fields.size}")
    return fields.unpack(payload)


def _unexpected(kind: int, payload: bytes | bytearray) -> ProtocolError:
    return ProtocolError(f"the peer sent a frame of kind {kind} with {len(payload)} bytes where the handshake has none")


def _refusal_text(payload: bytes | bytearray) -> str:
    known = len(payload) == 1 and payload[0] in set(Refusal)
    return _REFUSAL_TEXTS[Refusal(payload[0])] if known else "the peer refused the connection"
