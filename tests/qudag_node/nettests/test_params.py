from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qudag_node.errors import DeclinedError
from qudag_node.nettests.params import Params

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=3,
)


def test_what_is_there_is_read() -> None:
    params = Params({"n": 3, "x": 1, "t": "text", "b": bytes(4), "yes": True, "none": None})
    assert params.whole("n", least=3, most=3) == 3
    assert params.number("x") == 1.0
    assert params.number("n", least=3.0, most=3.0) == 3.0
    assert params.optional_number("x") == 1.0
    assert params.text("t") == "text"
    assert params.choice("t", ("text", "other")) == "text"
    assert params.binary("b", 4) == bytes(4)
    assert params.boolean("yes") is True
    assert "n" in params
    assert "none" not in params


def test_what_is_missing_has_its_default() -> None:
    params = Params({"none": None})
    for name in ("none", "missing"):
        assert params.whole(name, 7) == 7
        assert params.number(name, 0.5) == 0.5
        assert params.optional_number(name) is None
        assert params.text(name, "x") == "x"
        assert params.choice(name, ("a", "b"), "b") == "b"
        assert params.boolean(name, False) is False


READS: list[tuple[str, Callable[[Params], object]]] = [
    ("whole", lambda params: params.whole("p", least=1, most=9)),
    ("number", lambda params: params.number("p", least=1, most=9)),
    ("text", lambda params: params.text("p", longest=3)),
    ("choice", lambda params: params.choice("p", ("a", "b"))),
    ("binary", lambda params: params.binary("p", 3)),
    ("boolean", lambda params: params.boolean("p")),
]


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("whole", [None, "1", 1.0, True, 0, 10, 2**80]),
        ("number", [None, "1", True, 0.99, 10, math.nan, math.inf, -math.inf]),
        ("text", [None, 1, b"abc", "abcd"]),
        ("choice", [None, 1, "c", ["a"]]),
        ("binary", [None, "abc", b"ab", b"abcd"]),
        ("boolean", [None, 1, 0, "true"]),
    ],
)
def test_what_is_wrong_is_declined_by_name(kind: str, wrong: list[object]) -> None:
    read = dict(READS)[kind]
    for value in wrong:
        with pytest.raises(DeclinedError, match="parameter 'p' must be"):
            read(Params({"p": value}))


@given(value=anything)
def test_a_stranger_may_send_anything(value: object) -> None:
    for _, read in READS:
        try:
            read(Params({"p": value}))
        except DeclinedError as exc:
            assert exc.reason.isprintable()
