"""How two ends of a TLS connection learn who the other is. Sans-IO: bytes in, bytes and one result out.

The server speaks first. TLS has already proven its key, which its certificate carries; the client, which
TLS lets stay anonymous, proves its own by a signature that holds for this server, this certificate and
this connection only.

The signature is Ed25519 over

    "qudag-link/1\\0" ‖ network ‖ client public key ‖ server PeerId ‖ SHA-256(server certificate)
        ‖ server nonce ‖ SHA-256(server hello ‖ client hello without the signature)

Both ends then speak the highest version that both named. Until the signature is verified the server
parses nothing else; what is behind it stays in the decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from types import MappingProxyType

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from qudag_node.overlay.faults import LinkIdentityError
from qudag_node.overlay.frames import FrameDecoder, FrameType, RemoteFault, encode_frame
from qudag_node.overlay.hello import (
    MAX_HELLO_BYTES,
    NONCE_BYTES,
    SIGNATURE_BYTES,
    ClientHello,
    LocalEnd,
    ServerHello,
    decode_client_hello,
    decode_server_hello,
    encode_server_hello,
    encode_unsigned_client_hello,
)
from qudag_node.peerid import PeerId, ed25519_key_of_certificate, peer_id_of

__all__ = [
    "TRANSITIONS",
    "Handshake",
    "HandshakeState",
    "LinkTerms",
    "Role",
]

_LABEL = b"qudag-link/1\0"


class Role(Enum):
    """Which end of the TCP connection one is."""

    #: It dialled.
    CLIENT = "client"
    #: It was dialled, and speaks first.
    SERVER = "server"


class HandshakeState(Enum):
    """What has been said so far, whoever said it."""

    #: Nothing.
    SILENT = "silent"
    #: The server's hello.
    GREETED = "greeted"
    #: The client's hello, its proof verified or, at the client, sent.
    PROVEN = "proven"
    #: Something that ends the connection.
    FAILED = "failed"


#: Who may say what in which state, and what follows.
TRANSITIONS: Mapping[
    HandshakeState, Mapping[tuple[Role, type[ServerHello | ClientHello]], HandshakeState]
] = MappingProxyType(
    {
        HandshakeState.SILENT: {(Role.SERVER, ServerHello): HandshakeState.GREETED},
        HandshakeState.GREETED: {(Role.CLIENT, ClientHello): HandshakeState.PROVEN},
        HandshakeState.PROVEN: {},
        HandshakeState.FAILED: {},
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkTerms:
    """Who is at the other end, and what was agreed.

    Attributes:
        listen: Where the peer accepts links, as it says; empty when unknown. Untrusted text, as ``agent``.
        sent_bytes: Size of the HELLO frame we sent.
        received_bytes: Size of the one we received.
    """

    peer_id: PeerId
    version: int
    agent: str
    listen: str
    sent_bytes: int
    received_bytes: int


class Handshake:
    """One end's view of one handshake.

    ``admit`` is asked once about the other end: at the client before anything is sent to it, at the server
    after its proof. It raises to refuse.

    Attributes:
        state: Where it stands.
        server_id: Who the server is; at the client None until ``start`` has seen the certificate.
        terms: The result, from ``PROVEN`` on.
    """

    def __init__(
        self,
        role: Role,
        me: LocalEnd,
        *,
        nonce: bytes = b"",
        server_certificate: bytes | None = None,
        expected: PeerId | None = None,
        admit: Callable[[PeerId], None] = lambda _: None,
    ) -> None:
        if role is Role.SERVER and len(nonce) != NONCE_BYTES:
            raise ValueError(f"a server's nonce has {NONCE_BYTES} bytes")
        self._role = role
        self._me = me
        self._nonce = nonce
        self._certificate = me.certificate if role is Role.SERVER else server_certificate
        self._expected = expected
        self._admit = admit
        self._server_hello = b""
        self.server_id = me.identity.peer_id if role is Role.SERVER else None
        self.state = HandshakeState.SILENT
        self.terms: LinkTerms | None = None

    def start(self) -> bytes:
        """Return what to send at once: the server's hello; a client sends nothing yet.

        At the client this is where the server is recognised, from its certificate.

        Raises:
            LinkIdentityError: The certificate's key is not Ed25519, or not the expected one.
            PeerRefusedError: ``admit`` refused.
        """
        try:
            if self._role is Role.SERVER:
                return self._greet()
            self._recognise_server()
        except Exception:  # whatever it was, this handshake is over
            self.state = HandshakeState.FAILED
            raise
        return b""

    def receive(self, decoder: FrameDecoder) -> bytes:
        """Take the one frame that is due, if it is complete; return what to send in answer.

        Raises:
            RemoteFault: Anything but a well-formed hello, another network, no common version.
            LinkIdentityError: The proof does not hold.
            PeerRefusedError: ``admit`` refused.
        """
        if self.state is HandshakeState.PROVEN:
            return b""
        try:
            payload = _next_hello(decoder)
            if payload is None:
                return b""
            if self._role is Role.SERVER:
                self._verify_client(payload)
                return b""
            return self._answer_server(payload)
        except Exception:  # the same
            self.state = HandshakeState.FAILED
            raise

    def _greet(self) -> bytes:
        me = self._me
        hello = ServerHello(versions=me.versions, agent=me.agent, network=me.network, nonce=self._nonce)
        self._server_hello = encode_server_hello(hello)
        self._advance(Role.SERVER, ServerHello)
        return encode_frame(FrameType.HELLO, self._server_hello)

    def _recognise_server(self) -> None:
        try:
            key = ed25519_key_of_certificate(self._certificate or b"")
        except ValueError as exc:
            raise LinkIdentityError("key_type", "its certificate carries no Ed25519 key") from exc
        peer_id = peer_id_of(key)
        if self._expected is not None and peer_id != self._expected:
            detail = f"expected {self._expected}, found {peer_id}"
            raise LinkIdentityError("identity_mismatch", detail, found=peer_id)
        self.server_id = peer_id
        self._admit(peer_id)

    def _answer_server(self, payload: bytes) -> bytes:
        server_id = self.server_id
        if server_id is None:
            raise ValueError("start comes before receive")
        hello = decode_server_hello(payload)
        self._require_network(hello.network)
        version = self._common_version(hello.versions)
        self._server_hello, self._nonce = payload, hello.nonce
        self._advance(Role.SERVER, ServerHello)
        me = self._me
        unsigned = encode_unsigned_client_hello(me)
        signature = me.identity.sign(self._transcript(me.identity.public_key, unsigned))
        frame = encode_frame(FrameType.HELLO, unsigned + signature)
        self._advance(Role.CLIENT, ClientHello)
        self._agree(server_id, version, hello.agent, "", len(frame), payload)
        return frame

    def _verify_client(self, payload: bytes) -> None:
        hello = decode_client_hello(payload)
        self._require_network(hello.network)
        version = self._common_version(hello.versions)
        transcript = self._transcript(hello.public_key, payload[:-SIGNATURE_BYTES])
        try:
            Ed25519PublicKey.from_public_bytes(hello.public_key).verify(hello.signature, transcript)
        except (InvalidSignature, ValueError) as exc:
            raise LinkIdentityError("proof_invalid", "its proof does not hold for this link") from exc
        peer_id = peer_id_of(hello.public_key)
        self._admit(peer_id)
        self._advance(Role.CLIENT, ClientHello)
        sent_bytes = len(encode_frame(FrameType.HELLO, self._server_hello))
        self._agree(peer_id, version, hello.agent, hello.listen, sent_bytes, payload)

    def _transcript(self, client_key: bytes, unsigned_client_hello: bytes) -> bytes:
        """Return what the client signs. Only the network's length varies, so it is unambiguous."""
        return b"".join(
            (
                _LABEL,
                self._me.network.encode(),
                client_key,
                (self.server_id or "").encode(),
                sha256(self._certificate or b"").digest(),
                self._nonce,
                sha256(self._server_hello + unsigned_client_hello).digest(),
            )
        )

    def _advance(self, sender: Role, hello: type[ServerHello | ClientHello]) -> None:
        following = TRANSITIONS[self.state].get((sender, hello))
        if following is None:
            raise RemoteFault("hello_expected", f"a {sender.value}'s hello when {self.state.value}")
        self.state = following

    def _agree(
        self, peer_id: PeerId, version: int, agent: str, listen: str, sent_bytes: int, received: bytes
    ) -> None:
        self.terms = LinkTerms(
            peer_id=peer_id,
            version=version,
            agent=agent,
            listen=listen,
            sent_bytes=sent_bytes,
            received_bytes=len(encode_frame(FrameType.HELLO, received)),
        )

    def _require_network(self, network: str) -> None:
        if network != self._me.network:
            raise RemoteFault(
                "network_mismatch", f"it is in network {network!r}, this node in {self._me.network!r}"
            )

    def _common_version(self, theirs: Sequence[int]) -> int:
        common = set(theirs) & set(self._me.versions)
        if not common:
            spoken, ours = (", ".join(map(str, versions)) for versions in (theirs, self._me.versions))
            raise RemoteFault("version_mismatch", f"it speaks link version {spoken}, this node {ours}")
        return max(common)


def _next_hello(decoder: FrameDecoder) -> bytes | None:
    decoder.max_payload_bytes = MAX_HELLO_BYTES
    frame = decoder.pop()
    if frame is None:
        return None
    kind, payload = frame
    if kind is not FrameType.HELLO:
        raise RemoteFault("hello_expected", f"a {kind.name.lower()} frame before the hello")
    return payload
