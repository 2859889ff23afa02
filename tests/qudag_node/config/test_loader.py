"""Settings from four places, and one clear line for each mistake."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from qudag_node.config import (
    NodeConfig,
    OverlayConfig,
    TestsConfig,
    config_page,
    config_template,
    load_config,
    settings,
)
from qudag_node.errors import ConfigError
from qudag_node.overlay.endpoints import parse_endpoint, parse_peer
from qudag_node.overlay.hello import LocalEnd
from qudag_node.overlay.identity import Identity
from tests.conftest import REPO


def write(directory: Path, text: str) -> Path:
    file = directory / "config.toml"
    file.write_text(text)
    return file


def test_without_anything_every_value_is_the_default() -> None:
    loaded = load_config()
    assert loaded.config == NodeConfig()
    assert loaded.sources == {}


def test_flags_go_before_the_environment_and_that_before_the_file(tmp_path: Path) -> None:
    file = write(
        tmp_path, '[overlay]\nmax_links = 5\nmax_hops = 7\nmax_origins = 9\n[node]\nname = "from_file"\n'
    )
    loaded = load_config(
        file=file,
        environ={"QUDAG_OVERLAY_MAX_LINKS": "6", "QUDAG_OVERLAY_MAX_HOPS": "8", "PATH": "/bin"},
        flags={"overlay.max_links": ("--set", "7")},
    )
    assert (loaded.config.overlay.max_links, loaded.config.overlay.max_hops) == (7, 8)
    assert (loaded.config.overlay.max_origins, loaded.config.node.name) == (9, "from_file")
    assert loaded.sources == {
        "overlay.max_links": "--set",
        "overlay.max_hops": "QUDAG_OVERLAY_MAX_HOPS",
        "overlay.max_origins": str(file),
        "node.name": str(file),
    }


def test_text_becomes_the_kind_of_the_setting() -> None:
    loaded = load_config(
        environ={
            "QUDAG_OVERLAY_LISTEN": "127.0.0.1:0, [::1]:0",
            "QUDAG_OVERLAY_DISCOVERY": "off",
            "QUDAG_METRICS_CAPACITY_BITS_PER_S": "1e9",
            "QUDAG_RPC_VIEWER_GROUP": "",
            "QUDAG_NODE_DATA_DIR": "/srv/q",
        }
    )
    assert loaded.config.overlay.listen == ("127.0.0.1:0", "[::1]:0")
    assert loaded.config.overlay.discovery is False
    assert loaded.config.metrics.capacity_bits_per_s == 1e9
    assert loaded.config.rpc.viewer_group is None
    assert loaded.config.node.data_dir == Path("/srv/q")


def test_a_file_that_was_not_asked_for_may_be_missing(tmp_path: Path) -> None:
    assert load_config(file=tmp_path / "config.toml").config == NodeConfig()
    with pytest.raises(ConfigError, match="no such file"):
        load_config(file=tmp_path / "config.toml", file_required=True)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        pytest.param(
            "[overlay]\nmax_link = 1", ["unknown key 'overlay.max_link'", "'max_links'"], id="misspelt key"
        ),
        pytest.param(
            "[overley]\nmax_links = 1", ["unknown section [overley]", "'overlay'"], id="misspelt section"
        ),
        pytest.param('[node]\ndata_dir = "/x"', ["unknown key 'node.data_dir'"], id="not for a file"),
        pytest.param("overlay = 3", ["'overlay' is a section"], id="not a section"),
        pytest.param(
            "[overlay]\nmax_links = true", ["overlay.max_links: True is not a whole number"], id="kind"
        ),
        pytest.param(
            "[overlay]\nlisten = [1]", ["overlay.listen: [1] is not a list of text"], id="list of numbers"
        ),
        pytest.param("[overlay]\nmax_links = 0", ["overlay.max_links: 0 is less than 1"], id="range"),
        pytest.param(
            '[overlay]\nlisten = ["here"]', ["overlay.listen: 'here' is not HOST:PORT"], id="address"
        ),
        pytest.param('[overlay]\nlisten = ["::1:80"]', ["an IPv6 host in brackets"], id="bare IPv6"),
        pytest.param('[overlay]\npeers = ["x@h:99999"]', ["from 0 to 65535"], id="port"),
        pytest.param('[rpc]\nlisten = ["h:1"]', ["rpc.listen: 'h:1' is neither tcp://"], id="scheme"),
        pytest.param('[log]\nlevel = "loud"', ["log.level: 'loud' is not one of debug, info"], id="choice"),
        pytest.param("[metrics]\ninterval_s = nan", ["metrics.interval_s: nan is not a number"], id="nan"),
        pytest.param(
            "[overlay]\nseen_vertices = 1", ["overlay.seen_vertices: 1 is less than 2"], id="halves"
        ),
        pytest.param(
            "[overlay]\nmax_hops = 255", ["overlay.max_hops: 255 is more than 254"], id="largest range"
        ),
        pytest.param(f"[overlay]\nmax_links = 1{'0' * 400}", ["is more than 65536"], id="400 digits"),
        pytest.param(f"[overlay]\nmax_links = -1{'0' * 400}", ["is less than 1"], id="400 digits below"),
        pytest.param(f"[overlay]\nmax_links = {'9' * 5000}", ["is not TOML"], id="5000 digits"),
        pytest.param(
            f"[metrics]\ninterval_s = 1{'0' * 400}", ["metrics.interval_s: inf is not"], id="number of 400"
        ),
        pytest.param(
            f'[overlay]\nadvertise = ["{"h" * 254}:1"]',
            ["overlay.advertise: 'hhh", "at most 253 characters"],
            id="long host",
        ),
        pytest.param(
            f'[overlay]\nadvertise = ["{"ü" * 130}:1"]', ["an address 255 bytes"], id="long in bytes"
        ),
        pytest.param('[overlay]\nadvertise = ["a b:1"]', ["characters that no host has"], id="odd host"),
        pytest.param(f'[overlay]\nlisten = ["h:{"9" * 5000}"]', ["from 0 to 65535"], id="port of 5000"),
        pytest.param('[overlay]\npeers = ["x@h:1"]', ["overlay.peers: "], id="PeerId"),
        pytest.param('[tests]\nstamp = "862"', ["tests.stamp: '862' is not HOST:PORT"], id="stamp"),
        pytest.param('[tests]\nport_range = "all"', ["tests.port_range: 'all' is neither 0 nor"], id="ports"),
        pytest.param(
            '[tests]\nport_range = "50-40"', ["'50-40' is not FIRST-LAST within 1"], id="ports back"
        ),
        pytest.param('[tests]\nport_range = "1-65536"', ["'1-65536' is not FIRST-LAST"], id="ports beyond"),
        pytest.param('[tests]\nport_range = "0-9"', ["'0-9' is not FIRST-LAST"], id="ports from 0"),
        pytest.param('[node]\nname = "a b"', ["node.name: 'a b' is not"], id="name"),
        pytest.param(f'[node]\nname = "{"n" * 64}"', ["node.name: 'nnn"], id="long name"),
        pytest.param("[overlay\n", ["is not TOML", "line 1"], id="broken"),
        pytest.param("\xff", ["is not TOML"], id="not UTF-8"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_file(tmp_path: Path, text: str, parts: list[str]) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(text.encode("latin-1" if "\xff" in text else "utf-8"))
    with pytest.raises(ConfigError) as caught:
        load_config(file=file)
    line = str(caught.value)
    assert "\n" not in line
    for part in [str(file), *parts]:
        assert part in line


@pytest.mark.parametrize(
    ("environ", "parts"),
    [
        ({"QUDAG_OVERLAY_MAX_LINK": "1"}, ["QUDAG_OVERLAY_MAX_LINK", "'QUDAG_OVERLAY_MAX_LINKS'"]),
        ({"QUDAG_OVERLAY_MAX_LINKS": "many"}, ["QUDAG_OVERLAY_MAX_LINKS", "'many' is not a whole number"]),
        ({"QUDAG_OVERLAY_DISCOVERY": "maybe"}, ["QUDAG_OVERLAY_DISCOVERY", "neither true nor false"]),
        ({"QUDAG_OVERLAY_MAX_HOPS": "0"}, ["QUDAG_OVERLAY_MAX_HOPS: overlay.max_hops"]),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(environ: dict[str, str], parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(environ=environ)
    for part in parts:
        assert part in str(caught.value)


def test_variables_of_other_programs_are_left_alone() -> None:
    load_config(environ={"QUDAG_NODE": "unix:/x", "QUDAG_TOKEN_FILE": "/x", "QUDAGX": "1"})


def test_an_unknown_flag_key_names_the_nearest() -> None:
    with pytest.raises(
        ConfigError, match=r"--set: unknown key 'rpc.max_client'; the nearest is 'rpc.max_clients'"
    ):
        load_config(flags={"rpc.max_client": ("--set", "3")})


@settings_of_hypothesis(max_examples=500)
@given(text=st.one_of(st.text("ab.:[]@/% \x00é\ud800" + "0123456789", max_size=20), st.text(max_size=12)))
def test_what_the_settings_take_the_overlay_takes(text: str) -> None:
    for key, parse in (("listen", parse_endpoint), ("advertise", parse_endpoint), ("peers", parse_peer)):
        for address in (text, f"{text}:1", f"[{text}]:1"):
            try:
                OverlayConfig(**{key: (address,)})  # type: ignore[arg-type]  # one of its lists of text
            except ConfigError:
                continue
            parse(address)


@pytest.mark.parametrize("host", ["h" * 253, "ü" * 125, "a" * 249 + ".b"])
def test_the_longest_address_fits_a_hello(host: str) -> None:
    for port in ("1", "65535"):
        try:
            config = OverlayConfig(advertise=(f"{host}:{port}",))
        except ConfigError:
            continue
        LocalEnd(
            identity=Identity.generate(),
            network="n" * 63,
            agent="a",
            certificate=b"",
            listen=config.advertise[0],
        )


def test_the_template_sets_nothing_and_uncommented_sets_the_defaults(tmp_path: Path) -> None:
    text = config_template()
    assert not any(tomllib.loads(text).values())
    lines = [
        line[1:] if line.startswith("#") and not line.startswith("# ") else line for line in text.splitlines()
    ]
    uncommented = "\n".join(line for line in lines if '= ""' not in line)
    assert load_config(file=write(tmp_path, uncommented)).config == NodeConfig()
    for setting in settings():
        assert f"#{setting.name} = " in text or not setting.in_file


def test_the_page_of_the_documentation_is_in_step() -> None:
    assert (REPO / "docs" / "configuration.md").read_text(encoding="utf-8") == config_page()


def test_ten_thousand_links_can_be_asked_for() -> None:
    assert OverlayConfig(max_links=10_000).max_links == 10_000


@pytest.mark.parametrize(
    "values",
    [
        {"ping_interval_s": 5.0, "dead_peer_timeout_s": 2.0},
        {"reconnect_min_s": 5.0, "reconnect_max_s": 2.0},
        {"send_queue_bytes": 100},
        {"max_frame_bytes": 100},
        {"max_frame_bytes": 2**31, "send_queue_bytes": 2**32},
        {"max_hops": 256},
        {"handshake_timeout_s": 0.0},
    ],
    ids=str,
)
def test_values_that_contradict_each_other_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        OverlayConfig(**values)  # type: ignore[arg-type]  # a table of keywords


def test_a_range_of_ports_is_read_whole() -> None:
    assert TestsConfig().ports is None
    assert TestsConfig(port_range="40000-40100").ports == range(40000, 40101)
    assert TestsConfig(port_range="65535").ports == range(65535, 65536)
