"""The parser of the node's and the lab's command lines: a mistake is one line on stderr, and exit code 2."""

from __future__ import annotations

import argparse
from typing import Never

__all__ = ["Parser"]


class Parser(argparse.ArgumentParser):
    """An argparse parser that does not print the whole usage at every mistake."""

    def error(self, message: str) -> Never:
        """Say what is wrong and where help is, and end."""
        self.exit(2, f"{self.prog}: {' '.join(message.split())}; see `{self.prog} --help`\n")
