"""Who may have a tunnel, for how long a token is good, what an account may send."""

from __future__ import annotations

import random
import secrets
import threading
from collections.abc import Callable

import pytest

from securechat.net.threads import start_thread
from securechat.server.config import PeersConfig
from securechat.server.tunnels import (
    BURST_S,
    FAREWELL_S,
    TOKEN_S,
    WRONG_ADDRESSES,
    WRONG_TOKENS,
    Tunnel,
    Tunnels,
)
from tests.server.relay_harness import LONG_TIMEOUT_S, FakeClock

TOO_MANY = "One of the two has as many tunnels as an account may have"
NOT_GOOD = "This token is not good, or no longer"
TOO_MANY_WRONG = "Too many wrong tokens from your address"
HERE = "192.0.2.1"


class End:
    """What the broker knows of an end: it writes down what it is told, its own thread as well."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.connection = self
        self.thread = self

    def send(self, data: bytes) -> None:
        self.told.append(data)

    def post(self, work: Callable[[], None]) -> None:
        work()

    def joined(self, other: End) -> None:
        self.told.append(other)

    def drain(self) -> None:
        self.told.append("drain")

    def leave(self, reason: str) -> None:
        self.told.append(reason)

    def leave_soon(self, delay_s: float, reason: str) -> None:
        assert delay_s == FAREWELL_S
        self.told.append(f"soon: {reason}")


class Broker:
    """The tunnels, and a short way to use them."""

    def __init__(self, clock: FakeClock, **settings: object) -> None:
        self.tunnels = Tunnels(PeersConfig(**settings), clock)  # type: ignore[arg-type]

    def grant(
        self, account_a: str = "ann", account_b: str = "bob", sessions: tuple[int, int] = (1, 2)
    ) -> tuple[str, str]:
        """Return the tokens of a tunnel."""
        tokens = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        assert self.try_grant(account_a, account_b, sessions, tokens) == ""
        return tokens

    def try_grant(
        self,
        account_a: str = "ann",
        account_b: str = "bob",
        sessions: tuple[int, int] = (1, 2),
        tokens: tuple[str, str] = ("a", "b"),
    ) -> str:
        """Return why there is none."""
        one, other = sessions
        return self.tunnels.grant(one, account_a, other, account_b, *tokens)

    def enter(self, token: str, address: str = HERE) -> tuple[End, Tunnel | str]:
        end = End()
        return end, self.tunnels.enter(token.encode(), address, end)  # type: ignore[arg-type]

    def refused(self, token: str, address: str = HERE) -> str:
        _, found = self.enter(token, address)
        assert isinstance(found, str)
        return found

    def entered(self, token: str) -> tuple[End, Tunnel]:
        end, found = self.enter(token)
        assert isinstance(found, Tunnel)
        return end, found

    def join(self, **who: object) -> tuple[End, End, Tunnel]:
        one, other = (self.entered(token) for token in self.grant(**who))  # type: ignore[arg-type]
        assert one[1] is other[1]
        return one[0], other[0], one[1]

    def passed(self, tunnel: Tunnel, end: End, size: int) -> float:
        return self.tunnels.passed(tunnel, end, size)  # type: ignore[arg-type]

    def left(self, tunnel: Tunnel, end: End, reason: str = "closed") -> None:
        self.tunnels.left(tunnel, end, reason)  # type: ignore[arg-type]


@pytest.fixture
def broker(clock: FakeClock) -> Broker:
    return Broker(clock)


# ---- tokens ----


def test_both_are_told_first_and_then_of_each_other(broker: Broker) -> None:
    token_a, token_b = broker.grant()
    one, tunnel = broker.entered(token_b)
    assert one.told == []
    other, same = broker.entered(token_a)
    assert same is tunnel
    assert one.told == [b"JOINED\n", other]
    assert other.told == [b"JOINED\n", one]
    assert broker.tunnels.snapshot() == (1, 2, 0)


def test_a_token_is_worth_one_use(broker: Broker) -> None:
    token_a, token_b = broker.grant()
    broker.entered(token_a)
    assert broker.refused(token_a) == NOT_GOOD
    broker.entered(token_b)
    for token in (token_a, token_b):
        assert broker.refused(token) == NOT_GOOD


def test_a_guess(broker: Broker) -> None:
    token, _ = broker.grant()
    for guess in ("", token[:-1], token + "A", token.swapcase(), "A" * 43):
        assert broker.refused(guess) == NOT_GOOD
    broker.entered(token)


def test_a_token_that_is_too_old(broker: Broker, clock: FakeClock) -> None:
    token_a, token_b = broker.grant()
    clock.now += TOKEN_S / 2
    later, _ = broker.grant()
    clock.now += TOKEN_S / 2
    assert broker.refused(token_a) == broker.refused(token_b) == NOT_GOOD
    broker.entered(later)


def test_one_came_in_time_and_the_other_did_not(broker: Broker, clock: FakeClock) -> None:
    """The tunnel is its, to wait and give up."""
    token_a, token_b = broker.grant()
    end, tunnel = broker.entered(token_a)
    clock.now += TOKEN_S
    assert broker.refused(token_b) == NOT_GOOD
    assert broker.tunnels.snapshot() == (1, 1, 0)
    broker.left(tunnel, end)
    assert broker.tunnels.snapshot() == (0, 0, 0)


def test_who_waits_and_leaves_takes_the_other_token_along(broker: Broker) -> None:
    token_a, token_b = broker.grant()
    end, tunnel = broker.entered(token_a)
    broker.left(tunnel, end)
    assert broker.refused(token_b) == NOT_GOOD


def test_a_tunnel_is_taken_back(clock: FakeClock) -> None:
    """Of which nobody was told; and again, which does nothing."""
    broker = Broker(clock, tunnels_per_account=1)
    tokens = broker.grant()
    for _ in range(2):
        broker.tunnels.take_back(tokens[0])
        assert broker.tunnels.snapshot() == (0, 0, 0)
    assert [broker.refused(token) for token in tokens] == [NOT_GOOD] * 2
    broker.grant()


def test_wrong_tokens_from_one_address(broker: Broker, clock: FakeClock) -> None:
    for _ in range(WRONG_TOKENS):
        assert broker.refused("guess") == NOT_GOOD
    token, _ = broker.grant()
    assert broker.refused(token) == TOO_MANY_WRONG
    assert broker.refused("guess", "192.0.2.2") == NOT_GOOD, "another address"
    clock.now += 60 / WRONG_TOKENS
    broker.entered(token)
    assert broker.refused("guess") == NOT_GOOD
    assert broker.refused("guess") == TOO_MANY_WRONG


def test_wrong_tokens_of_many_addresses(broker: Broker) -> None:
    """The memory for that is bounded: the oldest is forgotten."""
    for _ in range(WRONG_TOKENS):
        broker.refused("guess", "198.51.100.1")
    assert broker.refused("guess", "198.51.100.1") == TOO_MANY_WRONG
    for number in range(WRONG_ADDRESSES):
        broker.refused("guess", f"10.0.{number // 256}.{number % 256}")
    assert len(broker.tunnels._wrong) == WRONG_ADDRESSES
    assert broker.refused("guess", "198.51.100.1") == NOT_GOOD


# ---- how many ----


def test_tunnels_of_an_account(clock: FakeClock) -> None:
    """Each counts for both; until it is over, or its tokens are too old."""
    broker = Broker(clock, tunnels_per_account=2)
    one, _, tunnel = broker.join()
    broker.grant("carl", "ann")
    for accounts in (("ann", "dora"), ("dora", "ann")):
        assert broker.try_grant(*accounts) == TOO_MANY
    broker.grant("bob", "dora")
    broker.left(tunnel, one)
    broker.grant("ann", "dora")
    assert broker.try_grant("ann", "bob") != ""
    clock.now += TOKEN_S
    broker.grant("ann", "bob")
    assert broker.tunnels.snapshot() == (1, 0, 0)


def test_two_devices_of_one_account(clock: FakeClock) -> None:
    broker = Broker(clock, tunnels_per_account=2)
    for _ in range(2):
        broker.grant("ann", "ann")
    assert broker.try_grant("ann", "ann") == TOO_MANY


def test_none_at_all(clock: FakeClock) -> None:
    assert Broker(clock, enabled=False).try_grant() == "This relay has no tunnels"


# ---- how much ----


def test_below_the_rate_nobody_waits(clock: FakeClock) -> None:
    broker = Broker(clock, tunnel_bytes_per_s=1_000)
    one, other, tunnel = broker.join()
    for _ in range(10):
        assert broker.passed(tunnel, one, 40) == broker.passed(tunnel, other, 40) == 0
        clock.now += 0.08
    assert broker.tunnels.snapshot().bytes == 800
    assert tunnel.passed == [400, 400]


def test_over_the_rate_one_waits_until_it_is_kept(clock: FakeClock) -> None:
    """Both directions together; what is saved up is bounded."""
    broker = Broker(clock, tunnel_bytes_per_s=1_000)
    one, other, tunnel = broker.join()
    clock.now += 100
    assert broker.passed(tunnel, one, round(1_000 * BURST_S)) == pytest.approx(0)
    assert broker.passed(tunnel, other, 500) == pytest.approx(0.5)
    assert broker.passed(tunnel, one, 2_000) == pytest.approx(2.5)
    clock.now += 2.5
    assert broker.passed(tunnel, one, 10) == pytest.approx(0.01)


def test_the_rate_is_of_the_account(clock: FakeClock) -> None:
    """All its tunnels share it, and of two accounts the slower one counts."""
    broker = Broker(clock, tunnel_bytes_per_s=1_000)
    first_end, _, first = broker.join(account_a="ann", account_b="bob")
    second_end, _, second = broker.join(account_a="carl", account_b="ann")
    third_end, _, third = broker.join(account_a="dora", account_b="eve")
    assert broker.passed(first, first_end, 2_000) == pytest.approx(2 - BURST_S)
    assert broker.passed(second, second_end, 1_000) == pytest.approx(3 - BURST_S)
    assert broker.passed(third, third_end, 1_000) == pytest.approx(1 - BURST_S)


def test_two_devices_of_one_account_pay_once(clock: FakeClock) -> None:
    broker = Broker(clock, tunnel_bytes_per_s=1_000)
    end, _, tunnel = broker.join(account_a="ann", account_b="ann")
    assert broker.passed(tunnel, end, 1_000) == pytest.approx(1 - BURST_S)


def test_no_limit(clock: FakeClock) -> None:
    broker = Broker(clock, tunnel_bytes_per_s=0)
    end, _, tunnel = broker.join()
    assert broker.passed(tunnel, end, 10**12) == 0
    assert broker.tunnels.snapshot().bytes == 10**12


# ---- the end ----


def test_one_leaves(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "securechat")
    one, other, tunnel = broker.join()
    broker.passed(tunnel, one, 5)
    broker.passed(tunnel, other, 7)
    broker.left(tunnel, other)
    broker.left(tunnel, one)
    assert one.told[2:] == ["drain"]
    assert other.told[2:] == []
    assert caplog.messages == [
        "tunnel between ann and bob opened",
        "tunnel between ann and bob closed after 5 and 7 bytes: bob: closed",
    ]
    assert broker.passed(tunnel, one, 100) == 0
    assert broker.tunnels.snapshot() == (0, 0, 12)


def test_a_session_ends(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    """Its tunnels (soon), its ends that wait, its tokens; and nobody else's."""
    one, other, tunnel = broker.join(sessions=(1, 2))
    waiting, _ = broker.entered(broker.grant(sessions=(3, 1))[0])
    unused = broker.grant(sessions=(1, 4))
    bystanders = broker.join(sessions=(2, 3))
    caplog.set_level("INFO", "securechat")
    broker.tunnels.session_ended(1)
    broker.tunnels.session_ended(1)
    assert [*one.told[2:], *other.told[2:]] == ["soon: A session has ended"] * 2
    assert waiting.told == ["A session has ended"]
    assert [broker.refused(token) for token in unused] == [NOT_GOOD] * 2
    assert bystanders[0].told[2:] == []
    assert broker.tunnels.snapshot() == (2, 4, 0)
    broker.left(tunnel, one, "A session has ended")
    assert other.told[2:] == ["drain"]
    assert broker.tunnels.snapshot() == (1, 2, 0)
    assert caplog.messages == [
        "tunnel between ann and bob closed after 0 and 0 bytes: ann: A session has ended"
    ]


