"""The methods: one small function each. A function reads its parameters, asks the node, and answers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping

from qudag_node.rpc.caller import Caller
from qudag_node.rpc.methods import itself, lab, peers, records, statistics, streams, submission, tests, tokens
from qudag_node.rpc.offers import Document, Offers
from qudag_node.rpc.params import Params
from qudag_node.wire.framing import Packed

__all__ = ["HANDLERS", "Handler"]

Handler = Callable[[Offers, Params, Caller], Document | Packed | Coroutine[object, object, Document]]

HANDLERS: Mapping[str, Handler] = {
    "stats": statistics.stats,
    "peers": statistics.peers,
    "history": statistics.history,
    "peer": peers.peer,
    "connections": peers.connections,
    "topology": peers.topology,
    "peer.add": peers.add,
    "peer.remove": peers.remove,
    "peer.ban": peers.ban,
    "peer.unban": peers.unban,
    "peer.alias": peers.alias,
    "log": records.log,
    "events": records.events,
    "status": itself.status,
    "config": itself.config,
    "shutdown": itself.shutdown,
    "token.list": tokens.list_,
    "token.add": tokens.add,
    "token.revoke": tokens.revoke,
    "submit": submission.submit,
    "subscribe": streams.subscribe,
    "unsubscribe": streams.unsubscribe,
    "test.start": tests.start,
    "test.cancel": tests.cancel,
    "test.subscribe": tests.subscribe,
    "test.list": tests.list_,
    "test.show": tests.show,
    "test.plan": tests.plan,
    "lab.hold": lab.hold,
}
"""Every method but ``hello`` and ``authenticate``, which come before there is a caller."""
