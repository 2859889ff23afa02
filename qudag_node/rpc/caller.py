"""Who calls, as far as a method may know."""

from __future__ import annotations

from typing import Protocol

from qudag_node.wire.methods import Role

__all__ = ["Caller"]


class Caller(Protocol):
    """The session that a call came on."""

    @property
    def role(self) -> Role:
        """The role that was granted to it."""
        ...

    @property
    def label(self) -> str:
        """How the log names it: transport, address, user or token."""
        ...

    def subscribe(self, topic: str, interval_s: float) -> int:
        """Join a stream; its first frame follows the answer of this call. Return its number.

        Raises:
            RpcError: Too many subscriptions.
        """
        ...

    def unsubscribe(self, stream: int) -> bool:
        """Leave a stream; tell whether it was joined."""
        ...
