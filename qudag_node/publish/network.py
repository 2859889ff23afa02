"""Links, bans, the map, events and one peer, as their methods answer. docs/wire-format.md has the fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from qudag_node.metrics.messages import PeerTypeTraffic
from qudag_node.overlay.bans import Ban
from qudag_node.overlay.dialer import Target
from qudag_node.overlay.events import Event
from qudag_node.overlay.linkstate import MapNode
from qudag_node.overlay.paths import MapLink
from qudag_node.overlay.peertable import Peer
from qudag_node.peerid import peer_id_of
from qudag_node.publish.document import Document

__all__ = ["ban_map", "dial_maps", "event_map", "link_maps", "topology_document", "traffic_maps"]

_US_PER_S = 1_000_000

# Writing a key in base58 takes 20 µs, and a node of the map stands in as many rows as it has links.
_id_of = lru_cache(maxsize=8192)(peer_id_of)


def link_maps(peers: Iterable[Peer]) -> list[Document]:
    """Return the peers that have a link, or are being dialled."""
    return [
        {
            "peer": peer.id,
            "name": peer.name,
            "alias": peer.alias,
            "address": peer.address,
            "direction": peer.direction,
            "state": peer.state.value,
            "since_unix_s": peer.connected_unix_s,
            "agent": peer.agent,
            "protocol_version": peer.protocol_version,
        }
        for peer in peers
        if peer.state in {"connected", "connecting", "backoff"}
    ]


def dial_maps(targets: Iterable[Target], now_mono_s: float) -> list[Document]:
    """Return the addresses that are dialled, or will be; ``next_dial_s`` is None while one is dialled."""
    return [
        {
            "address": str(target.peer.endpoint),
            "peer": target.peer.peer_id or target.peer_id,
            "state": target.state.value,
            "attempts": target.attempts,
            "last_error": target.last_error,
            "next_dial_s": _seconds_until(target.next_dial_mono_s, now_mono_s),
        }
        for target in targets
    ]


def ban_map(ban: Ban) -> Document:
    """Return one ban: of a peer, or of an IP address, where ``peer`` is None."""
    is_peer = ban.peer_id is not None
    return {
        "peer": ban.subject if is_peer else None,
        "name": ban.name,
        "address": ban.address if is_peer else ban.subject,
        "until_unix_s": ban.until_unix_s,
        "reason": ban.reason,
    }


def event_map(event: Event) -> Document:
    """Return one event."""
    return {
        "seq": event.seq,
        "unix_s": event.unix_s,
        "kind": event.kind.value,
        "severity": event.severity.value,
        "subject": event.subject,
        "text": event.text,
    }


def topology_document(nodes: Sequence[MapNode], links: Sequence[MapLink]) -> Document:
    """Return the map: ``hops`` is None for a node that cannot be reached, and 0 for this one."""
    return {
        "nodes": [
            {
                "id": _id_of(node.key),
                "name": node.name,
                "hops": node.hops,
                "reachable": node.hops is not None,
                "leaf": node.is_leaf,
            }
            for node in nodes
        ],
        "links": [
            {
                "a": _id_of(link.a),
                "b": _id_of(link.b),
                "cost_s": link.cost_us / _US_PER_S,
                "up": link.is_up,
            }
            for link in links
        ],
    }


def traffic_maps(traffic_by_type: Mapping[str, PeerTypeTraffic]) -> Document:
    """Return what was exchanged with one peer, by message type."""
    return {
        name: {
            "sent": traffic.sent,
            "received": traffic.received,
            "sent_bytes": traffic.sent_bytes,
            "received_bytes": traffic.received_bytes,
        }
        for name, traffic in traffic_by_type.items()
    }


def _seconds_until(mono_s: float | None, now_mono_s: float) -> float | None:
    return None if mono_s is None else max(0.0, mono_s - now_mono_s)
