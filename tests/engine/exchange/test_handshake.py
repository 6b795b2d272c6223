"""Both ends prove that they know the token, and nothing else gets through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.errors import ConfigurationError, ProtocolError
from penstock.exchange.handshake import (
    PAYLOAD_BYTES_MAX,
    ClientHandshake,
    Frame,
    HandshakeRefused,
    Kind,
    Purpose,
    ServerHandshake,
)

TOKEN, CLIENT_NONCE, SERVER_NONCE = b"secret", b"c" * 32, b"s" * 32


def client(token: bytes = TOKEN, purpose: Purpose = Purpose.RPC, nonce: bytes = CLIENT_NONCE) -> ClientHandshake:
    return ClientHandshake(token, purpose, nonce)


def server(token: bytes = TOKEN, nonce: bytes = SERVER_NONCE) -> ServerHandshake:
    return ServerHandshake(token, Purpose.RPC, nonce)


def passed(end: ClientHandshake | ServerHandshake, frame: Frame | None) -> Frame:
    assert frame is not None
    answer = end.on_frame(frame.kind, frame.payload)
    assert answer is not None
    return answer


def test_both_ends_that_know_the_token_are_done_and_no_frame_is_too_large() -> None:
    ours, theirs = client(), server()
    challenge = passed(theirs, ours.start())
    proof = passed(ours, challenge)
    last = passed(theirs, proof)
    assert ours.on_frame(last.kind, last.payload) is None
    assert ours.done
    assert theirs.done
    assert all(len(frame.payload) <= PAYLOAD_BYTES_MAX for frame in (ours.start(), challenge, proof, last))


def test_a_client_with_another_token_is_refused_and_told_why() -> None:
    ours, theirs = client(b"guess"), server()
    proof = passed(ours, passed(theirs, ours.start()))
    with pytest.raises(HandshakeRefused) as refused:
        theirs.on_frame(proof.kind, proof.payload)
    assert not theirs.done
    with pytest.raises(ProtocolError, match="another secret token"):
        ours.on_frame(refused.value.answer.kind, refused.value.answer.payload)


def test_a_server_that_does_not_know_the_token_is_not_believed() -> None:
    ours, theirs = client(), server()
    passed(ours, passed(theirs, ours.start()))
    with pytest.raises(ProtocolError, match="did not prove"):
        ours.on_frame(Kind.PROOF, b"\0" * 32)
    assert not ours.done


def test_a_proof_of_another_connection_is_worth_nothing() -> None:
    ours, theirs = client(), server()
    proof = passed(ours, passed(theirs, ours.start()))
    later = server(nonce=b"t" * 32)
    passed(later, client().start())
    with pytest.raises(HandshakeRefused):
        later.on_frame(proof.kind, proof.payload)


def test_the_clients_proof_does_not_serve_as_the_servers() -> None:
    ours, theirs = client(), server()
    proof = passed(ours, passed(theirs, ours.start()))
    with pytest.raises(ProtocolError, match="did not prove"):
        ours.on_frame(proof.kind, proof.payload)


def test_a_client_at_the_wrong_port_is_told_so() -> None:
    ours = client(purpose=Purpose.DATA)
    hello = ours.start()
    with pytest.raises(HandshakeRefused, match="this port is for RPC") as refused:
        server().on_frame(hello.kind, hello.payload)
    with pytest.raises(ProtocolError, match="ports were mixed up"):
        ours.on_frame(refused.value.answer.kind, refused.value.answer.payload)


def test_another_version_is_refused_by_number() -> None:
    hello = client().start()
    with pytest.raises(HandshakeRefused, match="speaks version 513 of the protocol, we speak 1"):
        server().on_frame(hello.kind, hello.payload[:8] + b"\x01\x02" + hello.payload[10:])


def test_an_empty_token_is_refused_by_both_ends() -> None:
    for make in (client, server):
        with pytest.raises(ConfigurationError, match="token is empty"):
            make(b"")


@given(st.integers(0, 255), st.binary(max_size=PAYLOAD_BYTES_MAX))
def test_no_garbage_gets_past_either_end(kind: int, payload: bytes) -> None:
    for end in (client(), server()):
        with pytest.raises(ProtocolError):
            end.on_frame(kind, payload)
        assert not end.done


def test_a_proof_without_a_hello_is_refused() -> None:
    with pytest.raises(ProtocolError, match="where the handshake has none"):
        server().on_frame(Kind.PROOF, b"\0" * 32)
