"""Every key of the monitor, as data: id, keys, action, label, meaning.

The bindings of the app and its widgets, the key line, the help page and the test of the documentation
are all made from these tables. ``[keys]`` in the configuration gives an id other keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from textual.binding import Binding

from qudag_tui.views.key_line import Hint

__all__ = [
    "ALL_KEYS",
    "DETAIL",
    "EVERYWHERE",
    "FILTER",
    "HELP",
    "IDS",
    "LOG",
    "PEERS",
    "Key",
    "bindings",
    "hints",
]

_SHOWN = {
    "question_mark": "?",
    "slash": "/",
    "colon": ":",
    "plus": "+",
    "minus": "-",
    "equals_sign": "=",
    "escape": "esc",
    "pageup": "pgup",
    "pagedown": "pgdn",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
}


class Key(NamedTuple):
    """One binding.

    Attributes:
        id: Its name in ``[keys]`` of the configuration.
        keys: Textual's names of the keys, separated by commas.
        action: What Textual calls.
        label: At most two words, for the key line; empty: not shown there.
        meaning: For the help page and the documentation.
        priority: Whether it works even while something is typed.
    """

    id: str
    keys: str
    action: str
    label: str
    meaning: str
    priority: bool = False


EVERYWHERE = (
    Key("overview", "1", "show('overview')", "", "the overview"),
    Key("peers", "2", "show('peers')", "", "the peers"),
    Key("help", "question_mark,h,f1", "help", "help", "every key, on one page"),
    Key("filter", "slash", "filter", "filter", "show some of the peers only"),
    Key("pause", "space", "pause", "pause", "hold the display still; again to go on"),
    Key("slower", "plus,equals_sign", "interval(1)", "", "a longer interval between figures"),
    Key("faster", "minus", "interval(-1)", "", "a shorter interval"),
    Key("back", "escape", "back", "", "back; clears the filter; never quits"),
    Key("focus-next", "tab", "app.focus_next", "", "the next part of the screen"),
    Key("focus-previous", "shift+tab", "app.focus_previous", "", "the part before"),
    Key("export", "e", "export", "", "write this screen to files: text and SVG"),
    Key("theme", "T", "next_theme", "", "the next theme"),
    Key("palette", "colon,ctrl+p", "command_palette", "commands", "every command, by name"),
    Key("redraw", "ctrl+l", "redraw", "", "draw the whole screen anew"),
    Key("suspend", "ctrl+z", "suspend_process", "", "to the shell; fg comes back"),
    Key("quit", "q", "quit", "quit", "leave"),
    Key("quit-always", "ctrl+c,ctrl+q", "quit", "", "leave, also while something is typed", priority=True),
    Key("quit-keeping", "Q", "quit_keeping", "", "leave this screen on the terminal"),
)

PEERS = (
    Key("up", "up,k", "move(-1)", "", "one peer up"),
    Key("down", "down,j", "move(1)", "", "one peer down"),
    Key("page-up", "pageup", "page(-1)", "", "one page up"),
    Key("page-down", "pagedown", "page(1)", "", "one page down"),
    Key("top", "home,g", "jump(-1)", "", "the first peer"),
    Key("bottom", "end,G", "jump(1)", "", "the last peer"),
    Key("columns-left", "left", "columns(-1)", "", "the columns to the left"),
    Key("columns-right", "right", "columns(1)", "", "the columns to the right"),
    Key("sort", "s", "sort", "sort", "sort by the next column on the screen"),
    Key("reverse", "S", "reverse", "", "turn the order round"),
    Key("detail", "enter", "detail", "detail", "everything about the selected peer"),
    Key("copy", "y", "copy", "copy id", "copy the peer's id to the clipboard (OSC 52)"),
)

DETAIL = (
    Key("detail-up", "up,k", "scroll_up", "", "one line up"),
    Key("detail-down", "down,j", "scroll_down", "", "one line down"),
    Key("detail-page-up", "pageup", "page_up", "", "one page up"),
    Key("detail-page-down", "pagedown", "page_down", "", "one page down"),
    Key("detail-top", "home,g", "scroll_home", "", "the first line"),
    Key("detail-bottom", "end,G", "scroll_end", "", "the last line"),
    Key("peer-before", "left_square_bracket", "neighbour(-1)", "", "the peer above in the table"),
    Key("peer-after", "right_square_bracket", "neighbour(1)", "next peer", "the peer below in the table"),
    Key("detail-copy", "y", "copy", "copy id", "copy the peer's id to the clipboard (OSC 52)"),
)

FILTER = (
    Key("filter-keep", "enter", "keep", "keep", "keep the filter and go back to the table"),
    Key("filter-clear", "escape", "clear", "clear", "clear the filter and go back to the table"),
)

LOG = (
    Key("log-up", "up,k", "scroll(-1)", "", "towards the newest event"),
    Key("log-down", "down,j", "scroll(1)", "", "towards older events"),
    Key("log-page-up", "pageup", "page(-1)", "", "one page towards the newest"),
    Key("log-page-down", "pagedown", "page(1)", "", "one page towards older ones"),
    Key("log-top", "home,g", "newest", "", "the newest event"),
)

HELP = (
    Key("help-close", "escape,q,question_mark,h,f1,enter", "close", "", "close this page"),
    Key("help-up", "up,k", "scroll_up", "", "one line up"),
    Key("help-down", "down,j", "scroll_down", "", "one line down"),
    Key("help-page-up", "pageup", "page_up", "", "one page up"),
    Key("help-page-down", "pagedown,space", "page_down", "", "one page down"),
    Key("help-top", "home,g", "scroll_home", "", "the first line"),
    Key("help-bottom", "end,G", "scroll_end", "", "the last line"),
)

ALL_KEYS: dict[str, tuple[Key, ...]] = {
    "Everywhere": EVERYWHERE,
    "Peers": PEERS,
    "One peer": DETAIL,
    "Filter line": FILTER,
    "Event log": LOG,
    "Help": HELP,
}


#: Every binding by its id.
IDS: dict[str, Key] = {key.id: key for keys in ALL_KEYS.values() for key in keys}


def bindings(keys: Iterable[Key]) -> list[Binding]:
    """The table as Textual takes it; ours is the key line, so Textual's footer shows none."""
    return [
        Binding(key.keys, key.action, key.meaning, show=False, id=key.id, priority=key.priority)
        for key in keys
    ]


def hints(keys: Iterable[Key], changed: Mapping[str, str]) -> list[Hint]:
    """The table as the help page and the key line show it, with the keys that the user chose."""
    return [Hint(_shown(changed.get(key.id, key.keys)), key.label, key.meaning, key.action) for key in keys]


def _shown(keys: str) -> str:
    return " ".join(_SHOWN.get(key, key.replace("ctrl+", "^")) for key in keys.split(","))
