"""Ctrl-C and SIGTERM while a test runs: noted, so that what was measured is still printed.

The second signal ends the command at once.
"""

from __future__ import annotations

import signal

from qudag_tui.errors import EXIT_INTERRUPTED, EXIT_TERMINATED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import Any, Self

__all__ = ["Interrupts"]

_CODES = {signal.SIGINT: EXIT_INTERRUPTED, signal.SIGTERM: EXIT_TERMINATED}


class Interrupts:
    """Use as a context manager, in the main thread.

    Attributes:
        code: The exit code that the first signal asks for; None while none came.
    """

    def __init__(self) -> None:
        self.code: int | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in _CODES:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.code is None:
            self.code = _CODES[signal.Signals(number)]
            return
        before = self._before[signal.Signals(number)]
        if callable(before):
            before(number, frame)
        raise KeyboardInterrupt
