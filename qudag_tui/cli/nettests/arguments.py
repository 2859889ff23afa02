"""The options of each test: how they are written, and what of them travels to the node.

Only what was given is sent; the defaults are the node's.
"""

from __future__ import annotations

from argparse import ArgumentTypeError

from qudag_tui.cli.values import count, positive_count
from qudag_tui.errors import UsageError
from qudag_tui.model.units import parse_bits_per_s, parse_number, parse_seconds, parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Callable

    from qudag_tui.cli.options import Options

__all__ = [
    "add_bandwidth",
    "add_cancel",
    "add_connectivity",
    "add_latency",
    "add_list",
    "add_ping",
    "add_routing",
    "add_show",
    "add_stress",
    "add_traceroute",
    "in_flags",
    "wire_options",
]

TYPES = ("ping", "traceroute", "bandwidth", "latency", "routing", "stress", "connectivity")


def _reader(parse: Callable[[str], float], *, positive: bool = True) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = parse(text)
        except ValueError as exc:
            raise ArgumentTypeError(str(exc)) from None
        if positive and not value > 0:
            raise ArgumentTypeError(f"{text!r} is not more than 0")
        return value

    return read


_time = _reader(parse_seconds)
_bits = _reader(parse_bits_per_s)
_size = _reader(parse_size)
_rate = _reader(parse_number)


def _omit(text: str) -> float | None:
    return None if text == "auto" else _reader(parse_seconds, positive=False)(text)


def _add_common(parser: ArgumentParser, *, has_peers: bool = True) -> None:
    if has_peers:
        parser.add_argument(
            "peers", nargs="*", metavar="PEER", help="names, aliases, addresses or beginnings of ids"
        )
        parser.add_argument("--all", action="store_true", help="every peer that can be tested")
    _add_judging(parser)
    parser.add_argument("--dry-run", action="store_true", help="say what would be sent, and send nothing")
    parser.add_argument(
        "--detach", action="store_true", help="print the id and leave the test running on the node"
    )


def _add_judging(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--fail-if",
        dest="fail_if",
        action="append",
        default=[],
        metavar="'FIGURE>LIMIT'",
        help="exit 1 if so: 'p99>50ms', 'loss>1%%', 'goodput<50mbit'; may be repeated",
    )
    parser.add_argument(
        "--compare", metavar="ID|last", help="show what changed since an earlier run of the same test"
    )


def add_ping(parser: ArgumentParser) -> None:
    """``network test ping``."""
    _add_common(parser)
    add = parser.add_argument
    add("--count", dest="packets", type=positive_count, metavar="N", help="packets to send (200)")
    add(
        "--interval", dest="every_s", type=_time, metavar="TIME", help="between two packets: 1s, 100us (10ms)"
    )
    add("--size", dest="size_bytes", type=_size, metavar="BYTES", help="of a packet (the least there is)")
    add(
        "--via",
        choices=("auto", "udp", "link", "overlay"),
        help="udp: STAMP with the kernel's clock; link: the TLS link itself; overlay: relayed messages",
    )
    add(
        "--timeout", dest="lost_after_s", type=_time, metavar="TIME", help="when a packet counts as lost (1s)"
    )


def add_traceroute(parser: ArgumentParser) -> None:
    """``network test traceroute``."""
    _add_common(parser)
    add = parser.add_argument
    add(
        "--max-hops",
        dest="max_hops",
        type=positive_count,
        metavar="N",
        help="give up beyond so many hops (16)",
    )
    add("--count", dest="packets", type=positive_count, metavar="N", help="probes for each hop (10)")
    add("--interval", dest="every_s", type=_time, metavar="TIME", help="between two rounds of probes (200ms)")
    add("--continuous", action="store_true", help="go on until interrupted")
    add("--underlay", action="store_true", help="also the IP path below each hop, where that is allowed")


def add_bandwidth(parser: ArgumentParser) -> None:
    """``network test bandwidth``."""
    _add_common(parser)
    add = parser.add_argument
    add("--duration", dest="lasting_s", type=_time, metavar="TIME", help="how long to measure (10s)")
    add("--protocol", choices=("tcp", "udp"), help="what carries the load (tcp)")
    add("--streams", type=positive_count, metavar="N", help="parallel streams (1)")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--reverse", action="store_true", help="the peer sends, this node receives")
    way.add_argument("--bidir", action="store_true", help="both directions at once")
    add("--rate", dest="rate_bits_per_s", type=_bits, metavar="RATE", help="no more than 100mbit, 1.5gbit")
    add(
        "--omit",
        default=argument_unset,
        type=_omit,
        metavar="auto|TIME",
        help="what to leave out at the start (auto)",
    )
    add("--find", metavar="GOAL", help="udp: the highest rate that meets 'loss<0.1%%'")
    add(
        "--size",
        dest="packet_bytes",
        type=_size,
        metavar="BYTES",
        help="udp: of a packet (what the path carries)",
    )
    add("--congestion-control", metavar="NAME", help="tcp: cubic, bbr, … (the system's)")
    add("--no-ping", action="store_true", help="do not measure the delay meanwhile")


