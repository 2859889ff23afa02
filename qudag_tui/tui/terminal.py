"""The terminal before Textual has it and after: is there one, a first line at once, and order at the end."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from types import FrameType
from typing import NoReturn

__all__ = ["Terminal", "is_utf8", "why_not"]

_ENTER = "\x1b[?1049h\x1b[2J\x1b[H\x1b[?25l"
_LEAVE = "\x1b[?1049l\x1b[?25h\x1b[0m"

_CODES = {signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGQUIT: 131}


def why_not(environ: Mapping[str, str]) -> str:
    """Why a full-screen program cannot run here; empty when it can."""
    for stream, name in ((sys.__stdin__, "stdin"), (sys.__stdout__, "stdout"), (sys.__stderr__, "stderr")):
        try:
            if stream is None or not stream.isatty():
                return f"{name} is not a terminal"
        except ValueError:
            return f"{name} is closed"
    if environ.get("TERM", "") in ("", "dumb", "unknown"):
        return "TERM does not name a full-screen terminal"
    return ""


def is_utf8(environ: Mapping[str, str]) -> bool:
    """Whether the locale can show more than ASCII; one that says nothing is taken for modern."""
    chosen = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or "UTF-8"
    if environ.get("LANG") in ("C", "POSIX") and not environ.get("LC_ALL") and chosen == "C.UTF-8":
        chosen = "C"  # Python itself set LC_CTYPE (PEP 538); the person said C
    return chosen.upper().replace("-", "").endswith("UTF8")


class Terminal:
    """Holds the terminal from the first line to the last; whatever ends us, it is left in order."""

    def __init__(self) -> None:
        import termios

        self._termios = termios
        self._modes = termios.tcgetattr(0)
        # Exported ones would freeze the size.
        for name in ("LINES", "COLUMNS"):
            os.environ.pop(name, None)
        for stream in (sys.__stdout__, sys.__stderr__):
            reconfigure = getattr(stream, "reconfigure", None)
            if reconfigure is not None:
                reconfigure(encoding="utf-8", errors="replace")

    def splash(self, line: str) -> None:
        """Show one line at once, where the header will be."""
        for number in _CODES:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._leave_at_once)
        self._write(f"{_ENTER} {line}")

    def leave(self) -> None:
        """Put everything back, also after a crash inside the driver."""
        self._write(_LEAVE)
        self.restore_modes()

    def restore_modes(self) -> None:
        """Echo and line editing as they were."""
        try:
            self._termios.tcsetattr(0, self._termios.TCSANOW, self._modes)
        except (self._termios.error, OSError):
            return  # the terminal has gone away: there is nothing to restore

    def _leave_at_once(self, number: int, _frame: FrameType | None) -> NoReturn:
        self.leave()
        os._exit(_CODES[signal.Signals(number)])

    @staticmethod
    def _write(text: str) -> None:
        try:
            os.write(2, text.encode())
        except OSError:
            return  # the same
