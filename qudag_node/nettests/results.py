"""What a test has found: `Measured` by a run, `TestResult` once the tester has put its frame round it. Pure.

Seconds, bytes, ratios from 0 to 1; what is not known is None. docs/test-results.md describes the document.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import ClassVar

from qudag_node.nettests.requests import TestType
from qudag_node.peerid import PeerId

__all__ = [
    "RESULT_SCHEMA",
    "ClockFacts",
    "Environment",
    "Measured",
    "Target",
    "TestResult",
    "document_of",
    "plain",
]

RESULT_SCHEMA = "qudag.test/1"
_MAX_DEPTH = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a run hands back.

    Attributes:
        success: The peer answered, and nothing failed; never whether the figures please.
        verdict: One sentence for an operator.
        method: How it was measured: ``stamp-udp``, ``link-echo``, ``overlay-echo``, ``tcp``, ``udp``,
            ``overlay-trace``, ``overlay-messages`` or ``steps``; ``none`` where it did not come to that.
        fields: The figures of this type of test, as they stand in the document.
        errors: Lines about what went wrong.
        timestamps: Where the times come from: ``kernel``, ``mixed``, ``user`` or ``none``.
        noisy: This host was too busy for the figures to be trusted; ``notes`` say how.
        notes: Remarks about this host, such as how late a packet left.
        sched_delay_max_s: How late the measuring thread came to run, at worst.
        declined: What the peer would not do, where the rest was done.
    """

    success: bool
    verdict: str
    method: str
    fields: Mapping[str, object]
    errors: tuple[str, ...] = ()
    timestamps: str = "none"
    noisy: bool = False
    notes: tuple[str, ...] = ()
    sched_delay_max_s: float | None = None
    declined: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Who was tested; ``hops`` is None when there was no way."""

    id: PeerId
    name: str
    hops: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockFacts:
    """Whether the system's clock is kept in step, and how wrong it can be at most."""

    synchronised: bool | None = None
    max_error_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What the figures depend on.

    Attributes:
        node: ``id``, ``name`` and ``version`` of the node that measured.
        load_1m: The host's load, as the test ended.
        steal_ratio: The share of time that a hypervisor took from this host meanwhile.
        noisy: The host was too busy for figures to be trusted; ``notes`` say how.
        dscp: What test packets were marked with.
    """

    node: Mapping[str, str]
    kernel: str
    cpus: int
    load_1m: float | None = None
    timestamps: str = "none"
    clock: ClockFacts = ClockFacts()
    steal_ratio: float | None = None
    sched_delay_max_s: float | None = None
    noisy: bool = False
    notes: tuple[str, ...] = ()
    dscp: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """One test that has ended.

    Attributes:
        interrupted: It was cancelled; the figures are of what was measured until then.
        declined: Why the peer, or a limit of this node, said no.
        stored: Whether the store has taken it.
    """

    #: pytest looks at the name.
    __test__: ClassVar[bool] = False

    test_id: str
    test_type: TestType
    target: Target | None
    started_unix_s: float
    duration_s: float
    measured: Measured
    options: Mapping[str, object]
    environment: Environment
    interrupted: bool = False
    declined: str | None = None
    stored: bool = field(default=True, compare=False)


def document_of(result: TestResult) -> dict[str, object]:
    """Return the document: plain maps, lists, texts and numbers; what is no number is None."""
    measured = result.measured
    common: dict[str, object] = {
        "schema": RESULT_SCHEMA,
        "test_id": result.test_id,
        "test_type": result.test_type.value,
        "target": None if result.target is None else asdict(result.target),
        "method": measured.method,
        "started_unix_s": result.started_unix_s,
        "duration_s": result.duration_s,
        "success": measured.success,
        "verdict": measured.verdict,
        "errors": list(measured.errors),
        "interrupted": result.interrupted,
        "declined": result.declined,
        "stored": result.stored,
        "options": dict(result.options),
        "environment": asdict(result.environment),
    }
    twice = common.keys() & measured.fields.keys()
    if twice:
        raise ValueError(f"a run may not set {', '.join(sorted(twice))}")
    document = plain({**common, **measured.fields})
    assert isinstance(document, dict)  # noqa: S101  # it was one
    return document


def plain(value: object, depth: int = _MAX_DEPTH) -> object:
    """Return a value as JSON can say it; NaN and infinities become None.

    Raises:
        TypeError, ValueError: It cannot.
    """
    if depth == 0:
        raise ValueError("a result is nested too deeply")
    match value:
        case None | str() | bool() | int():
            return str(value) if isinstance(value, str) else value
        case float():
            return value if isfinite(value) else None
        case Mapping():
            return {str(key): plain(inner, depth - 1) for key, inner in value.items()}
        case list() | tuple():
            return [plain(inner, depth - 1) for inner in value]
        case _:
            raise TypeError(f"a result holds a {type(value).__name__}")
