"""The handshake between two ends in memory: TLS, the proof, and everything that must not pass for one."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from qudag_node.errors import PeerError
from qudag_node.overlay.certificate import certificate_of, client_context, server_context
from qudag_node.overlay.faults import LinkIdentityError, LinkRefusedError, cause_of
from qudag_node.overlay.frames import (
    HEADER_BYTES,
    FrameDecoder,
    FrameType,
    GoodbyeReason,
    RemoteFault,
    encode_frame,
    encode_seed,
)
from qudag_node.overlay.handshake import TRANSITIONS, Handshake, HandshakeState, LinkTerms, Role
from qudag_node.overlay.hello import (
    MAX_HELLO_BYTES,
    LocalEnd,
    decode_client_hello,
    decode_server_hello,
    encode_unsigned_client_hello,
)
from qudag_node.overlay.identity import Identity
from qudag_node.overlay.opening import Opening
from qudag_node.overlay.tls import TlsChannel
from qudag_node.peerid import PeerId

ALICE, BOB, MALLORY = (Identity.generate() for _ in range(3))
NONCE = bytes(range(32))
SEED = encode_seed(bytes(32))


def local_end(identity: Identity, **changes: object) -> LocalEnd:
    end = LocalEnd(identity=identity, network="testnet", agent="test/1", certificate=certificate_of(identity))
    return replace(end, **changes)  # type: ignore[arg-type]  # any field


def client(identity: Identity = ALICE, *, of: Identity = BOB, **changes: object) -> Handshake:
    expected = changes.pop("expected", None)
    return Handshake(
        Role.CLIENT,
        local_end(identity, **changes),
        server_certificate=certificate_of(of),
        expected=expected,  # type: ignore[arg-type]
    )


def server(identity: Identity = BOB, *, nonce: bytes = NONCE, **changes: object) -> Handshake:
    return Handshake(Role.SERVER, local_end(identity, **changes), nonce=nonce)


def give(handshake: Handshake, data: bytes) -> bytes:
    decoder = FrameDecoder()
    decoder.push(data)
    return handshake.receive(decoder)


def hello_of_client(one: Handshake, other: Handshake) -> bytes:
    """Run the handshake up to the client's hello, and return that."""
    assert one.start() == b""
    return give(one, other.start())


def terms_of(handshake: Handshake) -> LinkTerms:
    assert handshake.terms is not None
    return handshake.terms


def test_both_ends_learn_who_the_other_is() -> None:
    one, other = client(listen="192.0.2.1:8000", agent="one/1"), server(agent="other/2")
    hello = hello_of_client(one, other)
    assert give(other, hello) == b""
    assert terms_of(one).peer_id == BOB.peer_id
    assert terms_of(one).agent == "other/2"
    assert terms_of(other).peer_id == ALICE.peer_id
    assert (terms_of(other).agent, terms_of(other).listen) == ("one/1", "192.0.2.1:8000")
    assert terms_of(one).version == terms_of(other).version == 1
    assert (one.state, other.state) == (HandshakeState.PROVEN, HandshakeState.PROVEN)


def test_both_ends_agree_on_the_size_of_each_hello() -> None:
    one, other = client(), server()
    give(other, hello_of_client(one, other))
    assert terms_of(one).sent_bytes == terms_of(other).received_bytes
    assert terms_of(one).received_bytes == terms_of(other).sent_bytes


def test_the_highest_common_version_is_spoken() -> None:
    one, other = client(versions=(1, 2, 3)), server(versions=(1, 2))
    give(other, hello_of_client(one, other))
    assert terms_of(one).version == terms_of(other).version == 2


def test_a_server_that_is_somebody_else_is_told_nothing() -> None:
    one = client(of=MALLORY, expected=BOB.peer_id)
    with pytest.raises(LinkIdentityError, match=f"expected {BOB.peer_id}, found {MALLORY.peer_id}") as caught:
        one.start()
    assert caught.value.cause == "identity_mismatch"
    assert one.state is HandshakeState.FAILED


def test_a_certificate_without_an_ed25519_key_is_refused() -> None:
    one = Handshake(Role.CLIENT, local_end(ALICE), server_certificate=b"\x30\x03\x02\x01\x00")
    with pytest.raises(LinkIdentityError) as caught:
        one.start()
    assert caught.value.cause == "key_type"


