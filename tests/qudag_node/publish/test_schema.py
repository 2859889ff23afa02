"""The schema for machines and the page for people say of every field what the translator makes of it."""

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

from qudag_node.metrics.statistics import NetworkStatistics
from qudag_node.publish import to_document
from qudag_node.wire import to_json
from tests.conftest import REPO
from tests.qudag_node.examples import EVERYTHING_KNOWN, NOTHING_KNOWN, statistics_strategy

SCHEMA: dict[str, Any] = json.loads((REPO / "docs" / "stats-schema.json").read_text(encoding="utf-8"))
PAGE = (REPO / "docs" / "stats-schema.md").read_text(encoding="utf-8")
VALIDATOR = Draft202012Validator(SCHEMA)


def tree_of(statistics: NetworkStatistics) -> dict[str, Any]:
    return to_json(to_document(statistics))


def problems(tree: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(tree)]


def objects(schema: object, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object with named fields in the schema."""
    if isinstance(schema, dict):
        if "properties" in schema:
            yield path, schema
        for key, inner in schema.items():
            yield from objects(inner, f"{path}/{key}")


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_is_strict_but_for_whole_sections() -> None:
    for path, schema in objects(SCHEMA):
        assert schema["additionalProperties"] is False, path
        assert schema["required"] == (list(schema["properties"]) if path else ["schema"]), path
        for name, field in schema["properties"].items():
            assert "description" in field or "const" in field, f"{path}/{name}"


@pytest.mark.parametrize("statistics", [EVERYTHING_KNOWN, NOTHING_KNOWN], ids=["everything", "nothing"])
def test_known_documents_are_valid(statistics: NetworkStatistics) -> None:
    assert problems(tree_of(statistics)) == []


@given(statistics=statistics_strategy())
def test_every_document_is_valid(statistics: NetworkStatistics) -> None:
    assert problems(tree_of(statistics)) == []


def test_a_document_of_some_sections_is_valid() -> None:
    tree = tree_of(EVERYTHING_KNOWN)
    assert problems({name: tree[name] for name in ("schema", "latency")}) == []


def fields_of(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield (*path, key)
        yield from fields_of(inner, (*path, key))


#: Maps whose keys are not fields.
OPEN_MAPS = {
    "address_family",
    "agent",
    "by_type",
    "direction",
    "dropped_by_cause",
    "errors",
    "failed_by_cause",
    "hop_distance",
    "latency_band",
    "protocol_versions",
}


def test_a_missing_field_is_noticed_wherever_it_is() -> None:
    tree = tree_of(EVERYTHING_KNOWN)
    for path in fields_of(tree):
        *parents, name = path
        if isinstance(name, int) or not parents or parents[-1] in OPEN_MAPS:
            continue
        damaged = copy.deepcopy(tree)
        holder: Any = damaged
        for key in parents:
            holder = holder[key]
        del holder[name]
        assert problems(damaged), path


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("messages", "sent", -1),
        ("messages", "sent", None),
        ("messages", "sent", 1.5),
        ("messages", "novel", 1),
        ("node", "tcp_info", "perhaps"),
        ("connections", "errors", {"timeout": "two"}),
        ("performance", "tps", {"1s": 1.0}),
        ("resources", "cpu_s", "1"),
    ],
)
def test_a_wrong_field_is_noticed(section: str, name: str, value: object) -> None:
    tree = tree_of(EVERYTHING_KNOWN)
    tree[section] = {**tree[section], name: value}
    assert problems(tree)


def tables() -> dict[str, dict[str, list[str]]]:
    """The tables of the page: heading to field to its other cells."""
    found: dict[str, dict[str, list[str]]] = {"": {}}
    heading = ""
    for line in PAGE.splitlines():
        if match := re.fullmatch(r"## `(\w+)`", line):
            heading = match[1]
            found[heading] = {}
        elif match := re.match(r"\| `([^`]+)` \|", line):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            found[heading][match[1]] = cells[1:]
    return found


def test_the_page_has_every_field_and_no_other() -> None:
    documented = tables()
    sections = {name: schema for name, schema in SCHEMA["properties"].items() if name != "schema"}
    shapes = SCHEMA["$defs"]
    assert set(documented) == {"", *sections, *shapes}
    assert list(documented[""]) == ["schema"]
    for name, schema in {**sections, **shapes}.items():
        assert list(documented[name]) == list(schema.get("properties", {})), name


def test_the_page_says_type_and_unit_of_every_field() -> None:
    for heading, fields in tables().items():
        for name, cells in fields.items():
            type_, unit, _meaning = cells
            assert type_, f"{heading}.{name}"
            assert unit, f"{heading}.{name}"


def allows_null(field: dict[str, Any]) -> bool:
    types = [field.get("type"), *(choice.get("type") for choice in field.get("anyOf", ()))]
    return "null" in types or any(isinstance(each, list) and "null" in each for each in types)


def test_the_page_and_the_schema_agree_on_what_may_be_null() -> None:
    documented = tables()
    for name, schema in {**SCHEMA["properties"], **SCHEMA["$defs"]}.items():
        for field, its in schema.get("properties", {}).items():
            said = documented[name][field][0].endswith("or null")
            assert said == allows_null(its), f"{name}.{field}"
