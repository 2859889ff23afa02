"""``qudag network test TYPE [PEER…|--all]``: run tests and print what they found."""

from __future__ import annotations

import sys

from qudag_tui.cli.nettests.arguments import in_flags, wire_options
from qudag_tui.cli.nettests.follow import Follower, Target
from qudag_tui.cli.nettests.interrupts import Interrupts
from qudag_tui.cli.nettests.live import Live
from qudag_tui.cli.nettests.printing import Printer, print_text, style_of
from qudag_tui.cli.nettests.stored import earlier
from qudag_tui.cli.output import READING, print_json, print_lines
from qudag_tui.cli.session import open_stream_of_node
from qudag_tui.errors import QudagError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from qudag_tui.cli.options import Options
    from qudag_tui.client.connection import Connection

__all__ = ["run"]

STARTED_SCHEMA = "qudag.test-started/1"
PLAN_SCHEMA = "qudag.test-plan/1"
PLANS_SCHEMA = "qudag.test-plans/1"

# What measures a link, and not a way through the overlay.
_OF_LINKS = frozenset({"bandwidth", "latency"})

# What may be of the network, or the node itself, and of no peer.
_WITHOUT_PEER = frozenset({"routing"})


def run(options: Options) -> int:
    """Run the tests that the words of the command mean."""
    try:
        return _run(options)
    except QudagError as exc:
        exc.retell(in_flags(options.command.path[-1], exc.message))
        raise


def _run(options: Options) -> int:
    test_type: str = options.command.path[-1]
    sent = wire_options(options)
    _check_peers(options, test_type)
    printer = Printer(options, test_type, one=not options.all and len(options.peers) < 2)
    with Interrupts() as interrupts, open_stream_of_node(options) as connection:
        targets = _targets(connection, options, test_type)
        if len(targets) > 1 or options.dry_run or options.compare:
            plans = [_plan(connection, test_type, target, sent) for target in targets]
        else:
            plans = [{"test_type": test_type}]
        if options.dry_run:
            return _print_plans(plans, options)
        if options.detach:
            return _detach(connection, test_type, targets, sent, options)
        before = _earlier(connection, options, targets, plans)
        live = Live()
        follower = Follower(
            connection,
            test_type,
            interrupts=interrupts,
            live=live,
            on_event=printer.event,
            silence_s=options.timeout_s,
        )
        try:
            outcomes = follower.run(targets, sent)
        finally:
            live.end()
        with READING:
            if len(targets) == 1 and not options.all:
                if not outcomes:
                    return interrupts.code or 0
                outcome = outcomes[0]
                if outcome.error is not None:
                    print(f"qudag: {outcome.error}", file=sys.stderr)
                    return interrupts.code or outcome.error.exit_code
                code = printer.one(outcome.result, before.get(outcome.target.name))
            else:
                code = printer.many(outcomes, before, worst_first=options.all)
        return interrupts.code or code


def _check_peers(options: Options, test_type: str) -> None:
    """Say what is missing before a node is asked."""
    itself = getattr(options, "itself", False)
    address = getattr(options, "address", None)
    if options.all and options.peers:
        raise UsageError("--all is every peer, and peers are named too", "give the names or --all")
    if itself and (options.peers or options.all):
        raise UsageError("--self tests this node itself", "leave the peers out")
    if (
        not options.peers
        and not options.all
        and not itself
        and not address
        and test_type not in _WITHOUT_PEER
    ):
        raise UsageError("which PEER?", "`qudag peer list` shows them; --all is every one")


def _targets(connection: Connection, options: Options, test_type: str) -> list[Target]:
    if options.peers:
        return [Target(word) for word in dict.fromkeys(options.peers)]
    if not options.all or test_type in _WITHOUT_PEER:
        return [Target(None)]
    from qudag_node.wire import PeerRows

    answer = connection.call("stats", {"sections": ["node", "peers"]})
    with READING:
        rows = PeerRows.from_wire(answer["peers"]).rows()
        found = [
            Target(str(row["id"]), str(row.get("alias") or row.get("name") or ""))
            for row in rows
            if row.get("state") == "connected"
            or (test_type not in _OF_LINKS and row.get("state") != "banned" and row.get("hops"))
        ]
    if not found:
        raise QudagError("no peer can be tested", "`qudag peer list` shows which are known, and why")
    return found


def _plan(
    connection: Connection, test_type: str, target: Target, sent: Mapping[str, object]
) -> Mapping[str, Any]:
    """What the test would send. Asked first when there are several: one unknown name, and nothing is sent."""
    params: dict[str, object] = {"type": test_type, "options": dict(sent)}
    if target.word is not None:
        params["target"] = target.word
    return {"schema": PLAN_SCHEMA, **connection.call("test.plan", params)}


def _print_plans(plans: Sequence[Mapping[str, Any]], options: Options) -> int:
    from qudag_tui.views.nettests.plan import plan_lines

    with READING:
        if options.format in {"json", "ndjson"}:
            for plan in plans if options.format == "ndjson" or len(plans) == 1 else ():
                print_json(plan, indent=None if options.format == "ndjson" else 2)
            if options.format == "json" and len(plans) > 1:
                print_json({"schema": PLANS_SCHEMA, "plans": list(plans)})
        else:
            style = style_of(options)
            for number, plan in enumerate(plans):
                print_text([*([""] if number else []), *plan_lines(plan, style)], style)
    return 0


def _detach(
    connection: Connection,
    test_type: str,
    targets: Sequence[Target],
    sent: Mapping[str, object],
    options: Options,
) -> int:
    """Start and leave; the ids are what is printed."""
    if options.compare or options.fail_if:
        raise UsageError(
            "--detach does not wait for a result", "give --compare and --fail-if to `… test show`"
        )
    for target in targets:
        params: dict[str, object] = {"type": test_type, "options": dict(sent), "cancel_on_disconnect": False}
        if target.word is not None:
            params["target"] = target.word
        test_id = str(connection.call("test.start", params).get("test_id", ""))
        if options.format in {"json", "ndjson"}:
            started = {
                "schema": STARTED_SCHEMA,
                "test_id": test_id,
                "test_type": test_type,
                "target": target.name,
            }
            print_json(started, indent=None if options.format == "ndjson" else 2)
        else:
            print_lines([test_id])
    return 0


def _earlier(
    connection: Connection, options: Options, targets: Sequence[Target], plans: Sequence[Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """The results to compare with, by the target's name; looked for before this run becomes the last one."""
    found: dict[str, Mapping[str, Any]] = {}
    if not options.compare:
        return found
    from qudag_tui.views.nettests.comparison import check_comparable
    from qudag_tui.views.nettests.documents import text

    for target, plan in zip(targets, plans, strict=True):
        before = earlier(connection, options.compare, plan)
        if before is None:
            whom = f" of {target.name}" if target.name else ""
            print(f"no earlier {text(plan, 'test_type')}{whom} to compare with", file=sys.stderr)
            continue
        with READING:
            check_comparable(before, text(plan, "test_type"), text(plan, "target", "id"), target.name)
        found[target.name] = before
    return found