def test_the_proof_is_a_signature_over_what_the_protocol_says() -> None:
    one, other = client(), server()
    server_hello = other.start()[HEADER_BYTES:]
    assert one.start() == b""
    client_hello = give(one, encode_frame(FrameType.HELLO, server_hello))[HEADER_BYTES:]
    unsigned, signature = client_hello[:-64], client_hello[-64:]
    signed = (
        b"qudag-link/1\0"
        + b"testnet"
        + ALICE.public_key
        + BOB.peer_id.encode()
        + sha256(certificate_of(BOB)).digest()
        + NONCE
        + sha256(server_hello + unsigned).digest()
    )
    # Another implementation has nothing but the page to go by.
    Ed25519PublicKey.from_public_bytes(ALICE.public_key).verify(signature, signed)


def test_a_relayed_proof_does_not_hold() -> None:
    # Mallory is dialled by Alice, and dials Bob with what Alice says to her.
    bob = server(BOB)
    bobs_hello = bob.start()
    alice = client(ALICE, of=MALLORY)
    alice.start()
    alices_hello = give(alice, bobs_hello)
    with pytest.raises(LinkIdentityError) as caught:
        give(bob, alices_hello)
    assert caught.value.cause == "proof_invalid"
    assert bob.terms is None


def test_a_replayed_proof_does_not_hold() -> None:
    recorded = hello_of_client(client(), server(nonce=NONCE))
    again = server(nonce=bytes(32))
    again.start()
    with pytest.raises(LinkIdentityError) as caught:
        give(again, recorded)
    assert caught.value.cause == "proof_invalid"


def test_a_proof_for_another_certificate_of_the_same_key_does_not_hold() -> None:
    one = client()
    one.start()
    bob = Handshake(Role.SERVER, local_end(BOB, certificate=b"another"), nonce=NONCE)
    with pytest.raises(LinkIdentityError):
        give(bob, give(one, bob.start()))


@pytest.mark.parametrize("at", range(0, 140, 7))
def test_a_changed_byte_of_the_clients_hello_never_passes(at: int) -> None:
    one, other = client(), server()
    hello = bytearray(hello_of_client(one, other))
    hello[5 + at % (len(hello) - 5)] ^= 1
    with pytest.raises(PeerError):
        give(other, bytes(hello))
    assert other.terms is None


def test_a_changed_byte_of_the_servers_hello_is_noticed_by_the_server() -> None:
    one, other = client(), server()
    one.start()
    servers = bytearray(other.start())
    servers[-1] ^= 1  # the nonce
    with pytest.raises(LinkIdentityError):
        give(other, give(one, bytes(servers)))


@pytest.mark.parametrize(
    ("one", "other", "cause"),
    [
        (local_end(ALICE, versions=(0,)), local_end(BOB), "version_mismatch"),
        (local_end(ALICE), local_end(BOB, versions=(2, 3)), "version_mismatch"),
        (local_end(ALICE, versions=()), local_end(BOB), "version_mismatch"),
        (local_end(ALICE, network="elsewhere"), local_end(BOB), "network_mismatch"),
    ],
    ids=["old client", "new server", "no version", "other network"],
)
def test_a_client_notices_what_does_not_fit(one: LocalEnd, other: LocalEnd, cause: str) -> None:
    handshake = Handshake(Role.CLIENT, one, server_certificate=certificate_of(BOB))
    peer = Handshake(Role.SERVER, other, nonce=NONCE)
    with pytest.raises(RemoteFault) as caught:
        hello_of_client(handshake, peer)
    assert caught.value.cause == cause


@pytest.mark.parametrize(
    ("end", "cause"),
    [
        (local_end(ALICE, versions=(0,)), "version_mismatch"),
        (local_end(ALICE, network="elsewhere"), "network_mismatch"),
    ],
    ids=["old version", "other network"],
)
def test_a_server_notices_what_does_not_fit(end: LocalEnd, cause: str) -> None:
    unsigned = encode_unsigned_client_hello(end)
    other = server()
    other.start()
    with pytest.raises(RemoteFault) as caught:
        give(other, encode_frame(FrameType.HELLO, unsigned + bytes(64)))
    assert caught.value.cause == cause


