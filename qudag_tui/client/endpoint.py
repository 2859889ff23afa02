"""Where a node is reached, and what proves us to it."""

from __future__ import annotations

import os

from qudag_node.wire import AuthenticationError, UnixAddress, read_token
from qudag_tui.errors import RefusedError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from qudag_node.wire import NodeAddress

__all__ = ["Endpoint"]

# 64 digits and a newline; a larger file is something else.
MAX_TOKEN_FILE_BYTES = 4096


class Endpoint:
    """A node's address and the places where our token may lie.

    Attributes:
        address: Where.
        where: The address as text, for messages.
        token_file: The file that was named for it; it must exist. None: the first of ``cookies``.
        cookies: Files that a node on this host writes at its start.
    """

    __slots__ = ("address", "cookies", "token_file", "where")

    def __init__(
        self, address: NodeAddress, *, token_file: str | None = None, cookies: Sequence[str] = ()
    ) -> None:
        self.address = address
        self.where = str(address)
        self.token_file = token_file
        self.cookies = tuple(cookies)

    def read_token(self) -> bytes | None:
        """Read the token, anew each time because a node writes another at each start.

        None on a Unix socket, and where there is none: what answers may not ask for it, or be no node.

        Raises:
            UsageError: The file that was named cannot be read.
            RefusedError: It holds no token.
        """
        if isinstance(self.address, UnixAddress):
            return None
        for path in (self.token_file,) if self.token_file else self.cookies:
            try:
                with open(path, "rb") as file:  # noqa: PTH123 — pathlib costs a command 5 ms
                    text = file.read(MAX_TOKEN_FILE_BYTES).decode("ascii", "replace")
            except FileNotFoundError:
                if self.token_file:
                    raise UsageError(
                        f"no token file {path}", "check --token-file or QUDAG_TOKEN_FILE"
                    ) from None
            except OSError as exc:
                raise UsageError(f"cannot read the token file {path}: {exc.strerror}") from exc
            else:
                return _token(path, text)
        return None

    def __repr__(self) -> str:
        return f"Endpoint({self.where})"


def _token(path: str, text: str) -> bytes:
    try:
        return read_token(text)
    except AuthenticationError as exc:
        raise RefusedError(f"{path} holds no token: {exc}", "`qudag token add` makes one") from exc


def expand(path: str) -> str:
    """The path with ``~`` replaced."""
    return os.path.expanduser(path)  # noqa: PTH111 — pathlib costs a command 5 ms
