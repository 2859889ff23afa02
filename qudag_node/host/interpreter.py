"""This interpreter, started once more: the command and the environment of a child process of ours."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import qudag_node

__all__ = ["child_environment", "python_module"]


def python_module(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of this package with this interpreter.

    ``-P`` keeps the current directory, where a file may have the name of a module, off the path.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for such a command: the package is found where this process found it."""
    root = str(Path(qudag_node.__file__).resolve().parents[1])
    if root in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        return dict(environ)
    inherited = environ.get("PYTHONPATH")
    return {**environ, "PYTHONPATH": os.pathsep.join([root, *([inherited] if inherited else [])])}
