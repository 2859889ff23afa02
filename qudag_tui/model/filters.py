"""The filter language of the peers screen, for instance ``dir:in -name:peer3 rtt>50ms loss>1%``.

Terms are separated by spaces and all must hold. A term is a word (found in the name, alias, id or
address) or FIELD OPERATOR VALUE; a leading ``-`` or ``!`` negates it; double quotes keep spaces in a
word; commas give alternatives. Operators: ``:`` contains (equals, for numbers), ``=``, ``!=``, ``<``,
``<=``, ``>``, ``>=``; ``name!=x`` is ``-name=x``. ``?`` is the unknown value. Pure: the moment is an
argument.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qudag_tui.model.fields import BY_KEY, Field, Kind
from qudag_tui.model.peers import Peers

__all__ = ["Filter", "FilterError", "matching_rows", "parse_filter"]

#: A filter is typed by a person; what is longer is a paste by mistake.
MAX_LENGTH = 512

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
    ":": operator.eq,
}
_SIGNS = ("!=", *_COMPARISONS)
_TIME = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SI = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
_IEC = {"kib": 2.0**10, "mib": 2.0**20, "gib": 2.0**30, "tib": 2.0**40}
_UNITS: dict[Kind, dict[str, float]] = {
    Kind.SECONDS: _TIME,
    Kind.SINCE: _TIME,
    Kind.RATIO: {"%": 0.01},
    Kind.COUNT: _SI,
    Kind.PER_S: _SI | {f"{prefix}/s": scale for prefix, scale in _SI.items()},
    Kind.BYTES: _SI | {f"{prefix}b": scale for prefix, scale in _SI.items()} | _IEC,
    # The column is in bytes per second, what is typed in bits per second.
    Kind.BITS_PER_S: {f"{p}{unit}": n / 8 for p, n in _SI.items() for unit in ("", "b", "b/s", "bit/s")},
}
_EXAMPLE = {Kind.SECONDS: "ms or s", Kind.SINCE: "s, m, h or d", Kind.RATIO: "%"}


class FilterError(ValueError):
    """The filter cannot be read.

    Attributes:
        position: Where in the text the trouble begins.
    """

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


@dataclass(frozen=True, slots=True)
class Words:
    """A text column contains (or, ``exact``, is) one of the folded ``words``."""

    column: str
    words: tuple[str, ...]
    exact: bool

    def rows(self, peers: Peers, rows: Sequence[int], at_unix_s: float) -> list[int]:
        """Return those of ``rows`` that match."""
        del at_unix_s
        column, words = peers.folded(self.column), self.words
        if self.exact:
            return [row for row in rows if column[row] in words]
        if len(words) == 1:
            word = words[0]
            return [row for row in rows if word in column[row]]
        return [row for row in rows if any(word in column[row] for word in words)]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A number column compared with one of ``values``; None among them is the unknown value."""

    column: str
    is_age: bool
    compare: Callable[[float, float], bool]
    values: tuple[float | None, ...]

    def rows(self, peers: Peers, rows: Sequence[int], at_unix_s: float) -> list[int]:
        """Return those of ``rows`` that match; an unknown number matches only ``?``."""
        column = peers.numbers(self.column)
        known = [value for value in self.values if value is not None]
        compare, age = self.compare, self.is_age
        found: list[int] = []
        for row in rows:
            number = column[row]
            if number != number:  # NaN differs from itself
                if None in self.values:
                    found.append(row)
                continue
            shown = at_unix_s - number if age else number
            if any(compare(shown, value) for value in known):
                found.append(row)
        return found


@dataclass(frozen=True, slots=True)
class Term:
    """One condition, perhaps negated."""

    condition: Words | Comparison
    negated: bool


@dataclass(frozen=True, slots=True)
class Filter:
    """Terms that must all hold; without terms everything matches."""

    terms: tuple[Term, ...] = ()


