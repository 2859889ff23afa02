"""Two network namespaces and one wire between them, on which the kernel itself counts, drops and shapes.

    namespace a                         namespace b
    lo, wire 10.77.0.1/24 ──── veth ──── wire 10.77.0.2/24, lo

What is counted at the input of a namespace (nft, named counters) is the truth of what the wire delivered to
it, and what is dropped there the truth of its loss. No program forwards: a delay is the lab's matter.

The namespaces have no names: descriptors and the processes inside hold them, so nothing is left behind
however a test ends, and many tests may have some each at the same time.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from qudag_node.lab.linux import CLONE_NEWNET, CLONE_NEWUSER, setns
from tests.conftest import REPO
from tests.needs import need

__all__ = [
    "DEVICE",
    "Counted",
    "Counter",
    "Namespace",
    "Wire",
    "namespace_of",
    "netns_problem",
    "wire_between",
]

DEVICE = "wire"
#: The administrator's programs are not on every user's PATH.
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
PROGRAMS = {"ip": "iproute2", "tc": "iproute2", "nft": "nftables", "unshare": "util-linux"}
_TABLE = "inet truth"
_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Namespace:
    """A network namespace that lives as long as ``net_fd`` is open, or a process is inside.

    Attributes:
        user_fd: The user namespace that owns it; None where none was needed.
        address: Of its end of the wire.
    """

    net_fd: int
    user_fd: int | None
    address: str

    def enter(self) -> None:
        """What a new process calls to be inside: ``Popen(…, preexec_fn=namespace.enter)``."""
        if self.user_fd is not None:
            setns(self.user_fd, CLONE_NEWUSER)
        setns(self.net_fd, CLONE_NEWNET)

    def run(self, *words: str, text: str | None = None) -> str:
        """Run a program inside to its end; return what it printed."""
        return _finished(words, self, text)

    @contextmanager
    def program(
        self, *words: str, environ: Mapping[str, str] | None = None
    ) -> Generator[subprocess.Popen[str]]:
        """Run a program inside, with pipes, until the block ends."""
        process = subprocess.Popen(
            words,
            preexec_fn=self.enter,  # noqa: PLW1509  # it makes two system calls
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPO,
            env={**os.environ, "PATH": PATH, "PYTHONPATH": str(REPO), **(environ or {})},
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What a counter saw.

    Attributes:
        arrived: Packets that the wire delivered, before any was dropped.
        dropped: Those of them that were dropped.
    """

    arrived: int
    arrived_bytes: int
    dropped: int
    dropped_bytes: int

    @property
    def passed(self) -> int:
        """What went on to a socket."""
        return self.arrived - self.dropped


@dataclass(frozen=True, slots=True)
class Counter:
    """Counts, and drops, what arrives at one namespace and matches."""

    namespace: Namespace
    number: int

    def read(self) -> Counted:
        """The kernel's counters now."""
        listed = json.loads(self.namespace.run("nft", "-j", "list", "counters", "table", *_TABLE.split()))
        by_name = {
            item["counter"]["name"]: item["counter"] for item in listed["nftables"] if "counter" in item
        }
        arrived, dropped = (by_name[f"{name}_{self.number}"] for name in ("arrived", "dropped"))
        return Counted(
            arrived=arrived["packets"],
            arrived_bytes=arrived["bytes"],
            dropped=dropped["packets"],
            dropped_bytes=dropped["bytes"],
        )


@dataclass(frozen=True, slots=True)
class Wire:
    """The wire and its two ends."""

    a: Namespace
    b: Namespace
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def count(
        self, namespace: Namespace, match: str = "meta l4proto udp", *, ratio: float = 0.0, every: int = 0
    ) -> Counter:
        """Count what arrives there and matches, for instance ``udp dport 40000-40100``.

        Args:
            namespace: Where it arrives.
            match: nft's expression.
            ratio: The share that is dropped at random.
            every: Of each so many packets the last is dropped; 0 for none.
        """
        number = next(self._numbers)
        rule = f'add rule {_TABLE} into iifname "{DEVICE}" {match}'
        chosen = []
        if ratio:
            chosen = [
                f"{rule} numgen random mod 1000000 < {ratio * 1e6:.0f} counter name dropped_{number} drop"
            ]
        elif every:
            chosen = [f"{rule} numgen inc mod {every} == {every - 1} counter name dropped_{number} drop"]
        script = [
            f"add table {_TABLE}",
            f"add chain {_TABLE} into {{ type filter hook input priority 0 ; }}",
            f"add counter {_TABLE} arrived_{number}",
            f"add counter {_TABLE} dropped_{number}",
            f"{rule} counter name arrived_{number}",
            *chosen,
        ]
        namespace.run("nft", "-f", "-", text="\n".join(script) + "\n")
        return Counter(namespace, number)

    def stop_counting(self) -> None:
        """Take all counters, and what they drop, away."""
        for end in (self.a, self.b):
            # Deleting a table that is not there is an error, making one that is there is none.
            end.run("nft", "-f", "-", text=f"add table {_TABLE}\ndelete table {_TABLE}\n")

    def shape(
        self,
        namespace: Namespace,
        rate_bits_per_s: float,
        *,
        queue_bytes: int = 125_000,
        burst_bytes: int = 15_000,
    ) -> None:
        """Let what leaves there pass a token bucket (tc's tbf), in the place of any earlier one."""
        namespace.run(
            *("tc", "qdisc", "replace", "dev", DEVICE, "root", "tbf", "rate", f"{rate_bits_per_s:.0f}bit"),
            *("burst", f"{burst_bytes}", "limit", f"{queue_bytes}"),
        )

    def unshape(self, namespace: Namespace) -> None:
        """Take the token bucket away, if there is one."""
        namespace.run("tc", "qdisc", "replace", "dev", DEVICE, "root", "noqueue")

    def shaped(self, namespace: Namespace) -> Mapping[str, int]:
        """What the token bucket sent and dropped: ``packets``, ``bytes``, ``drops`` …"""
        found = json.loads(namespace.run("tc", "-s", "-j", "qdisc", "show", "dev", DEVICE, "root"))
        counters: Mapping[str, int] = found[0]
        return counters

    def with_real_packets(self) -> None:
        """Let no packet be longer than the MTU, so that counters count what a cable would carry.

        Otherwise the kernel hands up to 64 KiB at once from one end of a veth to the other.
        """
        for end in (self.a, self.b):
            end.run("ip", "link", "set", DEVICE, "gso_max_segs", "1")


