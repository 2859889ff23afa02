"""One node of the lab: its process, and what it says of itself."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qudag_node.lab.errors import LabError, NodeStartError
from qudag_node.lab.processes import ProcessRecord, child_environment, python_module
from qudag_node.lab.rpc import NodeSession
from qudag_node.lab.topology import NodeName
from qudag_node.wire import paths

__all__ = ["LabNode", "NodeCommand"]

#: How often a node that starts is asked whether it is there; a try costs 0.1 ms.
_POLL_S = 0.01
#: Where a node keeps the peers that it was told to add.
_ADDED_PEERS = "peers.json"
#: What a node has for stopping in order, and a second more.
_STOP_S = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCommand:
    """What every node of a lab is started with.

    Attributes:
        arguments: Beside those that each node has for itself.
        parent_fd: The read end of a pipe whose only writer is this process.
    """

    arguments: Sequence[str]
    environ: Mapping[str, str]
    parent_fd: int


class LabNode:
    """A node's process. It may be killed and started again; its identity stays."""

    def __init__(
        self, name: NodeName, data_dir: Path, listen: str, *, entrance: Callable[[], None] | None
    ) -> None:
        self.name = name
        self.data_dir = data_dir
        self.id = ""
        self.rpc = ""
        self.listen = listen
        self.process: subprocess.Popen[bytes] | None = None
        self.record: ProcessRecord | None = None
        self._entrance = entrance
        self._environ: Mapping[str, str] = {}

    @property
    def is_running(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    @property
    def state(self) -> str:
        """``running``, ``exited (N)`` or ``killed (SIGNAL)``."""
        if self.process is None:
            return "not started"
        code = self.process.poll()
        if code is None:
            return "running"
        return f"killed ({signal.Signals(-code).name})" if code < 0 else f"exited ({code})"

    def clear(self) -> None:
        """Forget whom the node was linked to in an earlier lab of this directory."""
        (self.data_dir / _ADDED_PEERS).unlink(missing_ok=True)

    def start(self, command: NodeCommand) -> None:
        """Start the process; ``ready`` waits for it."""
        self.data_dir.mkdir(mode=0o700, exist_ok=True)
        self._environ = child_environment(command.environ)
        own = ["--name", self.name, "--data-dir", str(self.data_dir), "--listen", self.listen]
        parent = ["--lab-parent-fd", str(command.parent_fd)]
        with self._stderr_path.open("wb") as stderr:
            self.process = subprocess.Popen(
                python_module("qudag_node", "start", *own, *parent, *command.arguments),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                pass_fds=[command.parent_fd],
                env=self._environ,
                start_new_session=True,
                preexec_fn=self._entrance,  # noqa: PLW1509  # the supervisor has a single thread
            )
        self.record = ProcessRecord.of(self.process.pid)

    async def ready(self) -> None:
        """Wait until the node answers, and learn its identity.

        Raises:
            NodeStartError: The process ended instead.
        """
        rpc = f"unix:{paths.socket_path(self.data_dir, self._environ)}"
        while True:
            with contextlib.suppress(OSError, LabError):
                async with NodeSession(rpc) as session:
                    status: Mapping[str, Any] = await session.call("status")
                self.id, self.rpc = str(status["node"]["id"]), rpc
                return
            if not self.is_running:
                raise NodeStartError(f"{self.name}: it did not start ({self.state}): {self._last_words()}")
            await asyncio.sleep(_POLL_S)

    def signal(self, number: signal.Signals) -> bool:
        """Signal the process; return whether it ran."""
        if self.process is None or self.process.poll() is not None:
            return False
        self.process.send_signal(number)
        return True

    async def ended(self, timeout_s: float = _STOP_S) -> None:
        """Wait until the process has ended; one that takes longer is killed."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        while self.is_running:
            if loop.time() > deadline_s:
                self.signal(signal.SIGKILL)
            await asyncio.sleep(_POLL_S)

    def sockets(self) -> list[str]:
        """What the node leaves behind when it has no time to clean up, so that others can."""
        link = Path(paths.running_link(self.name, self._environ))
        socket = paths.socket_path(self.data_dir, self._environ)
        is_ours = link.is_symlink() and str(link.readlink()) == socket
        return [socket, str(link)] if is_ours else [socket]

    def to_json(self) -> dict[str, Any]:
        """For ``up`` and ``status``."""
        pid = self.process.pid if self.process is not None else None
        return {"name": self.name, "id": self.id, "rpc": self.rpc, "listen": self.listen, "pid": pid}

    @property
    def _stderr_path(self) -> Path:
        return self.data_dir / "stderr.log"

    def _last_words(self) -> str:
        lines = self._stderr_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else f"it said nothing; see {self.data_dir}/node.log"
