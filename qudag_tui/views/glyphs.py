"""The signs that the screens draw with, once with Unicode and once for terminals that have only ASCII."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ASCII", "UNICODE", "Glyphs"]


class Glyphs(NamedTuple):
    """One set of signs. Each is one cell wide, but for ``plus_minus``, which has two.

    Attributes:
        levels: Heights of a sparkline cell, from nothing to the most.
        is_ascii: Whether nothing else may be drawn, peer names included.
    """

    is_ascii: bool
    rule: str
    live: str
    waiting: str
    trouble: str
    caution: str
    info: str
    banned: str
    paused: str
    incoming: str
    outgoing: str
    ascending: str
    descending: str
    more_left: str
    more_right: str
    lost: str
    gap: str
    ellipsis: str
    plus_minus: str
    prompt: str
    separator: str
    levels: str
    bar: str
    step: str


UNICODE = Glyphs(
    is_ascii=False,
    rule="─",
    live="●",
    waiting="○",
    trouble="✗",
    caution="▲",
    info="·",
    banned="⊘",
    paused="‖",
    incoming="↓",
    outgoing="↑",
    ascending="▲",
    descending="▼",
    more_left="◂",
    more_right="▸",
    lost="×",
    gap=" ",
    ellipsis="…",
    plus_minus=" ±",
    prompt="›",
    separator="│",
    levels=" ▁▂▃▄▅▆▇",
    bar="█",
    step="→",
)

ASCII = Glyphs(
    is_ascii=True,
    rule="-",
    live="*",
    waiting="o",
    trouble="X",
    caution="!",
    info=".",
    banned="#",
    paused="=",
    incoming="<",
    outgoing=">",
    ascending="^",
    descending="v",
    more_left="<",
    more_right=">",
    lost="x",
    gap=" ",
    ellipsis="~",
    plus_minus="+-",
    prompt=">",
    separator="|",
    levels=" _.-:=+#",
    bar="#",
    step=">",
)
