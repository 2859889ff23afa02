"""Being started and stopped by others: systemd's notifications, and a parent whose end is ours."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Mapping

from qudag_node.errors import ConfigError

__all__ = ["notify_systemd", "watch_parent"]

_log = logging.getLogger(__name__)


def notify_systemd(state: str, environ: Mapping[str, str]) -> bool:
    """Send ``state`` (for instance ``READY=1``) to the service manager; False where there is none.

    Source: sd_notify(3).
    """
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    target = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.setblocking(False)
            channel.sendto(state.encode(), target)
    except OSError as exc:
        _log.warning("systemd does not take %s: %s", state.partition("=")[0], exc)
        return False
    return True


def watch_parent(descriptor: int, stop: Callable[[str], None]) -> None:
    """Call ``stop`` once the last writer of the pipe is gone, which SIGKILL of the parent brings about.

    Raises:
        ConfigError: It is not a descriptor of ours.
    """
    loop = asyncio.get_running_loop()
    try:
        os.set_inheritable(descriptor, False)
        os.set_blocking(descriptor, False)
    except OSError as exc:
        raise ConfigError("--lab-parent-fd", f"{descriptor}: {exc.strerror}") from exc

    def readable() -> None:
        try:
            ended = not os.read(descriptor, 4096)
        except BlockingIOError:
            return
        except OSError:
            ended = True
        if ended:
            loop.remove_reader(descriptor)
            stop("its parent is gone")

    loop.add_reader(descriptor, readable)