@pytest.mark.parametrize("kind", [kind for kind in FrameType if kind is not FrameType.HELLO])
def test_no_frame_but_a_hello_is_looked_at_before_the_proof(kind: FrameType) -> None:
    other = server()
    other.start()
    with pytest.raises(RemoteFault) as caught:
        give(other, encode_frame(kind, bytes(8)))
    assert caught.value.cause == "hello_expected"
    assert other.state is HandshakeState.FAILED


def test_a_hello_over_the_limit_is_refused_from_its_header() -> None:
    other = server()
    other.start()
    with pytest.raises(RemoteFault) as caught:
        give(other, b"\0" + (MAX_HELLO_BYTES + 1).to_bytes(4))
    assert caught.value.cause == "frame_oversize"


def test_what_follows_the_proof_is_left_in_the_decoder() -> None:
    one, other = client(), server()
    decoder = FrameDecoder()
    decoder.push(hello_of_client(one, other) + SEED)
    other.receive(decoder)
    assert decoder.pop() == (FrameType.SEED, bytes(32))


def test_a_client_ignores_later_fields_of_a_server_and_signs_them() -> None:
    proofs: list[bytes] = []
    for later in (b"", b"later"):
        one, other = client(), server()
        one.start()
        greeting = other.start()[5:] + later
        proofs.append(give(one, encode_frame(FrameType.HELLO, greeting)))
        assert terms_of(one).peer_id == BOB.peer_id
    assert proofs[0] != proofs[1]


def test_a_server_ignores_later_fields_of_a_client() -> None:
    hello = decode_client_hello(encode_unsigned_client_hello(local_end(ALICE)) + b"later" + bytes(64))
    assert (hello.public_key, hello.signature) == (ALICE.public_key, bytes(64))


def test_admission_is_asked_at_the_client_before_anything_is_sent() -> None:
    def refuse(peer_id: PeerId) -> None:
        assert peer_id == BOB.peer_id
        raise LinkRefusedError(GoodbyeReason.DUPLICATE, "a link to it stands")

    one = Handshake(Role.CLIENT, local_end(ALICE), server_certificate=certificate_of(BOB), admit=refuse)
    with pytest.raises(LinkRefusedError):
        one.start()


def test_admission_is_asked_at_the_server_after_the_proof_only() -> None:
    asked: list[PeerId] = []
    other = Handshake(Role.SERVER, local_end(BOB), nonce=NONCE, admit=asked.append)
    hello = bytearray(hello_of_client(client(), other))
    hello[-1] ^= 1
    with pytest.raises(LinkIdentityError):
        give(other, bytes(hello))
    assert asked == []


def test_every_state_and_role_has_its_place_in_the_table() -> None:
    assert set(TRANSITIONS) == set(HandshakeState)
    for following in TRANSITIONS.values():
        assert {sender for sender, _ in following} <= set(Role)


