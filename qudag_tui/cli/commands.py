"""The commands as data: their words, what they are for, examples, options. What one does stands elsewhere.

Commands marked ``module`` are run by another program (see ``hand_over``); they stand here for ``--help``,
completion and the documentation.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from qudag_tui.cli.nettests import arguments as tests
from qudag_tui.cli.values import count, duration, seconds

__all__ = ["COMMANDS", "GROUPS", "Command"]

TABLE_AND_JSON = ("table", "json")
OF_TESTS = ("table", "json", "ndjson", "csv")
LEVELS = ("debug", "info", "warning", "error")


class Command:
    """One command.

    Attributes:
        path: Its words.
        summary: One sentence for ``--help``.
        examples: Lines that work.
        add: Adds its own options.
        run: ``module:function`` under ``qudag_tui.cli``, called with the options; None for ``module``.
        module: The other program that runs it.
        formats: What ``--format`` may be; the first is the default.
        has_own_timeout: Whether ``--timeout`` behind its words is an option of its own.
    """

    def __init__(
        self,
        path: str,
        summary: str,
        *examples: str,
        run: str | None = None,
        module: str | None = None,
        formats: Sequence[str] = (),
        has_own_timeout: bool = False,
        add: Callable[[argparse.ArgumentParser], object] = lambda _parser: None,
    ) -> None:
        self.path: list[str] = path.split()
        self.summary = summary
        self.examples = examples
        self.add = add
        self.run = run
        self.module = module
        self.formats = tuple(formats)
        self.has_own_timeout = has_own_timeout


def _peer(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("peer", metavar="PEER", help="name, alias, address or beginning of an id")


def _add_stop(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--wait", type=seconds, default=15.0, metavar="SECONDS", help="how long it may take to end (15)"
    )


def _add_log(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--follow", action="store_true", help="go on with new lines until interrupted")
    parser.add_argument(
        "--level",
        choices=LEVELS,
        default="debug",
        help="the least level shown (debug)",
    )
    parser.add_argument("--lines", type=count, default=50, metavar="N", help="past lines to begin with (50)")


def _add_token_add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("token_name", metavar="NAME", help="what the token is for")
    parser.add_argument(
        "--role", choices=("viewer", "operator", "admin"), default="viewer", help="what it allows (viewer)"
    )
    parser.add_argument("--file", metavar="FILE", help="write it to a new file of mode 0600, print nothing")


def _add_token_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("token_name", metavar="NAME", help="as `qudag token list` shows it")


def _add_peer_list(parser: argparse.ArgumentParser) -> None:
    _add_selection(parser, "peer=peer2; may be repeated")
    parser.add_argument("--links", action="store_true", help="only peers with a link, or one being made")


def _add_peer_add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("address", metavar="[PEERID@]HOST:PORT", help="what `qudag id` prints on its host")


def _add_ban(parser: argparse.ArgumentParser) -> None:
    _peer(parser)
    parser.add_argument(
        "--for",
        dest="duration_s",
        type=duration,
        metavar="TIME",
        help="30s, 10m, 2h, 7d; for ever without it",
    )
    parser.add_argument("--reason", metavar="TEXT", help="what the list of bans says")


def _add_alias(parser: argparse.ArgumentParser) -> None:
    _peer(parser)
    parser.add_argument("alias", metavar="ALIAS", help="the name it has on this node; '' drops it")


def _add_selection(
    parser: argparse.ArgumentParser,
    filters: str = "peer=peer2, type=data or section=latency; may be repeated",
) -> None:
    parser.add_argument(
        "--filter",
        dest="filters",
        action="append",
        default=[],
        metavar="KIND=VALUE",
        help=filters,
    )
    parser.add_argument(
        "--sort", metavar="COLUMN|-COLUMN", help="order of the peers; '-' for the largest first"
    )
    parser.add_argument("--redact", action="store_true", help="hide addresses, aliases and most of the ids")


def _add_stats(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--once", action="store_true", help="print one snapshot and end")
    parser.add_argument(
        "--interval",
        dest="interval_s",
        type=seconds,
        default=1.0,
        metavar="SECONDS",
        help="time between two snapshots (1)",
    )
    parser.add_argument("--count", type=count, metavar="N", help="end after N snapshots")
    _add_selection(parser)


def _add_history(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "series", nargs="*", metavar="SERIES", help="names, or patterns with *; none lists them all"
    )
    parser.add_argument(
        "--from",
        dest="start",
        default="10m",
        metavar="TIME",
        help="10m ago, 2026-01-31T12:30, Unix seconds (10m)",
    )
    parser.add_argument("--to", dest="end", default="now", metavar="TIME", help="likewise (now)")
    parser.add_argument(
        "--step", dest="step_s", type=duration, metavar="TIME", help="time between two points"
    )


def _add_shell(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="which shell's")


# The options of the node's and the lab's own commands stand here for completion alone: they are parsed there.

_OF_HOME = ("--name", "--data-dir", "--config", "--set")
_OF_START = ("--network", "--listen", "--peer", "--advertise", "--rpc", "--stamp")
_OF_LAB = ("--dir", "--timeout")
_OF_LAB_UP = ("--nodes", "--rate", "--payload", "--impair", "--seed", "--node-arg")
_LAB_ACTIONS = {
    "up": "start a lab",
    "down": "end the lab and everything it started",
    "status": "nodes, links with their true counts, load",
    "impair": "make links worse, or better",
    "heal": "make links perfect again",
    "kill": "kill nodes",
    "restart": "start nodes again",
    "load": "change the rate of messages",
    "quiesce": "stop the load, and compare what neighbours counted",
}


def _add_home(parser: argparse.ArgumentParser, *more: str) -> None:
    for option in (*_OF_HOME, *more):
        parser.add_argument(option)


def _add_config_show(parser: argparse.ArgumentParser) -> None:
    _add_home(parser)
    parser.add_argument("--format", choices=("toml", "json"))


def _add_start(parser: argparse.ArgumentParser) -> None:
    _add_home(parser, *_OF_START)
    parser.add_argument("--log-level", choices=LEVELS)
    parser.add_argument("--tcp-info", choices=("path", "not-of-path", "off"))
    for option in ("--no-discovery", "--no-relay", "--no-recording"):
        parser.add_argument(option, action="store_true")


def _add_lab(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, summary in _LAB_ACTIONS.items():
        action = actions.add_parser(name, help=summary, allow_abbrev=False)
        for option in _OF_LAB if name != "up" else (*_OF_LAB, *_OF_LAB_UP):
            action.add_argument(option)
        action.add_argument("--format", choices=("table", "json", "detailed"))
        if name == "up":
            action.add_argument("--topology", choices=("line", "ring", "star", "mesh", "random"))
            action.add_argument("--engine", choices=("auto", "netns", "relay"))
            for option in ("--detach", "--demo", "--temporary"):
                action.add_argument(option, action="store_true")
        elif name == "kill":
            action.add_argument("--signal", choices=("KILL", "TERM", "STOP", "CONT"))
        elif name == "load":
            action.add_argument("--rate")


NODE = "qudag_node"
LAB = "qudag_node.lab"

COMMANDS: tuple[Command, ...] = (
    Command(
        "start", "run a node", "qudag start --name peer1 --listen 0.0.0.0:8000", module=NODE, add=_add_start
    ),
    Command(
        "stop",
        "stop a node and wait until it is gone",
        "qudag stop --node peer1",
        run="node:stop",
        add=_add_stop,
    ),
    Command(
        "status",
        "who the node is, and whether it is well",
        "qudag status",
        "qudag status --node peer1 --format json",
        run="node:status",
        formats=TABLE_AND_JSON,
    ),
    Command(
        "id",
        "print the line to give to a peer",
        "qudag id --name peer1",
        "qudag id --node peer1",
        run="node:identity",
    ),
    Command(
        "log",
        "print the node's log",
        "qudag log -f --level warning --name peer1",
        "qudag log --node tls://PEERID@192.0.2.7:9443 --token-file viewer.token",
        run="node:log",
        add=_add_log,
    ),
    Command(
        "config show",
        "print every setting and where it came from",
        "qudag config show --name peer1",
        "qudag config show --format json",
        module=NODE,
        formats=("toml", "json"),
        add=_add_config_show,
    ),
    Command(
        "config path", "print where the settings file is", "qudag config path", module=NODE, add=_add_home
    ),
    Command(
        "config init", "begin a commented settings file", "qudag config init", module=NODE, add=_add_home
    ),
    Command(
        "token add",
        "make a token for a client elsewhere",
        "qudag token add dashboard --role viewer --file dashboard.token",
        run="tokens:add",
        formats=TABLE_AND_JSON,
        add=_add_token_add,
    ),
    Command(
        "token list",
        "list the tokens, without their secrets",
        "qudag token list",
        run="tokens:list_",
        formats=TABLE_AND_JSON,
    ),
    Command(
        "token revoke",
        "forget a token",
        "qudag token revoke dashboard",
        run="tokens:revoke",
        add=_add_token_name,
    ),
    Command(
        "peer list",
        "list the peers",
        "qudag peer list --sort -loss",
        "qudag peer list --links --format csv",
        run="peers:list_",
        formats=("table", "json", "detailed", "csv", "ndjson"),
        add=_add_peer_list,
    ),
    Command(
        "peer info",
        "everything about one peer",
        "qudag peer info peer2",
        run="peers:info",
        formats=TABLE_AND_JSON,
        add=_peer,
    ),
    Command(
        "peer add",
        "keep a link to a peer",
        "qudag peer add 12D3KooW…@192.0.2.7:8000",
        run="peers:add",
        add=_add_peer_add,
    ),
    Command(
        "peer remove", "keep no link to a peer", "qudag peer remove peer2", run="peers:remove", add=_peer
    ),
    Command(
        "peer ban",
        "refuse a peer",
        "qudag peer ban peer2 --for 2h --reason 'floods adverts'",
        run="peers:ban",
        add=_add_ban,
    ),
    Command("peer unban", "end a ban", "qudag peer unban peer2", run="peers:unban", add=_peer),
    Command(
        "peer alias",
        "give a peer a name of your own",
        "qudag peer alias peer2 frankfurt",
        run="peers:alias",
        add=_add_alias,
    ),
    Command(
        "network stats",
        "the node's figures, once or as a stream",
        "qudag network stats --once",
        "qudag network stats --interval 5 --format ndjson",
        "qudag network stats --once --filter section=latency --format json",
        run="stats:run",
        formats=("table", "json", "detailed", "csv", "ndjson"),
        add=_add_stats,
    ),
    Command(
        "network history",
        "what the figures were",
        "qudag network history",
        "qudag network history messages.sent_rate.1s --from 1h --step 10s",
        "qudag network history 'latency.links.p*' --from 10m --format csv",
        run="history:run",
        formats=("table", "json", "csv", "chart"),
        add=_add_history,
    ),
    Command(
        "network test ping",
        "round-trip time, delay and loss of each direction",
        "qudag network test ping peer2",
        "qudag network test ping peer2 --count 1000 --interval 10ms --fail-if 'p99>50ms' --fail-if 'loss>1%'",
        "qudag network test ping --all --compare last",
        run="nettests.run:run",
        formats=OF_TESTS,
        has_own_timeout=True,
        add=tests.add_ping,
    ),
    Command(
        "network test traceroute",
        "hop by hop over the overlay: which one adds the delay or loses",
        "qudag network test traceroute peer4",
        "qudag network test traceroute peer4 --continuous --underlay",
        run="nettests.run:run",
        formats=OF_TESTS,
        add=tests.add_traceroute,
    ),
    Command(
        "network test bandwidth",
        "how much a link carries, and what limits it",
        "qudag network test bandwidth peer2",
        "qudag network test bandwidth peer2 --reverse --streams 4 --duration 30s --fail-if 'goodput<50mbit'",
        "qudag network test bandwidth peer2 --protocol udp --rate 100mbit",
        run="nettests.run:run",
        formats=OF_TESTS,
        add=tests.add_bandwidth,
    ),
    Command(
        "network test latency",
        "a profile of the delay, idle and under load",
        "qudag network test latency peer2 --load",
        run="nettests.run:run",
        formats=OF_TESTS,
        add=tests.add_latency,
    ),
    Command(
        "network test routing",
        "who is reached by which way, and which relay drops or misroutes",
        "qudag network test routing",
        run="nettests.run:run",
        formats=OF_TESTS,
        add=tests.add_routing,
    ),
    Command(
        "network test stress",
        "a load of real messages: hold a rate, or find the highest that meets a goal",
        "qudag network test stress peer2 --rate 1000 --duration 30s",
        "qudag network test stress peer2 --find 'p99<500ms,loss<1%'",
        run="nettests.run:run",
        formats=OF_TESTS,
        add=tests.add_stress,
    ),
    Command(
        "network test connectivity",
        "step by step to a peer: which one fails, and why",
        "qudag network test connectivity peer2",
        "qudag network test connectivity --self",
        run="nettests.run:run",
        formats=OF_TESTS,
        add=tests.add_connectivity,
    ),
    Command(
        "network test list",
        "the tests that were run",
        "qudag network test list --type ping --peer peer2",
        run="nettests.stored:list_",
        formats=OF_TESTS,
        add=tests.add_list,
    ),
    Command(
        "network test show",
        "print a result again, or follow a test that still runs",
        "qudag network test show last --format json",
        run="nettests.stored:show",
        formats=OF_TESTS,
        add=tests.add_show,
    ),
    Command(
        "network test cancel",
        "end a test; what it measured is kept",
        "qudag network test cancel k3j5xq2a7b6c",
        run="nettests.stored:cancel",
        add=tests.add_cancel,
    ),
    Command(
        "lab",
        "a network of real nodes on this machine",
        "qudag lab up --nodes 5 --topology ring --rate 100 --dir /tmp/lab",
        module=LAB,
        add=_add_lab,
    ),
    Command(
        "completion",
        "print the completion of a shell",
        "qudag completion bash > ~/.local/share/bash-completion/completions/qudag",
        run="completion:run",
        add=_add_shell,
    ),
)

GROUPS = {
    "config": "the node's settings",
    "token": "tokens for clients elsewhere",
    "peer": "the node's peers",
    "network": "figures of the node and its network",
    "network test": "tests of links and peers",
}
