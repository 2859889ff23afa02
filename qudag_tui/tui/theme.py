"""The themes: for each, the colours that Textual needs and the style of every role of the views.

Status is never told by colour alone: the views put a sign or a word beside it, so that ``none``, which
has no colours at all, loses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from rich.style import Style
from textual.theme import Theme

from qudag_tui.views.spans import Role

__all__ = ["Look", "theme_named", "themes"]


@dataclass(frozen=True, slots=True)
class Look:
    """One theme: what Textual's own widgets use, and what ours use.

    Attributes:
        cursor: The selected row; not a role, because it is laid over the roles of the row.
    """

    theme: Theme
    styles: Mapping[Role, Style]
    cursor: Style
    meaning: str

    @property
    def name(self) -> str:
        """What ``--theme`` and the palette call it."""
        return self.theme.name


def _styles(**specs: str) -> dict[Role, Style]:
    return {role: Style.parse(specs.get(role.name.lower(), "")) for role in Role}


def _look(theme: Theme, meaning: str, cursor: str, **specs: str) -> Look:
    return Look(theme, _styles(**specs), Style.parse(cursor), meaning)


def _dark() -> Look:
    theme = Theme(
        name="dark",
        primary="#58a6ff",
        secondary="#8b98a5",
        accent="#58a6ff",
        warning="#e3b341",
        error="#ff7b72",
        success="#6cc070",
        foreground="#d5dbe1",
        background="#0f1419",
        surface="#161c23",
        panel="#1d252e",
        dark=True,
        variables={
            "block-cursor-background": "#24405e",
            "block-cursor-foreground": "#ffffff",
            "scrollbar": "#2b3642",
            "scrollbar-background": "#0f1419",
            "scrollbar-hover": "#41505f",
            "scrollbar-active": "#58a6ff",
        },
    )
    return _look(
        theme,
        "dark, the default",
        "bold #ffffff on #24405e",
        dim="#84909c",
        strong="bold #ffffff",
        title="bold #d5dbe1",
        rule="#2f3b47",
        head="#84909c",
        head_sorted="bold #58a6ff",
        good="#6cc070",
        warn="#e3b341",
        bad="bold #ff7b72",
        incoming="#58a6ff",
        outgoing="#d2a15c",
        trend="#4a6a8a",
        key="bold #d5dbe1",
        current="bold #ffffff on #24405e",
        banner="bold #0f1419 on #e3b341",
        alarm="bold #ffffff on #b62324",
    )


def _light() -> Look:
    theme = Theme(
        name="light",
        primary="#0550ae",
        secondary="#57606a",
        accent="#0550ae",
        warning="#8a5a00",
        error="#c11c28",
        success="#1a7232",
        foreground="#1c2127",
        background="#fbfbf9",
        surface="#f1f2f0",
        panel="#e7e9e7",
        dark=False,
        variables={
            "block-cursor-background": "#cfe0f5",
            "block-cursor-foreground": "#000000",
            "scrollbar": "#ccd2d8",
            "scrollbar-background": "#fbfbf9",
            "scrollbar-hover": "#a9b3bd",
            "scrollbar-active": "#0550ae",
        },
    )
    return _look(
        theme,
        "for bright rooms",
        "bold #000000 on #cfe0f5",
        dim="#5b646d",
        strong="bold #000000",
        title="bold #1c2127",
        rule="#cdd3d9",
        head="#5b646d",
        head_sorted="bold #0550ae",
        good="#1a7232",
        warn="#8a5a00",
        bad="bold #c11c28",
        incoming="#0550ae",
        outgoing="#9a5b00",
        trend="#8aa6c1",
        key="bold #1c2127",
        current="bold #000000 on #cfe0f5",
        banner="bold #1c2127 on #f2cc60",
        alarm="bold #ffffff on #b3202b",
    )


def _contrast() -> Look:
    theme = Theme(
        name="contrast",
        primary="#ffff00",
        secondary="#ffffff",
        accent="#00ffff",
        warning="#ffff00",
        error="#ff6b6b",
        success="#00ff7f",
        foreground="#ffffff",
        background="#000000",
        surface="#000000",
        panel="#1a1a1a",
        dark=True,
        variables={
            "block-cursor-background": "#ffff00",
            "block-cursor-foreground": "#000000",
            "scrollbar": "#ffffff",
            "scrollbar-background": "#000000",
            "scrollbar-hover": "#ffff00",
            "scrollbar-active": "#ffff00",
        },
    )
    return _look(
        theme,
        "black and white, strong colours",
        "bold #000000 on #ffff00",
        dim="#e0e0e0",
        strong="bold #ffffff",
        title="bold underline #ffffff",
        rule="#a0a0a0",
        head="bold #ffffff",
        head_sorted="bold #000000 on #ffffff",
        good="#00ff7f",
        warn="bold #ffff00",
        bad="bold #ffffff on #b00000",
        incoming="#00ffff",
        outgoing="#ffb000",
        trend="#c0c0c0",
        key="bold #ffff00",
        current="bold #000000 on #ffffff",
        banner="bold #000000 on #ffff00",
        alarm="bold #ffffff on #c00000",
    )


def _colourblind() -> Look:
    # Okabe and Ito's palette, whose colours stay apart in every common colour blindness.
    theme = Theme(
        name="colourblind",
        primary="#56b4e9",
        secondary="#a0a0a0",
        accent="#56b4e9",
        warning="#f0e442",
        error="#e8743b",
        success="#56b4e9",
        foreground="#dcdcdc",
        background="#101010",
        surface="#1a1a1a",
        panel="#242424",
        dark=True,
        variables={
            "block-cursor-background": "#1f4e6d",
            "block-cursor-foreground": "#ffffff",
            "scrollbar": "#404040",
            "scrollbar-background": "#101010",
            "scrollbar-hover": "#606060",
            "scrollbar-active": "#56b4e9",
        },
    )
    return _look(
        theme,
        "blue, yellow and orange instead of green and red",
        "bold #ffffff on #1f4e6d",
        dim="#949494",
        strong="bold #ffffff",
        title="bold #dcdcdc",
        rule="#3c3c3c",
        head="#949494",
        head_sorted="bold #56b4e9",
        good="#56b4e9",
        warn="#f0e442",
        bad="bold #e8743b",
        incoming="#56b4e9",
        outgoing="#e69f00",
        trend="#707070",
        key="bold #dcdcdc",
        current="bold #ffffff on #1f4e6d",
        banner="bold #000000 on #f0e442",
        alarm="bold #000000 on #e8743b",
    )


def _plain_theme(name: str, **colours: str) -> Theme:
    """A theme of the terminal's own colours."""
    base = dict.fromkeys(("foreground", "background", "surface", "panel", "boost"), "ansi_default")
    return Theme(
        **(base | colours),  # type: ignore[arg-type]  # all of these are colour names
        name=name,
        ansi=True,
        dark=True,
        variables={
            "ansi-background": "ansi_default",
            "ansi-foreground": "ansi_default",
            "border-blurred": "ansi_default",
            "input-selection-background": "ansi_default",
            "input-selection-foreground": "ansi_default",
            "screen-selection-background": "ansi_default",
            "screen-selection-foreground": "ansi_default",
            "block-cursor-background": "ansi_default",
            "block-cursor-foreground": "ansi_default",
            "block-cursor-text-style": "reverse",
            "input-cursor-background": "ansi_default",
            "input-cursor-foreground": "ansi_default",
            "input-cursor-text-style": "reverse",
            "scrollbar": "ansi_default",
            "scrollbar-background": "ansi_default",
        },
    )