def test_the_relay_stops(broker: Broker) -> None:
    one, other, _ = broker.join()
    waiting, _ = broker.entered(broker.grant()[0])
    broker.tunnels.stop()
    assert one.told[2:] == other.told[2:] == waiting.told == ["The relay stops"]
    assert broker.try_grant() == "This relay has no tunnels"
    assert broker.tunnels.snapshot() == (0, 0, 0)


def test_many_threads(clock: FakeClock) -> None:
    """Whatever they do at the same time, nothing is left of it, and nobody is told twice."""
    broker = Broker(clock, tunnels_per_account=1_000)
    ends: list[tuple[End, Tunnel]] = []

    def work(seed: int) -> None:
        chance = random.Random(seed)
        sessions = (seed, seed % 4 + 1)
        for number in range(300):
            address = f"10.{seed}.{number // 256}.{number % 256}"
            found = [broker.enter(token, address) for token in broker.grant(sessions=sessions)]
            for end, tunnel in found:
                if isinstance(tunnel, Tunnel):
                    ends.append((end, tunnel))
                    broker.passed(tunnel, end, 1)
                    if chance.random() < 0.5:
                        broker.left(tunnel, end)
            if chance.random() < 0.1:
                broker.tunnels.session_ended(sessions[0])

    failures: list[BaseException] = []
    threads = [
        start_thread(f"worker {seed}", lambda seed=seed: work(seed), on_crash=failures.append)  # type: ignore[misc]
        for seed in range(1, 5)
    ]
    for thread in threads:
        thread.join(LONG_TIMEOUT_S)
        assert thread not in threading.enumerate()
    assert not failures
    for session in range(1, 5):
        broker.tunnels.session_ended(session)
    for end, tunnel in ends:
        broker.left(tunnel, end)
    assert broker.tunnels.snapshot()[:2] == (0, 0)
    left = (broker.tunnels._tokens, broker.tunnels._of_session, broker.tunnels._accounts)
    assert left == ({}, {}, {})
    assert all(end.told.count(b"JOINED\n") <= 1 for end, _ in ends)
