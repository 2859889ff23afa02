"""One line about a test: of one that runs, from its job; of one that has ended, from its result. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from qudag_node.nettests.job import Job

__all__ = ["SUMMARY_FIELDS", "matches", "summary_of_document", "summary_of_job"]

SUMMARY_FIELDS = (
    "test_id",
    "test_type",
    "target",
    "started_unix_s",
    "duration_s",
    "method",
    "success",
    "verdict",
    "interrupted",
    "declined",
    "stored",
)
"""What a summary takes from a result; ``state`` comes on top."""


def summary_of_document(document: Mapping[str, object], state: str) -> dict[str, object]:
    """Return the summary of a result."""
    return {**{name: document[name] for name in SUMMARY_FIELDS}, "state": state}


def summary_of_job(job: Job, now_unix_s: float) -> dict[str, object]:
    """Return the summary of a test; what is known at its end only is None."""
    if job.document is not None:
        return summary_of_document(job.document, job.state.value)
    target = job.target
    began = job.started_unix_s
    return {
        **dict.fromkeys(SUMMARY_FIELDS),
        "test_id": job.test_id,
        "test_type": job.test_type.value,
        "target": None if target is None else {"id": target.id, "name": target.name, "hops": target.hops},
        "started_unix_s": job.created_unix_s if began is None else began,
        "duration_s": None if began is None else max(0.0, now_unix_s - began),
        "stored": False,
        "interrupted": job.is_interrupted,
        "state": job.state.value,
    }


def matches(summary: Mapping[str, object], wanted: str) -> bool:
    """Tell whether a test was of a peer, given by its id, the beginning of it, or its name then."""
    target = summary["target"]
    if not isinstance(target, dict):
        return False
    peer = cast("dict[str, object]", target)
    return wanted == peer["name"] or str(peer["id"]).startswith(wanted)
