"""The wire's value classes behave as frozen dataclasses do."""

import copy

import pytest

from qudag_node.wire import Method, Request, TlsAddress


def test_values_are_compared_and_hashed_by_their_fields() -> None:
    assert TlsAddress("h", 1) == TlsAddress(host="h", port=1, peer_id=None)
    assert TlsAddress("h", 1) != TlsAddress("h", 2)
    others: list[object] = [TlsAddress("h", 2), ("h", 1, None)]
    assert TlsAddress("h", 1) not in others
    assert len({TlsAddress("h", 1), TlsAddress("h", 1)}) == 1


def test_values_are_frozen_and_slotted() -> None:
    request = Request(1, "stats", [])
    with pytest.raises(AttributeError, match="frozen"):
        setattr(request, "id", 2)  # noqa: B010 - type checkers know it is frozen
    assert not hasattr(request, "__dict__")


def test_values_show_their_fields() -> None:
    assert repr(Request(1, "stats", [])) == "Request(id=1, method='stats', params=[])"


def test_values_can_be_copied() -> None:
    request = Request(1, "stats", [{"sections": ["node"]}])
    assert copy.deepcopy(request) == request


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), {}),
        ((None, 1, 2), {}),
        ((None,), {"role": None}),
        ((None,), {"other": 1}),
        ((None, 1), {"since": 1}),
    ],
)
def test_wrong_fields_are_a_type_error(arguments: tuple[object, ...], named: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        Method(*arguments, **named)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
