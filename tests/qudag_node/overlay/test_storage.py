"""Small files, written whole or not at all; bans and pins in them."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from qudag_node.errors import DataDirectoryError, PeerRefusedError
from qudag_node.overlay.aliases import Aliases
from qudag_node.overlay.bans import Bans
from qudag_node.overlay.endpoints import Endpoint
from qudag_node.overlay.pins import Pins
from qudag_node.overlay.storage import JsonValue, read_json, replace_file, write_json
from qudag_node.peerid import peer_id_of

PEER, OTHER = peer_id_of(bytes([1]) * 32), peer_id_of(bytes([2]) * 32)
HERE = Endpoint("192.0.2.1", 8000)


def test_a_file_is_replaced_privately_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_json(path, {"a": 1})
    write_json(path, {"a": 2})
    assert read_json(path) == {"a": 2}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.json"]


def test_a_file_that_cannot_be_written_keeps_its_old_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.mkdir()
    (path / "inside").write_text("old")
    with pytest.raises(DataDirectoryError, match="cannot be written"):
        replace_file(path, b"new")
    assert (path / "inside").read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataDirectoryError, match="cannot be written") as caught:
        replace_file(Path("/dev/full/x"), b"data")
    assert "\n" not in str(caught.value)


def test_bans_are_kept_and_end_at_their_time(tmp_path: Path) -> None:
    path = tmp_path / "bans.json"
    bans = Bans(path)
    bans.ban(PEER, "rude", now_unix_s=100.0, duration_s=50.0)
    bans.ban("192.0.2.1", "", now_unix_s=100.0)
    bans.save()
    again = Bans(path)
    assert [ban.subject for ban in again.active(149.0)] == [PEER, "192.0.2.1"]
    assert again.find(PEER, 150.0) is None
    assert again.find("192.0.2.1", 1e12) is not None
    assert not again.unban(PEER, now_unix_s=151.0)
    assert again.unban("192.0.2.1", now_unix_s=151.0)
    again.save()
    assert len(Bans(path)) == 0


def test_so_many_bans_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "bans.json"
    many: list[JsonValue] = [
        {"subject": f"2001:db8::{number:x}", "until_unix_s": None, "reason": ""} for number in range(10_000)
    ]
    write_json(path, {"schema": "qudag.bans/1", "bans": many})
    bans = Bans(path)
    with pytest.raises(PeerRefusedError, match="10000 bans are the limit"):
        bans.ban("one more", "", now_unix_s=0.0)
    bans.ban("2001:db8::1", "again", now_unix_s=0.0)


def test_the_first_pin_stays_until_it_is_taken_out(tmp_path: Path) -> None:
    path = tmp_path / "known_peers"
    pins = Pins(path)
    assert pins.pin(HERE, PEER)
    assert not pins.pin(HERE, OTHER)
    assert Pins(path).find(HERE) == PEER
    assert pins.unpin(HERE)
    assert not pins.unpin(HERE)
    assert Pins(path).find(HERE) is None


def test_a_person_may_write_pins_with_comments(tmp_path: Path) -> None:
    path = tmp_path / "known_peers"
    path.write_text(f"# ours\n\n[::1]:8000 {PEER}\n")
    assert Pins(path).find(Endpoint("::1", 8000)) == PEER


@pytest.mark.parametrize("line", ["x", "192.0.2.1:8000", f"192.0.2.1 {PEER}", "192.0.2.1:1 nobody", "a b c"])
def test_a_line_that_is_no_pin_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "known_peers"
    path.write_text(f"192.0.2.1:8000 {PEER}\n{line}\n")
    with pytest.raises(DataDirectoryError, match="line 2 is not HOST:PORT PEERID"):
        Pins(path)


def test_an_alias_is_one_peers_only(tmp_path: Path) -> None:
    aliases = Aliases(tmp_path / "aliases.json")
    aliases.set(PEER, "bob")
    with pytest.raises(PeerRefusedError, match="already"):
        aliases.set(OTHER, "bob")
    aliases.set(PEER, "robert")
    aliases.set(OTHER, "bob")
    assert dict(Aliases(tmp_path / "aliases.json").items()) == {PEER: "robert", OTHER: "bob"}
    aliases.set(PEER, "")
    assert aliases.find(PEER) == ""
