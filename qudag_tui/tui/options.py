"""The command line of ``qudag-top``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from qudag_tui import __version__

__all__ = ["Options", "parse_options"]

LEAST_INTERVAL_S, MOST_INTERVAL_S = 0.1, 3600.0

_EXAMPLES = """\
examples:
  qudag-top                               watch the only node that runs here
  qudag-top --node peer1                  watch a running node by its name
  qudag-top --node tls://PEERID@HOST:7000 --token-file FILE
  qudag-top --demo                        start five nodes with traffic, and watch one of them
  qudag-top --once                        print the overview and end

Keys: ? shows them all, q leaves.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was asked for. None leaves the choice to the configuration, and then to the monitor."""

    node: str | None = None
    token_file: str | None = None
    demo: bool = False
    interval_s: float | None = None
    once: bool = False
    no_color: bool = False
    ascii: bool = False
    theme: str | None = None
    no_mouse: bool = False


def parse_options(words: Sequence[str]) -> Options:
    """Read the command line.

    Raises:
        SystemExit: ``--help`` and ``--version`` (0), or a mistake (2), each after saying its piece.
    """
    parser = argparse.ArgumentParser(
        prog="qudag-top",
        description="Watch a QuDAG node: its connections, traffic, latency, messages, events and peers.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--node",
        metavar="NODE",
        help="unix:PATH, tcp://HOST:PORT, tls://PEERID@HOST:PORT, or a name (QUDAG_NODE)",
    )
    parser.add_argument("--token-file", metavar="FILE", help="what proves us over tcp and tls")
    parser.add_argument("--demo", action="store_true", help="start a local network and watch it")
    parser.add_argument("--interval", type=_interval, metavar="S", help="seconds between figures (1)")
    parser.add_argument("--once", action="store_true", help="print the overview as text and end")
    parser.add_argument("--theme", metavar="NAME", help="dark light contrast colourblind ansi none")
    parser.add_argument("--no-color", action="store_true", help="no colours, like NO_COLOR")
    parser.add_argument("--ascii", action="store_true", help="draw with ASCII only")
    parser.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")
    parser.add_argument("--version", action="version", version=f"qudag-top {__version__}")
    found = parser.parse_args(words)
    if found.demo and found.node is not None:
        parser.error("--demo starts its own nodes: it does not go with --node")
    return Options(
        node=found.node,
        token_file=found.token_file,
        demo=found.demo,
        interval_s=found.interval,
        once=found.once,
        no_color=found.no_color,
        ascii=found.ascii,
        theme=found.theme,
        no_mouse=found.no_mouse,
    )


def _interval(text: str) -> float:
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds") from None
    if not LEAST_INTERVAL_S <= seconds <= MOST_INTERVAL_S:
        raise argparse.ArgumentTypeError(
            f"{text} is not from {LEAST_INTERVAL_S:g} to {MOST_INTERVAL_S:g} seconds"
        )
    return seconds