@contextmanager
def wire_between() -> Generator[Wire]:
    """Two namespaces with a wire; the test is skipped where there can be none, and fails there under CI."""
    problem = netns_problem()
    need(problem is None, f"namespaces with the kernel's counters: {problem}")
    with _built() as wire:
        yield wire


@cache
def netns_problem() -> str | None:
    """Why there can be none here; None where there can."""
    for program, package in PROGRAMS.items():
        if shutil.which(program, path=PATH) is None:
            return f"no {program}: apt install {package}"
    try:
        with _built() as wire:
            wire.count(wire.b, ratio=0.5)
            wire.count(wire.b, every=2)
            wire.shape(wire.a, 1e8)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", "") or ""
        return f"{error} {said.strip()}"
    return None


@contextmanager
def namespace_of(pid: int, address: str) -> Generator[Namespace]:
    """The namespace that a process is in, for instance a node of the lab's."""
    own, its = (Path(f"/proc/{who}/ns/user").readlink() for who in ("self", pid))
    with contextlib.ExitStack() as stack:
        user_fd = None if own == its else os.open(f"/proc/{pid}/ns/user", os.O_RDONLY)
        if user_fd is not None:
            stack.callback(os.close, user_fd)
        net_fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        stack.callback(os.close, net_fd)
        yield Namespace(net_fd, user_fd, address)


@contextmanager
def _built() -> Generator[Wire]:
    with contextlib.ExitStack() as stack:
        a, _ = stack.enter_context(_namespace("10.77.0.1", None if _may_unshare() else "new"))
        b, holder = stack.enter_context(_namespace("10.77.0.2", a if a.user_fd is not None else None))
        a.run(
            *("ip", "link", "add", DEVICE, "type", "veth", "peer", "name", DEVICE, "netns", str(holder.pid)),
        )
        for end in (a, b):
            lines = ["link set lo up", f"addr add {end.address}/24 dev {DEVICE}", f"link set {DEVICE} up"]
            end.run("ip", "-batch", "-", text="\n".join(lines) + "\n")
        yield Wire(a, b)


@cache
def _may_unshare() -> bool:
    """Whether network namespaces may be made here without a user namespace; root in a container may not."""
    return not subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode


@contextmanager
def _namespace(
    address: str, owner: Namespace | str | None
) -> Generator[tuple[Namespace, subprocess.Popen[str]]]:
    """A namespace and a process inside it.

    ``owner`` is whose user namespace it belongs to, "new" for one of its own, None where none is needed.
    """
    flags = ["--user", "--map-root-user"] if owner == "new" else []
    with subprocess.Popen(
        ["unshare", *flags, "--net", "cat"],
        preexec_fn=owner.enter if isinstance(owner, Namespace) else None,  # noqa: PLW1509  # two system calls
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stderr is not None
        try:
            holder.stdin.write("inside\n")
            holder.stdin.flush()
            if holder.stdout.readline() != "inside\n":
                raise OSError(holder.stderr.read().strip())
            with contextlib.ExitStack() as stack:
                user_fd = None
                if owner is not None:
                    user_fd = os.open(f"/proc/{holder.pid}/ns/user", os.O_RDONLY)
                    stack.callback(os.close, user_fd)
                net_fd = os.open(f"/proc/{holder.pid}/ns/net", os.O_RDONLY)
                stack.callback(os.close, net_fd)
                yield Namespace(net_fd, user_fd, address), holder
        finally:
            with contextlib.suppress(BrokenPipeError):
                holder.stdin.close()
            holder.wait(_TIMEOUT_S)


def _finished(words: Sequence[str], namespace: Namespace, text: str | None) -> str:
    return subprocess.run(
        words,
        preexec_fn=namespace.enter,  # it makes two system calls
        input=text,
        stdin=subprocess.DEVNULL if text is None else None,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=True,
        env={**os.environ, "PATH": PATH},
    ).stdout
