"""Keys beside a link: the same at both ends, different in each direction."""

from __future__ import annotations

import pytest

from qudag_node.overlay.linkkeys import derive_link_keys


def test_each_direction_has_its_own_key() -> None:
    keys = derive_link_keys(b"c" * 32, b"s" * 32)
    assert keys.client_to_server != keys.server_to_client
    assert len(keys.client_to_server) == len(keys.server_to_client) == 32
    assert keys == derive_link_keys(b"c" * 32, b"s" * 32)


def test_either_seed_changes_both_keys() -> None:
    keys = derive_link_keys(b"c" * 32, b"s" * 32)
    for other in (derive_link_keys(b"d" * 32, b"s" * 32), derive_link_keys(b"c" * 32, b"t" * 32)):
        assert other.client_to_server != keys.client_to_server
        assert other.server_to_client != keys.server_to_client


def test_a_key_never_shows_in_a_repr() -> None:
    assert repr(derive_link_keys(bytes(32), bytes(32))) == "LinkKeys()"


def test_a_session_has_a_key_of_its_own() -> None:
    keys = derive_link_keys(b"c" * 32, b"s" * 32)
    one, other = keys.session(bytes(16)), keys.session(b"\1" * 16)
    assert len({one, other, keys.client_to_server, keys.server_to_client}) == 4
    assert len(one) == 32
    assert one == derive_link_keys(b"c" * 32, b"s" * 32).session(bytes(16))
    assert one != derive_link_keys(b"s" * 32, b"c" * 32).session(bytes(16))
    with pytest.raises(ValueError, match="at least one byte"):
        keys.session(b"")
