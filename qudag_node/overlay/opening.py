"""From a TCP connection to a link: TLS, the proof of identity, the server's acceptance. Sans-IO.

client                                    server
  ⇄  TLS 1.3, the server's certificate  ⇄
  ←  HELLO
     (recognises the server or leaves)
  →  HELLO with the proof
                                          (verifies, admits or refuses)
  ←  SEED, or GOODBYE with the reason
"""

from __future__ import annotations

import os
from collections.abc import Callable

from qudag_node.overlay.faults import LinkRefusedError
from qudag_node.overlay.frames import (
    Frame,
    FrameDecoder,
    FrameType,
    Goodbye,
    RemoteFault,
    decode_goodbye,
    encode_goodbye,
)
from qudag_node.overlay.handshake import Handshake, HandshakeState, LinkTerms, Role
from qudag_node.overlay.hello import NONCE_BYTES, LocalEnd
from qudag_node.overlay.text import clean_text
from qudag_node.overlay.tls import TlsChannel
from qudag_node.peerid import PeerId

__all__ = ["Opening", "explain_goodbye"]


class Opening:
    """One end of a connection on its way to become a link.

    Args:
        role: Client if we dialled.
        me: What we say of ourselves.
        tls: Carries everything; what is to be sent is left in it.
        decoder: Cuts what it decrypts into frames; belongs to the link afterwards.
        expected: Who must be at the other end, None for anybody.
        admit: Asked once who the other end may be; see ``Handshake``.

    Attributes:
        terms: Who is at the other end; set from the proof on.
        first_frame: At the client, the SEED that said it was accepted.
    """

    def __init__(
        self,
        role: Role,
        me: LocalEnd,
        tls: TlsChannel,
        decoder: FrameDecoder,
        *,
        expected: PeerId | None,
        admit: Callable[[PeerId], None],
    ) -> None:
        self._role = role
        self._me = me
        self._tls = tls
        self._decoder = decoder
        self._expected = expected
        self._admit = admit
        self._handshake: Handshake | None = None
        self.terms: LinkTerms | None = None
        self.first_frame: Frame | None = None

    @property
    def peer_id(self) -> PeerId | None:
        """Who the other end is: at a client once TLS stands, at a server once the proof is verified."""
        if self.terms is not None:
            return self.terms.peer_id
        if self._role is Role.SERVER or self._handshake is None:
            return None
        return self._handshake.server_id

    def receive(self, plain: bytes) -> bool:
        """Take what TLS has decrypted; return whether messages may flow.

        Raises:
            PeerError: The link will not be: a ``RemoteFault``, ``LinkIdentityError`` or ``LinkRefusedError``.
        """
        if not self._tls.is_established:
            return False
        self._decoder.push(plain)
        if self._handshake is None:
            self._handshake = self._new_handshake()
            self._send(self._handshake.start())
        if self.terms is None:
            self._send(self._handshake.receive(self._decoder))
            self.terms = self._handshake.terms
        if self.terms is None or self._handshake.state is not HandshakeState.PROVEN:
            return False
        return self._role is Role.SERVER or self._is_accepted()

    def refuse(self, refusal: LinkRefusedError) -> None:
        """Tell a client why it is not accepted; it has proven itself, or is told nothing."""
        if self._role is Role.SERVER and self._tls.is_established:
            self._send(encode_goodbye(Goodbye(refusal.reason, str(refusal))))

    def _new_handshake(self) -> Handshake:
        is_server = self._role is Role.SERVER
        return Handshake(
            self._role,
            self._me,
            nonce=os.urandom(NONCE_BYTES) if is_server else b"",
            server_certificate=None if is_server else self._tls.peer_certificate,
            expected=self._expected,
            admit=self._admit,
        )

    def _is_accepted(self) -> bool:
        frame = self._decoder.pop()
        if frame is None:
            return False
        kind, payload = frame
        if kind is FrameType.GOODBYE:
            goodbye = decode_goodbye(payload)
            raise LinkRefusedError(
                goodbye.reason, f"the peer declined: {explain_goodbye(goodbye)}", is_ours=False
            )
        if kind is not FrameType.SEED:
            raise RemoteFault("seed_expected", f"a {kind.name.lower()} frame before the seed")
        self.first_frame = frame
        return True

    def _send(self, data: bytes) -> None:
        if data and self._tls.can_send:
            self._tls.send(data)


def explain_goodbye(goodbye: Goodbye) -> str:
    """Return the reason in words, the peer's own text cleaned."""
    words = goodbye.reason.name.lower()
    return f"{words} ({clean_text(goodbye.text)})" if goodbye.text else words
