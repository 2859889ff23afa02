"""The command line of ``qudag-top``."""

from __future__ import annotations

from qudag_tui import __version__
from qudag_tui.errors import UsageError, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Never

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


class Options:
    """What was asked for. None leaves the choice to the configuration, and then to the monitor.

    Plain, and read by hand where the words are plain too: the first line on the screen waits for this.
    """

    def __init__(self) -> None:
        self.node: str | None = None
        self.token_file: str | None = None
        self.theme: str | None = None
        self.interval_s: float | None = None
        self.demo = False
        self.once = False
        self.no_color = False
        self.ascii = False
        self.no_mouse = False


_VALUES = {"--node": "node", "--token-file": "token_file", "--theme": "theme"}
_FLAGS = {
    "--demo": "demo",
    "--once": "once",
    "--no-color": "no_color",
    "--ascii": "ascii",
    "--no-mouse": "no_mouse",
}


def parse_options(words: Sequence[str]) -> Options:
    """Read the command line.

    Raises:
        UsageError: It is none of ours.
        SystemExit: ``--help`` and ``--version``, after saying their piece.
    """
    return _plain(words) or _thorough(words)


def _plain(words: Sequence[str]) -> Options | None:
    """Read exact words; None is for argparse, which also explains what is wrong."""
    options = Options()
    rest = iter(words)
    for word in rest:
        if word in _FLAGS:
            setattr(options, _FLAGS[word], True)
            continue
        name, _, value = word.partition("=")
        value = value or next(rest, "-")
        if name not in _VALUES or value.startswith("-"):
            return None
        setattr(options, _VALUES[name], value)
    return None if options.demo and options.node is not None else options


def _thorough(words: Sequence[str]) -> Options:
    import argparse

    class Parser(argparse.ArgumentParser):
        """Its complaints are one line."""

        def error(self, message: str) -> Never:
            raise UsageError(message, "see `qudag-top --help`")

    parser = Parser(
        prog="qudag-top",
        description="Watch a QuDAG node: its connections, traffic, latency, messages, events and peers.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--node",
        metavar="NODE",
        help="unix:PATH, tcp://HOST:PORT, tls://PEERID@HOST:PORT, or a name (QUDAG_NODE)",
    )
    parser.add_argument("--token-file", metavar="FILE", help="what proves us over tcp and tls")
    parser.add_argument("--demo", action="store_true", help="start a local network and watch it")
    parser.add_argument(
        "--interval", dest="interval_s", type=_interval, metavar="S", help="seconds between figures (1)"
    )
    parser.add_argument("--once", action="store_true", help="print the overview as text and end")
    parser.add_argument("--theme", metavar="NAME", help="dark light contrast colourblind ansi none")
    parser.add_argument("--no-color", action="store_true", help="no colours, like NO_COLOR")
    parser.add_argument("--ascii", action="store_true", help="draw with ASCII only")
    parser.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")
    parser.add_argument("--version", action="version", version=f"qudag-top {__version__}")
    options, unknown = parser.parse_known_args(words, namespace=Options())
    if unknown:
        known = [name for action in parser._actions for name in action.option_strings]
        near = did_you_mean(unknown[0].partition("=")[0], known) if unknown[0].startswith("-") else ""
        raise UsageError(
            f"qudag-top takes no {unknown[0]!r}", near if "did you" in near else "see `qudag-top --help`"
        )
    if options.demo and options.node is not None:
        parser.error("--demo starts its own nodes: it does not go with --node")
    return options


def _interval(text: str) -> float:
    from argparse import ArgumentTypeError

    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds") from None
    if not LEAST_INTERVAL_S <= seconds <= MOST_INTERVAL_S:
        raise ArgumentTypeError(f"{text} is not from {LEAST_INTERVAL_S:g} to {MOST_INTERVAL_S:g} seconds")
    return seconds
