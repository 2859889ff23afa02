"""``qudag-top`` on a real terminal, over real nodes."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import REPO
from tests.integration.nodes import NodeProcess, environment, running, wait_until
from tests.integration.terminals import TerminalProgram, on_terminal

pytestmark = pytest.mark.integration

TOP = ("-m", "qudag_tui.tui")
NOBODY = "unix:/nonexistent/rpc.sock"


RPC = ("--rpc", "tcp://127.0.0.1:0", "--rpc", "tls://127.0.0.1:0")
#: The words of a command line that lead to a node.
Words = tuple[str, ...]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    with running(tmp_path_factory.mktemp("node"), "--name", "peer1", *RPC) as process:
        yield process


@pytest.fixture(params=["unix", "tcp", "tls"])
def at(request: pytest.FixtureRequest, node: NodeProcess) -> Words:
    """The way to the node, over each transport in turn."""
    return way_to(node, request.param)


def way_to(node: NodeProcess, transport: str) -> Words:
    words = (word.rstrip(",") for word in node.ready_line.split())
    address = next(word for word in words if word.startswith(f"{transport}:"))
    token = () if transport == "unix" else ("--token-file", str(node.directory / "rpc.cookie"))
    return ("--node", address, *token)


def plain_run(*words: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *TOP, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(environ),
        cwd=REPO,
    )


# --- on the screen ------------------------------------------------------------------------------------------


def test_a_real_node_is_shown_and_q_leaves_the_terminal_as_it_was(at: Words) -> None:
    with on_terminal(*TOP, *at) as top:
        top.wait_for(
            lambda text: "● live" in text and "Throughput" in text and "peer1" in text.splitlines()[0]
        )
        assert top.modes != top.modes_before
        top.type("2")
        top.wait_for("sorted by name")
        top.type("?")
        top.wait_for("Everywhere")
        top.type("\x1b")
        top.wait_for("sorted by name")
        top.type("q")
        assert top.wait() == 0
        assert_restored(top)


def assert_restored(top: TerminalProgram) -> None:
    assert top.modes == top.modes_before
    for mode in (b"1049", b"1000", b"1003", b"2004"):
        turned_on = [at.start() for at in re.finditer(rb"\x1b\[\?" + mode + b"h", top.raw)]
        turned_off = [at.start() for at in re.finditer(rb"\x1b\[\?" + mode + b"l", top.raw)]
        assert not turned_on or turned_off[-1] > turned_on[-1], mode
    assert top.raw.rfind(b"\x1b[?25h") > top.raw.rfind(b"\x1b[?25l")


def test_shift_q_leaves_the_screen_behind(at: Words) -> None:
    with on_terminal(*TOP, *at) as top:
        top.wait_for("● live")
        top.type("Q")
        assert top.wait() == 0
        after = top.raw[top.raw.rfind(b"\x1b[?1049l") :].decode()
        assert "Throughput" in after
        assert "peer1" in after


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGQUIT, 131)], ids=str
)
def test_a_signal_ends_it_with_the_terminal_restored(at: Words, number: int, code: int) -> None:
    with on_terminal(*TOP, *at) as top:
        top.wait_for("● live")
        top.process.send_signal(number)
        assert top.wait() == code
        assert_restored(top)


def test_a_signal_while_it_starts_restores_the_terminal_too(at: Words) -> None:
    with on_terminal(*TOP, *at) as top:
        top.wait_for("qudag-top  connecting to")
        top.process.send_signal(signal.SIGTERM)
        assert top.wait() == 143
        assert_restored(top)


@pytest.mark.parametrize("ignored", [False, True], ids=["hang-up told", "nohup"])
def test_a_terminal_that_goes_away_ends_it(at: Words, ignored: bool) -> None:
    code = (
        "import signal, runpy, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
        f"sys.argv = ['qudag-top', *{at!r}]; "
        "runpy.run_module('qudag_tui.tui', run_name='__main__')"
    )
    words = ("-c", code)
    with on_terminal(*(words if ignored else (*TOP, *at))) as top:
        top.wait_for("● live")
        top.hang_up()
        assert top.process.wait(15) == 129


def test_it_follows_the_size_of_the_terminal_whatever_the_environment_says(at: Words) -> None:
    with on_terminal(*TOP, *at, size=(80, 24), environ={"LINES": "10", "COLUMNS": "30"}) as top:
        top.wait_for(lambda text: "q quit" in text.split("\n")[23])
        top.resize(120, 40)
        top.wait_for(lambda text: "q quit" in text.splitlines()[-1] and "UTC" in text)
        top.resize(40, 10)
        top.wait_for("qudag-top needs 60x16")
        top.resize(100, 30)
        top.wait_for("Throughput")


def test_it_stops_for_the_shell_and_comes_back(at: Words) -> None:
    shell = "import os; os.execvp('bash', ['bash', '--norc', '--noprofile', '-i'])"
    with on_terminal("-c", shell, environ={"PS1": "ready> "}) as bash:
        bash.wait_for("ready>")
        bash.type(f"{sys.executable} -m qudag_tui.tui {shlex.join(at)}\n")
        bash.wait_for("● live")
        bash.type("\x1a")
        bash.wait_for("Stopped")
        bash.type("fg\n")
        bash.wait_for(lambda text: "● live" in text and "q quit" in text)
        bash.type("q")
        bash.wait_for(lambda _: bash.raw.count(b"ready> ") == 3)
        bash.type("exit\n")
        assert bash.wait() == 0


def test_no_color_means_no_colour(at: Words) -> None:
    with on_terminal(*TOP, *at, environ={"NO_COLOR": "1"}) as top:
        top.wait_for("● live")
        top.type("2")
        top.wait_for("sorted by")
        colours = {
            code
            for found in re.findall(rb"\x1b\[([\d;]*)m", top.raw)
            for code in found.decode().replace("38;", "X;").replace("48;", "X;").split(";")
            if code and code not in {"0", "1", "2", "4", "7", "39", "49"}
        }
        assert colours == set()


def test_a_locale_without_unicode_gets_ascii(at: Words) -> None:
    with on_terminal(*TOP, *at, environ={"LANG": "", "LC_ALL": "C"}) as top:
        top.wait_for("* live")
        top.type("2")
        top.wait_for("sorted by name ^")
        assert top.raw.isascii()


@pytest.mark.parametrize(
    ("flags", "reports"), [((), True), (("--no-mouse",), False)], ids=["mouse", "no mouse"]
)
def test_the_mouse_can_be_left_to_the_terminal(at: Words, flags: tuple[str, ...], reports: bool) -> None:
    with on_terminal(*TOP, *at, *flags) as top:
        top.wait_for("● live")
        assert (b"\x1b[?1003h" in top.raw) is reports


@pytest.mark.parametrize("transport", ["unix", "tcp", "tls"])
def test_a_node_that_is_killed_and_started_again_is_lost_and_found(tmp_path: Path, transport: str) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(running(tmp_path, "--name", "phoenix", *RPC))
        address = way_to(first, transport)[1]
        top = stack.enter_context(on_terminal(*TOP, *way_to(first, transport)))
        top.wait_for("● live")
        first.stop(signal.SIGKILL)
        top.wait_for(lambda text: "✗ lost" in text and "figures" in text)
        port = address.rpartition(":")[2]
        again = () if transport == "unix" else ("--rpc", f"{transport}://127.0.0.1:{port}")
        stack.enter_context(running(tmp_path, "--name", "phoenix", *again))
        # The header and the line under it are painted one after the other.
        top.wait_for(lambda text: "● live" in text and "figures" not in text.splitlines()[1])


def test_a_node_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    directory = tmp_path / "later"
    with on_terminal(*TOP, "--node", f"unix:{directory}/rpc.sock", size=(240, 40)) as top:
        top.wait_for(lambda text: "no node answers yet" in text and "No such file" in text)
        with running(directory, "--name", "late"):
            top.wait_for("● live")


def test_own_keys_and_theme_come_from_the_configuration(at: Words, home: Path) -> None:
    config = home / ".config" / "qudag" / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text('[monitor]\ntheme = "light"\ninterval_s = 2.0\nmouse = false\n[keys]\nquit = "x"\n')
    with on_terminal(*TOP, *at) as top:
        top.wait_for(lambda text: "● live" in text and "every 2 s" in text and "x quit" in text)
        assert b"\x1b[?1003h" not in top.raw
        top.type("x")
        assert top.wait() == 0


# --- without a screen ---------------------------------------------------------------------------------------


def test_without_a_terminal_it_says_so_in_one_line(at: Words) -> None:
    run = plain_run(*at)
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr.startswith("qudag-top: stdin is not a terminal; use --once")
    assert run.stderr.count("\n") == 1


@pytest.mark.parametrize("term", ["dumb", ""], ids=["dumb", "unset"])
def test_a_terminal_that_can_do_nothing_is_refused(at: Words, term: str) -> None:
    with on_terminal(*TOP, *at, environ={"TERM": term}) as top:
        assert top.wait() == 2
        assert "TERM does not name a full-screen terminal" in top.text.replace("\n", "")
        assert b"\x1b[" not in top.raw


def test_once_prints_the_overview_and_ends(at: Words) -> None:
    run = plain_run("--once", *at)
    assert run.returncode == 0
    assert run.stderr == ""
    for title in ("Throughput", "Connections", "Latency", "Messages", "Events"):
        assert f"\n{title} ─" in run.stdout
    assert "\x1b" not in run.stdout
    assert plain_run("--once", "--ascii", *at).stdout.isascii()


def test_once_on_a_terminal_has_colours_unless_told_otherwise(at: Words) -> None:
    for flags, expected in (((), True), (("--no-color",), False)):
        with on_terminal(*TOP, "--once", *at, *flags) as top:
            assert top.wait() == 0
            assert (b"\x1b[32m" in top.raw) is expected
            assert b"\x1b[?1049h" not in top.raw


def test_once_into_a_closed_pipe_is_silent(at: Words) -> None:
    command = '"$0" -m qudag_tui.tui --once "$@" | head -1; echo ${PIPESTATUS[0]}'
    run = subprocess.run(
        ["bash", "-c", command, sys.executable, *at],
        capture_output=True,
        text=True,
        env=environment(None),
        cwd=REPO,
        timeout=60,
    )
    assert run.stderr == ""
    assert run.stdout.splitlines()[-1] in {"0", "141"}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--once", "--node", NOBODY), 3, "no node answers at"),
        (("--once", "--node", "tcp://127.0.0.1:1"), 3, "no node answers at"),
        (("--once", "--node", "ftp://x"), 2, ""),
        (("--bogus",), 2, "qudag-top takes no '--bogus'; see `qudag-top --help`"),
        (("--onec",), 2, "qudag-top takes no '--onec'; did you mean '--once'?"),
        (("peer1",), 2, "qudag-top takes no 'peer1'; see `qudag-top --help`"),
        (("--interval", "soon"), 2, "argument --interval: 'soon' is not a number of seconds; see `qudag-top"),
        (("--node",), 2, "argument --node: expected one argument; see `qudag-top --help`"),
        (("--demo", "--node", "x"), 2, "--demo starts its own nodes"),
        (("--once", "--theme", "drak"), 2, "no theme is called 'drak'; did you mean 'dark'?"),
        (("--once", "--node", "tcp://127.0.0.1:1", "--token-file", "/nonexistent"), 2, "no token file"),
    ],
)
def test_what_cannot_be_done_is_one_line(words: tuple[str, ...], code: int, said: str, home: Path) -> None:
    run = plain_run(*words)
    assert run.returncode == code
    assert run.stderr.startswith(f"qudag-top: {said}")
    assert run.stderr.count("\n") == 1
    assert run.stdout == ""


def test_an_unknown_key_of_the_configuration_is_named(at: Words, home: Path) -> None:
    config = home / ".config" / "qudag" / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text('[keys]\nquitt = "x"\n')
    with on_terminal(*TOP, *at) as top:
        assert top.wait() == 2
        said = top.raw[top.raw.rfind(b"\x1b[0m") :].decode()
        assert "unknown key 'keys.quitt'; did you mean 'quit'?" in said
        assert str(config) in said
        assert_restored(top)


def test_importing_the_entry_point_loads_no_textual_and_once_none_either(at: Words) -> None:
    code = (
        "import sys; sys.argv = ['qudag-top', '--once', *sys.argv[1:]];"
        "from qudag_tui.tui.__main__ import main; main(); "
        "print(sorted(set(sys.modules) & {'textual', 'rich', 'asyncio', 'numpy'}), file=sys.stderr)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, *at],
        capture_output=True,
        text=True,
        env=environment(None),
        cwd=REPO,
        timeout=60,
    )
    assert run.stderr == "[]\n"


# --- the demo -----------------------------------------------------------------------------------------------


def lab_processes(directory: Path) -> list[int]:
    """The processes whose environment says that the demo under test began them."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environ = (entry / "environ").read_bytes()
            except OSError:
                continue
            if f"QUDAG_TEST_DEMO={directory}".encode() in environ:
                found.append(int(entry.name))
    return found


