"""``--dry-run``: what a test would send, and nothing sent. Pure."""

from __future__ import annotations

from qudag_tui.views.facts import fact
from qudag_tui.views.nettests.documents import Document, at, duration_text, number, short, target_name, text
from qudag_tui.views.nettests.parts import Style, counted, exact, fact_lines, per_s, wrapped
from qudag_tui.views.text import format_bits_per_s, format_bytes

__all__ = ["plan_lines"]

# Of these nobody knows beforehand how much they send.
_BULK = frozenset({"bandwidth", "latency"})


def plan_lines(plan: Document, style: Style) -> list[str]:
    """Which test, what it would send, with which options."""
    peer_id, name, hops = text(plan, "target", "id"), target_name(plan), number(plan, "target", "hops")
    whom = f" of {name}" if name else ""
    known = f" ({short(peer_id)}{', ' + counted(hops, 'hop') if hops else ''})" if peer_id else ""
    lines = [f"{style.paint('dry run', 'head')}  {text(plan, 'test_type')}{whom}{known}; nothing was sent"]
    if refusal := text(plan, "refusal"):
        lines += wrapped(f"it would fail: {refusal}", style, indent="  ")
    waits = number(plan, "waits_for")
    options = at(plan, "options")
    rows = [
        ("would send", [text(plan, "plan", "line")]),
        ("in all", _totals(plan)),
        ("waits", [f"for {counted(waits, 'other test')} of this node"] if waits else []),
        ("options", _options(options) if isinstance(options, dict) else []),
    ]
    return [*lines, *fact_lines(rows, style)]


def _totals(plan: Document) -> list[str]:
    packets, size = number(plan, "plan", "packets"), number(plan, "plan", "sent_bytes")
    rate, duration = number(plan, "plan", "rate_bits_per_s"), number(plan, "plan", "duration_s")
    is_bulk = packets is None and text(plan, "test_type") in _BULK
    most = "at most " if is_bulk else ""
    return [
        counted(packets, "packet") if packets is not None else "",
        f"{most}{format_bytes(size)}" if size is not None else "as much as it carries" if is_bulk else "",
        f"at most {format_bits_per_s(rate)}" if rate is not None else "",
        f"takes {duration_text(duration)} or less, with all around it"
        if duration is not None and is_bulk
        else f"takes {duration_text(duration)} or less"
        if duration is not None
        else "until it is cancelled",
    ]


def _options(options: Document) -> list[str]:
    """Those that have a value; counts to the last digit, all else in the unit of its name."""
    told: list[str] = []
    for name, value in options.items():
        if isinstance(value, int) and not isinstance(value, bool) and not name.endswith("_bytes"):
            told.append(f"{_label(name)} {exact(value)}")
        elif name.endswith("_per_s") and "bits" not in name and isinstance(value, float):
            told.append(f"{_label(name)} {per_s(value)}")
        elif value is not None and value not in ("", False):
            told.append(f"{_label(name)} {fact(name, value)}")
    return told


def _label(name: str) -> str:
    """The unit stands in the value."""
    for suffix in ("_bits_per_s", "_per_s", "_bytes", "_s"):
        name = name.removesuffix(suffix)
    return name.replace("_", " ")
