"""A node's identity: one Ed25519 key in ``DIR/identity.key``, and the PeerId that is its public half.

The file is three lines of text: its format, the private key in hexadecimal, the PeerId. The PeerId is
there to show damage: a key that does not belong to it is refused, never used.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from qudag_node.errors import KeyFileError
from qudag_node.overlay.storage import create_exclusively
from qudag_node.peerid import PeerId, peer_id_of

__all__ = ["KEY_FILE_NAME", "Identity", "load_identity", "load_or_create_identity"]

KEY_FILE_NAME = "identity.key"

_FORMAT = "qudag-identity/1"
_MAX_FILE_BYTES = 4096


class Identity:
    """The key a node proves itself with.

    Every message that is signed begins with a label of its own ending in ``\\0``, so that no signature
    of one kind can be passed off as another.

    Attributes:
        private_key: For certificates and signers; it never leaves the process otherwise.
        public_key: 32 bytes.
        peer_id: What others know the node by.
    """

    __slots__ = ("peer_id", "private_key", "public_key")

    def __init__(self, private_key: Ed25519PrivateKey) -> None:
        self.private_key = private_key
        self.public_key: bytes = private_key.public_key().public_bytes_raw()
        self.peer_id: PeerId = peer_id_of(self.public_key)

    def __repr__(self) -> str:
        return f"Identity({self.peer_id})"

    @classmethod
    def generate(cls) -> Identity:
        """Return a new identity that is in no file."""
        return cls(Ed25519PrivateKey.generate())

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature of a message that begins with its label."""
        return self.private_key.sign(message)


def load_or_create_identity(directory: Path) -> Identity:
    """Return the identity of a data directory, made on first use.

    Raises:
        KeyFileError: The key file is damaged, or others may read it.
        DataDirectoryError: A new one cannot be written.
    """
    path = directory / KEY_FILE_NAME
    if not path.exists():
        identity = Identity.generate()
        try:
            create_exclusively(path, _to_text(identity).encode())
        except FileExistsError:
            return load_identity(path)
        return identity
    return load_identity(path)


def load_identity(path: Path) -> Identity:
    """Read a key file.

    Raises:
        KeyFileError: It is missing, unreadable, damaged, or others may read it.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            text = file.read(_MAX_FILE_BYTES)
    except OSError as exc:
        raise KeyFileError(f"{path}: cannot be read ({exc.strerror}); it holds the node's identity") from exc
    _check_access(path, status)
    return _from_text(path, text)


def _check_access(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise KeyFileError(f"{path}: is not a regular file; restore the key from a backup")
    owner, us = status.st_uid, os.geteuid()
    if owner not in {us, 0}:
        raise KeyFileError(f"{path}: belongs to user {owner}, not to {us}; run: chown {us} {path}")
    if status.st_mode & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        raise KeyFileError(f"{path}: others may read the key (mode {mode:04o}); run: chmod 600 {path}")


def _to_text(identity: Identity) -> str:
    return f"{_FORMAT}\n{identity.private_key.private_bytes_raw().hex()}\n{identity.peer_id}\n"


def _from_text(path: Path, text: bytes) -> Identity:
    damaged = (
        f"{path}: the key is damaged; restore it from a backup, or move it away to start under a new identity"
    )
    try:
        kind, key_hex, peer_id = text.decode("ascii").split()
        identity = Identity(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(key_hex)))
    except ValueError as exc:
        raise KeyFileError(damaged) from exc
    if kind != _FORMAT or identity.peer_id != peer_id:
        raise KeyFileError(damaged)
    return identity
