"""The key file: made once, private, checked when read."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from qudag_node.errors import DataDirectoryError, KeyFileError
from qudag_node.overlay.identity import KEY_FILE_NAME, Identity, load_identity, load_or_create_identity
from qudag_node.overlay.storage import create_exclusively


def test_the_first_start_makes_a_private_key_file_and_the_next_reads_it(tmp_path: Path) -> None:
    first = load_or_create_identity(tmp_path)
    path = tmp_path / KEY_FILE_NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_create_identity(tmp_path).peer_id == first.peer_id
    assert first.peer_id.startswith("12D3KooW")
    assert [entry.name for entry in tmp_path.iterdir()] == [KEY_FILE_NAME]


def test_a_signature_verifies_with_the_public_key() -> None:
    identity = Identity.generate()
    Ed25519PublicKey.from_public_bytes(identity.public_key).verify(
        identity.sign(b"label\0text"), b"label\0text"
    )


def test_a_private_key_never_shows_in_a_repr() -> None:
    identity = Identity.generate()
    assert repr(identity) == f"Identity({identity.peer_id})"


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o644, 0o666])
def test_a_key_that_others_may_read_is_refused_with_the_command_that_helps(tmp_path: Path, mode: int) -> None:
    load_or_create_identity(tmp_path)
    path = tmp_path / KEY_FILE_NAME
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"run: chmod 600 {path}$") as caught:
        load_or_create_identity(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: b"",
        lambda text: text[:40],
        lambda text: text.replace(b"qudag-identity/1", b"qudag-identity/9"),
        lambda text: text[:20] + (b"0" if text[20:21] != b"0" else b"1") + text[21:],
        lambda text: text[:-3] + b"xx\n",
        lambda text: b"\xff\xfe" + text,
        lambda text: text + text,
    ],
    ids=["empty", "cut", "format", "key", "peer id", "binary", "twice"],
)
def test_a_damaged_key_is_one_line_that_says_what_to_do(tmp_path: Path, change: object) -> None:
    load_or_create_identity(tmp_path)
    path = tmp_path / KEY_FILE_NAME
    path.write_bytes(change(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(KeyFileError, match="the key is damaged; restore it from a backup") as caught:
        load_or_create_identity(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_key_that_is_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE_NAME).mkdir()
    with pytest.raises(KeyFileError):
        load_or_create_identity(tmp_path)


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot be read"):
        load_identity(tmp_path / KEY_FILE_NAME)


def test_a_directory_that_is_missing_is_a_data_directory_error(tmp_path: Path) -> None:
    with pytest.raises(DataDirectoryError, match="cannot be written"):
        load_or_create_identity(tmp_path / "missing")


def test_a_key_that_appears_meanwhile_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / KEY_FILE_NAME
    path.write_bytes(b"somebody's")
    with pytest.raises(FileExistsError):
        create_exclusively(path, b"ours")
    assert path.read_bytes() == b"somebody's"
    assert [entry.name for entry in tmp_path.iterdir()] == [KEY_FILE_NAME]
