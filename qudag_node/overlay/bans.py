"""Who is not welcome: peers by PeerId and machines by IP address, for a time or for good, over restarts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qudag_node.errors import DataDirectoryError, PeerRefusedError
from qudag_node.overlay.storage import JsonValue, read_json, write_json
from qudag_node.overlay.text import clean_text
from qudag_node.peerid import PeerId, public_key_of

__all__ = ["BAN_FILE_NAME", "Ban", "Bans"]

BAN_FILE_NAME = "bans.json"

_SCHEMA = "qudag.bans/1"
_MAX_BANS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ban:
    """One ban.

    Attributes:
        subject: A PeerId or an IP address.
        until_unix_s: When it ends; None for never.
        name: What a banned peer called itself, so that it is found by that after a restart; clean.
        address: HOST:PORT where a banned peer was known to be, empty where that is not known.
    """

    subject: str
    until_unix_s: float | None
    reason: str
    name: str = ""
    address: str = ""

    @property
    def peer_id(self) -> PeerId | None:
        """Who is banned, None for an IP address."""
        try:
            public_key_of(self.subject)
        except ValueError:
            return None
        return PeerId(self.subject)


class Bans:
    """The bans of one node, kept in ``DIR/bans.json``. Times are wall time: they outlive the process."""

    def __init__(self, path: Path | None) -> None:
        """Read the file, if there is one; without a path nothing is kept.

        Raises:
            DataDirectoryError: It is not what was written.
        """
        self._path = path
        self._ban_by_subject: dict[str, Ban] = {}
        if path is not None:
            self._ban_by_subject = {ban.subject: ban for ban in _from_json(path, read_json(path))}

    def __len__(self) -> int:
        return len(self._ban_by_subject)

    def find(self, subject: str, now_unix_s: float) -> Ban | None:
        """Return the ban of a PeerId or IP address that holds now."""
        ban = self._ban_by_subject.get(subject)
        if ban is None or (ban.until_unix_s is not None and ban.until_unix_s <= now_unix_s):
            return None
        return ban

    def active(self, now_unix_s: float) -> list[Ban]:
        """Return every ban that holds now."""
        return [ban for ban in self._ban_by_subject.values() if self.find(ban.subject, now_unix_s)]

    def ban(
        self,
        subject: str,
        reason: str,
        *,
        now_unix_s: float,
        duration_s: float | None = None,
        name: str = "",
        address: str = "",
    ) -> Ban:
        """Ban, or replace a ban; ``save`` makes it last.

        Raises:
            PeerRefusedError: So many are banned already that no more are remembered.
        """
        self._expire(now_unix_s)
        if subject not in self._ban_by_subject and len(self._ban_by_subject) >= _MAX_BANS:
            raise PeerRefusedError(f"{_MAX_BANS} bans are the limit; lift one first")
        until_unix_s = None if duration_s is None else now_unix_s + duration_s
        before = self._ban_by_subject.get(subject)
        if before is not None:
            name, address = name or before.name, address or before.address
        ban = Ban(
            subject=subject,
            until_unix_s=until_unix_s,
            reason=reason,
            name=clean_text(name),
            address=address,
        )
        self._ban_by_subject[subject] = ban
        return ban

    def unban(self, subject: str, *, now_unix_s: float) -> bool:
        """Lift a ban; return whether there was one. ``save`` makes it last."""
        self._expire(now_unix_s)
        return self._ban_by_subject.pop(subject, None) is not None

    def save(self) -> None:
        """Write the file.

        Raises:
            DataDirectoryError: It cannot be written; what was changed holds until the node stops.
        """
        if self._path is None:
            return
        bans: list[JsonValue] = [
            {
                "subject": ban.subject,
                "name": ban.name,
                "address": ban.address,
                "until_unix_s": ban.until_unix_s,
                "reason": ban.reason,
            }
            for ban in self._ban_by_subject.values()
        ]
        try:
            write_json(self._path, {"schema": _SCHEMA, "bans": bans})
        except DataDirectoryError as exc:
            raise DataDirectoryError(f"{exc}; the change holds until the node stops") from exc

    def _expire(self, now_unix_s: float) -> None:
        self._ban_by_subject = {ban.subject: ban for ban in self.active(now_unix_s)}


def _from_json(path: Path, document: JsonValue) -> list[Ban]:
    match document:
        case None:
            return []
        case {"schema": str(schema), "bans": list(entries)} if schema == _SCHEMA:
            return [_ban_of(path, entry) for entry in entries]
        case _:
            raise DataDirectoryError(f"{path}: is not a list of bans; repair or remove it")


def _ban_of(path: Path, entry: JsonValue) -> Ban:
    match entry:
        case {
            "subject": str(subject),
            "until_unix_s": None | float() | int() as until,
            "reason": str(reason),
            **more,
        }:
            return Ban(
                subject=subject,
                until_unix_s=until,
                reason=reason,
                name=clean_text(str(more.get("name", ""))),
                address=clean_text(str(more.get("address", ""))),
            )
        case _:
            raise DataDirectoryError(f"{path}: {entry!r} is not a ban; repair or remove the file")
