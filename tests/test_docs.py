"""The documentation keeps up with the code."""

import json
import shlex
from typing import Any

from qudag_node.overlay.frames import FrameType
from qudag_tui.cli.commands import COMMANDS
from qudag_tui.cli.program import EXIT_CODES, parse
from qudag_tui.model.fields import FIELDS
from qudag_tui.tui.keymap import IDS
from qudag_tui.tui.theme_names import THEME_NAMES
from qudag_tui.views.nettests.metrics import METRICS
from qudag_tui.views.selection import SORT_WORDS
from tests.conftest import REPO


def test_the_readme_exists() -> None:
    assert (REPO / "README.md").read_text(encoding="utf-8").startswith("# QuDAG Ops")


def test_every_frame_has_a_section_in_the_link_protocol() -> None:
    """Its fields and causes are held to the code in tests/qudag_node/overlay/test_link_protocol.py."""
    text = (REPO / "docs" / "link-protocol.md").read_text(encoding="utf-8")
    sections = [line[4:] for line in text.splitlines() if line.startswith("### ")]
    assert sections == [kind.name for kind in FrameType]


def test_every_command_has_a_section_with_an_example_in_cli_md() -> None:
    text = (REPO / "docs" / "cli.md").read_text(encoding="utf-8")
    sections = {part.partition("`\n")[0]: part for part in text.split("\n### `qudag ")[1:]}
    assert sections.keys() == {" ".join(command.path) for command in COMMANDS}
    missing = [name for name, part in sections.items() if f"$ qudag {name}" not in part]
    assert missing == []


def test_every_option_of_a_command_is_in_cli_md() -> None:
    text = (REPO / "docs" / "cli.md").read_text(encoding="utf-8")
    missing: list[str] = []
    for command in COMMANDS:
        words = shlex.split(command.examples[0].partition(" > ")[0])[1:]
        actions = parse(words).parser._actions  # argparse tells its options no other way
        names = [action.option_strings[-1] for action in actions if action.option_strings]
        missing += [
            f"{command.path}: {name}" for name in names if command.module is None and f"`{name}" not in text
        ]
    assert missing == []


def test_every_exit_code_and_sort_word_is_in_cli_md() -> None:
    text = (REPO / "docs" / "cli.md").read_text(encoding="utf-8")
    for code in ("0", "1", "2", "3", "4", "5", "130, 143", "141"):
        assert f"| {code} |" in text
        assert code.partition(",")[0] in EXIT_CODES
    assert [word for word in SORT_WORDS if f"`{word}`" not in text] == []


def test_every_key_field_and_theme_of_the_monitor_is_in_monitor_md() -> None:
    text = (REPO / "docs" / "monitor.md").read_text(encoding="utf-8")
    names = [*IDS, *(field.key for field in FIELDS), *THEME_NAMES]
    assert [name for name in names if f"`{name}`" not in text] == []


def names_of(schema: Any) -> set[str]:
    """Every property that a schema names, at any depth."""
    if isinstance(schema, list):
        return set().union(*map(names_of, schema))
    if not isinstance(schema, dict):
        return set()
    own = schema.get("properties", {})
    conditions = {"if", "required", "enum", "const"}
    return set(own).union(*(names_of(inner) for name, inner in schema.items() if name not in conditions))


def test_every_field_of_a_test_result_is_in_test_results_md() -> None:
    schema = json.loads((REPO / "docs" / "test-results.json").read_text(encoding="utf-8"))
    text = (REPO / "docs" / "test-results.md").read_text(encoding="utf-8")
    missing = [name for name in sorted(names_of(schema)) if not any(f"{x}{name}`" in text for x in "`.")]
    assert missing == []


def test_every_figure_of_a_test_is_in_cli_md() -> None:
    lines = (REPO / "docs" / "cli.md").read_text(encoding="utf-8").splitlines()
    for test_type, metrics in METRICS.items():
        (line,) = [line for line in lines if line.startswith(f"| `{test_type}` |")]
        assert line == f"| `{test_type}` | {', '.join(f'`{metric.name}`' for metric in metrics)} |"
