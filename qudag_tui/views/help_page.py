"""The help page, made from the bindings themselves. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qudag_tui.model.fields import FIELDS, Kind
from qudag_tui.views.glyphs import Glyphs
from qudag_tui.views.key_line import Hint
from qudag_tui.views.layout import title
from qudag_tui.views.spans import Line, Role, Span, beside, fitted, stacked

__all__ = ["help_page"]

TWO_COLUMNS_FROM = 96
KEYS_WIDTH = 13


def help_page(groups: Mapping[str, Sequence[Hint]], width: int, glyphs: Glyphs) -> list[Line]:
    """All bindings by group, the filter language, the fields and the signs."""
    is_wide = width >= TWO_COLUMNS_FROM
    left_width = (width - 4) // 2 if is_wide else width
    right_width = width - 4 - left_width if is_wide else width
    keys = stacked(
        [title(name, "", left_width, glyphs), *(_binding(hint) for hint in hints)]
        for name, hints in groups.items()
    )
    rest = stacked(
        [
            _signs(right_width, glyphs),
            _words(right_width, glyphs),
            _filters(right_width, glyphs),
            _fields(right_width, glyphs),
        ]
    )
    if is_wide:
        return beside(keys, rest, (left_width, right_width), 4)
    return [*keys, (), *rest]


def _binding(hint: Hint) -> Line:
    return (fitted(hint.keys, KEYS_WIDTH, Role.KEY), Span(f" {hint.meaning}"))


def _signs(width: int, glyphs: Glyphs) -> list[Line]:
    signs = (
        (glyphs.live, Role.GOOD, "live, connected"),
        (glyphs.waiting, Role.WARN, "connecting"),
        (glyphs.caution, Role.WARN, "worse than it should be: over 1 % of a link unanswered or sent again"),
        (glyphs.trouble, Role.BAD, "lost, waiting to dial again, error; over 5 % unanswered or sent again"),
        (glyphs.banned, Role.BAD, "banned"),
        (glyphs.lost, Role.BAD, "in a history: a probe was not answered"),
        ("-", Role.TEXT, "not known; never a zero"),
    )
    lines = [title("Signs", "", width, glyphs)]
    return lines + [(Span(f"{sign}  ", role), Span(meaning)) for sign, role, meaning in signs]


def _words(width: int, glyphs: Glyphs) -> list[Line]:
    words = (
        ("worst peers", "links to be repaired first, then by p95"),
        ("samples", "round trips behind the figures of a line"),
        ("unanswered", "probes without an answer in time, last 60 s"),
        ("resent", "bytes TCP sent again, of all, last 60 s: lost packets"),
        ("vertices", "new ones accepted per second"),
        ("queue", "messages and bytes waiting to be sent"),
        ("processing", "from the socket's read to the handler's end"),
        ("propagation", "from a vertex's origin to here, with its error bound"),
        ("loop lag", "how late the node's event loop runs things"),
    )
    lines = [title("Words", "", width, glyphs)]
    return lines + [(fitted(word, 13, Role.KEY), Span(f" {meaning}")) for word, meaning in words]


def _filters(width: int, glyphs: Glyphs) -> list[Line]:
    examples = (
        ("peer3", "in the name, alias, id or address"),
        ("dir:in", "the field contains the word"),
        ("name=peer3", "the field is the word"),
        ("state:backoff,banned", "one of several"),
        ("-dir:in  dir!=in", "not"),
        ("rtt>50ms loss>=1%", "figures with their unit; all terms must hold"),
        ("rtt=?", "not known"),
        ('agent:"a b"', "a word with a space"),
    )
    lines = [title("Filter", "", width, glyphs)]
    return lines + [(fitted(text, 22, Role.KEY), Span(f" {meaning}")) for text, meaning in examples]


def _fields(width: int, glyphs: Glyphs) -> list[Line]:
    units = {
        Kind.SECONDS: "ms",
        Kind.SINCE: "h",
        Kind.RATIO: "%",
        Kind.BITS_PER_S: "Mb/s",
        Kind.BYTES: "MiB",
        Kind.PER_S: "/s",
    }
    lines = [title("Fields", "", width, glyphs)]
    for field in FIELDS:
        unit = units.get(field.kind, "")
        lines.append((fitted(field.key, 13, Role.KEY), fitted(unit, 5, Role.DIM), Span(f" {field.meaning}")))
    return lines
