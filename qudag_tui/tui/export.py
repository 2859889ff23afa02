"""A screen as files: its text for a ticket, its picture for a page. Blocking."""

from __future__ import annotations

from pathlib import Path

__all__ = ["write_screen"]

_MOST_NAMES = 100


def write_screen(directory: Path, stem: str, text: str, picture: str) -> Path:
    """Write ``stem.txt`` and ``stem.svg``, beside what is there already; return the path of the text.

    Raises:
        OSError: The directory cannot be written to; what was begun is removed.
    """
    for number in range(1, _MOST_NAMES + 1):
        path = directory / (f"{stem}.txt" if number == 1 else f"{stem}-{number}.txt")
        try:
            _write_new(path, text)
        except FileExistsError:
            continue
        try:
            _write_new(path.with_suffix(".svg"), picture)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return path
    raise FileExistsError(0, "there are a hundred of this second already", str(directory))


def _write_new(path: Path, text: str) -> None:
    with path.open("x", encoding="utf-8") as file:
        try:
            file.write(text)
        except OSError:
            path.unlink(missing_ok=True)
            raise
