"""Errors of the wire, and the codes a response may carry.

WireError
├── LocalProtocolError     we misused the session; our bug
├── RemoteProtocolError    the other side broke the protocol; close
├── AuthenticationError    the node could not prove itself, or we have no token to prove ourselves
└── RpcError               the node answered with an error; carries its code and what to do
"""

from __future__ import annotations

from enum import StrEnum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AuthenticationError",
    "ErrorCode",
    "LocalProtocolError",
    "RemoteProtocolError",
    "RpcError",
    "WireError",
]


class ErrorCode(StrEnum):
    """What an error response means for the caller."""

    #: The parameters are wrong; the same call will fail again.
    BAD_REQUEST = "bad_request"
    #: The node has no such method.
    UNKNOWN_METHOD = "unknown_method"
    #: The proof is wrong, or nothing was proven yet. The node closes the connection.
    UNAUTHENTICATED = "unauthenticated"
    #: The role granted to this session does not allow the call.
    FORBIDDEN = "forbidden"
    #: No such peer, stream, token or series.
    NOT_FOUND = "not_found"
    #: A name fits several peers; the hint lists them.
    AMBIGUOUS = "ambiguous"
    #: Too many calls, or too many failed proofs; wait.
    RATE_LIMITED = "rate_limited"
    #: The peer, or one of the node's limits, said no.
    DECLINED = "declined"
    #: The node cannot do it now; the same call may succeed later.
    BUSY = "busy"
    #: No version of the protocol is common to both.
    UNSUPPORTED_VERSION = "unsupported_version"
    #: It would contradict what is there, for instance a name already taken.
    CONFLICT = "conflict"
    #: The node failed; its log says why.
    INTERNAL = "internal"


class WireError(Exception):
    """Root of what the wire raises. ``str()`` is one line."""


class LocalProtocolError(WireError):
    """We misused the session, for instance called before it was ready: our bug."""


class RemoteProtocolError(WireError):
    """The other side broke the protocol. Nothing it sends can be trusted any more: close."""


class AuthenticationError(WireError):
    """The node's proof or identity is wrong, or there is no token to answer its challenge with."""


class RpcError(WireError):
    """An error response.

    Attributes:
        code: What it means for the caller.
        message: One line: what went wrong.
        hint: What to do about it, or empty.
    """

    def __init__(self, code: ErrorCode, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    def to_wire(self) -> dict[str, object]:
        """Return the error map of a response."""
        error: dict[str, object] = {"code": self.code.value, "message": self.message}
        if self.hint:
            error["hint"] = self.hint
        return error

    @classmethod
    def from_wire(cls, error: Mapping[str, object]) -> RpcError:
        """Read the error map of a response; a code from a newer node reads as ``internal``.

        Raises:
            RemoteProtocolError: code or message is missing or is not text.
        """
        code, message, hint = error.get("code"), error.get("message"), error.get("hint", "")
        if not (isinstance(code, str) and isinstance(message, str) and isinstance(hint, str)):
            raise RemoteProtocolError("an error response must carry the texts code and message")
        try:
            known = ErrorCode(code)
        except ValueError:
            known = ErrorCode.INTERNAL
        return cls(known, message, hint)
