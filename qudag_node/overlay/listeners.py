"""The sockets that links are accepted on: bound first, served together, closed together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from qudag_node.errors import PortInUseError
from qudag_node.overlay.endpoints import Endpoint

__all__ = ["Listeners"]

_BACKLOG = 512


class Listeners:
    """The listening sockets of one node."""

    def __init__(self) -> None:
        self._servers: list[asyncio.Server] = []

    @property
    def endpoints(self) -> list[Endpoint]:
        """Where they are, with the ports that were free where 0 was asked for."""
        sockets = [sock for server in self._servers for sock in server.sockets]
        return [Endpoint(*sock.getsockname()[:2]) for sock in sockets]

    async def bind(self, endpoint: Endpoint, protocol: Callable[[], asyncio.BaseProtocol]) -> None:
        """Take an address; nobody is accepted yet.

        Raises:
            PortInUseError: It is taken, or is not of this machine.
        """
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(
                protocol, endpoint.host, endpoint.port, start_serving=False, backlog=_BACKLOG
            )
        except (OSError, UnicodeError) as exc:  # the latter from a name that no resolver takes
            self.close()
            raise _cannot_listen(endpoint, exc) from exc
        self._servers.append(server)

    async def serve(self) -> None:
        """Accept from now on.

        Raises:
            PortInUseError: Another process, having bound the same port, was quicker to listen.
        """
        for server, endpoint in zip(self._servers, self.endpoints, strict=False):
            try:
                await server.start_serving()
            except OSError as exc:
                self.close()
                raise _cannot_listen(endpoint, exc) from exc

    def close(self) -> None:
        """Accept nobody any more."""
        for server in self._servers:
            server.close()


def _cannot_listen(endpoint: Endpoint, exc: Exception) -> PortInUseError:
    why = getattr(exc, "strerror", None) or exc
    return PortInUseError(f"{endpoint}: cannot listen there ({why}); choose another --listen")
