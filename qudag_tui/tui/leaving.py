"""Leaving in time: signals, a terminal that has gone away, and never hanging on the way out."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.app import App

__all__ = ["EXIT_HANGUP", "SIGNALS", "Leaving"]

EXIT_HANGUP = 129

#: What ends the monitor, and the exit code that says so.
SIGNALS = ((signal.SIGTERM, 143), (signal.SIGHUP, EXIT_HANGUP), (signal.SIGQUIT, 131))

#: Textual restores the terminal within milliseconds; what still runs after this hangs.
PATIENCE_S = 2.0


class Leaving:
    """Ends the app when it is told to by the system rather than by a key."""

    def __init__(self, app: App[None]) -> None:
        self._app = app
        self._timer: threading.Timer | None = None

    def listen(self) -> None:
        """Handle the signals; one that was ignored at the start (nohup) stays ignored."""
        loop = asyncio.get_running_loop()
        for number, code in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self.leave, code)

    def leave(self, code: int) -> None:
        """End the app, its terminal restored; end the process if that hangs."""
        self._timer = threading.Timer(PATIENCE_S, os._exit, (code,))
        self._timer.daemon = True
        self._timer.start()
        self._app.exit(return_code=code)

    def done(self) -> None:
        """The app has ended in order."""
        if self._timer is not None:
            self._timer.cancel()
        if self._app.return_code == EXIT_HANGUP:
            _forget_the_terminal()

    def leave_if_terminal_is_gone(self) -> None:
        """End at once when the terminal has hung up and nobody said so: there is nothing to restore."""
        if self._app.is_headless or sys.__stdin__ is None:
            return
        try:
            termios.tcgetattr(sys.__stdin__.fileno())
        except termios.error:
            os._exit(EXIT_HANGUP)


def _forget_the_terminal() -> None:
    """Let what is still written at exit go nowhere: on a dead terminal it would end the process with 120."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
