"""What a failure of a part becomes: one line, and where the rest stands."""

from __future__ import annotations

import errno

import pytest

from qudag_node.errors import DataDirectoryError, PortInUseError
from qudag_node.node.run import error_of


def group(*errors: Exception) -> ExceptionGroup[Exception]:
    return ExceptionGroup("parts", [ExceptionGroup("inner", list(errors))])


def test_an_error_of_ours_is_told_before_any_other() -> None:
    ours = PortInUseError("taken")
    assert error_of(group(ZeroDivisionError(), OSError(errno.EIO, "x"), ours)) is ours


def test_a_full_disk_is_told_as_such() -> None:
    error = error_of(group(OSError(errno.ENOSPC, "No space left", "/d/routing.json")))
    assert isinstance(error, DataDirectoryError)
    assert str(error) == "/d/routing.json: the disk is full; free some space and start again"


def test_another_error_of_the_system_names_its_file() -> None:
    assert (
        str(error_of(group(OSError(errno.EIO, "Input/output error", "/d/x")))) == "/d/x: Input/output error"
    )


def test_a_bug_is_logged_whole_and_told_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    error = error_of(group(ZeroDivisionError("here")))
    assert "ZeroDivisionError('here')" in str(error)
    assert "node.log" in str(error)
    assert "ZeroDivisionError: here" in caplog.text
