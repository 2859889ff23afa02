"""Start-up is imports: what a one-shot command pays for is held here, in clean interpreters."""

import subprocess
import sys

import pytest

import qudag_node.wire as wire

HEAVY = {
    "argparse",
    "asyncio",
    "dataclasses",
    "hashlib",
    "hmac",
    "inspect",
    "json",
    "logging",
    "numpy",
    "pathlib",
    "re",
    "socket",
    "ssl",
    "tempfile",
    "typing",
    "cryptography",
}


def modules_after(code: str) -> set[str]:
    run = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(run.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import qudag_node.wire",
        "from qudag_node.wire import ClientSession; ClientSession('x').start()",
        "from qudag_node.wire import parse_address; parse_address('unix:/run/x')",
        "from qudag_node.wire import data_dir, socket_path; socket_path(data_dir('n', {'HOME': '/h'}), {})",
    ],
)
def test_a_question_over_a_unix_socket_loads_nothing_heavy(code: str) -> None:
    # Coverage of subprocesses starts before the code and loads some of them itself.
    assert not (modules_after(code) & HEAVY) - modules_after("pass")


def test_importing_the_wire_loads_no_other_room() -> None:
    loaded = {name for name in modules_after("import qudag_node.wire") if name.startswith("qudag")}
    assert loaded == {"qudag_node", "qudag_node.wire"}


def test_every_public_name_can_be_reached() -> None:
    code = "import qudag_node.wire as w\nfor n in w.__all__: getattr(w, n)\nfrom qudag_node.wire import *"
    assert "qudag_node.wire.session" in modules_after(code)
    assert set(wire.__all__) <= set(dir(wire))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        wire.nothing  # noqa: B018


def test_the_names_are_those_that_type_checkers_see() -> None:
    for name, module in vars(wire)["_MODULE_OF"].items():
        room = __import__(module, fromlist=[name])
        assert name in room.__all__
    assert sorted(vars(wire)["_MODULE_OF"]) == sorted(wire.__all__)
