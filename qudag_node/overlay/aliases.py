"""What our operator calls peers: kept in ``DIR/aliases.json``, one alias for each peer, each for one peer."""

from __future__ import annotations

import re
from pathlib import Path

from qudag_node.errors import DataDirectoryError, PeerRefusedError
from qudag_node.overlay.storage import JsonValue, read_json, write_json
from qudag_node.peerid import PeerId

__all__ = ["ALIASES_FILE_NAME", "Aliases"]

ALIASES_FILE_NAME = "aliases.json"

_SCHEMA = "qudag.aliases/1"
_MAX_ALIASES = 4096
_ALIAS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")


class Aliases:
    """The aliases by peer."""

    def __init__(self, path: Path | None) -> None:
        """Read the file, if there is one.

        Raises:
            DataDirectoryError: It is not what was written.
        """
        self._path = path
        self._alias_by_peer: dict[PeerId, str] = {} if path is None else _from_json(path, read_json(path))

    def items(self) -> list[tuple[PeerId, str]]:
        """Return every peer with its alias."""
        return list(self._alias_by_peer.items())

    def find(self, peer_id: PeerId) -> str:
        """Return a peer's alias, empty when it has none."""
        return self._alias_by_peer.get(peer_id, "")

    def set(self, peer_id: PeerId, alias: str) -> None:
        """Give a peer an alias, or take it away with an empty one, and write the file.

        Raises:
            PeerRefusedError: It is no name, another peer has it, or there are too many.
            DataDirectoryError: The file cannot be written; the alias holds until the node stops.
        """
        if alias and not _ALIAS.fullmatch(alias):
            raise PeerRefusedError(f"{alias!r} is not 1 to 63 letters, digits, '_', '-' or '.'")
        for other, taken in self._alias_by_peer.items():
            if alias and taken == alias and other != peer_id:
                raise PeerRefusedError(f"{alias!r} is the alias of {other} already")
        self._alias_by_peer.pop(peer_id, None)
        if alias:
            if len(self._alias_by_peer) >= _MAX_ALIASES:
                raise PeerRefusedError(f"{_MAX_ALIASES} aliases are the limit")
            self._alias_by_peer[peer_id] = alias
        if self._path is not None:
            aliases: dict[str, JsonValue] = {str(peer): given for peer, given in self._alias_by_peer.items()}
            write_json(self._path, {"schema": _SCHEMA, "aliases": aliases})


def _from_json(path: Path, document: JsonValue) -> dict[PeerId, str]:
    match document:
        case None:
            return {}
        case {"schema": str(schema), "aliases": dict(aliases)} if schema == _SCHEMA:
            return {PeerId(peer): str(alias) for peer, alias in aliases.items()}
        case _:
            raise DataDirectoryError(f"{path}: is not a list of aliases; repair or remove it")
