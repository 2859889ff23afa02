"""Whoever reads what a command prints: who follows something ends with them, not at its next line."""

from __future__ import annotations

import select
import sys

__all__ = ["wait_while_read"]


def wait_while_read(timeout_s: float | None, channel: int | None = None) -> None:
    """Wait for the time to pass, or for something to read from ``channel``.

    Args:
        timeout_s: None is for ever.
        channel: The descriptor of a socket.

    Raises:
        BrokenPipeError: Nobody reads stdout any more.
    """
    poll = select.poll()
    output = sys.stdout.fileno()
    # Without an event: an end that was closed is told always.
    poll.register(output, 0)
    if channel is not None:
        poll.register(channel, select.POLLIN)
    for descriptor, events in poll.poll(None if timeout_s is None else timeout_s * 1000):
        if descriptor == output and events & (select.POLLERR | select.POLLHUP):
            raise BrokenPipeError
