"""Tests that a node keeps: ``list``, ``show``, ``cancel``, and finding the one that is meant."""

from __future__ import annotations

import sys

from qudag_tui.cli.nettests.printing import Printer, print_text, style_of
from qudag_tui.cli.output import READING, print_json, print_lines
from qudag_tui.cli.session import open_node, open_stream_of_node
from qudag_tui.errors import QudagError, UsageError, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from qudag_tui.cli.options import Options
    from qudag_tui.client.connection import Connection

__all__ = ["cancel", "earlier", "find", "list_", "show"]

LIST_SCHEMA = "qudag.tests/1"

#: How far back a beginning of an id, or the last run, is looked for.
MOST_SEARCHED = 1000


def list_(options: Options) -> int:
    """Print the tests of a node, newest first."""
    params: dict[str, object] = {"limit": options.limit}
    if options.test_type:
        params["type"] = options.test_type
    if options.peer:
        params["target"] = options.peer
    with open_node(options) as connection:
        tests = connection.call("test.list", params).get("tests", [])
    from qudag_tui.views.csv import csv_line
    from qudag_tui.views.nettests.documents import target_name
    from qudag_tui.views.nettests.summary import listing

    columns = ("test_id", "test_type", "state", "started_unix_s", "duration_s", "success", "verdict")
    with READING:
        match options.format:
            case "json":
                print_json({"schema": LIST_SCHEMA, "tests": tests})
            case "ndjson":
                for row in tests:
                    print_json(row, indent=None)
            case "csv":
                rows = [csv_line([*(row.get(name) for name in columns), target_name(row)]) for row in tests]
                print_lines([csv_line([*columns, "peer"]), *rows])
            case _ if tests:
                style = style_of(options)
                print_text(listing(tests, style), style)
            case _:
                print(_nothing(options), file=sys.stderr)
    return 0


def _nothing(options: Options) -> str:
    if not (options.peer or options.test_type):
        return "no tests are kept; `qudag network test ping PEER` makes one"
    kind = f"{options.test_type} test" if options.test_type else "test"
    whom = f" of {options.peer!r}" if options.peer else ""
    return f"no {kind}{whom} is kept; `qudag network test list` shows those that are"


def show(options: Options) -> int:
    """Print a result; a test that still runs is followed to its end."""
    with open_stream_of_node(options) as connection:
        row = find(connection, options.test_id)
        test_id, test_type = str(row["test_id"]), str(row.get("test_type", ""))
        printer = Printer(options, test_type, one=True)
        before = earlier(connection, options.compare, row) if options.compare else None
        if row.get("state") in {"queued", "running"}:
            return _follow(connection, options, test_id, printer, before)
        result = connection.call("test.show", {"test_id": test_id}).get("result")
    with READING:
        return printer.one(result, before)


def _follow(
    connection: Connection,
    options: Options,
    test_id: str,
    printer: Printer,
    before: Mapping[str, Any] | None,
) -> int:
    """Watch a test that somebody started; Ctrl-C stops the watching, not the test."""
    from qudag_tui.cli.nettests.follow import Follower, Target
    from qudag_tui.cli.nettests.interrupts import Interrupts
    from qudag_tui.cli.nettests.live import Live

    live = Live()
    with Interrupts() as interrupts:
        follower = Follower(
            connection,
            printer.test_type,
            interrupts=interrupts,
            live=live,
            on_event=printer.event,
            silence_s=options.timeout_s,
        )
        try:
            outcome = follower.watch(test_id, Target(None))
        finally:
            live.end()
    if outcome.result is None:
        print(f"{test_id} goes on; `qudag network test cancel {test_id}` ends it", file=sys.stderr)
        return interrupts.code or 0
    with READING:
        return printer.one(outcome.result, before)


def cancel(options: Options) -> int:
    """End tests early; what they measured is kept."""
    with open_node(options) as connection:
        for word in options.test_ids:
            row = find(connection, word)
            if row.get("state") not in {"queued", "running", None}:
                raise QudagError(f"{row['test_id']} has ended already", "`qudag network test show` prints it")
            connection.call("test.cancel", {"test_id": row["test_id"]})
            print(f"{row['test_id']} is cancelled", file=sys.stderr)
    return 0


def find(connection: Connection, word: str) -> Mapping[str, Any]:
    """The line of the list that an id, the beginning of one, or ``last`` means.

    Raises:
        UsageError: None is, or several are.
    """
    tests = _all(connection, {"limit": 1 if word == "last" else MOST_SEARCHED})
    if word == "last":
        if not tests:
            raise UsageError("no tests are kept", "`qudag network test ping PEER` makes one")
        return tests[0]
    fitting = [row for row in tests if str(row.get("test_id", "")).startswith(word.lower())]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        ids = ", ".join(str(row["test_id"]) for row in fitting[:5])
        raise UsageError(f"{word!r} begins several ids", f"one of {ids}")
    near = did_you_mean(word, [str(row.get("test_id", "")) for row in tests])
    hint = near if near.startswith("did") else "`qudag network test list` shows them"
    raise UsageError(f"no test is called {word!r}", hint)


def earlier(connection: Connection, word: str, of: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The result to compare with: an id, or the last run of the same test of the same peer that ended.

    Args:
        connection: To the node.
        word: ``--compare``'s value.
        of: What is compared: its type, its target, and its id if it has one already.
    """
    if word == "last":
        target = of.get("target")
        peer_id = target.get("id") if isinstance(target, dict) else None
        params: dict[str, object] = {"limit": MOST_SEARCHED, "type": of.get("test_type")}
        if peer_id:
            params["target"] = peer_id
        started = of.get("started_unix_s")
        for row in _all(connection, params):
            is_before = started is None or (row.get("started_unix_s") or 0) < started
            if row.get("test_id") != of.get("test_id") and _has_figures(row) and is_before:
                word = str(row["test_id"])
                break
        else:
            return None
    else:
        word = str(find(connection, word)["test_id"])
    result = connection.call("test.show", {"test_id": word}).get("result")
    return result if isinstance(result, dict) else None


def _has_figures(row: Mapping[str, Any]) -> bool:
    """Whether it ended well: with a failed or interrupted run nothing can be compared."""
    return row.get("state") == "done" and bool(row.get("success")) and not row.get("interrupted")


def _all(connection: Connection, params: Mapping[str, object]) -> list[Mapping[str, Any]]:
    tests = connection.call("test.list", params).get("tests", [])
    return [row for row in tests if isinstance(row, dict)] if isinstance(tests, list) else []
