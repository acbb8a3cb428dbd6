from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from securechat.net.limits import AddressCounter, TokenBucket
from tests.net.support import InThread


def takes(bucket: TokenBucket, now: float, tries: int) -> int:
    return sum(bucket.take(now) for _ in range(tries))


def test_a_burst_then_a_steady_rate() -> None:
    bucket = TokenBucket(rate=2, burst=5, now=100)
    assert takes(bucket, 100, 50) == 5
    assert takes(bucket, 100.5, 50) == 1
    assert takes(bucket, 102, 50) == 3


def test_it_is_never_more_than_full() -> None:
    bucket = TokenBucket(rate=2, burst=5, now=0)
    assert takes(bucket, 1_000_000, 50) == 5


def test_parts_of_a_token_are_kept() -> None:
    bucket = TokenBucket(rate=0.5, burst=1, now=0)
    assert takes(bucket, 0, 1) == 1
    assert takes(bucket, 1, 1) == 0
    assert takes(bucket, 2, 1) == 1


def test_asking_takes_nothing() -> None:
    bucket = TokenBucket(rate=1, burst=1, now=0)
    assert bucket.ready(0)
    assert bucket.ready(0)
    assert bucket.take(0)
    assert not bucket.ready(0.5)
    assert bucket.wait_s() == 0.5
    assert bucket.ready(1)
    assert bucket.take(1)


def test_no_rate_is_no_limit() -> None:
    bucket = TokenBucket(rate=0, burst=1, now=0)
    assert bucket.ready(0)
    assert takes(bucket, 0, 1_000) == 1_000
    assert bucket.wait_s() == 0


def test_wait() -> None:
    bucket = TokenBucket(rate=4, burst=1, now=0)
    assert bucket.wait_s() == 0
    assert bucket.take(0)
    assert bucket.wait_s() == 0.25
    assert not bucket.take(0.125)
    assert bucket.wait_s() == 0.125


@given(
    rate=st.floats(0.01, 1_000),
    burst=st.integers(1, 100),
    start=st.floats(0, 10_000_000),
    steps=st.lists(st.floats(0, 10), max_size=20),
)
@example(rate=3.0, burst=1, start=0.0, steps=[1.0, 0.0])
@example(rate=999.0, burst=1, start=9_999_999.9, steps=[0.0, 0.0, 0.0])
def test_who_waits_as_told_gets_a_token(
    rate: float, burst: int, start: float, steps: list[float]
) -> None:
    now = start
    bucket = TokenBucket(rate, burst, now)
    for step in steps:
        now += step
        if not bucket.take(now):
            now += bucket.wait_s()
            assert bucket.take(now)


@given(steps=st.lists(st.floats(0, 3), max_size=60))
def test_never_over_the_rate(steps: list[float]) -> None:
    bucket = TokenBucket(rate=2, burst=5, now=0)
    now = 0.0
    taken = 0
    for step in steps:
        now += step
        taken += takes(bucket, now, 10)
    assert taken <= 5 + 2 * now + 0.001


def test_addresses_are_counted_each_on_its_own() -> None:
    counter = AddressCounter()
    assert [counter.add("192.0.2.1"), counter.add("192.0.2.1"), counter.add("::1")] == [1, 2, 1]
    assert counter.total() == 3
    counter.remove("192.0.2.1")
    assert counter.total() == 2
    assert counter.add("192.0.2.1") == 2


def test_what_was_not_counted_cannot_be_removed() -> None:
    counter = AddressCounter()
    counter.add("192.0.2.1")
    counter.remove("192.0.2.1")
    with pytest.raises(KeyError):
        counter.remove("192.0.2.1")
    assert counter.total() == 0


def test_counting_in_many_threads() -> None:
    counter = AddressCounter()

    def work() -> None:
        for number in range(500):
            counter.add(f"192.0.2.{number % 7}")
            if number % 2:
                counter.remove(f"192.0.2.{number % 7}")

    threads = [InThread(work) for _ in range(8)]
    for thread in threads:
        thread.join()
    assert counter.total() == 8 * 250
