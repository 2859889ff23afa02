"""A small real node that keeps results and answers ``test.…``, as docs/wire-format.md describes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from qudag_node.wire import ErrorCode, RpcError
from tests.qudag_tui import results
from tests.qudag_tui.client.server import SmallNode

Push = Callable[[str, Mapping[str, Any]], None]
Params = Mapping[str, Any]

NAMES = {"peer2": results.PEER2, "peer3": results.PEER3, "peer4": results.PEER4}


class Tests:
    """The ``test.…`` methods of a small node.

    Attributes:
        kept: Results by their id, oldest first.
        is_endless: Whether a test runs until it is cancelled.
        answers: What a test of a peer finds, by the peer's name; else the example of its type.
    """

    __test__ = False

    def __init__(self, node: SmallNode) -> None:
        self.kept: dict[str, dict[str, Any]] = {}
        self.is_endless = False
        self.answers: dict[str, dict[str, Any]] = {}
        self.refusals: dict[str, RpcError] = {}
        self._running: dict[str, tuple[str, str | None]] = {}
        self._push: dict[str, Push] = {}
        self._number = 0
        node.methods |= {
            "test.start": self._start,
            "test.subscribe": self._subscribe,
            "test.cancel": self._cancel,
            "test.list": self._list,
            "test.show": self._show,
            "test.plan": self._plan,
        }

    def keep(self, test_id: str, document: dict[str, Any]) -> None:
        """Have a result from before."""
        self.kept[test_id] = document | {"test_id": test_id}

    def _target(self, params: Params) -> tuple[str, str] | None:
        word = params.get("target")
        if word is None:
            return None
        for name, peer_id in NAMES.items():
            if word in {name, peer_id}:
                return name, peer_id
        raise RpcError(ErrorCode.NOT_FOUND, f"no peer is called {word!r}", "did you mean 'peer2'?")

    def _start(self, params: Params, _push: Push) -> dict[str, Any]:
        target = self._target(params)
        if target is not None and target[0] in self.refusals:
            raise self.refusals[target[0]]
        self._number += 1
        test_id = f"test{self._number:08d}"
        self._running[test_id] = (params["type"], target[0] if target else None)
        return {"test_id": test_id}

    def _subscribe(self, params: Params, push: Push) -> dict[str, Any]:
        test_id = params["test_id"]
        self._push[test_id] = push
        self._tell(test_id, {"event": "state", "state": "running"})
        progress = {"event": "progress", "done": 0.5, "line": "500 sent, p50 50.1 ms"}
        if self._running[test_id][0] == "traceroute":
            progress |= {"hops": results.traceroute()["hops"], "done": None}
        self._tell(test_id, progress)
        if not self.is_endless:
            self._end(test_id)
        return {"stream": 7}

    def _tell(self, test_id: str, event: dict[str, Any]) -> None:
        self._push[test_id]("test", {"stream": 7, "test_id": test_id, "events": [{"seq": 1, **event}]})

    def _end(self, test_id: str, **changed: Any) -> None:
        test_type, name = self._running.pop(test_id)
        document = dict(self.answers.get(name or "") or results.EXAMPLES[test_type]())
        if name is not None:
            document["target"] = {"id": NAMES[name], "name": name, "hops": 1}
        self.keep(test_id, document | changed)
        self._tell(test_id, {"event": "result", "result": self.kept[test_id]})

    def _cancel(self, params: Params, _push: Push) -> dict[str, Any]:
        test_id = params["test_id"]
        if test_id not in self._running:
            raise RpcError(ErrorCode.NOT_FOUND, f"no test {test_id} runs")
        if test_id in self._push:
            self._end(test_id, interrupted=True, verdict="481 of 500 answered, half within 50.1 ms")
        return {}

    def _list(self, params: Params, _push: Push) -> dict[str, Any]:
        chosen: list[dict[str, Any]] = [
            {
                "test_id": test_id,
                "test_type": document["test_type"],
                "target": document["target"],
                "state": "done",
                **{
                    name: document[name]
                    for name in (
                        "started_unix_s",
                        "duration_s",
                        "success",
                        "verdict",
                        "declined",
                        "interrupted",
                    )
                },
            }
            for test_id, document in reversed(self.kept.items())
        ]
        if "type" in params:
            chosen = [row for row in chosen if row["test_type"] == params["type"]]
        if target := self._target(params):
            chosen = [row for row in chosen if row["target"] and row["target"]["id"] == target[1]]
        return {"tests": chosen[: params["limit"]]}

    def _show(self, params: Params, _push: Push) -> dict[str, Any]:
        try:
            return {"result": self.kept[params["test_id"]]}
        except KeyError:
            raise RpcError(ErrorCode.NOT_FOUND, "no such test") from None

    def _plan(self, params: Params, _push: Push) -> dict[str, Any]:
        target = self._target(params)
        return {
            "test_type": params["type"],
            "target": {"id": target[1], "name": target[0], "hops": 1} if target else None,
            "options": {"count": 1000, "interval_s": 0.01, "size_bytes": 0, **params["options"]},
            "plan": {
                "line": "1000 packets of 140 bytes, 100 each second",
                "packets": 1000,
                "sent_bytes": 140_000,
                "rate_bits_per_s": 112_000.0,
                "duration_s": 11.0,
            },
            "waits_for": 0,
            "refusal": None,
        }
