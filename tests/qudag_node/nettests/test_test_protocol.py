"""What the tests of two nodes say to each other is documented whole."""

from __future__ import annotations

import re
import time
from dataclasses import fields

import pytest

from qudag_node.config import TestsConfig
from qudag_node.nettests.connectivity import AddressService
from qudag_node.nettests.consent import HEAVY_KINDS, LIGHT_KINDS, Caps, Consent
from qudag_node.nettests.control import ControlDropCause
from qudag_node.nettests.load import LoadDropCause, LoadService
from qudag_node.nettests.messages import Opcode, Status
from qudag_node.nettests.responder import LINK_KINDS, Responder
from qudag_node.nettests.routing import RoutesService
from qudag_node.nettests.underlay import UnderlayService
from qudag_node.nettests.workers import Workers
from tests.conftest import REPO
from tests.qudag_node.nettests.nodes import chain

TEXT = (REPO / "docs" / "test-protocol.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("code", [*Opcode, *Status], ids=lambda code: code.name)
def test_every_opcode_and_status_has_a_row(code: Opcode | Status) -> None:
    assert f"| {int(code)} | {code.name} |" in TEXT


@pytest.mark.parametrize("cause", [*ControlDropCause, *LoadDropCause])
def test_every_cause_is_listed(cause: ControlDropCause | LoadDropCause) -> None:
    assert f"`{cause}`" in TEXT


def test_every_kind_is_listed_with_its_weight() -> None:
    light, heavy = re.findall(r"((?:`\w+`(?:, )?)+): (?:light|heavy)", TEXT)
    assert set(re.findall(r"\w+", light)) == LIGHT_KINDS
    assert set(re.findall(r"\w+", heavy)) == HEAVY_KINDS
    assert "`stamp`, `tcp` and `udp` are for neighbours" in TEXT
    assert {"stamp", "tcp", "udp"} == LINK_KINDS


async def test_every_method_has_a_section_and_what_caps_tells_is_listed() -> None:
    async with chain("ab") as (a, b):
        consent, workers = Consent(Caps()), Workers()
        async with Responder(b.port, b.control, consent, time) as responder:
            LoadService(port=b.port, control=b.control, responder=responder, clock=time)
            RoutesService(port=b.port, control=b.control, consent=consent)
            AddressService(port=b.port, control=b.control, consent=consent)
            UnderlayService(
                port=b.port,
                control=b.control,
                workers=workers,
                consent=consent,
                clock=time,
                config=TestsConfig(),
            )
            sections = re.findall(r"^### `([\w.]+)`$", TEXT, flags=re.MULTILINE)
            assert sorted(sections) == sorted(b.control.methods)
            told = await a.control.ask(b.id, "caps", {})
        assert {each.name for each in fields(Caps)} <= told.keys()
        assert [name for name in told if f"`{name}`" not in TEXT] == []
