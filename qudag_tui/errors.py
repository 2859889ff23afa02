"""Errors the windows raise, and the exit code each ends a program with.

QudagError                      1  a local failure
├── UsageError                  2  the command line is wrong, or names something unknown or ambiguous
│   └── ConfigError             2  a setting is missing, misspelt or out of range
├── UnreachableError            3  no node answers there
│   └── NodeTimeoutError        3  it did not answer in time
├── RefusedError                4  bad token, role, identity or rate limit; the peer declined
└── ProtocolError               5  what answered broke the protocol, or speaks no common version

``str(error)`` is one line: what, where, what to do. Nothing heavier than the standard library's
built-in modules is imported here, because every command pays for it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "EXIT_BROKEN_PIPE",
    "EXIT_INTERRUPTED",
    "EXIT_OK",
    "EXIT_TERMINATED",
    "ConfigError",
    "NodeTimeoutError",
    "ProtocolError",
    "QudagError",
    "RefusedError",
    "UnreachableError",
    "UsageError",
    "did_you_mean",
    "from_rpc_code",
]

EXIT_OK = 0
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141
EXIT_TERMINATED = 143


class QudagError(Exception):
    """Root of what the windows raise.

    Attributes:
        hint: What to do about it, or an empty string; ``str()`` ends with it.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def retell(self, message: str) -> None:
        """Say the same in other words."""
        self.message = message
        self.args = (message, *self.args[1:])

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UsageError(QudagError):
    """The command line is wrong, or names a peer, node, column or section that is unknown or ambiguous."""

    exit_code = 2


class ConfigError(UsageError):
    """A setting is missing, misspelt or out of range.

    Attributes:
        where: The file and key that is wrong.
    """

    def __init__(self, where: str, problem: str, hint: str = "") -> None:
        super().__init__(f"{where}: {problem}", hint)
        self.where = where


class UnreachableError(QudagError):
    """No node answers at this address."""

    exit_code = 3


class NodeTimeoutError(UnreachableError):
    """The node did not answer before the deadline."""


class RefusedError(QudagError):
    """The node declined: bad token, role, identity or rate limit; or we declined the node's identity."""

    exit_code = 4


class ProtocolError(QudagError):
    """What answered broke the protocol, or speaks no version that we do."""

    exit_code = 5


# An error response's code, as the wire spells it. What is absent here is a failure inside the node.
_BY_RPC_CODE: dict[str, type[QudagError]] = {
    "bad_request": UsageError,
    "not_found": UsageError,
    "ambiguous": UsageError,
    "unauthenticated": RefusedError,
    "forbidden": RefusedError,
    "rate_limited": RefusedError,
    "declined": RefusedError,
    "busy": RefusedError,
    "unknown_method": ProtocolError,
    "unsupported_version": ProtocolError,
}


def from_rpc_code(code: str, message: str, hint: str = "") -> QudagError:
    """The error for a node's error response, so that it ends with the documented exit code."""
    return _BY_RPC_CODE.get(code, QudagError)(message, hint)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint naming the nearest spelling, or the whole list when nothing is near and it is short."""
    from difflib import get_close_matches

    names = sorted(known)
    near = get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known: {', '.join(names)}" if 0 < len(names) <= 24 else ""
