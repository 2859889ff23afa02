"""The schema of the history's file, as the steps that lead to it. A step that was released never changes.

The file's ``user_version`` is how many of them it has seen.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["MIGRATIONS"]

MIGRATIONS: Sequence[Sequence[str]] = (
    (
        # One row for each test that has ended: what a list shows, and the whole document (JSON, deflated).
        """
        CREATE TABLE results (
            number INTEGER PRIMARY KEY,
            test_id TEXT NOT NULL UNIQUE,
            test_type TEXT NOT NULL,
            target_id TEXT,
            target_name TEXT,
            started_unix_s REAL NOT NULL,
            state TEXT NOT NULL,
            summary TEXT NOT NULL,
            document BLOB NOT NULL
        )
        """,
        "CREATE INDEX results_by_time ON results (started_unix_s)",
        "CREATE INDEX results_by_type ON results (test_type, started_unix_s)",
    ),
)
