"""``--dry-run``: what a test would send, and nothing sent. Pure."""

from __future__ import annotations

from qudag_tui.views.facts import fact
from qudag_tui.views.nettests.documents import Document, at, short, target_name, text
from qudag_tui.views.nettests.parts import Style, fact_lines, wrapped

__all__ = ["plan_lines"]

_SHOWN_APART = frozenset(
    {"schema", "test_type", "target", "sends", "options", "method", "exclusive", "verdict"}
)


def plan_lines(plan: Document, style: Style) -> list[str]:
    """Which test, what it would send, with which options."""
    peer_id, name = text(plan, "target", "id"), target_name(plan)
    whom = f" {name}" if name else ""
    known = f" ({short(peer_id)})" if peer_id and short(peer_id) != name else ""
    lines = wrapped(
        f"{style.paint('dry run', 'head')}  {text(plan, 'test_type')}{whom}{known}: nothing was sent",
        style,
        indent="",
    )
    sends = at(plan, "sends")
    for item in sends if isinstance(sends, list) else []:
        lines += wrapped(str(item), style, indent="  would send ", hang="             ")
    figures = [
        f"{_label(key)} {_value(key, value)}"
        for key, value in plan.items()
        if key not in _SHOWN_APART and value is not None and not isinstance(value, dict | list)
    ]
    options = at(plan, "options")
    set_to = (
        [f"{_label(key)} {_value(key, value)}" for key, value in options.items() if value is not None]
        if isinstance(options, dict)
        else []
    )
    waits = ["waits for other heavy tests of this node to end"] if plan.get("exclusive") else []
    rows = [("method", [text(plan, "method")]), ("in all", figures), ("options", set_to), ("queue", waits)]
    return [*lines, *fact_lines(rows, style)]


def _value(name: str, value: object) -> str:
    """Counts to the last digit; everything else in the unit of its name."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and "bytes" not in name
    return str(value) if is_count else fact(f"size_{name}" if name == "bytes" else name, value)


def _label(name: str) -> str:
    for suffix in ("_bits_per_s", "_per_s", "_bytes", "_s"):
        if name.endswith(suffix) and name != suffix:
            name = name.removesuffix(suffix)
            break
    return name.replace("_", " ")
