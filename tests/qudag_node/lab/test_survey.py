from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qudag_node.lab.survey import Survey
from qudag_node.lab.topology import Direction, NodeName, links_of, node_names
from qudag_node.lab.totals import Count
from tests.qudag_node.lab.small_node import small_node

A, B = NodeName("peer1"), NodeName("peer2")
SIZE = 100


@dataclass
class Counting:
    """A node that says what it is told to say, one answer after the other, the last one for ever."""

    id: str
    sent: list[int] = field(default_factory=lambda: [0])
    received: list[int] = field(default_factory=lambda: [0])
    unconfirmed: int = 0
    is_running: bool = True
    is_held: bool = False
    rpc: str = ""

    def answer(self, method: str, params: Mapping[str, Any]) -> Any:
        if method == "lab.hold":
            self.is_held = params["held"]
            return {}
        sent, received = (
            counts.pop(0) if len(counts) > 1 else counts[0] for counts in (self.sent, self.received)
        )
        counts = {
            "sent": sent,
            "sent_bytes": sent * SIZE,
            "received": received,
            "received_bytes": received * SIZE,
        }
        lost = {
            "queue_messages": 0,
            "unconfirmed_messages": self.unconfirmed,
            "unconfirmed_bytes": self.unconfirmed * SIZE,
        }
        return {"row": lost, "by_type": {"data": counts}}


@asynccontextmanager
async def survey_of(tmp_path: Path, *nodes: Counting) -> AsyncGenerator[Survey]:
    async with AsyncExitStack() as stack:
        for node in nodes:
            node.rpc = await stack.enter_async_context(small_node(tmp_path / node.id, node.answer))
        names = node_names(len(nodes))
        yield Survey(links_of("line", len(nodes)), dict(zip(names, nodes, strict=True)))


async def test_it_reads_until_what_is_on_its_way_has_arrived(tmp_path: Path) -> None:
    one = Counting("one", sent=[7, 8, 9, 10])
    two = Counting("two", received=[0, 0, 3, 5, 9, 10])
    async with survey_of(tmp_path, one, two) as survey:
        there, back = await survey.settle(20, lost_after_s=0.2)
    assert (there.verdict, there.sent, there.received) == (
        "equal",
        {"data": Count(10, 1000)},
        {"data": Count(10, 1000)},
    )
    assert back.verdict == "equal"


async def test_it_gives_up_at_the_deadline_and_says_what_it_found(tmp_path: Path) -> None:
    async with survey_of(tmp_path, Counting("one", sent=[10]), Counting("two", received=[7])) as survey:
        there, _ = await survey.settle(0.2, lost_after_s=0.1)
    assert (there.verdict, there.difference) == ("different", Count(3, 300))


async def test_a_difference_that_stays_and_that_the_sender_knows_of_is_a_loss(tmp_path: Path) -> None:
    lossy = Counting("one", sent=[10], unconfirmed=3)
    async with survey_of(tmp_path, lossy, Counting("two", received=[7])) as survey:
        there, _ = await survey.settle(20, lost_after_s=0.2)
    assert (there.verdict, there.difference) == ("unconfirmed", Count(3, 300))


async def test_a_node_that_is_down_is_not_waited_for(tmp_path: Path) -> None:
    down = Counting("two", is_running=False)
    async with survey_of(tmp_path, Counting("one", sent=[10], unconfirmed=2), down) as survey:
        there, back = await survey.settle(20, lost_after_s=0.2)
        assert (there.verdict, there.unconfirmed) == ("receiver-down", Count(2, 200))
        assert back.verdict == "sender-down"
        assert await survey.unconfirmed() == {Direction(A, B): {"messages": 2, "bytes": 200}}


async def test_what_was_counted_before_a_restart_is_taken_off(tmp_path: Path) -> None:
    one, two = Counting("one", sent=[10], received=[20]), Counting("two", received=[10], sent=[20])
    async with survey_of(tmp_path, one, two) as survey:
        await survey.remember([B])
        one.sent, one.received = [14], [21]
        two.sent, two.received = [1], [4]
        there, back = await survey.settle(20, lost_after_s=0.2)
    assert (there.sent, there.received, there.verdict) == (
        {"data": Count(4, 400)},
        {"data": Count(4, 400)},
        "equal",
    )
    assert (back.sent, back.received, back.verdict) == (
        {"data": Count(1, 100)},
        {"data": Count(1, 100)},
        "equal",
    )


async def test_all_nodes_that_run_are_held(tmp_path: Path) -> None:
    one, two = Counting("one"), Counting("two", is_running=False)
    async with survey_of(tmp_path, one, two) as survey:
        await survey.hold(held=True)
        assert (one.is_held, two.is_held) == (True, False)
