"""What a node does of its own accord (pings, probes, adverts, exchanges), and that it can be held.

A laboratory holds its nodes to compare what neighbours counted while nothing moves. Answers, forwarding and
what an operator asks for go on; nobody is taken for dead meanwhile.
"""

from __future__ import annotations

import asyncio

__all__ = ["Pace"]


class Pace:
    """Held or not. Made within a running event loop."""

    def __init__(self) -> None:
        self._goes_on = asyncio.Event()
        self._goes_on.set()

    @property
    def is_held(self) -> bool:
        """Whether nothing is to be sent unasked."""
        return not self._goes_on.is_set()

    def hold(self, *, held: bool) -> None:
        """Send nothing unasked from now on, or go on."""
        if held:
            self._goes_on.clear()
        else:
            self._goes_on.set()

    async def goes_on(self) -> None:
        """Wait until it is not held."""
        await self._goes_on.wait()
