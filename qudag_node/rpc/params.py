"""The named parameters of one call, read with their types; what is wrong is told to the caller."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import cast

from qudag_node.wire.errors import ErrorCode, RpcError

__all__ = ["Params"]


class Params:
    """What a caller passed. Names nobody asks for are ignored, so that newer clients can call older nodes.

    Every method raises ``RpcError`` (bad_request) for a parameter that is missing or of another kind.
    """

    __slots__ = ("_values",)

    def __init__(self, params: Sequence[Mapping[str, object]]) -> None:
        self._values: Mapping[str, object] = params[0] if params else {}

    def text(self, name: str, default: str | None = None, *, longest: int = 512) -> str:
        """Return a text."""
        value = self._values.get(name, default)
        if not isinstance(value, str) or len(value) > longest:
            raise _bad(name, f"a text of up to {longest} characters")
        return value

    def optional_text(self, name: str, *, longest: int = 512) -> str | None:
        """Return a text, None where it was not given."""
        return None if self._values.get(name) is None else self.text(name, longest=longest)

    def mapping(self, name: str) -> Mapping[str, object]:
        """Return a map of named values, an empty one where it was not given."""
        value = self._values.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict) or not all(isinstance(each, str) for each in value):
            raise _bad(name, "a map of named values")
        return cast("dict[str, object]", value)

    def choice(self, name: str, choices: tuple[str, ...], default: str | None = None) -> str:
        """Return one of a few texts."""
        value = self._values.get(name, default)
        if not isinstance(value, str) or value not in choices:
            raise _bad(name, f"one of {', '.join(choices)}")
        return value

    def whole(self, name: str, default: int | None = None, *, least: int = 0, most: int = 1 << 53) -> int:
        """Return a whole number."""
        value = self._values.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise _bad(name, f"a whole number from {least} to {most}")
        return value

    def boolean(self, name: str, default: bool | None = None) -> bool:
        """Return true or false."""
        value = self._values.get(name, default)
        if not isinstance(value, bool):
            raise _bad(name, "true or false")
        return value

    def number(self, name: str, default: float | None = None, *, least: float = -math.inf) -> float:
        """Return a finite number."""
        value = self._values.get(name, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise _bad(name, "a number")
        if value < least:
            raise _bad(name, f"a number of at least {least:g}")
        return float(value)

    def optional_number(self, name: str, *, least: float = -math.inf) -> float | None:
        """Return a finite number, None where it was not given."""
        return None if self._values.get(name) is None else self.number(name, least=least)

    def texts(self, name: str, *, most: int) -> tuple[str, ...] | None:
        """Return a list of texts, None where it was not given."""
        value = self._values.get(name)
        if value is None:
            return None
        if (
            not isinstance(value, list)
            or len(value) > most
            or not all(isinstance(each, str) for each in value)
        ):
            raise _bad(name, f"a list of up to {most} texts")
        return tuple(cast("list[str]", value))

    def binaries(self, name: str, *, most: int) -> list[bytes]:
        """Return a list of binary values."""
        value = self._values.get(name)
        if (
            not isinstance(value, list)
            or len(value) > most
            or not all(isinstance(each, bytes) for each in value)
        ):
            raise _bad(name, f"a list of up to {most} binary values")
        return cast("list[bytes]", value)


def _bad(name: str, wanted: str) -> RpcError:
    return RpcError(ErrorCode.BAD_REQUEST, f"parameter {name!r} must be {wanted}", "see docs/wire-format.md")
