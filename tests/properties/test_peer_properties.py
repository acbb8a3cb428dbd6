"""Storms of signals between peers: no offer and no pair outlives those whom it concerns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from securechat.server import effects, events
from securechat.server.effects import Effect
from securechat.server.events import Event, SessionId, Stamp
from securechat.server.refusals import Fail, Refusal
from tests.properties.test_network_properties import (
    ACCOUNTS,
    DEVICES,
    NICKS,
    PAIRS,
    SESSIONS,
    World,
    make_offer,
    pick,
    shown,
    storm_settings,
)
from tests.server.network_checks import check_peers, check_users, state_of


def _attach(session: int, b: int, c: int) -> Event:
    nick = pick(NICKS, b)
    return events.Attach(
        Stamp(session, 0, ""), nick, "~u", "Real", "h1.ip", "::1", pick(ACCOUNTS, c)
    )


# Most of them come and stay, so that there is somebody to make a pair with.
KINDS: tuple[Callable[[int, int, int], Event], ...] = (
    *[_attach] * 4,
    *[lambda s, b, c: events.Announce(Stamp(s, 0, ""), pick(DEVICES, s + (b % 8 == 0)))] * 8,
    *[make_offer] * 8,
    *[lambda s, b, c: events.Answer(Stamp(s, 0, ""), pick(PAIRS, b))] * 6,
    *[lambda s, b, c: events.Withdraw(Stamp(s, 0, ""), pick(PAIRS, b), "x")] * 2,
    lambda s, b, c: events.SendCandidates(Stamp(s, 0, ""), pick(PAIRS, b), "x"),
    lambda s, b, c: events.GrantTunnel(Stamp(s, 0, ""), pick(PAIRS, b), "own", "other"),
    lambda s, b, c: events.Retract(Stamp(s, 0, "")),
    lambda s, b, c: events.LogIn(Stamp(s, 0, ""), pick(ACCOUNTS, c), "guest"),
    lambda s, b, c: events.ChangeNick(Stamp(s, 0, ""), pick(NICKS, b)),
    lambda s, b, c: events.Detach(Stamp(s, 0, ""), "x"),
    lambda s, b, c: events.Join(Stamp(s, 0, ""), "#a"),
    lambda s, b, c: events.GrantOperator(Stamp(s, 0, "")),
    lambda s, b, c: events.Kill(Stamp(s, 0, ""), pick(NICKS, b), "x"),
)


def _storm(data: bytes) -> list[Event]:
    numbers = [data[start : start + 4] for start in range(0, len(data) - 3, 4)]
    return [pick(KINDS, kind)(pick(SESSIONS, s), b, c) for kind, s, b, c in numbers]


storms = st.binary(min_size=4 * 40, max_size=4 * 250).map(_storm)


class Clients:
    """What the clients know of offers and pairs, by what they are told alone."""

    def __init__(self) -> None:
        self.known: set[tuple[SessionId, str]] = set()

    def hear(self, event: Event, found: list[Effect]) -> None:
        session = event.stamp.session
        match event:
            case events.Offer(id=key):
                self.known.add((session, key))
            case events.Withdraw(id=key):
                self.known.discard((session, key))
        for effect in found:
            match effect:
                case effects.Offered(id=key, to=to):
                    self.known |= {(each, key) for each in to}
                case effects.PairEnded(id=key, to=to):
                    assert self.known >= {(each, key) for each in to}, "of one that is unknown"
                    self.known -= {(each, key) for each in to}

    def forget(self, gone: set[SessionId]) -> None:
        self.known = {(session, key) for session, key in self.known if session not in gone}


@storm_settings
@given(storms)
def test_everybody_knows_what_there_is(storm: list[Event]) -> None:
    """Each is told of an offer that it gets and when it or a pair is over, and of nothing else.

    Who announces something else, retracts or leaves knows by that.
    """
    world, clients = World(), Clients()
    network = world.network
    for wanted in storm:
        fitted = world.fit(wanted)
        before, devices = state_of(network), dict(network.announced)
        outcome = world.apply(fitted)
        if isinstance(outcome, Refusal | Fail):
            assert state_of(network) == before
            continue
        clients.hear(fitted, outcome)
        clients.forget({key for key in devices if network.announced.get(key) != devices[key]})
        there_is = {(session, key) for session, keys in network.pairs_of.items() for key in keys}
        assert clients.known == there_is
        check_peers(network)
        check_users(network)


@storm_settings
@given(storms)
def test_two_networks_fed_alike_are_equal(storm: list[Event]) -> None:
    world, other = World(), World()
    for wanted in storm:
        fitted = world.fit(wanted)
        assert shown(other.apply(fitted)) == shown(world.apply(fitted))
    assert state_of(other.network) == state_of(world.network)


@storm_settings
@given(storms)
def test_reachability_is_told_when_it_changes(storm: list[Event]) -> None:
    world = World()
    network = world.network
    told: set[int] = set()
    for wanted in storm:
        outcome = world.apply(world.fit(wanted))
        if isinstance(outcome, Refusal | Fail):
            continue
        for effect in outcome:
            if isinstance(effect, effects.ReachabilityChanged):
                assert (effect.user.id in told) is not effect.now
                told ^= {effect.user.id}
                assert all(user.account is not None for user in effect.audience)
        assert told == {network.sessions[session].id for session in network.announced}


def test_storms_reach_every_rule() -> None:
    seen: Counter[str] = Counter()
    for seed in range(60):
        world = World()
        for wanted in _storm(Random(seed).randbytes(4 * 250)):
            outcome = world.apply(world.fit(wanted))
            if isinstance(outcome, Fail):
                seen[" ".join(outcome.params[1:3])] += 1
            elif not isinstance(outcome, Refusal):
                seen.update(type(effect).__name__ for effect in outcome)
    rare = {
        *("DeviceAnnounced", "DeviceRetracted", "ReachabilityChanged", "Offered", "Answered"),
        *("CandidatesSent", "TunnelGranted", "PairEnded", "AccountChanged", "Killed"),
        *("NOT_ANNOUNCED OFFER", "NO_SUCH_PEER OFFER", "ID_IN_USE OFFER"),
        *(f"NO_SUCH_OFFER {word}" for word in ("ANSWER", "CANDIDATES", "TUNNEL", "WITHDRAW")),
    }
    assert {name for name in rare if seen[name] < 5} == set(), seen
