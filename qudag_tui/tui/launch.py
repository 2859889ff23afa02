"""From the options to a running monitor: the node, the configuration, the first line, then Textual."""

from __future__ import annotations

import gc
import importlib
import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from qudag_tui.client.endpoint import Endpoint
from qudag_tui.client.locate import locate
from qudag_tui.config import WindowsConfig, load_config
from qudag_tui.errors import ConfigError, UsageError, did_you_mean
from qudag_tui.tui.options import Options
from qudag_tui.tui.terminal import Terminal, is_utf8, why_not
from qudag_tui.views.glyphs import ASCII, UNICODE, Glyphs

if TYPE_CHECKING:
    from qudag_tui.client.updates import Update
    from qudag_tui.tui.app import QudagTop
    from qudag_tui.tui.demo import Demo

__all__ = ["launch"]

#: Start-up makes many objects that stay: collecting them again and again costs a sixth of it.
GC_THRESHOLD = (50_000, 20, 100)


def launch(options: Options) -> int:
    """Do what was asked for; return the exit code.

    Raises:
        QudagError: It cannot be done; one line says why.
    """
    config = load_config()
    is_colourless = options.no_color or bool(os.environ.get("NO_COLOR"))
    if not options.once and (reason := why_not(os.environ)):
        raise UsageError(f"{reason}; use --once for plain text, or `qudag network stats` for scripts")
    _check_theme(options.theme or config.monitor.theme or "dark")
    if not options.demo:
        endpoint = locate(options.node, token_file=options.token_file)
        return _watch(endpoint, options, config, is_colourless=is_colourless)
    from qudag_tui.tui.demo import Demo

    if not options.once:
        # The nodes start in their own processes; the time is used.
        threading.Thread(target=_import_app, daemon=True).start()
    with Demo() as demo:
        endpoint = locate(_started(demo), token_file=options.token_file)
        return _watch(endpoint, options, config, is_colourless=is_colourless)


def _started(demo: Demo) -> str:
    """Wait for the lab, saying so on a terminal."""
    is_terminal = sys.stderr.isatty()

    def progress(passed_s: float) -> None:
        if is_terminal:
            sys.stderr.write(f"\rqudag-top: starting five nodes and their traffic: {passed_s:.0f} s ")
            sys.stderr.flush()

    try:
        return demo.wait(progress)
    finally:
        if is_terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _watch(endpoint: Endpoint, options: Options, config: WindowsConfig, *, is_colourless: bool) -> int:
    glyphs = ASCII if options.ascii or config.monitor.ascii or not is_utf8(os.environ) else UNICODE
    if options.once:
        from qudag_tui.tui.once import print_overview

        print_overview(endpoint, glyphs, is_colourful=sys.stdout.isatty() and not is_colourless)
        return 0
    terminal = Terminal()
    terminal.splash(f"qudag-top  connecting to {endpoint.where}")
    try:
        gc.set_threshold(*GC_THRESHOLD)
        if is_colourless:
            os.environ["NO_COLOR"] = "1"
        app = _make_app(endpoint, options, config, glyphs, is_colourless=is_colourless)
        app.run(mouse=not options.no_mouse and config.monitor.mouse is not False)
        app.leaving.done()
    except BaseException:
        terminal.leave()
        raise
    terminal.restore_modes()
    if app.kept_screen:
        print(app.kept_screen)  # noqa: T201 — what Q leaves on the terminal
    return app.return_code or 0


def _make_app(
    endpoint: Endpoint, options: Options, config: WindowsConfig, glyphs: Glyphs, *, is_colourless: bool
) -> QudagTop:
    from qudag_tui.client.monitor import AsyncClient
    from qudag_tui.model.state import Link, UiState
    from qudag_tui.tui.app import QudagTop
    from qudag_tui.tui.keymap import IDS

    for name in config.keys:
        if name not in IDS:
            raise ConfigError(str(config.path), f"unknown key 'keys.{name}'", did_you_mean(name, IDS))
    interval_s = options.interval_s or config.monitor.interval_s or 1.0

    def connect(deliver: Callable[[Update], None]) -> AsyncClient:
        return AsyncClient(endpoint, interval_s=interval_s, deliver=deliver)

    return QudagTop(
        connect,
        state=UiState(link=Link(address=endpoint.where), interval_s=interval_s),
        theme="none" if is_colourless else options.theme or config.monitor.theme or "dark",
        glyphs=glyphs,
        own_keys=config.keys,
        is_colourless=is_colourless,
    )


def _check_theme(name: str) -> None:
    from qudag_tui.tui.theme_names import THEME_NAMES

    if name not in THEME_NAMES:
        raise UsageError(f"no theme is called {name!r}", did_you_mean(name, THEME_NAMES))


def _import_app() -> None:
    # What is imported now need not be when it is used.
    importlib.import_module("qudag_tui.tui.app")
