"""The one table of what can be called, who may, and since when; docs/wire-format.md describes each."""

from __future__ import annotations

from enum import StrEnum

from qudag_node.wire._values import value

__all__ = ["METHODS", "NOTIFICATIONS", "VERSIONS", "Method", "Role"]

VERSIONS = (1,)
"""The versions of the protocol that this code speaks."""


class Role(StrEnum):
    """What a session may do; each role includes the ones before it."""

    #: Read.
    VIEWER = "viewer"
    #: Run tests and submit payloads.
    OPERATOR = "operator"
    #: Peers, tokens, configuration, stop.
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """Tell whether this role may do what the other may."""
        return _RANK[self] >= _RANK[other]


_RANK = {role: rank for rank, role in enumerate(Role)}


@value
class Method:
    """A method.

    Attributes:
        role: The least role that may call it; None: anybody, before a role is granted.
        since: The version of the protocol that brought it.
    """

    role: Role | None
    since: int = 1


METHODS: dict[str, Method] = {
    "hello": Method(None),
    "authenticate": Method(None),
    **dict.fromkeys(
        [
            "stats",
            "peers",
            "peer",
            "connections",
            "topology",
            "history",
            "log",
            "events",
            "status",
            "config",
            "subscribe",
            "unsubscribe",
            "test.list",
            "test.show",
            "test.plan",
            "test.subscribe",
        ],
        Method(Role.VIEWER),
    ),
    "submit": Method(Role.OPERATOR),
    "test.start": Method(Role.OPERATOR),
    "test.cancel": Method(Role.OPERATOR),
    **dict.fromkeys(
        [
            "peer.add",
            "peer.remove",
            "peer.ban",
            "peer.unban",
            "peer.alias",
            "token.list",
            "token.add",
            "token.revoke",
            "shutdown",
            "lab.hold",
        ],
        Method(Role.ADMIN),
    ),
}
"""Every method by name."""

NOTIFICATIONS: dict[str, int] = {
    "stats.full": 1,
    "stats.delta": 1,
    "events": 1,
    "log": 1,
    "test": 1,
    "closing": 1,
}
"""Every notification by name, and since which version."""