def add_latency(parser: ArgumentParser) -> None:
    """``network test latency``."""
    _add_common(parser)
    add = parser.add_argument
    add("--load", action="store_true", help="also while the link is full: up, down, both")
    add(
        "--duration", dest="lasting_s", type=_time, metavar="TIME", help="how long each part is measured (5s)"
    )
    add("--interval", dest="every_s", type=_time, metavar="TIME", help="between two pings (10ms)")
    add("--streams", type=positive_count, metavar="N", help="connections that load it (4)")
    add(
        "--rate", dest="rate_bits_per_s", type=_bits, metavar="RATE", help="load it with no more than 100mbit"
    )


def add_routing(parser: ArgumentParser) -> None:
    """``network test routing``."""
    _add_common(parser)
    parser.add_argument(
        "--count", dest="packets", type=positive_count, metavar="N", help="probes for each peer (5)"
    )


def add_stress(parser: ArgumentParser) -> None:
    """``network test stress``."""
    _add_common(parser)
    add = parser.add_argument
    add(
        "--rate",
        dest="rate_per_s",
        type=_rate,
        metavar="N",
        help="messages a second (1000); with --find, where to begin",
    )
    add(
        "--duration",
        dest="lasting_s",
        type=_time,
        metavar="TIME",
        help="how long, the whole search too (30s)",
    )
    add("--size", dest="size_bytes", type=_size, metavar="BYTES", help="of a message (512)")
    add("--find", metavar="GOAL", help="the highest rate that meets 'p99<500ms,loss<1%%'")
    add("--max-rate", dest="max_rate_per_s", type=_rate, metavar="N", help="search no higher (10000)")


def add_connectivity(parser: ArgumentParser) -> None:
    """``network test connectivity``."""
    _add_common(parser)
    parser.add_argument(
        "--self",
        dest="itself",
        action="store_true",
        help="a peer dials back: is this node reachable from outside?",
    )
    parser.add_argument("--address", metavar="HOST:PORT", help="dial this, and not what is known of the peer")


def add_list(parser: ArgumentParser) -> None:
    """``network test list``."""
    parser.add_argument("--limit", type=count, default=20, metavar="N", help="how many, newest first (20)")
    parser.add_argument(
        "--type", dest="test_type", choices=TYPES, metavar="TYPE", help="only this kind of test"
    )
    parser.add_argument("--peer", metavar="PEER", help="only tests of this peer")


def add_show(parser: ArgumentParser) -> None:
    """``network test show``."""
    parser.add_argument(
        "test_id",
        nargs="?",
        default="last",
        metavar="ID|last",
        help="as `qudag network test list` shows it, or its beginning",
    )
    _add_judging(parser)


def add_cancel(parser: ArgumentParser) -> None:
    """``network test cancel``."""
    parser.add_argument("test_ids", nargs="+", metavar="ID", help="tests that run or wait")


class _Unset:
    """Tells ``--omit auto`` from no ``--omit``."""

    def __repr__(self) -> str:
        return "auto"


argument_unset = _Unset()

# What the node calls them, by what the parser does.
_SENT = {
    "packets": "count",
    "every_s": "interval_s",
    "size_bytes": "size_bytes",
    "via": "via",
    "lost_after_s": "timeout_s",
    "max_hops": "max_hops",
    "underlay": "underlay",
    "lasting_s": "duration_s",
    "protocol": "protocol",
    "streams": "streams",
    "rate_bits_per_s": "rate_bits_per_s",
    "find": "find",
    "load": "load",
    "rate_per_s": "rate_per_s",
    "itself": "outside",
    "packet_bytes": "packet_bytes",
    "congestion_control": "congestion_control",
    "max_rate_per_s": "max_rate_per_s",
    "address": "address",
}


_NAMES = frozenset({*_SENT.values(), "omit_s"})

# How they are written, where that is another word.
_FLAG_BY_NAME = {
    "size_bytes": "--size",
    "packet_bytes": "--size",
    "interval_s": "--interval",
    "timeout_s": "--timeout",
    "duration_s": "--duration",
    "omit_s": "--omit",
    "rate_bits_per_s": "--rate",
    "rate_per_s": "--rate",
    "max_rate_per_s": "--max-rate",
    "outside": "--self",
}


def in_flags(test_type: str, message: str) -> str:
    """A complaint of the node, ``ping.size_bytes: …``, about the option that was written."""
    where, colon, problem = message.partition(": ")
    name = where.removeprefix(f"{test_type}.")
    if not colon or name == where or name not in _NAMES:
        return message
    return f"{_FLAG_BY_NAME.get(name, '--' + name.replace('_', '-'))}: {problem}"


def wire_options(options: Options) -> dict[str, object]:
    """What was given, as the node reads it.

    Raises:
        UsageError: Two options contradict each other.
    """
    given = {name: getattr(options, attribute, None) for attribute, name in _SENT.items()}
    sent: dict[str, object] = {
        name: value for name, value in given.items() if value is not None and value is not False
    }
    if getattr(options, "reverse", False) or getattr(options, "bidir", False):
        sent["direction"] = "reverse" if options.reverse else "bidir"
    omit = getattr(options, "omit", argument_unset)
    if omit is not argument_unset and omit is not None:
        sent["omit_s"] = omit
    if getattr(options, "no_ping", False):
        sent["loaded_latency"] = False
    if getattr(options, "continuous", False):
        if "count" in sent:
            raise UsageError("--continuous goes on until interrupted, --count ends it", "choose one of them")
        sent["count"] = 0
    return sent
