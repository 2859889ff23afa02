from typing import Any

from qudag_node.lab.report import quiesce_lines, status_lines

TRUTH: dict[str, Any] = {
    "sent": 10,
    "delivered": 7,
    "dropped_loss": 2,
    "dropped_queue": 0,
    "dropped_outage": 0,
    "dropped_host": 1,
    "dropped_before": 0,
    "late": {"p99_s": 0.000031},
}
STATUS: dict[str, Any] = {
    "engine": "netns",
    "real_time": True,
    "topology": "line",
    "dir": "/labs/1",
    "load": {"rate_per_s": 100.0, "due": 5, "accepted": 4, "refused": 0, "skipped": 1},
    "nodes": [
        {"name": "peer1", "state": "running", "pid": 7, "listen": "198.18.0.1:4001", "id": "12D3KooWabc"},
        {"name": "peer2", "state": "killed (SIGKILL)", "pid": None, "listen": "198.18.0.2:4001", "id": ""},
    ],
    "links": [
        {"from": "peer1", "to": "peer2", "truth": TRUTH, "unconfirmed": {"messages": 3, "bytes": 300}}
        | {"text": "delay=20ms"},
        {"from": "peer2", "to": "peer1", "truth": TRUTH | {"late": {"p99_s": None}}, "unconfirmed": None}
        | {"text": "clean"},
    ],
}
COUNTS: dict[str, Any] = {"messages": 5, "bytes": 500}


def test_the_status_names_engine_nodes_links_and_load() -> None:
    assert (
        "\n".join(status_lines(STATUS))
        == """\
engine netns (real-time priority)  topology line  dir /labs/1
load 100/s  due 5  accepted 4  refused 0  skipped 1

NODE   STATE             PID  LISTEN           ID
peer1  running           7    198.18.0.1:4001  12D3KooWabc
peer2  killed (SIGKILL)  -    198.18.0.2:4001  -

LINK         SENT  DELIVERED  LOSS  QUEUE  OUTAGE  HOST  LATE p99  UNCONFIRMED  IMPAIRMENT
peer1>peer2  10    7          2     0      0       1     31 us     3 (300 B)    delay=20ms
peer2>peer1  10    7          2     0      0       1     -         -            clean"""
    )


def test_quiesce_lists_nothing_unconfirmed_on_a_link_whose_ends_agree() -> None:
    link = {
        "from": "peer1",
        "to": "peer2",
        "verdict": "equal",
        "unconfirmed": {"messages": 1, "bytes": 45},
        "by_type": {"data": {"sent": COUNTS, "received": COUNTS}},
    }
    _, *rows = quiesce_lines({"links": [link]})
    assert rows == ["peer1>peer2  equal    data  5     5         500         500             0"]


def test_quiesce_shows_both_sides_of_every_type_and_the_difference() -> None:
    less = {"messages": 4, "bytes": 400}
    answer = {
        "links": [
            {
                "from": "peer1",
                "to": "peer2",
                "verdict": "unconfirmed",
                "unconfirmed": {"messages": 1, "bytes": 100},
                "by_type": {
                    "data": {"sent": COUNTS, "received": less},
                    "ping": {"sent": COUNTS, "received": COUNTS},
                },
            },
            {
                "from": "peer2",
                "to": "peer1",
                "verdict": "sender-down",
                "unconfirmed": {"messages": 0, "bytes": 0},
                "by_type": {"data": {"sent": None, "received": less}},
            },
        ]
    }
    assert (
        "\n".join(quiesce_lines(answer))
        == """\
LINK         VERDICT      TYPE         SENT  RECEIVED  BYTES SENT  BYTES RECEIVED  DIFFERENCE
peer1>peer2  unconfirmed  data         5     4         500         400             1
                          ping         5     5         500         500             0
                          unconfirmed  1               100
peer2>peer1  sender-down  data         -     4         -           400             -"""
    )
