"""What strangers can cause any number of times is told once in a while, with how often it was. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Repetitions"]

_QUIET_S = 10.0
_MAX_SUBJECTS = 256
_EVERYBODY = "*"


@dataclass(slots=True)
class _Quiet:
    until_mono_s: float
    suppressed: int = 0


class Repetitions:
    """Lets one of many alike through in 10 s; at most 256 subjects are told apart."""

    def __init__(self) -> None:
        self._quiet: dict[tuple[str, str], _Quiet] = {}

    def __len__(self) -> int:
        return len(self._quiet)

    def admit(self, kind: str, subject: str, text: str, now_mono_s: float) -> tuple[str, str] | None:
        """Return the subject and the text to tell, or None when the like was told just now.

        Args:
            kind: What happened; alike is what has the same kind and subject.
            subject: To whom; ``*`` comes back instead when there are too many at once.
            text: The newest of them stands for all.
            now_mono_s: The clock.
        """
        if (kind, subject) not in self._quiet and len(self._quiet) >= _MAX_SUBJECTS:
            subject = _EVERYBODY
        quiet = self._quiet.get((kind, subject))
        if quiet is not None and now_mono_s < quiet.until_mono_s:
            quiet.suppressed += 1
            return None
        if quiet is not None and quiet.suppressed:
            text = f"{text} (and {quiet.suppressed} times since the last such line)"
        if subject == _EVERYBODY:
            self._forget(now_mono_s)
        self._quiet[kind, subject] = _Quiet(now_mono_s + _QUIET_S)
        return subject, text

    def _forget(self, now_mono_s: float) -> None:
        for key in [key for key, quiet in self._quiet.items() if quiet.until_mono_s <= now_mono_s]:
            del self._quiet[key]
