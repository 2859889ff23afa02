import json
import math

import pytest

from qudag_node.nettests.requests import TestType
from qudag_node.nettests.results import Environment, Measured, Target, TestResult, document_of
from qudag_node.peerid import PeerId

ENVIRONMENT = Environment(node={"id": "12D3", "name": "a", "version": "0"}, kernel="Linux 6", cpus=2)


def a_result(fields: dict[str, object]) -> TestResult:
    return TestResult(
        test_id="abcdefghijkl",
        test_type=TestType.PING,
        target=Target(id=PeerId("12D3KooWx"), name="peer2", hops=None),
        started_unix_s=1.5,
        duration_s=2.5,
        measured=Measured(success=True, verdict="All came back.", method="stamp-udp", fields=fields),
        options={"count": 3},
        environment=ENVIRONMENT,
    )


def test_the_document_has_the_common_fields_and_those_of_its_type() -> None:
    document = document_of(a_result({"sent": 3, "rtt": {"p50_s": 0.001}}))

    assert list(document) == [
        "schema",
        "test_id",
        "test_type",
        "target",
        "method",
        "started_unix_s",
        "duration_s",
        "success",
        "verdict",
        "errors",
        "interrupted",
        "declined",
        "stored",
        "options",
        "environment",
        "sent",
        "rtt",
    ]
    assert document["schema"] == "qudag.test/1"
    assert document["target"] == {"id": "12D3KooWx", "name": "peer2", "hops": None}
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_what_is_no_number_is_nothing() -> None:
    document = document_of(
        a_result({"rtt": {"p50_s": math.nan, "max_s": math.inf}, "hops": [(1, -math.inf)]})
    )

    assert document["rtt"] == {"p50_s": None, "max_s": None}
    assert document["hops"] == [[1, None]]


def test_a_run_may_not_set_what_is_the_testers() -> None:
    with pytest.raises(ValueError, match="a run may not set success, test_id"):
        document_of(a_result({"test_id": "x", "success": False}))


@pytest.mark.parametrize("value", [object(), b"raw", {1, 2}])
def test_what_json_cannot_say_is_our_mistake(value: object) -> None:
    with pytest.raises(TypeError, match="a result holds a"):
        document_of(a_result({"hops": [value]}))


def test_a_result_that_holds_itself_is_refused() -> None:
    endless: list[object] = []
    endless.append(endless)

    with pytest.raises(ValueError, match="nested too deeply"):
        document_of(a_result({"hops": endless}))