def matching_rows(wanted: Filter, peers: Peers, rows: Sequence[int], at_unix_s: float) -> Sequence[int]:
    """Return those of ``rows`` that match, in the order given."""
    for term in wanted.terms:
        found = term.condition.rows(peers, rows, at_unix_s)
        if term.negated:
            excluded = set(found)
            found = [row for row in rows if row not in excluded]
        rows = found
    return rows


def parse_filter(text: str) -> Filter:
    """Read what a person typed.

    Raises:
        FilterError: with the position of the first mistake, and what to write instead.
    """
    if len(text) > MAX_LENGTH:
        raise FilterError(f"a filter has at most {MAX_LENGTH} characters", MAX_LENGTH)
    return Filter(tuple(_term(word, position) for word, position in _split(text)))


def _split(text: str) -> list[tuple[str, int]]:
    """Split at spaces outside double quotes; the quotes stay, so that what they keep is known."""
    words: list[tuple[str, int]] = []
    start, quoted = -1, -1
    for position, character in enumerate(text):
        if character == '"':
            quoted = position if quoted < 0 else -1
        if character.isspace() and quoted < 0:
            if start >= 0:
                words.append((text[start:position], start))
            start = -1
        elif start < 0:
            start = position
    if quoted >= 0:
        raise FilterError("this quote is never closed", quoted)
    if start >= 0:
        words.append((text[start:], start))
    return words


def _term(word: str, position: int) -> Term:
    negated = word[0] in "-!"
    if negated:
        word, position = word[1:], position + 1
        if not word:
            raise FilterError("nothing to negate here", position - 1)
    end = next((i for i, c in enumerate(word) if c in ':=<>!"'), len(word))
    sign = next((sign for sign in _SIGNS if word.startswith(sign, end)), "")
    if not sign:
        return Term(Words("words", (_unquoted(word).casefold(),), exact=False), negated)
    field = BY_KEY.get(word[:end].casefold())
    if field is None:
        raise FilterError(_unknown_field(word[:end]), position)
    values, value_at = word[end + len(sign) :], position + end + len(sign)
    if not _unquoted(values):
        raise FilterError(f"{field.key}{sign} needs a value", value_at)
    if sign == "!=":
        sign, negated = "=", not negated
    return Term(_condition(field, sign, values, value_at), negated)


def _condition(field: Field, sign: str, values: str, position: int) -> Words | Comparison:
    if field.kind is Kind.TEXT:
        if sign in {"<", "<=", ">", ">="}:
            problem = f"{field.key} is a word: use {field.key}:… or {field.key}=…"
            raise FilterError(problem, position - len(sign))
        words = tuple(_unquoted(value).casefold() for value in values.split(",") if value)
        return Words(field.column, words, exact=sign == "=")
    numbers: list[float | None] = []
    for value in values.split(","):
        numbers.append(_number(field, value, position))
        position += len(value) + 1
    return Comparison(field.column, field.kind is Kind.SINCE, _COMPARISONS[sign], tuple(numbers))


def _number(field: Field, value: str, position: int) -> float | None:
    if value == "?":
        return None
    digits = value.rstrip("%/µabcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    unit = value[len(digits) :].casefold().replace("μ", "µ")
    try:
        number = float(digits)
    except ValueError:
        raise FilterError(f"{value!r} is not a number", position) from None
    scale = _UNITS[field.kind].get(unit)
    if scale is None and number == 0 and not unit:
        scale = 0.0
    if scale is None:
        wanted = _EXAMPLE.get(field.kind) or ", ".join(sorted(filter(None, _UNITS[field.kind]))[:6])
        problem = f"{unit!r} is not a unit of {field.key}" if unit else f"{field.key} needs a unit"
        raise FilterError(f"{problem}: {wanted}", position + (len(digits) if unit else len(value)))
    return number * scale


def _unknown_field(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name.casefold(), list(BY_KEY), n=1)
    return f"no field {name!r}" + (f": did you mean {near[0]}?" if near else "; ? lists the fields")


def _unquoted(word: str) -> str:
    return word.replace('"', "")
