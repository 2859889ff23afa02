"""docs/wire-format.md says everything that the tables of the wire have, and nothing else."""

import re
from dataclasses import Field, fields
from typing import Any

import pytest

from qudag_node.nettests.requests import TestType, options_of
from qudag_node.wire import (
    CLIENT_LIMITS,
    COLUMN_TYPES,
    HANDSHAKE_BYTES,
    METHODS,
    NOTIFICATIONS,
    PEER_TEXTS,
    SERVER_LIMITS,
    VERSIONS,
    ErrorCode,
    SessionState,
)
from tests.conftest import REPO

PAGE = (REPO / "docs" / "wire-format.md").read_text(encoding="utf-8")


def chapter(heading: str) -> str:
    """The text under a heading of the second level."""
    found = re.search(rf"^## {heading}$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found[1]


def sections(heading: str) -> dict[str, str]:
    """The sections of the third level in a chapter, by the name in their heading."""
    parts = re.split(r"^### `([^`]+)`$", chapter(heading), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def first_cells(text: str) -> list[str]:
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


def test_every_method_has_a_section_with_its_role_and_version() -> None:
    documented = sections("Methods")
    assert list(documented) == list(METHODS)
    for name, method in METHODS.items():
        role = "none" if method.role is None else method.role.value
        assert documented[name].strip().startswith(f"Role: {role}. Since: {method.since}. "), name


def test_every_method_tells_its_parameters_and_its_result() -> None:
    for name, text in sections("Methods").items():
        assert "| parameter |" in text or "No parameters" in text, name
        assert "| result |" in text or "esult is" in text, name


def test_every_notification_has_a_section_with_its_version() -> None:
    documented = sections("Notifications")
    assert list(documented) == list(NOTIFICATIONS)
    for name, since in NOTIFICATIONS.items():
        assert documented[name].strip().startswith(f"Since: {since}. "), name
        assert first_cells(documented[name])[0] == ("code" if name == "closing" else "stream")


def test_every_error_code_is_explained() -> None:
    assert first_cells(chapter("Errors")) == [code.value for code in ErrorCode]


def test_every_state_is_explained() -> None:
    assert first_cells(chapter("Opening a session")) == [state.name.lower() for state in SessionState]


def test_every_column_type_is_named() -> None:
    for type_ in COLUMN_TYPES:
        assert f'"{type_}"' in chapter("Columns")


def test_the_text_columns_of_peers_are_named() -> None:
    assert ", ".join(f"`{name}`" for name in PEER_TEXTS) in sections("Methods")["stats"]


def test_the_version_is_the_newest() -> None:
    assert f"It is {max(VERSIONS)} now." in PAGE


def size(count: int) -> str:
    return f"{count >> 20} MiB" if count >= 1 << 20 else f"{count >> 10} KiB"


@pytest.mark.parametrize(
    ("limit", "cells"),
    [
        (
            "whole message",
            [
                f"{size(SERVER_LIMITS.message_bytes)}; {size(HANDSHAKE_BYTES)} until a role "
                "is granted on tcp and tls",
                size(CLIENT_LIMITS.message_bytes),
            ],
        ),
        ("one text", [size(SERVER_LIMITS.string_bytes), size(CLIENT_LIMITS.string_bytes)]),
        ("one binary", [size(SERVER_LIMITS.binary_bytes), size(CLIENT_LIMITS.binary_bytes)]),
        ("elements of an array", [f"{SERVER_LIMITS.items:,}", f"{CLIENT_LIMITS.items:,}"]),
        ("entries of a map", [f"{SERVER_LIMITS.entries:,}", f"{CLIENT_LIMITS.entries:,}"]),
        ("arrays and maps inside each other", [str(SERVER_LIMITS.depth), str(CLIENT_LIMITS.depth)]),
    ],
)
def test_the_limits_are_those_of_the_decoder(limit: str, cells: list[str]) -> None:
    assert f"| {limit} | {' | '.join(cells)} |" in PAGE


def test_every_option_of_a_test_has_its_row() -> None:
    table = chapter("Options of a test")
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| ([^|]+) \| ([^|]+) \| (.+) \|$", table, re.MULTILINE)
    assert rows == [
        (test_type.value, *described(option)) for test_type in TestType for option in options(test_type)
    ]


def options(test_type: TestType) -> tuple[Field[Any], ...]:
    return fields(options_of(test_type, {}))


def described(option: Field[Any]) -> tuple[str, str, str, str]:
    """The cells of an option: name, type with its range, default, meaning."""
    about, default = option.metadata, option.default
    meaning = about["help"][0].upper() + about["help"][1:]
    if isinstance(default, bool):
        return option.name, "boolean", str(default).lower(), meaning
    if "least" in about:
        kind = "integer" if isinstance(default, int) else "number"
        limits = f"{about['least']:.15g} to {about['most']:.15g}"
        return option.name, f"{kind}, {limits}", "nil" if default is None else f"{default:g}", meaning
    return option.name, "text", "nil" if default is None else f"`{default}`" if default else "empty", meaning
