"""The figures of a ping, and of a latency profile. Pure."""

from __future__ import annotations

from qudag_tui.views.nettests.documents import Document, at, number, text
from qudag_tui.views.nettests.parts import Style, delays, exact, fact_lines, seconds
from qudag_tui.views.text import format_bits_per_s, format_ratio

__all__ = ["latency_lines", "ping_lines"]


def ping_lines(document: Document, style: Style) -> list[str]:
    """Delays, then what was lost and where."""
    table = delays(
        [
            ("rtt", at(document, "rtt"), ""),
            ("forward", at(document, "forward_delay"), error_bound(at(document, "forward_delay"), style)),
            ("backward", at(document, "backward_delay"), error_bound(at(document, "backward_delay"), style)),
        ],
        style,
    )
    sent, received = number(document, "sent"), number(document, "received")
    forward, backward = number(document, "forward_lost"), number(document, "backward_lost")
    arrived = None if sent is None or forward is None else sent - forward
    unusual = [
        f"{name.replace('_', ' ')} {exact(number(document, name))}"
        for name in ("duplicates", "reordered", "late")
        if number(document, name) is not None
    ]
    lost = [
        _direction("forward", forward, sent),
        _direction("backward", backward, arrived),
        f"dropped by this host {exact(number(document, 'local_dropped'))}"
        if number(document, "local_dropped")
        else "",
    ]
    jitter = number(document, "jitter_s")
    send_error = at(document, "send_error")
    timing = [f"{seconds(jitter, style)}"] if jitter is not None else []
    if isinstance(send_error, dict) and (worst := number(send_error, "p99_s")) is not None:
        timing.append(f"sent p99 {seconds(worst, style)} off schedule")
    facts = fact_lines(
        [
            (
                "packets",
                [
                    f"sent {exact(sent)}",
                    f"received {exact(received)}",
                    f"loss {format_ratio(number(document, 'loss_ratio'))}",
                ],
            ),
            ("order", unusual),
            ("lost", lost if (forward or backward or number(document, "local_dropped")) else []),
            ("jitter", timing),
        ],
        style,
    )
    return [*table, *([""] if table else []), *facts] if sent is not None else table


def error_bound(delay: object, style: Style) -> str:
    """How far a one-way delay may be off, since the two clocks are."""
    if not isinstance(delay, dict) or (bound := number(delay, "error_bound_s")) is None:
        return ""
    return f"{'+-' if style.ascii_only else '±'}{seconds(bound, style)}"


def _direction(name: str, lost: float | None, of: float | None) -> str:
    if lost is None:
        return ""
    return f"{name} {exact(lost)} ({format_ratio(lost / of)})" if of else f"{name} {exact(lost)}"


def latency_lines(document: Document, style: Style) -> list[str]:
    """Idle and under load, what the load adds, and the grade."""
    table = delays([(phase, at(document, phase), "") for phase in ("idle", "up", "down", "both")], style)
    grade = text(document, "grade")
    added = [
        f"{phase} p95 +{seconds(value, style)}"
        for phase in ("up", "down", "both")
        if (value := _added(document, phase)) is not None
    ]
    facts = fact_lines(
        [
            ("grade", [grade] if grade else []),
            ("load adds", added),
            ("goodput", [_goodput(document, phase, way) for phase, way in _LOADS]),
            *((f"tcp {way}", _ratios(at(document, "rfc6349", way))) for way in ("up", "down")),
        ],
        style,
    )
    return [*table, *([""] if table and facts else []), *facts]


#: What each phase loads.
_LOADS = (("up", "up"), ("down", "down"), ("both", "up"), ("both", "down"))


def _ratios(ratios: object) -> list[str]:
    """The metrics of RFC 6349."""
    if not isinstance(ratios, dict):
        return []
    found = ((label, number(ratios, name), name) for name, label in _RFC6349)
    return [f"{label} {_ratio(value, name)}" for label, value, name in found if value is not None]


_RFC6349 = (
    ("tcp_transfer_time_ratio", "transfer time ratio"),
    ("tcp_efficiency_ratio", "efficiency"),
    ("buffer_delay_ratio", "buffer delay"),
)


def _added(document: Document, phase: str) -> float | None:
    idle, loaded = number(document, "idle", "p95_s"), number(document, phase, "p95_s")
    return None if idle is None or loaded is None else max(0.0, loaded - idle)


def _ratio(value: float, name: str) -> str:
    return f"{value:.2f}" if name == "tcp_transfer_time_ratio" else format_ratio(value)


def _goodput(document: Document, phase: str, way: str) -> str:
    value = number(document, phase, f"{way}_bits_per_s")
    if value is None:
        return ""
    return f"{way}{' (both)' if phase == 'both' else ''} {format_bits_per_s(value)}"