@given(payload=st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_garbage_is_a_fault_or_a_hello(payload: bytes) -> None:
    for decode in (decode_client_hello, decode_server_hello):
        try:
            decode(payload)
        except RemoteFault as exc:
            assert exc.cause == "hello_malformed"


# The same over TLS


class Wire:
    """Two openings joined in memory; ``tap`` may change what flows to the server."""

    def __init__(
        self,
        dialling: LocalEnd,
        listening: LocalEnd,
        *,
        expected: PeerId | None = None,
        admit: Callable[[PeerId], None] = lambda _: None,
    ) -> None:
        self.client_tls = TlsChannel(client_context(), is_server=False)
        self.server_tls = TlsChannel(server_context(listening.identity), is_server=True)
        self.decoders = FrameDecoder(), FrameDecoder()
        self.client = Opening(
            Role.CLIENT, dialling, self.client_tls, self.decoders[0], expected=expected, admit=lambda _: None
        )
        self.server = Opening(
            Role.SERVER, listening, self.server_tls, self.decoders[1], expected=None, admit=admit
        )
        self.up = [False, False]

    def run(self) -> None:
        self.client_tls.start()
        for _ in range(8):
            to_server = self.client_tls.outgoing()
            if to_server:
                self.up[1] = self.server.receive(self.server_tls.receive(to_server))
                if self.up[1]:
                    self.server_tls.send(SEED)
            to_client = self.server_tls.outgoing()
            if to_client:
                self.up[0] = self.client.receive(self.client_tls.receive(to_client))
            if not to_server and not to_client:
                return


def test_a_link_opens_over_tls() -> None:
    wire = Wire(local_end(ALICE), local_end(BOB), expected=BOB.peer_id)
    wire.run()
    assert wire.up == [True, True]
    assert (wire.client.peer_id, wire.server.peer_id) == (BOB.peer_id, ALICE.peer_id)


def test_tls_is_1_3_with_our_protocol_and_no_ticket() -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context().wrap_bio(incoming, outgoing)
    server_tls = TlsChannel(server_context(BOB), is_server=True)
    while not server_tls.is_established:
        with suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        server_tls.receive(outgoing.read())
        incoming.write(server_tls.outgoing())
    with pytest.raises(ssl.SSLWantReadError):
        tls.read()  # where a ticket would be taken
    assert (tls.version(), tls.selected_alpn_protocol()) == ("TLSv1.3", "qudag-link/1")
    assert tls.session is None or not tls.session.has_ticket


def test_a_refusal_reaches_the_client_with_its_reason() -> None:
    def refuse(_: PeerId) -> None:
        raise LinkRefusedError(GoodbyeReason.FULL, "8 of 8 links")

    wire = Wire(local_end(ALICE), local_end(BOB), admit=refuse)
    with pytest.raises(LinkRefusedError) as caught:
        wire.run()
    wire.server.refuse(caught.value)
    with pytest.raises(LinkRefusedError, match=r"the peer declined: full \(8 of 8 links\)") as told:
        wire.client.receive(wire.client_tls.receive(wire.server_tls.outgoing()))
    assert (told.value.is_ours, told.value.reason) == (False, GoodbyeReason.FULL)


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\n\r\n", bytes(64), b"\x16\x03\x01\x00\x05hello", b"\xff" * 4096],
    ids=["http", "zeros", "almost tls", "ones"],
)
def test_garbage_instead_of_tls_is_the_peers_fault(garbage: bytes) -> None:
    tls = TlsChannel(server_context(BOB), is_server=True)
    tls.start()
    with pytest.raises(RemoteFault) as caught:
        tls.receive(garbage)
    assert cause_of(caught.value) == "tls"


def test_another_protocol_over_tls_is_refused() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing)
    server_tls = TlsChannel(server_context(BOB), is_server=True)
    with pytest.raises(RemoteFault, match="does not speak qudag-link/1"):
        for _ in range(3):
            with suppress(ssl.SSLWantReadError):
                tls.do_handshake()
            server_tls.receive(outgoing.read())
            incoming.write(server_tls.outgoing())


def test_an_older_tls_is_refused() -> None:
    context = client_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    old = TlsChannel(context, is_server=False)
    old.start()
    with pytest.raises(RemoteFault):
        TlsChannel(server_context(BOB), is_server=True).receive(old.outgoing())


def test_a_man_in_the_middle_with_tls_on_both_sides_fails_at_the_server() -> None:
    # Alice dials an address without knowing who is there; Mallory answers, and relays everything to Bob.
    mallory_to_bob = TlsChannel(client_context(), is_server=False)
    bob_tls = TlsChannel(server_context(BOB), is_server=True)
    bob = Opening(Role.SERVER, local_end(BOB), bob_tls, FrameDecoder(), expected=None, admit=lambda _: None)
    mallory_to_alice = TlsChannel(server_context(MALLORY), is_server=True)
    alice_tls = TlsChannel(client_context(), is_server=False)
    alice = Opening(
        Role.CLIENT, local_end(ALICE), alice_tls, FrameDecoder(), expected=None, admit=lambda _: None
    )
    alice_tls.start()
    mallory_to_bob.start()
    with pytest.raises(LinkIdentityError) as caught:
        for _ in range(8):
            from_alice = mallory_to_alice.receive(alice_tls.outgoing())
            if from_alice:
                mallory_to_bob.send(from_alice)
            bob.receive(bob_tls.receive(mallory_to_bob.outgoing()))
            from_bob = mallory_to_bob.receive(bob_tls.outgoing())
            if from_bob:
                mallory_to_alice.send(from_bob)
            alice.receive(alice_tls.receive(mallory_to_alice.outgoing()))
    assert caught.value.cause == "proof_invalid"
    assert alice.peer_id == MALLORY.peer_id
