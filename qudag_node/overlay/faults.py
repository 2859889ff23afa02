"""Why a link was refused, failed or ended, each with the short name it is counted under.

The tree is that of ``qudag_node.errors``; the classes here add the cause that ``connections.errors`` counts.
"""

from __future__ import annotations

from qudag_node.errors import (
    PeerError,
    PeerIdentityError,
    PeerProtocolError,
    PeerRefusedError,
    PeerTimeoutError,
    PeerUnreachableError,
)
from qudag_node.overlay.frames import GoodbyeReason
from qudag_node.peerid import PeerId

__all__ = ["DuplicateLinkError", "LinkIdentityError", "LinkRefusedError", "SelfDialError", "cause_of"]


class LinkIdentityError(PeerIdentityError):
    """The other end is not who it should be, or could not prove who it is.

    Attributes:
        cause: ``identity_mismatch``, ``identity_changed``, ``proof_invalid`` or ``key_type``.
        found: Who it is, where that was proved.
    """

    def __init__(self, cause: str, detail: str, *, found: PeerId | None = None) -> None:
        super().__init__(detail)
        self.cause = cause
        self.found = found


class LinkRefusedError(PeerRefusedError):
    """A link that one side does not want, though nothing is wrong with it.

    Attributes:
        reason: What the refused side is told.
        is_ours: Whether this node refused, rather than the other end.
    """

    def __init__(self, reason: GoodbyeReason, detail: str, *, is_ours: bool = True) -> None:
        super().__init__(detail)
        self.reason = reason
        self.is_ours = is_ours
        self.cause = f"refused_{reason.name.lower()}"


class SelfDialError(LinkRefusedError):
    """What was dialled is this node."""

    def __init__(self) -> None:
        super().__init__(GoodbyeReason.OTHER, "this node has dialled itself")


class DuplicateLinkError(PeerRefusedError):
    """There is, or is about to be, another link to the peer that was dialled.

    Attributes:
        peer_id: Who answered.
    """

    cause = "duplicate"

    def __init__(self, peer_id: PeerId) -> None:
        super().__init__(f"another link to {peer_id} is kept")
        self.peer_id = peer_id


def cause_of(exc: BaseException) -> str:
    """Return the name an error is counted under."""
    cause = getattr(exc, "cause", None)
    if isinstance(cause, str):
        return cause
    match exc:
        case PeerTimeoutError():
            return "timeout"
        case PeerUnreachableError():
            return "unreachable"
        case PeerIdentityError():
            return "identity"
        case PeerProtocolError():
            return "protocol"
        case PeerRefusedError():
            return "refused"
        case PeerError():
            return "peer"
        case _:
            return type(exc).__name__