ENDS = {
    "q": lambda top: top.type("q"),
    "ctrl-c": lambda top: top.type("\x03"),
    "SIGTERM": lambda top: top.process.send_signal(signal.SIGTERM),
    "SIGKILL": lambda top: top.process.kill(),
    "lost terminal": lambda top: top.hang_up(),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("how", ENDS)
def test_however_the_demo_ends_nothing_is_left(how: str, tmp_path: Path) -> None:
    temporary, runtime = tmp_path / "tmp", tmp_path / "run"
    temporary.mkdir()
    runtime.mkdir(0o700)
    marked = {
        "QUDAG_TEST_DEMO": str(tmp_path),
        "TMPDIR": str(temporary),
        "XDG_RUNTIME_DIR": str(runtime),
    }
    with on_terminal(*TOP, "--demo", environ=marked) as top:
        top.wait_for(lambda text: "● live" in text and "peer5" in text and "4 of" in text, 90)
        assert len(lab_processes(tmp_path)) >= 7
        ENDS[how](top)
        if how == "lost terminal":
            top.process.wait(60)
        else:
            top.wait(60)
        wait_until(lambda: not lab_processes(tmp_path), 60)
        wait_until(lambda: not list(temporary.iterdir()), 60)
        wait_until(lambda: all(path.is_dir() for path in runtime.rglob("*")), 60)


def test_a_demo_that_is_interrupted_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    marked = {"QUDAG_TEST_DEMO": str(tmp_path), "TMPDIR": str(tmp_path)}
    with on_terminal(*TOP, "--demo", environ=marked) as top:
        top.wait_for("starting five nodes")
        top.process.send_signal(signal.SIGINT)
        assert top.wait() == 130
        wait_until(lambda: not lab_processes(tmp_path), 30)


def test_a_demo_that_cannot_start_is_one_line(tmp_path: Path) -> None:
    hollow = tmp_path / "bin"
    hollow.mkdir()
    run = plain_run(
        "--demo", "--once", environ={"QUDAG_OVERLAY_MAX_PEERS": "nonsense", "TMPDIR": str(tmp_path)}
    )
    assert run.returncode == 1
    assert run.stderr.startswith("qudag-top: the demo did not start: ")
    assert run.stderr.count("\n") == 1
