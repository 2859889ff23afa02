"""Who was met at which address: the first identity found there is the one that must answer from then on.

``DIR/known_peers`` has one line for each address, as a person would write it: ``HOST:PORT PEERID``.
"""

from __future__ import annotations

from pathlib import Path

from qudag_node.errors import ConfigError, DataDirectoryError
from qudag_node.overlay.endpoints import Endpoint, parse_endpoint
from qudag_node.overlay.storage import replace_file
from qudag_node.peerid import PeerId, public_key_of

__all__ = ["PIN_FILE_NAME", "Pins"]

PIN_FILE_NAME = "known_peers"

_MAX_PINS = 10_000


class Pins:
    """The addresses an operator named without an identity, and who answered there first.

    Attributes:
        path: The file, None to keep the pins in memory.
    """

    def __init__(self, path: Path | None) -> None:
        """Read the file, if there is one.

        Raises:
            DataDirectoryError: It cannot be read, or a line of it is not a pin.
        """
        self.path = path
        self._peer_by_endpoint: dict[Endpoint, PeerId] = {} if path is None else _read(path)

    def __len__(self) -> int:
        return len(self._peer_by_endpoint)

    def find(self, endpoint: Endpoint) -> PeerId | None:
        """Return who must answer at an address, None when nobody was met there."""
        return self._peer_by_endpoint.get(endpoint)

    def pin(self, endpoint: Endpoint, peer_id: PeerId) -> bool:
        """Remember who was met first, and write the file; return whether that was news.

        Raises:
            DataDirectoryError: The file cannot be written; the pin holds until the node stops.
        """
        if endpoint in self._peer_by_endpoint or len(self._peer_by_endpoint) >= _MAX_PINS:
            return False
        self._peer_by_endpoint[endpoint] = peer_id
        self._save()
        return True

    def unpin(self, endpoint: Endpoint) -> bool:
        """Forget who was met there; the next one met is pinned."""
        if self._peer_by_endpoint.pop(endpoint, None) is None:
            return False
        self._save()
        return True

    def _save(self) -> None:
        if self.path is not None:
            lines = [f"{endpoint} {peer_id}\n" for endpoint, peer_id in self._peer_by_endpoint.items()]
            replace_file(self.path, "".join(lines).encode())


def _read(path: Path) -> dict[Endpoint, PeerId]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as exc:
        raise DataDirectoryError(f"{path}: cannot be read ({exc}); repair or remove it") from exc
    pins: dict[Endpoint, PeerId] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            address, peer_id = line.split()
            public_key_of(peer_id)
            pins[parse_endpoint(address)] = PeerId(peer_id)
        except (ValueError, ConfigError) as exc:
            raise DataDirectoryError(
                f"{path}: line {number} is not HOST:PORT PEERID; repair or remove it"
            ) from exc
    return pins
