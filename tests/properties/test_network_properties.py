"""Storms of events on the chat state: whatever comes in whatever order, it stays in one piece."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network
from random import Random
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from securechat.irc.casemapping import fold
from securechat.irc.modes import CHANNEL_MODES, USER_MODES, ModeChange
from securechat.irc.peering import fingerprint_of
from securechat.server import effects, events
from securechat.server.effects import Effect
from securechat.server.events import Event, Stamp
from securechat.server.network import Network, NetworkLimits
from securechat.server.refusals import Fail, Refusal
from securechat.server.rules.presence import ALWAYS_ON
from securechat.server.state import Channel, User
from tests.server.network_checks import (
    check_channels,
    check_metadata,
    check_monitors,
    check_users,
    state_of,
)
from tests.server.network_transcripts import show_effect, show_refusal

T = TypeVar("T")

LIMITS = NetworkLimits(
    channels_per_user=3, list_entries=1, rooms_per_account=2, monitored_nicks=2, whowas_entries=5
)

# A world so small that everything meets everything.
SESSIONS = range(1, 8)
NICKS = ("ann", "ANN", "bob", "Bob", "cat", "d[")
CHANNELS = ("#a", "#A", "#b", "#c", "#d")
ACCOUNTS = ("ann", "Bob", "eve")
MASKS = ("ann!*@*", "*!*@h1.ip", "*!*@*", "BOB!*@*", "a:ann", "m:*!*@*", "m:a:Bob")

WORDS = ("", "x", "hello there")
DEVICES = (b"one", b"two")
ADDRESSES = ("192.0.2.1", "192.0.2.2", "2001:db8::1", "::1")
BANS: dict[events.BanKind, tuple[str, ...]] = {
    "K": ("ann!*@*", "*!*@192.0.2.1", "*!*@h1.ip", "BOB!*@*"),
    "D": ("192.0.2.1", "192.0.2.0/24", "2001:db8::/32"),
}
PAIRS = ("p", "q")


def _modes(b: int, c: int) -> tuple[ModeChange, ...]:
    """Changes as the handlers make them: each letter is known and has what it needs."""
    letters = "oovbbeIklqah" + CHANNEL_MODES.flag
    changes = []
    for number in (b, c, b ^ c)[: 1 + c % 3]:
        letter, adding = letters[number % len(letters)], number % 3 != 0
        params: dict[str, str | None] = {
            **dict.fromkeys(CHANNEL_MODES.list, pick(MASKS, number // 16)),
            **dict.fromkeys(CHANNEL_MODES.prefix, pick(NICKS, number // 16)),
            "k": pick(("k", "K"), number // 16) if adding else "*",
            "l": pick("125", number // 16) if adding else None,
        }
        changes.append(ModeChange(adding, letter, params.get(letter)))
    return tuple(changes)


def _attach(session: int, b: int, c: int) -> Event:
    host = pick(("h1.ip", "h2.ip"), c // 8)
    account = pick((None, None, *ACCOUNTS), c)
    away = pick(("", "", "x", "*"), c // 16)
    stamp = Stamp(session, 0, "")
    address = pick(ADDRESSES, b // 8)
    return events.Attach(stamp, pick(NICKS, b), "~u", "Real", host, address, account, away)


def _ban(session: int, b: int, c: int) -> Event:
    """Ends soon, if at all: nothing else happens to those who are not there."""
    kind: events.BanKind = "K" if b % 2 else "D"
    expires_ms = None if b % 64 == 0 else 1 + c % 16  # from the time of the event on
    stamp = Stamp(session, 0, "")
    return events.AddBan(stamp, kind, pick(BANS[kind], b // 2), "spam", "root", expires_ms)


def _user_modes(session: int, b: int, c: int) -> Event:
    changes = [ModeChange(n % 2 == 0, pick(USER_MODES.flag, n // 2)) for n in (b, c)]
    return events.SetUserModes(Stamp(session, 0, ""), tuple(changes))


def _message(session: int, b: int, c: int) -> Event:
    kinds: tuple[events.MessageKind, ...] = ("PRIVMSG", "NOTICE", "TAGMSG")
    target = pick((*NICKS, *CHANNELS, "@#a", "+#b"), b)
    return events.SendMessage(Stamp(session, 0, ""), target, pick(kinds, c), pick(WORDS, c // 4))


def make_offer(session: int, b: int, c: int) -> Event:
    fingerprint = pick(("*", "*", *map(fingerprint_of, DEVICES)), c // 4)
    stamp = Stamp(session, 0, "")
    return events.Offer(stamp, pick(ACCOUNTS, b), fingerprint, pick(PAIRS, c))


def pick(choices: Sequence[T], number: int) -> T:
    return choices[number % len(choices)]


def _room(number: int) -> str:
    return pick(CHANNELS, number)


# What happens often comes several times. Each takes a session and two numbers.
KINDS: tuple[Callable[[int, int, int], Event], ...] = (
    *(_attach, _attach, _attach),
    *[lambda s, b, c: events.Join(Stamp(s, 0, ""), _room(b), pick(("", "k"), c))] * 5,
    *[lambda s, b, c: events.SetChannelModes(Stamp(s, 0, ""), _room(b), _modes(b // 4, c))] * 4,
    *[_message] * 2,
    lambda s, b, c: events.Part(Stamp(s, 0, ""), _room(b), pick(WORDS, c)),
    lambda s, b, c: events.Kick(Stamp(s, 0, ""), _room(b), pick(NICKS, c), "x"),
    lambda s, b, c: events.Invite(Stamp(s, 0, ""), _room(b), pick(NICKS, c)),
    lambda s, b, c: events.LetIn(Stamp(s, 0, ""), _room(b), pick(NICKS, c), "relay.test"),
    lambda s, b, c: events.SetTopic(Stamp(s, 0, ""), _room(b), pick(WORDS, c)),
    lambda s, b, c: events.RenameChannel(Stamp(s, 0, ""), _room(b), _room(c), "x"),
    lambda s, b, c: events.ClaimRoom(Stamp(s, 0, ""), _room(b)),
    lambda s, b, c: events.TransferRoom(Stamp(s, 0, ""), _room(b), pick(ACCOUNTS, c)),
    lambda s, b, c: events.DropRoom(Stamp(s, 0, ""), _room(b)),
    lambda s, b, c: events.RankAccount(
        Stamp(s, 0, ""),
        _room(b),
        pick(ACCOUNTS, c),
        ModeChange(b % 4 != 0, pick(CHANNEL_MODES.prefix, c // 4)),
    ),
    lambda s, b, c: events.ChangeNick(Stamp(s, 0, ""), pick(NICKS, b)),
    lambda s, b, c: events.Detach(Stamp(s, 0, ""), pick(WORDS, c)),
    lambda s, b, c: events.EndDevice(Stamp(s, 0, ""), pick(SESSIONS, b) if c % 8 == 0 else 0),
    lambda s, b, c: events.SetAway(Stamp(s, 0, ""), pick((*WORDS, "*"), c)),
    lambda s, b, c: events.SetRealname(Stamp(s, 0, ""), pick(WORDS, c)),
    lambda s, b, c: events.Watch(Stamp(s, 0, ""), (pick(NICKS, b), pick(NICKS, c))),
    lambda s, b, c: events.Unwatch(Stamp(s, 0, ""), (pick(NICKS, b), pick(NICKS, c))),
    lambda s, b, c: events.ChangeHost(Stamp(s, 0, ""), pick(NICKS, b), pick(("", "v"), c)),
    lambda s, b, c: events.ChangeSetting(Stamp(s, 0, ""), pick(ACCOUNTS, b), "k", pick(WORDS, c)),
    lambda s, b, c: events.MarkRead(Stamp(s, 0, ""), pick(NICKS, b), c),
    *[
        lambda s, b, c: events.ChangeSetting(
            Stamp(s, 0, ""), pick(ACCOUNTS, b), ALWAYS_ON, pick(("", "on", "on", "off"), c)
        )
    ]
    * 2,
    lambda s, b, c: events.Restore(Stamp(s, 0, ""), pick(ACCOUNTS, b), "~u", "Real", "h3.ip", c),
    lambda s, b, c: events.Expire(Stamp(s, 0, ""), b),
    lambda s, b, c: events.RedactMessage(
        Stamp(s, 0, ""), pick(CHANNELS, b), "k", "m", "x", 0, bool(c % 2), ""
    ),
    lambda s, b, c: events.SetMetadata(Stamp(s, 0, ""), "*", pick("kl", b), pick(WORDS, c)),
    lambda s, b, c: events.ClearMetadata(Stamp(s, 0, ""), "*"),
    lambda s, b, c: events.Subscribe(Stamp(s, 0, ""), (pick("kl", b),)),
    lambda s, b, c: events.Unsubscribe(Stamp(s, 0, ""), (pick("kl", b),)),
    _user_modes,
    *[lambda s, b, c: events.CreateAccount(Stamp(s, 0, ""), pick(ACCOUNTS, c), "guest")] * 3,
    lambda s, b, c: events.LogIn(Stamp(s, 0, ""), pick(ACCOUNTS, c), "guest"),
    lambda s, b, c: events.GrantOperator(Stamp(s, 0, "")),
    lambda s, b, c: events.Kill(Stamp(s, 0, ""), pick(NICKS, b), "x"),
    _ban,
    lambda s, b, c: events.RemoveBan(Stamp(s, 0, ""), "K", pick(BANS["K"], b), "root"),
    lambda s, b, c: events.RemoveBan(Stamp(s, 0, ""), "D", pick(BANS["D"], b), "root"),
    lambda s, b, c: events.CloseAccount(Stamp(s, 0, ""), pick(ACCOUNTS, b), "x", c % 2 == 0),
    lambda s, b, c: events.Wallops(Stamp(s, 0, ""), pick(WORDS, c)),
    lambda s, b, c: events.Accept(Stamp(s, 0, ""), pick(NICKS, b), c % 2 == 0),
    lambda s, b, c: events.Announce(Stamp(s, 0, ""), pick(DEVICES, b)),
    lambda s, b, c: events.Retract(Stamp(s, 0, "")),
    make_offer,
    lambda s, b, c: events.Answer(Stamp(s, 0, ""), pick(PAIRS, b)),
    lambda s, b, c: events.Withdraw(Stamp(s, 0, ""), pick(PAIRS, b), pick(WORDS, c)),
)


def _storm(data: bytes) -> list[Event]:
    """Return the events that ``data`` stands for, four bytes each: much faster to draw so."""
    numbers = [data[start : start + 4] for start in range(0, len(data) - 3, 4)]
    return [pick(KINDS, kind)(pick(SESSIONS, s), b, c) for kind, s, b, c in numbers]


storms = st.binary(min_size=4 * 40, max_size=4 * 250).map(_storm)
storm_settings = settings(max_examples=300)


_OF_THE_RELAY = events.AddBan | events.RemoveBan | events.CloseAccount


class World:
    """A network in a storm: gives each event a session that may have it, a time and an id."""

    def __init__(self) -> None:
        self.network = Network(LIMITS)
        self.sessions: dict[int, int] = {}  # of the small world → of the network
        self.count = 0

    def fit(self, wanted: Event) -> Event:
        """Return ``wanted`` as an event that a relay could propose now."""
        self.count += 1
        session = wanted.stamp.session
        stamp = Stamp(self.count, self.count, f"id{self.count}")
        if isinstance(wanted, events.AddBan) and wanted.expires_ms is not None:
            wanted = replace(wanted, expires_ms=self.count + wanted.expires_ms)
        if isinstance(wanted, events.EndDevice):
            wanted = replace(wanted, device=self.sessions.get(wanted.device, 0))
        if isinstance(wanted, _OF_THE_RELAY) and self.count % 4:  # there are few operators
            return replace(wanted, stamp=stamp._replace(session=0))
        attached = self.sessions.get(session) in self.network.sessions
        if isinstance(wanted, events.Attach | events.CreateAccount | events.Detach):
            if isinstance(wanted, events.Attach):  # a new session, its id never used before
                self.sessions[session] = self.count
        elif not attached:
            known = list(self.network.sessions)
            if not known:
                self.sessions[session] = self.count
                return events.Attach(stamp, "ann", "~u", "Real", "h1.ip", "::1")
            self.sessions[session] = known[self.count % len(known)]
        return replace(wanted, stamp=stamp._replace(session=self.sessions.get(session, 0)))

    def apply(self, fitted: Event) -> list[Effect] | Refusal | Fail:
        try:
            return self.network.apply(fitted)
        except (Refusal, Fail) as refusal:
            return refusal


def shown(outcome: list[Effect] | Refusal | Fail) -> list[str]:
    if isinstance(outcome, Refusal | Fail):
        return [show_refusal(outcome)]
    return [f"{effect.stamp} {show_effect(effect)}" for effect in outcome]


def check_bans(network: Network, now_ms: int) -> None:
    """Nobody is there from a banned network, and it is found which networks those are."""
    assert network.devices.keys() == network.sessions.keys()
    bans = list(network.bans)
    assert len({(ban.kind, fold(ban.mask)) for ban in bans}) == len(bans)
    for ban in bans:
        assert network.bans.get(ban.kind, ban.mask) is ban
    networks = [ip_network(ban.mask) for ban in bans if ban.kind == "D" and ban.in_force(now_ms)]
    for address in ADDRESSES:
        banned = any(ip_address(address) in network for network in networks)
        assert banned == (network.bans.of_address(address, now_ms) is not None)
        here = {device.address for device in network.devices.values()}
        assert not (banned and address in here)


def check_accounts(network: Network, fitted: Event) -> None:
    """A registered nick is only taken by its account; who had it before keeps it."""
    if isinstance(fitted, events.Attach | events.ChangeNick):
        user = network.sessions[fitted.stamp.session]
        owner = network.accounts.get(fold(fitted.nick))
        assert owner in (None, user.account)
    for name, account in network.accounts.items():
        assert fold(account) == name


@storm_settings
@given(storms)
def test_a_storm_leaves_the_state_in_one_piece(storm: list[Event]) -> None:
    world = World()
    network = world.network
    for wanted in storm:
        fitted = world.fit(wanted)
        before, were = state_of(network), set(network.channels)
        outcome = world.apply(fitted)
        if isinstance(outcome, Refusal | Fail):
            assert state_of(network) == before
        else:
            check_accounts(network, fitted)
            if isinstance(fitted, events.Join) and fold(fitted.channel) not in were:
                made = network.channels[fold(fitted.channel)]
                (member,) = made.members.values()
                assert (member.ranks, member.founder) == ({"o"}, made.owner is not None)
                assert made.owner == network.account_key(member.user)
                assert member.user is network.sessions[fitted.stamp.session]
        check_users(network)
        if isinstance(fitted, events.AddBan | events.RemoveBan | events.Attach):
            check_bans(network, world.count)
        check_monitors(network)
        check_metadata(network)
        check_channels(network)
        for channel in network.channels.values():
            assert set(channel.remembered) <= {fold(account) for account in ACCOUNTS}


@storm_settings
@given(storms)
def test_two_networks_fed_alike_are_equal(storm: list[Event]) -> None:
    world, other = World(), Network(LIMITS)
    for wanted in storm:
        fitted = world.fit(wanted)
        outcome = shown(world.apply(fitted))
        try:
            others = shown(other.apply(fitted))
        except (Refusal, Fail) as refusal:
            others = shown(refusal)
        assert others == outcome
    assert state_of(other) == state_of(world.network)


def _people(effect: Effect) -> set[int]:
    """Whom an effect is told to, by the ids of users."""
    match effect:
        case effects.Quit(audience=audience):
            return {user.id for user in audience}
        case effects.NickChanged(audience=audience) | effects.AccountChanged(audience=audience):
            return {user.id for user in audience}
        case effects.RealnameChanged(audience=audience) | effects.AwayChanged(audience=audience):
            return {user.id for user in audience}
        case effects.HostChanged(audience=audience) | effects.WallopsSent(audience=audience):
            return {user.id for user in audience}
    return set()


@storm_settings
@given(storms)
def test_effects_tell_those_who_share_a_channel_and_name_what_exists(storm: list[Event]) -> None:
    world = World()
    network = world.network
    for wanted in storm:
        fitted = world.fit(wanted)
        user = network.sessions.get(fitted.stamp.session)
        if isinstance(fitted, events.Kill):  # it is the other who leaves
            user = network.find_user(fitted.nick)
        elif isinstance(fitted, events.EndDevice):
            user = network.sessions.get(fitted.device)
        sharing = _sharing(user, network) if user is not None else set()
        many = network.users if isinstance(fitted, _OF_THE_RELAY) else network.gone
        shared = {key: _sharing(user, network) for key, user in many.items()}
        outcome = world.apply(fitted)
        if isinstance(outcome, Refusal | Fail):
            continue
        for effect in outcome:
            assert effect.stamp == fitted.stamp
            told = _people(effect)
            if isinstance(effect, effects.NickChanged | effects.AwayChanged | effects.HostChanged):
                # Perhaps another's, who was displaced; or a session has just attached.
                assert told == _sharing(effect.user, network)
            elif isinstance(effect, effects.WallopsSent):
                assert told == {key for key, other in network.users.items() if "w" in other.modes}
            elif isinstance(fitted, _OF_THE_RELAY) and not isinstance(effect, effects.Quit):
                assert told <= network.users.keys()
            elif not isinstance(effect, effects.Quit):
                assert told in (set(), sharing)
            if isinstance(effect, effects.Joined):
                assert effect.user.id in effect.channel.members
            elif isinstance(effect, effects.Parted | effects.Kicked):
                assert effect.user.id not in effect.channel.members
            elif isinstance(effect, effects.Quit):
                assert effect.user.id not in network.users
                # When several are gone for too long, the first to leave are told no more.
                assert told == shared.get(effect.user.id, sharing) & {*network.users, *told}
                assert all(effect.user.id not in c.members for c in effect.channels)


def _sharing(user: User, network: Network) -> set[int]:
    """Compute the audience the long way."""

    def meets(other: User, channel: Channel) -> bool:
        return user.id in channel.members and other.id in channel.members

    return {
        other.id
        for other in network.users.values()
        for channel in network.channels.values()
        if other is not user and meets(other, channel)
    }


def test_storms_reach_every_rule() -> None:
    """Else the properties above would say less than they seem to."""
    seen: Counter[str] = Counter()
    for seed in range(200):
        world = World()
        for wanted in _storm(Random(seed).randbytes(4 * 250)):
            outcome = world.apply(world.fit(wanted))
            if isinstance(outcome, Refusal):
                seen[show_refusal(outcome).split(" ")[0]] += 1
            elif isinstance(outcome, Fail):
                seen[outcome.params[1]] += 1
            else:
                seen.update(type(effect).__name__ for effect in outcome)
                refused = [e.refusal for e in outcome if isinstance(e, effects.Refused)]
                seen.update(show_refusal(refusal).split(" ")[0] for refusal in refused)
    rare = {
        *("OwnerChanged", "RankRemembered", "ERR_CHANOPRIVSNEEDED"),
        *("Joined", "Kicked", "Invited", "Quit", "SessionsChanged", "Refused", "DirectMessage"),
        *("ERR_NICKNAMEINUSE", "ERR_TOOMANYCHANNELS", "ERR_BANNEDFROMCHAN", "ERR_BADCHANNELKEY"),
        *("ERR_INVITEONLYCHAN", "ERR_CHANNELISFULL", "ERR_CANNOTSENDTOCHAN", "ERR_BANLISTFULL"),
        *("ERR_USERNOTINCHANNEL", "ERR_USERONCHANNEL", "ERR_NOTONCHANNEL", "ERR_NOSUCHNICK"),
        *("ERR_MONLISTFULL", "CameOnline", "WentOffline"),
        *("DeviceAnnounced", "DeviceRetracted", "ReachabilityChanged", "ACCOUNT_REQUIRED"),
        *("BanAdded", "BanRemoved", "PutOff", "AccountClosed", "MemberForgotten"),
        *("DeviceEnded", "NO_SUCH_DEVICE"),
        *("BANS_YOU", "NO_SUCH_BAN", "ERR_YOUREBANNEDCREEP:", "ERR_NOPRIVILEGES"),
        *("NOT_ANNOUNCED", "NO_SUCH_PEER", "NO_SUCH_OFFER"),
    }
    assert {name for name in rare if not seen[name]} == set(), seen
