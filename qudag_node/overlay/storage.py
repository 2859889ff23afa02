"""Small files that must survive a crash: written whole, or not at all. Blocking; a few kilobytes at most."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import cast

from qudag_node.errors import DataDirectoryError

__all__ = ["JsonValue", "create_exclusively", "read_json", "replace_file", "write_json"]

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]


def create_exclusively(path: Path, data: bytes) -> None:
    """Write a new 0600 file in one step.

    Raises:
        FileExistsError: Somebody else made it first; it is left as it is.
        DataDirectoryError: The directory is not writable, or its disk is full.
    """
    temporary = _write_temporary(path, data)
    try:
        # link(2), unlike rename(2), never replaces a key that appeared meanwhile.
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError as exc:
        raise _refused(path, exc) from exc
    finally:
        temporary.unlink()
    _sync_directory(path.parent)


def replace_file(path: Path, data: bytes) -> None:
    """Put ``data`` in place of a 0600 file; readers see the old content or the new one.

    Raises:
        DataDirectoryError: The directory is not writable, or its disk is full. The old content stands.
    """
    temporary = _write_temporary(path, data)
    try:
        temporary.replace(path)
    except OSError as exc:
        temporary.unlink(missing_ok=True)
        raise _refused(path, exc) from exc
    _sync_directory(path.parent)


def write_json(path: Path, value: JsonValue) -> None:
    """Replace a file by a JSON document that a person can read."""
    replace_file(path, json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n")


def read_json(path: Path) -> JsonValue:
    """Return what ``write_json`` wrote, None when there is no file.

    Raises:
        DataDirectoryError: It cannot be read, or is not JSON.
    """
    try:
        return cast("JsonValue", json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as exc:
        raise DataDirectoryError(f"{path}: cannot be read ({exc}); repair or remove it") from exc


def _write_temporary(path: Path, data: bytes) -> Path:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with suppress(FileNotFoundError):
            temporary.unlink()  # what a crash of a process with our number left
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as exc:
        with suppress(OSError):
            temporary.unlink()
        raise _refused(path, exc) from exc
    return temporary


def _refused(path: Path, exc: OSError) -> DataDirectoryError:
    return DataDirectoryError(
        f"{path}: cannot be written ({exc.strerror}); check its directory's owner and space"
    )


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
