"""How often one may fail to log in."""

from __future__ import annotations

import pytest

from securechat.server import login_throttle
from securechat.server.login_throttle import ACCOUNT_FACTOR, THROTTLED_KEYS, LoginThrottle

MOST = 4


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(clock: Clock) -> LoginThrottle:
    return LoginThrottle(MOST, clock)


def test_an_address_may_fail_so_often_in_a_minute(throttle: LoginThrottle, clock: Clock) -> None:
    for number in range(MOST):
        assert throttle.take(f"account{number}", "192.0.2.1")
    assert not throttle.take("alice", "192.0.2.1"), "for any account"
    assert throttle.take("alice", "198.51.100.1")
    clock.now += 60 / MOST + 0.01
    assert throttle.take("alice", "192.0.2.1")
    assert not throttle.take("alice", "192.0.2.1"), "one came back, not all"


def test_no_single_address_locks_an_owner_out(throttle: LoginThrottle) -> None:
    while throttle.take("alice", "192.0.2.1"):
        pass
    assert throttle.take("alice", "198.51.100.1")


def test_an_account_is_closed_to_many_addresses(throttle: LoginThrottle) -> None:
    tries = 0
    while throttle.take("Alice", f"198.51.100.{tries}"):
        tries += 1
    assert tries == ACCOUNT_FACTOR * MOST
    assert not throttle.take("ALICE", "192.0.2.1")
    assert throttle.take("bob", "192.0.2.1")


def test_a_refused_try_takes_nothing(throttle: LoginThrottle) -> None:
    while throttle.take("alice", "192.0.2.1"):
        pass
    for _ in range(ACCOUNT_FACTOR * MOST):
        assert not throttle.take("bob", "192.0.2.1")
    assert throttle.take("bob", "198.51.100.1")


def test_who_was_right_gets_the_try_back(throttle: LoginThrottle) -> None:
    for _ in range(3 * ACCOUNT_FACTOR * MOST):
        assert throttle.take("alice", "192.0.2.1")
        throttle.give_back("alice", "192.0.2.1")


def test_nobody_gets_more_back_than_a_full_bucket(throttle: LoginThrottle) -> None:
    throttle.take("alice", "192.0.2.1")
    for _ in range(10):
        throttle.give_back("alice", "192.0.2.1")
    assert [throttle.take("alice", "192.0.2.1") for _ in range(MOST + 1)] == [True] * MOST + [False]


def test_a_customers_ipv6_addresses_count_as_one(throttle: LoginThrottle) -> None:
    for number in range(MOST):
        assert throttle.take(f"account{number}", f"2001:db8::{number:x}:1")
    assert not throttle.take("alice", "2001:db8::ffff")
    assert throttle.take("alice", "2001:db8:0:1::1")


def test_no_limit(clock: Clock) -> None:
    throttle = LoginThrottle(0, clock)
    assert all(throttle.take("alice", "192.0.2.1") for _ in range(1_000))


def test_what_is_remembered_is_bounded_and_the_latest_stays(
    throttle: LoginThrottle, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert THROTTLED_KEYS >= 1_000
    monkeypatch.setattr(login_throttle, "THROTTLED_KEYS", 10)
    for number in range(50):
        throttle.take(f"x{number}", f"198.51.100.{number}")
        assert len(throttle) <= 10
    while throttle.take("alice", "192.0.2.1"):
        pass
    assert not throttle.take("alice", "192.0.2.1")


def test_a_long_name_costs_no_more_memory_than_a_short_one(throttle: LoginThrottle) -> None:
    """Names of accounts come from strangers; a SASL response holds thousands of characters."""
    assert throttle.take("x" * 4_000, "192.0.2.1")
    assert all(len(key) < 100 for key in throttle._buckets)
