"""``python -m benchmarks [NAME…] [--method]``: run the benchmark modules and print one table.

Each module offers ``rows()``; its docstring is the method. Goals that are missed are marked, never hidden;
the exit code is 0 all the same, since a shared machine's speed is a report and not a verdict.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
from pathlib import Path

from benchmarks.table import Row, render

HERE = Path(__file__).parent
NOT_A_BENCHMARK = {"__init__", "__main__", "table"}


def modules() -> list[str]:
    """The names of the benchmark modules: those that define ``rows``."""
    found = (path.stem for path in sorted(HERE.glob("*.py")))
    return [name for name in found if name not in NOT_A_BENCHMARK and not name.startswith("_")]


def main() -> int:
    """Run what was asked for and print it."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure beside the peers and print the table."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of: {', '.join(modules())}")
    parser.add_argument("--method", action="store_true", help="print how each row was measured")
    options = parser.parse_args()
    unknown = set(options.names) - set(modules())
    if unknown:
        parser.error(f"no benchmark named {', '.join(sorted(unknown))}")
    rows: list[Row] = []
    for name in options.names or modules():
        print(f"running {name} …", file=sys.stderr, flush=True)
        rows += importlib.import_module(f"benchmarks.{name}").rows()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}")
    print(render(rows, method=options.method))
    return 0


if __name__ == "__main__":
    sys.exit(main())
