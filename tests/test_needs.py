"""A skip is for a developer's machine; under CI it would hide a test for ever."""

from __future__ import annotations

import pytest

from tests.needs import need


@pytest.mark.parametrize("ci", ["", "true"])
def test_what_is_there_is_no_reason(ci: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", ci)
    need(True, "air")


def test_what_is_missing_skips_a_test_and_fails_it_under_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="lacks a unicorn"):
        need(False, "a unicorn")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="lacks a unicorn"):
        need(False, "a unicorn")
