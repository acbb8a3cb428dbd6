from __future__ import annotations

from dataclasses import astuple

import pytest

from securechat.net.traffic import Traffic
from securechat.server.telemetry.rates import RATE_S, Passed, Rates
from tests.server.relay_harness import FakeClock


class Meter:
    """What has passed: a test says so."""

    def __init__(self) -> None:
        self.passed = Passed()

    def __call__(self) -> Passed:
        return self.passed

    def grow(self, messages: int) -> None:
        before = self.passed
        self.passed = Passed(
            before.received_messages + messages,
            before.sent_messages + 3 * messages,
            before.deliveries + 2 * messages,
            before.received_bytes + 100 * messages,
            before.sent_bytes + 200 * messages,
        )


def test_the_sum_over_threads() -> None:
    found = Passed()
    for n in (1, 10):
        traffic = Traffic()
        traffic.received_messages, traffic.answers, traffic.deliveries = n, 2 * n, 3 * n
        traffic.received_bytes, traffic.sent_bytes = 4 * n, 5 * n
        found = found.plus(traffic)
    assert found == Passed(11, 55, 33, 44, 55)


def test_nothing_is_known_at_the_start(clock: FakeClock) -> None:
    meter = Meter()
    rates = Rates(meter, clock)
    meter.grow(100)
    assert rates.per_second() == Passed()
    rates.tick()  # in the same instant
    assert rates.per_second() == Passed()


def test_since_the_start_as_long_as_that_is_less_than_a_minute(clock: FakeClock) -> None:
    meter = Meter()
    meter.grow(1_000)  # before: it does not count
    rates = Rates(meter, clock)
    clock.now += 10
    meter.grow(50)
    rates.tick()
    assert rates.per_second() == Passed(5, 15, 10, 500, 1_000)


@pytest.mark.parametrize("every_s", [1.0, 0.9, 7.0])
def test_then_over_the_last_minute(every_s: float, clock: FakeClock) -> None:
    meter = Meter()
    rates = Rates(meter, clock)
    meter.grow(100_000)  # long ago
    for _ in range(int(3 * RATE_S / every_s)):
        clock.now += every_s
        meter.grow(2)
        rates.tick()
    wanted = Passed(2, 6, 4, 200, 400).per_second(Passed(), every_s)
    assert astuple(rates.per_second()) == pytest.approx(astuple(wanted))
    assert len(rates._marks) <= RATE_S / every_s + 3


def test_a_pause_of_the_ticks_is_a_longer_time(clock: FakeClock) -> None:
    meter = Meter()
    rates = Rates(meter, clock)
    clock.now += 10 * RATE_S
    meter.grow(600)
    rates.tick()
    assert rates.per_second().received_messages == 1
    clock.now += RATE_S
    rates.tick()
    assert rates.per_second() == Passed()