def _ansi() -> Look:
    theme = _plain_theme(
        "ansi",
        primary="ansi_blue",
        secondary="ansi_cyan",
        accent="ansi_cyan",
        warning="ansi_yellow",
        error="ansi_red",
        success="ansi_green",
    )
    return _look(
        theme,
        "the terminal's own 16 colours",
        "reverse",
        dim="dim",
        strong="bold",
        title="bold",
        rule="dim",
        head="dim",
        head_sorted="bold cyan",
        good="green",
        warn="yellow",
        bad="bold red",
        incoming="cyan",
        outgoing="yellow",
        trend="blue",
        key="bold",
        current="reverse",
        banner="bold black on yellow",
        alarm="bold white on red",
    )


def _none() -> Look:
    names = ("primary", "secondary", "accent", "warning", "error", "success")
    return _look(
        _plain_theme("none", **dict.fromkeys(names, "ansi_default")),
        "no colour at all",
        "reverse",
        dim="dim",
        strong="bold",
        title="bold",
        rule="dim",
        head="dim",
        head_sorted="bold",
        warn="bold",
        bad="bold",
        key="bold",
        current="reverse",
        banner="reverse",
        alarm="bold reverse",
    )


_MAKERS = {
    "dark": _dark,
    "light": _light,
    "contrast": _contrast,
    "colourblind": _colourblind,
    "ansi": _ansi,
    "none": _none,
}


@cache
def theme_named(name: str) -> Look:
    """The theme of this name; the first for a name that is none of ours."""
    return _MAKERS.get(name, _dark)()


def themes() -> tuple[Look, ...]:
    """All of them, in the order in which the ``T`` key goes through them."""
    return tuple(theme_named(name) for name in _MAKERS)
