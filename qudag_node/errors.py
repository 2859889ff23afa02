"""Errors the node raises, and the exit code each ends a program with.

NodeError                       1  a local failure
├── ConfigError                 2  a setting is missing, misspelt or out of range
├── PortInUseError              1  an address to listen on is taken
├── DataDirectoryError          1  locked by another node, not writable, wrong permissions, disk full
├── KeyFileError                1  the identity's key file is damaged or readable by others
├── StoreError                  1  the store cannot be read or written
├── NotFoundError               2  no such peer, node or name
├── AmbiguousError              2  a name fits several; carries the candidates
└── PeerError                   –  one peer misbehaved or cannot be reached; the node carries on
    ├── PeerUnreachableError        it does not answer
    ├── PeerTimeoutError            it answered too late
    ├── PeerIdentityError           it is not who it should be
    ├── PeerProtocolError           it broke the protocol
    └── PeerRefusedError            it, or our own limits, declined
        └── DeclinedError           it takes no part in a network test; carries its reason
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "AmbiguousError",
    "ConfigError",
    "DataDirectoryError",
    "DeclinedError",
    "KeyFileError",
    "NodeError",
    "NotFoundError",
    "PeerError",
    "PeerIdentityError",
    "PeerProtocolError",
    "PeerRefusedError",
    "PeerTimeoutError",
    "PeerUnreachableError",
    "PortInUseError",
    "StoreError",
]


class NodeError(Exception):
    """Root of what the node raises. ``str()`` is one line: what, where, what to do."""

    exit_code = 1


class ConfigError(NodeError):
    """A setting is missing, misspelt or out of range.

    Attributes:
        where: The file and key, flag or variable that is wrong.
        problem: What is wrong with it.
    """

    exit_code = 2

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}")
        self.where = where
        self.problem = problem


class PortInUseError(NodeError):
    """An address to listen on is taken."""


class DataDirectoryError(NodeError):
    """The data directory is locked by another node, not writable, or its disk is full."""


class KeyFileError(NodeError):
    """The identity's key file is damaged, or others may read it."""


class StoreError(NodeError):
    """The store cannot be read or written: its disk is full or broken, or a newer program made it."""


class NotFoundError(NodeError):
    """No such peer, node or name."""

    exit_code = 2


class AmbiguousError(NodeError):
    """A name or prefix fits several peers.

    Attributes:
        candidates: What it fits.
    """

    exit_code = 2

    def __init__(self, name: str, candidates: Sequence[str]) -> None:
        super().__init__(f"{name!r} is ambiguous: {', '.join(candidates)}")
        self.candidates = tuple(candidates)


class PeerError(NodeError):
    """One peer misbehaved or cannot be reached; the node carries on."""


class PeerUnreachableError(PeerError):
    """The peer does not answer."""


class PeerTimeoutError(PeerError):
    """The peer answered too late, or not at all, after the connection stood."""


class PeerIdentityError(PeerError):
    """The peer is not who it should be."""


class PeerProtocolError(PeerError):
    """The peer broke the protocol."""


class PeerRefusedError(PeerError):
    """The peer, or one of our own limits, declined."""


class DeclinedError(PeerRefusedError):
    """A node takes no part in a network test.

    Attributes:
        reason: Why, in one line. A peer's words are cleaned already.
        is_passing: It would take part in a moment: it is busy, or was asked too fast.
    """

    def __init__(self, reason: str, *, is_passing: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_passing = is_passing
