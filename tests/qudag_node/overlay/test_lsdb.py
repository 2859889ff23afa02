from __future__ import annotations

import pytest

from qudag_node.overlay.advert import Advert, decode_advert, sign_advert
from qudag_node.overlay.frames import RemoteFault
from qudag_node.overlay.lsdb import AdvertDatabase, DatabaseLimits, Outcome
from qudag_node.overlay.signing import Verifier
from tests.qudag_node.overlay.keys import NETWORK, signer_of


def advert_of(
    number: int, sequence: int, *, costs: dict[bytes, int] | None = None, lifetime_s: int = 120
) -> Advert:
    return sign_advert(signer_of(number), costs or {}, sequence=sequence, name="", lifetime_s=lifetime_s)


def database_of(
    *, origins: int = 100, per_origin_per_s: float = 2, per_origin_burst: float = 16
) -> AdvertDatabase:
    limits = DatabaseLimits(
        origins=origins, per_origin_per_s=per_origin_per_s, per_origin_burst=per_origin_burst
    )
    return AdvertDatabase(Verifier(NETWORK), limits)


def receive(
    database: AdvertDatabase,
    advert: Advert,
    *,
    now: float = 0.0,
    needed: frozenset[bytes] = frozenset(),
    neighbours: frozenset[bytes] = frozenset(),
) -> Outcome:
    return database.receive(advert, now, needed=needed, neighbours=neighbours)


def key(number: int) -> bytes:
    return signer_of(number).public_key


def test_the_higher_sequence_counts() -> None:
    database = database_of()
    first, second = advert_of(1, 1), advert_of(1, 2)
    assert receive(database, second) is Outcome.ACCEPTED
    assert receive(database, second) is Outcome.KNOWN
    assert receive(database, first) is Outcome.OLDER
    assert database.get(key(1)) == second
    assert list(database) == [second]


def test_two_adverts_of_one_sequence_end_alike_in_whatever_order_they_come() -> None:
    one, other = advert_of(1, 1, costs={key(2): 10}), advert_of(1, 1, costs={key(2): 20})
    databases = database_of(), database_of()
    for database, adverts in zip(databases, ((one, other), (other, one)), strict=True):
        for advert in adverts:
            receive(database, advert)
    assert databases[0].get(key(1)) == databases[1].get(key(1))


def test_only_news_change_the_map() -> None:
    database = database_of()
    receive(database, advert_of(1, 1, costs={key(2): 10}))
    changes = database.changes
    receive(database, advert_of(1, 2, costs={key(2): 10}))
    assert database.changes == changes
    receive(database, advert_of(1, 3, costs={key(2): 11}))
    assert database.changes == changes + 1


def test_a_false_signature_is_the_senders_fault_and_costs_the_origin_nothing() -> None:
    database = database_of(per_origin_burst=1)
    forged = bytearray(advert_of(1, 5).encoded)
    forged[-1] ^= 1
    for _ in range(3):
        with pytest.raises(RemoteFault) as caught:
            receive(database, decode_advert(bytes(forged)))
        assert caught.value.cause == "advert_signature"
    assert receive(database, advert_of(1, 4)) is Outcome.ACCEPTED


def test_an_origin_that_sends_too_often_is_not_listened_to() -> None:
    database = database_of(per_origin_per_s=1, per_origin_burst=2)
    outcomes = [receive(database, advert_of(1, sequence)) for sequence in range(1, 4)]
    assert outcomes == [Outcome.ACCEPTED, Outcome.ACCEPTED, Outcome.RATE]
    assert receive(database, advert_of(2, 1)) is Outcome.ACCEPTED
    assert receive(database, advert_of(1, 3), now=1.0) is Outcome.ACCEPTED


def test_an_advert_that_is_not_renewed_is_forgotten() -> None:
    database = database_of()
    receive(database, advert_of(1, 1, lifetime_s=10))
    receive(database, advert_of(2, 1, lifetime_s=10))
    receive(database, advert_of(1, 2, lifetime_s=10), now=5.0)
    changes = database.changes
    assert not database.expire(9.9)
    assert database.expire(10.0)
    assert (database.get(key(2)), len(database), database.changes) == (None, 1, changes + 1)
    assert database.expire(15.0)
    assert len(database) == 0


def test_a_full_map_forgets_who_cannot_be_reached_the_oldest_first() -> None:
    database = database_of(origins=3)
    for number in (1, 2, 3):
        receive(database, advert_of(number, 1))
    assert receive(database, advert_of(4, 1), needed=frozenset({key(1)})) is Outcome.ACCEPTED
    assert {advert.origin for advert in database} == {key(1), key(3), key(4)}


def test_a_full_map_of_reachable_nodes_admits_neighbours_only() -> None:
    database = database_of(origins=2)
    for number in (1, 2):
        receive(database, advert_of(number, 1))
    needed = frozenset({key(1), key(2)})
    assert receive(database, advert_of(3, 1), needed=needed) is Outcome.FULL
    neighbours = frozenset({key(1), key(3)})
    assert receive(database, advert_of(3, 1), needed=needed, neighbours=neighbours) is Outcome.ACCEPTED
    assert {advert.origin for advert in database} == {key(1), key(3)}
    everybody = frozenset({key(1), key(3), key(4)})
    assert receive(database, advert_of(4, 1), needed=everybody, neighbours=everybody) is Outcome.FULL


def test_a_forged_newcomer_pushes_nobody_out() -> None:
    database = database_of(origins=1)
    receive(database, advert_of(1, 1))
    forged = bytearray(advert_of(2, 1).encoded)
    forged[-1] ^= 1
    with pytest.raises(RemoteFault):
        receive(database, decode_advert(bytes(forged)))
    assert database.get(key(1)) is not None


def test_limits_must_be_positive() -> None:
    with pytest.raises(ValueError, match="positive"):
        DatabaseLimits(origins=0)
