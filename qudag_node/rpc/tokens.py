"""The tokens that open TCP and TLS: the cookie of this run, and named ones with a role each.

A token is 32 random bytes, never chosen by a person. ``DIR/rpc.cookie`` (admin) is new at each start
and removed at the stop; ``DIR/tokens.json`` keeps the named ones. Both are 0600. The proofs need the
tokens themselves, so the file holds no hashes: who reads it is admitted, as with a private key.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from qudag_node.errors import DataDirectoryError
from qudag_node.overlay.storage import replace_file
from qudag_node.wire.methods import Role

__all__ = ["COOKIE_FILE", "TOKENS_FILE", "Token", "TokenStore"]

COOKIE_FILE = "rpc.cookie"
TOKENS_FILE = "tokens.json"
COOKIE_NAME = "cookie"
# Every proof is compared with every token.
MAX_TOKENS = 64

_SCHEMA = "qudag.tokens/1"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token and what it admits to."""

    name: str
    role: Role
    secret: bytes
    created_unix_s: float

    def __repr__(self) -> str:
        return f"Token({self.name}, {self.role})"


class TokenStore:
    """The tokens of one data directory."""

    def __init__(self, directory: Path) -> None:
        """Read the named tokens.

        Raises:
            DataDirectoryError: Their file is damaged, or others may read it.
        """
        self._directory = directory
        self._cookie: Token | None = None
        self._tokens = {token.name: token for token in _read(directory / TOKENS_FILE)}

    def __iter__(self) -> Iterator[Token]:
        """Yield the cookie, if there is one, and the named tokens."""
        if self._cookie is not None:
            yield self._cookie
        yield from self._tokens.values()

    def named(self) -> tuple[Token, ...]:
        """Return the named tokens, by name."""
        return tuple(sorted(self._tokens.values(), key=lambda token: token.name))

    def bake_cookie(self, now_unix_s: float) -> None:
        """Write a new cookie over whatever an earlier run left.

        Raises:
            DataDirectoryError: It cannot be written.
        """
        secret = secrets.token_bytes(32)
        replace_file(self._directory / COOKIE_FILE, secret.hex().encode() + b"\n")
        self._cookie = Token(name=COOKIE_NAME, role=Role.ADMIN, secret=secret, created_unix_s=now_unix_s)

    def remove_cookie(self) -> None:
        """Remove the cookie's file; the second time does nothing."""
        if self._cookie is not None:
            self._cookie = None
            (self._directory / COOKIE_FILE).unlink(missing_ok=True)

    def add(self, name: str, role: Role, now_unix_s: float) -> Token:
        """Make a named token and keep it.

        Raises:
            ValueError: The name is no name, is taken, or there are too many; says what to do.
            DataDirectoryError: The file cannot be written; nothing changed.
        """
        if not _NAME.fullmatch(name) or name == COOKIE_NAME:
            raise ValueError(f"{name!r} is not a name of 1 to 63 letters, digits, '_', '-' or '.'")
        if name in self._tokens:
            raise ValueError(f"there is a token named {name!r}; revoke it first or choose another name")
        if len(self._tokens) >= MAX_TOKENS:
            raise ValueError(f"there are {MAX_TOKENS} tokens already; revoke one first")
        token = Token(name=name, role=role, secret=secrets.token_bytes(32), created_unix_s=now_unix_s)
        self._write({**self._tokens, name: token})
        return token

    def revoke(self, name: str) -> bool:
        """Forget a named token; tell whether there was one.

        Raises:
            DataDirectoryError: The file cannot be written; the token stands.
        """
        if name not in self._tokens:
            return False
        self._write({key: token for key, token in self._tokens.items() if key != name})
        return True

    def _write(self, tokens: dict[str, Token]) -> None:
        document = {
            "schema": _SCHEMA,
            "tokens": [
                {
                    "name": token.name,
                    "role": token.role.value,
                    "token": token.secret.hex(),
                    "created_unix_s": token.created_unix_s,
                }
                for token in tokens.values()
            ],
        }
        replace_file(self._directory / TOKENS_FILE, json.dumps(document, indent=1).encode() + b"\n")
        self._tokens = tokens


def _read(path: Path) -> list[Token]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with os.fdopen(descriptor, "rb") as stream:
            mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
            data = stream.read(1_048_576)
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise DataDirectoryError(f"{path}: cannot be read ({exc.strerror})") from exc
    if mode & 0o077:
        raise DataDirectoryError(
            f"{path}: others may read the tokens (mode {mode:04o}); run: chmod 600 {path}"
        )
    try:
        return _parse(json.loads(data))
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise DataDirectoryError(
            f"{path}: is damaged; restore it, or remove it and make the tokens anew with `qudag token add`"
        ) from exc


def _parse(document: object) -> list[Token]:
    entries = cast("dict[str, list[dict[str, str]]]", document)["tokens"]
    tokens = [
        Token(
            name=entry["name"],
            role=Role(entry["role"]),
            secret=bytes.fromhex(entry["token"]),
            created_unix_s=float(entry["created_unix_s"]),
        )
        for entry in entries
    ]
    if len(tokens) > MAX_TOKENS or any(
        len(token.secret) != 32 or not _NAME.fullmatch(token.name) for token in tokens
    ):
        raise ValueError("a token is not 32 bytes, a name is no name, or there are too many")
    return tokens
