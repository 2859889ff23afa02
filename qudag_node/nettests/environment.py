"""What a test's figures depend on: this host, its clock, and whether it was too busy to measure well."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

from qudag_node.host.clock_state import read_clock_state
from qudag_node.host.noise import read_processor_times, steal_ratio
from qudag_node.nettests.results import ClockFacts, Environment, Measured

__all__ = ["HostWatch", "environment"]

#: More stolen than this, and single delays are the hypervisor's.
_STEAL_RATIO = 0.02
#: More runnable threads than this for each processor, and a packet waits for one.
_LOAD_PER_CPU = 1.5


class HostWatch:
    """Looks at the host when a test begins, and when it ends."""

    def __init__(self) -> None:
        self._before = read_processor_times()

    def steal_ratio(self) -> float | None:
        """Return the share of processor time that a hypervisor took since then; None: nothing is known."""
        return steal_ratio(self._before, read_processor_times())


def environment(node: Mapping[str, str], measured: Measured, watch: HostWatch, *, dscp: int) -> Environment:
    """Return the environment of a test that has just ended."""
    found = Environment(
        node=node,
        kernel=f"{os.uname().sysname} {os.uname().release}",
        cpus=_cpus(),
        load_1m=_load_1m(),
        timestamps=measured.timestamps,
        clock=_clock(),
        steal_ratio=watch.steal_ratio(),
        sched_delay_max_s=measured.sched_delay_max_s,
        dscp=dscp,
    )
    notes = _complaints(found)
    return replace(found, noisy=measured.noisy or bool(notes), notes=(*measured.notes, *notes))


def _complaints(found: Environment) -> list[str]:
    notes: list[str] = []
    if found.steal_ratio is not None and found.steal_ratio > _STEAL_RATIO:
        notes.append(f"a hypervisor took {found.steal_ratio:.0%} of this host's time")
    if found.load_1m is not None and found.load_1m > _LOAD_PER_CPU * found.cpus:
        notes.append(f"this host is busy: load {found.load_1m:.1f} on {found.cpus} processors")
    return notes


def _clock() -> ClockFacts:
    state = read_clock_state()
    if state is None:
        return ClockFacts()
    return ClockFacts(synchronised=state.is_synchronised, max_error_s=state.max_error_s)


def _cpus() -> int:
    # The platform may lack it (macOS); what counts is what this process may use.
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed is not None else os.cpu_count() or 1


def _load_1m() -> float | None:
    try:
        return os.getloadavg()[0]
    except OSError:
        return None
