"""From the options to a running monitor: the node, the configuration, the first line, then Textual."""

from __future__ import annotations

import gc
import importlib
import os
import sys

from qudag_tui.client.endpoint import Endpoint
from qudag_tui.client.locate import locate
from qudag_tui.errors import ConfigError, UsageError, did_you_mean
from qudag_tui.tui.options import Options
from qudag_tui.tui.terminal import Terminal, is_utf8, why_not
from qudag_tui.tui.theme_names import THEME_NAMES
from qudag_tui.views.glyphs import ASCII, UNICODE, Glyphs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qudag_tui.client.monitor import AsyncClient
    from qudag_tui.client.updates import Update
    from qudag_tui.config import WindowsConfig
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
    config = _load_config()
    is_colourless = options.no_color or bool(os.environ.get("NO_COLOR"))
    if not options.once and (reason := why_not(os.environ)):
        raise UsageError(f"{reason}; use --once for plain text, or `qudag network stats` for scripts")
    _theme(options, config)
    if not options.demo:
        endpoint = locate(options.node, token_file=options.token_file)
        return _watch(endpoint, options, config, is_colourless=is_colourless)
    from qudag_tui.tui.demo import Demo

    if not options.once:
        import threading

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


def _watch(endpoint: Endpoint, options: Options, config: WindowsConfig | None, *, is_colourless: bool) -> int:
    is_ascii = options.ascii or bool(config and config.monitor.ascii) or not is_utf8(os.environ)
    glyphs = ASCII if is_ascii else UNICODE
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
        app.run(mouse=not options.no_mouse and not (config and config.monitor.mouse is False))
        app.leaving.done()
    except BaseException:
        terminal.leave()
        raise
    terminal.restore_modes()
    if app.kept_screen:
        print(app.kept_screen)  # noqa: T201 — what Q leaves on the terminal
    return app.return_code or 0


def _make_app(
    endpoint: Endpoint, options: Options, config: WindowsConfig | None, glyphs: Glyphs, *, is_colourless: bool
) -> QudagTop:
    from qudag_tui.tui.app import QudagTop

    own_keys = config.keys if config else {}
    if config is not None and own_keys:
        from qudag_tui.tui.keymap import IDS

        for name in own_keys:
            if name not in IDS:
                raise ConfigError(str(config.path), f"unknown key 'keys.{name}'", did_you_mean(name, IDS))
    interval_s = options.interval_s or (config and config.monitor.interval_s) or 1.0

    def connect(deliver: Callable[[Update], None]) -> AsyncClient:
        from qudag_tui.client.monitor import AsyncClient

        return AsyncClient(endpoint, interval_s=interval_s, deliver=deliver)

    return QudagTop(
        connect,
        address=endpoint.where,
        interval_s=interval_s,
        theme="none" if is_colourless else _theme(options, config),
        glyphs=glyphs,
        own_keys=own_keys,
        is_colourless=is_colourless,
    )


def _load_config() -> WindowsConfig | None:
    """The configuration; without a file, reading it is not even imported."""
    base = os.environ.get("XDG_CONFIG_HOME") or f"{os.environ.get('HOME', '')}/.config"
    if not os.path.exists(f"{base}/qudag/config.toml"):  # noqa: PTH110 — pathlib is worth ten milliseconds
        return None
    from qudag_tui.config import load_config

    return load_config()


def _theme(options: Options, config: WindowsConfig | None) -> str:
    name = options.theme or (config and config.monitor.theme) or THEME_NAMES[0]
    if name not in THEME_NAMES:
        raise UsageError(f"no theme is called {name!r}", did_you_mean(name, THEME_NAMES))
    return name


def _import_app() -> None:
    # What is imported now need not be when it is used.
    importlib.import_module("qudag_tui.tui.app")
