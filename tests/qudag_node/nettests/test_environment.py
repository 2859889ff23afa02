import os

import pytest

from qudag_node.nettests.environment import HostWatch, environment
from qudag_node.nettests.results import Environment, Measured


class Host(HostWatch):
    """A host of which it is known how much was stolen."""

    def __init__(self, stolen: float | None) -> None:
        super().__init__()
        self._stolen = stolen

    def steal_ratio(self) -> float | None:
        return self._stolen


def found(monkeypatch: pytest.MonkeyPatch, *, load: float, stolen: float | None = None) -> Environment:
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    measured = Measured(success=True, verdict="", method="udp", fields={}, notes=("first",))
    return environment({"id": "x"}, measured, Host(stolen), dscp=8)


def test_a_quiet_host_is_not_noisy(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = found(monkeypatch, load=0.1)

    assert (quiet.noisy, quiet.notes) == (False, ("first",))
    assert (quiet.load_1m, quiet.dscp, quiet.node) == (0.1, 8, {"id": "x"})
    assert quiet.cpus >= 1
    assert quiet.kernel.startswith(os.uname().sysname)


def test_a_busy_host_is_noisy_and_the_note_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = found(monkeypatch, load=1000.0)

    assert busy.noisy
    assert busy.notes == ("first", f"this host is busy: load 1000.0 on {busy.cpus} processors")


def test_a_host_whose_time_is_stolen_is_noisy(monkeypatch: pytest.MonkeyPatch) -> None:
    robbed = found(monkeypatch, load=0.1, stolen=0.25)

    assert robbed.noisy
    assert robbed.notes[1:] == ("a hypervisor took 25% of this host's time",)
    assert robbed.steal_ratio == 0.25


def test_a_run_may_say_itself_that_the_host_was_too_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    measured = Measured(
        success=True,
        verdict="",
        method="udp",
        fields={},
        noisy=True,
        sched_delay_max_s=0.5,
        timestamps="kernel",
    )
    said = environment({}, measured, HostWatch(), dscp=0)

    assert (said.noisy, said.sched_delay_max_s, said.timestamps) == (True, 0.5, "kernel")


def test_stolen_time_is_a_ratio_where_the_kernel_tells() -> None:
    watch = HostWatch()
    sum(range(3_000_000))  # so that some ticks pass
    ratio = watch.steal_ratio()

    assert ratio is None or 0.0 <= ratio <= 1.0
