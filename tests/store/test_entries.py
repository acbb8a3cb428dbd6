import pytest

from securechat.store.entries import COUNT_BITS, LAST_ID, Position, Readable


def test_a_time_is_the_range_of_all_entries_of_its_millisecond():
    at = Position.at(1700000000123)
    assert at.at_ms == 1700000000123
    assert at.last_id - at.first_id == (1 << COUNT_BITS) - 1
    assert Position.at(1700000000124).first_id == at.last_id + 1


def test_positions_are_in_the_order_of_time():
    times = [0, 1, 1700000000123, 2**45]
    assert sorted(map(Position.at, reversed(times))) == list(map(Position.at, times))


@pytest.mark.parametrize("at_ms", [-(10**30), -1, 2**46, 253402300799999, 10**30])
def test_every_time_has_a_position_that_a_row_can_have(at_ms):
    at = Position.at(at_ms)
    assert 0 <= at.first_id <= at.last_id <= LAST_ID


@pytest.mark.parametrize(
    ("at_ms", "account", "allowed"),
    [(5, None, True), (5, "bob", True), (4, "alice", True), (4, "bob", False), (4, None, False)],
)
def test_what_may_be_read_is_from_the_floor_on_or_ones_own(at_ms, account, allowed):
    readable = Readable("room", floor_ms=5, own_account="alice")
    assert readable.allows(Position.at(at_ms).last_id, account) == allowed


def test_a_guest_has_nothing_of_his_own():
    assert not Readable("room", floor_ms=5).allows(Position.at(4).last_id, None)
