"""The parameters of a control request, read with their types: a stranger has sent them.

What is missing, of another kind or out of its range is declined with one line that names it. Names that
nobody asks for are ignored, so that a newer node can ask an older one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from qudag_node.errors import DeclinedError

__all__ = ["Params"]


class Params:
    """What a peer passed. Every method raises ``DeclinedError`` for what is not as it should be."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def whole(self, name: str, default: int | None = None, *, least: int = 0, most: int = 1 << 53) -> int:
        """Return a whole number."""
        value = self._values.get(name)
        value = default if value is None else value
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise _bad(name, f"a whole number from {least} to {most}")
        return value

    def number(
        self, name: str, default: float | None = None, *, least: float = 0.0, most: float = math.inf
    ) -> float:
        """Return a finite number."""
        value = self._values.get(name)
        value = default if value is None else value
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise _bad(name, "a number")
        if not math.isfinite(value) or not least <= value <= most:
            raise _bad(name, f"a number from {least:g} to {most:g}")
        return float(value)

    def optional_number(self, name: str, *, least: float = 0.0, most: float = math.inf) -> float | None:
        """Return a finite number, None where it was not given."""
        return self.number(name, least=least, most=most) if name in self else None

    def boolean(self, name: str, default: bool | None = None) -> bool:
        """Return true or false."""
        value = self._values.get(name)
        value = default if value is None else value
        if not isinstance(value, bool):
            raise _bad(name, "true or false")
        return value

    def text(self, name: str, default: str | None = None, *, longest: int = 128) -> str:
        """Return a text."""
        value = self._values.get(name)
        value = default if value is None else value
        if not isinstance(value, str) or len(value) > longest:
            raise _bad(name, f"a text of at most {longest} characters")
        return value

    def choice(self, name: str, choices: tuple[str, ...], default: str | None = None) -> str:
        """Return one of a few texts."""
        value = self._values.get(name)
        value = default if value is None else value
        if not isinstance(value, str) or value not in choices:
            raise _bad(name, f"one of {', '.join(choices)}")
        return value

    def binary(self, name: str, length: int) -> bytes:
        """Return so many bytes."""
        value = self._values.get(name)
        if not isinstance(value, bytes) or len(value) != length:
            raise _bad(name, f"{length} bytes")
        return value


def _bad(name: str, wanted: str) -> DeclinedError:
    return DeclinedError(f"parameter {name!r} must be {wanted}")
