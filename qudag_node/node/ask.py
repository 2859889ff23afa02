"""Asking the running node of a data directory over its socket, for the node's own commands. Blocking."""

from __future__ import annotations

import socket
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from qudag_node.node.reader import wait_while_read
from qudag_node.wire.errors import RemoteProtocolError
from qudag_node.wire.paths import socket_path
from qudag_node.wire.session import ClientSession, Event, Failed, Notified, Reply

__all__ = ["RunningNode", "running_node"]

_ANSWER_TIMEOUT_S = 3.0


class RunningNode:
    """One session with a node."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._session = ClientSession("qudag")
        channel.sendall(self._session.start())

    def call(self, method: str, params: Mapping[str, object] | None = None) -> Mapping[str, object]:
        """Return the answer to a call.

        Raises:
            RpcError: The node refused.
            OSError, WireError: It does not answer, or not as it should.
        """
        id_, data = self._session.call(method, params)
        self._channel.sendall(data)
        for event in self._events():
            match event:
                case Reply(reply_id, result) if reply_id == id_:
                    return cast("Mapping[str, object]", result)
                case Failed(_, error):
                    raise error
                case _:
                    continue
        raise RemoteProtocolError("the node closed the connection")

    def log_lines(self) -> Iterator[str]:
        """Yield the lines of the node's log from now on, until it ends.

        Raises:
            BrokenPipeError: Nobody reads stdout any more.
            OSError, WireError: As ``call``.
        """
        self.call("subscribe", {"topic": "log", "interval_s": 0.2})
        for event in self._events(is_read=True):
            if isinstance(event, Notified) and event.method == "log":
                yield from cast("list[str]", event.params["lines"])

    def _events(self, *, is_read: bool = False) -> Iterator[Event]:
        """Yield what comes; ``is_read``: however long it takes, while somebody reads stdout."""
        while True:
            if is_read:
                wait_while_read(None, self._channel.fileno())
            data = self._channel.recv(65_536)
            if not data:
                return
            yield from self._session.receive(data)


@contextmanager
def running_node(directory: Path, environ: Mapping[str, str]) -> Generator[RunningNode]:
    """A session with the node that runs on a data directory.

    Raises:
        OSError: None does, or it may not be asked.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.settimeout(_ANSWER_TIMEOUT_S)
        channel.connect(socket_path(directory, environ))
        yield RunningNode(channel)
