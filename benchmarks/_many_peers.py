"""A stats server with as many peers as asked for, all of whose figures change every second.

The server, its protocol, the packing and the deltas are the node's own; only the figures behind them are
invented, because no machine at hand can hold ten thousand real links. Run as a process of its own:
``python -m benchmarks._many_peers PEERS DIRECTORY``; it prints its address when it listens.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from math import sin
from pathlib import Path

import numpy as np
import numpy.typing as npt

from qudag_node.config import RpcConfig
from qudag_node.overlay.identity import Identity
from qudag_node.publish import delta
from qudag_node.rpc import Document, RpcServer, TokenStore, server_tls
from qudag_node.wire import pack_column, pack_text
from qudag_node.wire.peer_columns import PEER_NUMBERS
from qudag_node.wire.session import NodeCard
from tests.qudag_node.rpc.support import FixedNode
from tests.qudag_tui.examples import NOON, document, peer_id

#: What the columns move round; the others stay small whole numbers.
_LEVELS = {"_s": 0.02, "_per_s": 40_000.0, "bytes": 5e6, "messages": 9e4, "ratio": 0.004}
_STEADY = {"protocol_version": 1.0, "hops": 1.0, "connected_unix_s": NOON - 4000.0}


class ManyPeers(FixedNode):
    """Offers the example document with many peers."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count
        self._started = time.time()
        rows = np.arange(count)
        self._phase: npt.NDArray[np.float64] = rows % 17 / 3.0
        self._spread: npt.NDArray[np.float64] = 0.2 + rows * 7919 % 1000 / 400.0
        self._text = {
            "id": pack_text(peer_id(n) for n in range(1, count + 1)),
            "name": pack_text(f"peer{n + 2}" for n in range(count)),
            "alias": pack_text([""] * count),
            "address": pack_text(f"198.18.{n // 250}.{n % 250 + 2}:7000" for n in range(count)),
            "direction": pack_text(["in", "out"][n % 2] for n in range(count)),
            "state": pack_text(["connected"] * count),
            "agent": pack_text(["qudag/0.1.0"] * count),
            "rtt_method": pack_text(["link-ping"] * count),
        }

    def statistics(self, *, fresh: bool = False) -> Document:
        """The document of now."""
        del fresh
        self.tick += 1
        passed_s = time.time() - self._started
        found: dict[str, object] = {**document(600 + self.tick)}
        node = found["node"]
        assert isinstance(node, dict)
        found["node"] = {**node, "sampled_unix_s": NOON + passed_s, "uptime_s": 11_000.0 + passed_s}
        found["peers"] = {
            "slots": pack_column("u4", np.arange(self._count, dtype="<u4").tobytes()),
            "text": self._text,
            "numbers": {
                name: pack_column(kind, self._column(name, kind, passed_s).tobytes())
                for name, kind in PEER_NUMBERS.items()
            },
        }
        return found

    def delta(self, before: Document, after: Document) -> Document:
        """What changed, as the node tells it."""
        return delta(before, after)

    def events_after(self, sequence: int) -> tuple[int, Sequence[Document]]:
        """A new event every ten seconds."""
        newest = self.tick // 10
        events: list[Mapping[str, object]] = [
            {
                "seq": n,
                "unix_s": NOON + n * 10.0,
                "kind": "link-up",
                "severity": "info",
                "subject": f"peer{n}",
                "text": "",
            }
            for n in range(max(1, sequence + 1, newest - 50), newest + 1)
        ]
        return newest, [dict(event) for event in events]

    def _column(self, name: str, kind: str, passed_s: float) -> npt.NDArray[np.generic]:
        if name in _STEADY:
            return np.full(self._count, _STEADY[name], f"<{kind}")
        level = next((value for suffix, value in _LEVELS.items() if name.endswith(suffix)), 3.0)
        if name in {"probes_lost", "loss_ratio", "loss_session_ratio"}:
            # One peer in fifty has lost a probe, now and then.
            level = 0.0 if name == "probes_lost" else 0.01
            rare = np.arange(self._count) % 50 == 7
            return np.where(rare, level + (passed_s // 20 if name == "probes_lost" else 0.0), 0.0).astype(
                f"<{kind}"
            )
        if name.endswith("_per_s"):
            level = _LEVELS["_per_s"]
        wave = 1.0 + 0.3 * np.sin(self._phase + passed_s / 3.0) + 0.05 * sin(passed_s)
        values = level * self._spread * wave
        if kind.startswith("u") or (name.startswith("tcp_") and kind == "f8"):
            values = np.floor(values + passed_s)
        return values.astype(f"<{kind}")


async def _serve(count: int, directory: Path) -> None:
    identity = Identity.generate()
    tokens = TokenStore(directory)
    async with asyncio.TaskGroup() as tasks:
        server = RpcServer(
            RpcConfig(),
            ManyPeers(count),
            NodeCard(identity.peer_id, "peer1", "0.1.0", "benchmark"),
            tokens,
            socket_path=directory / "rpc.sock",
            tls=server_tls(identity),
            clock=time.monotonic,
            tasks=tasks,
        )
        await server.start()
        print(f"unix:{directory / 'rpc.sock'}", flush=True)
        # Until the pipe of whoever started this is closed.
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        await server.stop()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), Path(sys.argv[2])))
