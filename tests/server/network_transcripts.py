"""Events and effects of the chat state as short lines, so that tests are conversations.

::

    >> 1 attach alice            session 1 proposes an event
    >> 1 join #den
    << joined #den alice         what it changed, in order
    >> 2 topic #den hello
    !! ERR_NOTONCHANNEL #den     or the refusal; the state must be as before then
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from securechat.irc import numerics
from securechat.irc.modes import CHANNEL_MODES, USER_MODES, ModeChange, format_modes, parse_modes
from securechat.irc.peering import fingerprint_of
from securechat.server import effects, events
from securechat.server.effects import Effect
from securechat.server.events import Event, Stamp
from securechat.server.names import ASCII_NAMES, Names
from securechat.server.network import Network, NetworkLimits
from securechat.server.refusals import Fail, Refusal
from securechat.server.rules.presence import PRESENCE
from securechat.server.state import Author, Channel, User
from tests.server.network_checks import state_of

EVERY_RELAY = 1_000_000
"""A relay that is started knows of all that have, if not said otherwise."""

START_MS = 1_700_000_000_000
STEP_MS = 1_000

LIMITS = NetworkLimits(
    rooms_per_account=2,
    channels_per_user=3,
    list_entries=2,
    whowas_entries=3,
    monitored_nicks=2,
    metadata_keys=2,
    metadata_subscriptions=2,
)

_ERROR_NAMES = {value: name for name, value in vars(numerics).items() if name.startswith("ERR_")}


def parse_event(text: str, at_ms: int) -> Event:
    """Return the event of a line without its ``>>``."""
    number, verb, *words = text.split(" ")
    return _PARSERS[verb](Stamp(int(number), at_ms, f"id{at_ms}"), words)


def _attach(stamp: Stamp, words: list[str]) -> Event:
    nick, *rest = words
    account = rest[1] if rest[:1] == ["as"] else None
    address = rest[rest.index("from") + 1] if "from" in rest else "::1"
    away = " ".join(rest[rest.index("away") + 1 :]) if "away" in rest else ""
    return events.Attach(
        stamp,
        nick,
        f"~{nick.lower()}",
        f"Real {nick}",
        f"h{stamp.session}.ip",
        address,
        account,
        away,
    )


def _ban(kind: events.BanKind) -> Callable[[Stamp, list[str]], Event]:
    """``kline <seconds or -> <mask> <reason>``"""

    def parse(stamp: Stamp, words: list[str]) -> Event:
        seconds, mask, *reason = words
        expires_ms = None if seconds == "-" else stamp.at_ms + 1000 * int(seconds)
        return events.AddBan(stamp, kind, mask, " ".join(reason), "root", expires_ms)

    return parse


def _send(kind: events.MessageKind) -> Callable[[Stamp, list[str]], Event]:
    def parse(stamp: Stamp, words: list[str]) -> Event:
        target, *text = words
        return events.SendMessage(stamp, target, kind, " ".join(text))

    return parse


_DEVICES: dict[str, str] = {}
"""Fingerprint → the word that stands for a certificate."""


def _announce(stamp: Stamp, words: list[str]) -> Event:
    certificate = words[0].encode()
    _DEVICES[fingerprint_of(certificate)] = words[0]
    return events.Announce(stamp, certificate)


def _offer(stamp: Stamp, words: list[str]) -> Event:
    account, device, identifier = words
    fingerprint = device if device == "*" else fingerprint_of(device.encode())
    return events.Offer(stamp, account, fingerprint, identifier)


_PARSERS: dict[str, Callable[[Stamp, list[str]], Event]] = {
    "attach": _attach,
    "end": lambda s, w: events.EndDevice(s, int(w[0])),
    "detach": lambda s, w: events.Detach(s, " ".join(w)),
    "nick": lambda s, w: events.ChangeNick(s, w[0]),
    "host": lambda s, w: events.ChangeHost(s, w[0], w[1] if w[1:] else ""),
    "read": lambda s, w: events.MarkRead(s, w[0], START_MS + int(w[1])),
    "redact": lambda s, w: events.RedactMessage(
        s, w[0], "key", w[1], "somebody", START_MS, w[2:3] == ["own"], " ".join(w[3:])
    ),
    "set": lambda s, w: events.ChangeSetting(s, w[0], w[1], " ".join(w[2:])),
    "restore": lambda s, w: events.Restore(s, w[0], "~u", "Real", "h0.ip", int(w[1])),
    "expire": lambda s, w: events.Expire(s, int(w[0])),
    "realname": lambda s, w: events.SetRealname(s, " ".join(w)),
    "away": lambda s, w: events.SetAway(s, " ".join(w)),
    "publish": lambda s, w: events.SetMetadata(s, w[0], w[1], " ".join(w[2:])),
    "unpublish": lambda s, w: events.ClearMetadata(s, w[0]),
    "subscribe": lambda s, w: events.Subscribe(s, tuple(w)),
    "unsubscribe": lambda s, w: events.Unsubscribe(s, tuple(w)),
    "watch": lambda s, w: events.Watch(s, tuple(w)),
    "unwatch": lambda s, w: events.Unwatch(s, tuple(w)),
    "umode": lambda s, w: events.SetUserModes(s, tuple(parse_modes(w[0], w[1:], USER_MODES))),
    "kline": _ban("K"),
    "dline": _ban("D"),
    "unkline": lambda s, w: events.RemoveBan(s, "K", w[0], "root"),
    "undline": lambda s, w: events.RemoveBan(s, "D", w[0], "root"),
    "close": lambda s, w: events.CloseAccount(s, w[0], " ".join(w[1:]), forget=False),
    "forget": lambda s, w: events.CloseAccount(s, w[0], " ".join(w[1:]), forget=True),
    "account": lambda s, w: events.CreateAccount(s, w[0], "guest7"),
    "login": lambda s, w: events.LogIn(s, w[0], "guest8"),
    "oper": lambda s, w: events.GrantOperator(s),
    "kill": lambda s, w: events.Kill(s, w[0], " ".join(w[1:])),
    "wallops": lambda s, w: events.Wallops(s, " ".join(w)),
    "accept": lambda s, w: events.Accept(s, w[0].removeprefix("-"), not w[0].startswith("-")),
    "join": lambda s, w: events.Join(s, *w),
    "part": lambda s, w: events.Part(s, w[0], " ".join(w[1:])),
    "kick": lambda s, w: events.Kick(s, w[0], w[1], " ".join(w[2:])),
    "invite": lambda s, w: events.Invite(s, w[0], w[1]),
    "let-in": lambda s, w: events.LetIn(s, w[0], w[1], "relay.test"),
    "topic": lambda s, w: events.SetTopic(s, w[0], " ".join(w[1:])),
    "mode": lambda s, w: events.SetChannelModes(
        s, w[0], tuple(parse_modes(w[1], w[2:], CHANNEL_MODES))
    ),
    "rename": lambda s, w: events.RenameChannel(s, w[0], w[1], " ".join(w[2:])),
    "retain": lambda s, w: events.SetRetention(s, w[0], int(w[1]) if w[1:] else None),
    "claim": lambda s, w: events.ClaimRoom(s, w[0]),
    "transfer": lambda s, w: events.TransferRoom(s, w[0], w[1]),
    "drop": lambda s, w: events.DropRoom(s, w[0]),
    "rank": lambda s, w: events.RankAccount(
        s, w[0], w[1], ModeChange(w[2].startswith("+"), w[2][1])
    ),
    "announce": _announce,
    "retract": lambda s, w: events.Retract(s),
    "offer": _offer,
    "answer": lambda s, w: events.Answer(s, w[0]),
    "candidates": lambda s, w: events.SendCandidates(s, w[0], " ".join(w[1:])),
    "tunnel": lambda s, w: events.GrantTunnel(s, w[0], "own", "other"),
    "withdraw": lambda s, w: events.Withdraw(s, w[0], " ".join(w[1:])),
    "relay": lambda s, w: events.RelayStarted(
        s, w[0], f"{w[0]}.test:6697", int(w[1]) if len(w) > 1 else EVERY_RELAY
    ),
    "lost": lambda s, w: events.RelayLost(s, w[0], int(w[1]), " ".join(w[2:])),
    "reload": lambda s, w: events.Reload(s, w[0], dict(word.split("=") for word in w[1:])),
    "privmsg": _send("PRIVMSG"),
    "notice": _send("NOTICE"),
    "tagmsg": _send("TAGMSG"),
}


def show_effect(effect: Effect) -> str:
    """Return the line of an effect, without its ``<<``."""
    match effect:
        case effects.Refused(refusal=refusal):
            return f"refused {show_refusal(refusal)}"
        case effects.ChannelMessage(channel=channel, author=author, kind=kind, text=text):
            return f"{kind.lower()} {channel.name} by {_nick(author)}: {text}"
        case effects.StatusMessage(channel=channel, least=least, author=author, kind=kind):
            return f"{kind.lower()} {channel.name} to +{least} by {_nick(author)}: {effect.text}"
        case effects.DirectMessage(recipient=recipient, author=author, kind=kind, text=text):
            return f"{kind.lower()} {recipient.nick} by {_nick(author)}: {text}"
        case effects.Joined(channel=channel, user=user):
            return f"joined {channel.name} {user.nick}"
        case effects.Parted(channel=channel, user=user, reason=reason):
            return f"parted {channel.name} {user.nick}: {reason}"
        case effects.Kicked(channel=channel, user=user, author=author, reason=reason):
            return f"kicked {channel.name} {user.nick} by {_nick(author)}: {reason}"
        case effects.TopicChanged(channel=channel, author=author, topic=topic):
            return f"topic {channel.name} by {_nick(author)}: {topic}"
        case effects.ChannelModesChanged(channel=channel, author=author, changes=changes):
            return f"mode {channel.name} by {_nick(author)}: {' '.join(format_modes(changes))}"
        case effects.ChannelRenamed(channel=channel, author=author, old_name=old_name):
            return f"renamed {old_name} {channel.name} by {_nick(author)}: {effect.reason}"
        case effects.OwnerChanged(channel=channel, author=author):
            return f"owner of {channel.name} by {_nick(author)}: {channel.owner}"
        case effects.RetentionChanged(channel=channel, author=author, days=days):
            return f"history of {channel.name} by {_nick(author)}: {days}"
        case effects.RankRemembered(channel=channel, author=author, account=account):
            words = " ".join(format_modes([effect.change]))
            return f"rank of {account} in {channel.name} by {_nick(author)}: {words}"
        case effects.MemberForgotten(channel=channel, account=account):
            return f"forgotten {account} in {channel.name}"
        case effects.Invited(channel=channel, user=user, author=author):
            return f"invited {channel.name} {user.nick} by {_nick(author)}"
        case effects.Quit(user=user, reason=reason, audience=audience, channels=channels):
            return f"quit {user.nick}: {reason} | to {_nicks(audience)} | from {_names(channels)}"
        case effects.Killed(user=user, author=author, reason=reason):
            return f"killed {user.nick} by {_nick(author)}: {reason}"
        case effects.PutOff(user=user, devices=devices, text=text, cause=cause):
            return f"put off {user.nick} {_ids(devices)}: {text} ({cause})"
        case effects.DeviceEnded(account=account, device=device):
            return f"ended {device} of {account}"
        case effects.BanAdded(ban=ban, count=count, operators=operators):
            return f"{ban.kind}-line {ban.mask}: {count} | to {_nicks(operators)}"
        case effects.BanRemoved(ban=ban, by=by, operators=operators):
            return f"no {ban.kind}-line {ban.mask} {by or '-'} | to {_nicks(operators)}"
        case effects.AccountClosed(account=account, forgotten=forgotten):
            return f"{'forgotten' if forgotten else 'closed'} {account}"
        case effects.WallopsSent(author=author, text=text, audience=audience):
            return f"wallops {_nick(author)}: {text} | to {_nicks(audience)}"
        case effects.RelayCame(relay=relay):
            return f"relay {relay}"
        case effects.RelayGone(relay=relay, incarnation=incarnation, reason=reason):
            return f"no relay {relay} {incarnation}: {reason}"
        case effects.Reloaded(relay=relay):
            return f"reloaded {relay}"
        case effects.SessionsChanged(user=user):
            return f"sessions {user.nick}: {' '.join(map(str, user.sessions))}"
        case effects.NickChanged(author=author, nick=nick, audience=audience):
            return f"nick {_nick(author)} {nick} | to {_nicks(audience)}"
        case effects.RealnameChanged(user=user):
            return f"realname {user.nick}: {user.realname} | {_told(effect)}"
        case effects.MetadataChanged(target=target, key=key, value=value, subscribers=told):
            kept = effect.account or effect.uid.rstrip("0123456789")
            return f"metadata {target} {key}: {value} | to {_ids(told)} | of {kept or 'a guest'}"
        case effects.HostChanged(user=user, author=author):
            return f"host {author.source} {user.host} | {_told(effect)}"
        case effects.SettingChanged(account=account, key=key, value=value):
            return f"setting {account} {key}: {'…' if key == PRESENCE and value else value}"
        case effects.MarkedRead(users=users, target=target, read_ms=read_ms):
            return f"read {target} {read_ms - START_MS} | to {_nicks(users)}"
        case effects.Redacted(channel=channel, recipient=recipient, author=author, event=event):
            told = [place.name for place in [channel] if place]
            told += [user.nick for user in [recipient] if user]
            return f"redacted {event.msgid} by {_nick(author)}: {event.reason} | to {told}"
        case effects.AwayChanged(user=user):
            return f"away {user.nick}: {user.away} | {_told(effect)}"
        case effects.AccountChanged(author=author):
            return f"account {_nick(author)}: {author.account} | {_told(effect)}"
        case effects.CameOnline(user=user, watchers=watchers):
            return f"online {user.nick} | watched by {_ids(watchers)}"
        case effects.WentOffline(nick=nick, watchers=watchers):
            return f"offline {nick} | watched by {_ids(watchers)}"
        case effects.UserModesChanged(user=user, changes=changes):
            return f"umode {user.nick}: {' '.join(format_modes(changes))}"
        case effects.DeviceAnnounced(account=account, certificate=device, announced=announced):
            known = " ".join(_DEVICES.get(each, each) for each in announced)
            return f"announced {device.decode()} of {account} | now {known}"
        case effects.DeviceRetracted(account=account, fingerprint=fingerprint):
            return f"retracted {_DEVICES.get(fingerprint, fingerprint)} of {account}"
        case effects.ReachabilityChanged(user=user, now=now):
            return f"{'reachable' if now else 'unreachable'} {user.nick} | {_told(effect)}"
        case effects.Offered(author=author, certificate=device, to=to):
            return f"offered {effect.id} by {_nick(author)} {device.decode()} | to {_ids(to)}"
        case effects.Answered(author=author, certificate=device, to=to):
            return f"answered {effect.id} by {_nick(author)} {device.decode()} | to {to}"
        case effects.CandidatesSent(author=author, candidates=candidates, to=to):
            return f"candidates {effect.id} by {_nick(author)}: {candidates} | to {to}"
        case effects.TunnelGranted(tokens=tokens):
            at = f" at {effect.relay}" if effect.relay else ""
            told = " ".join(f"{token} to {to}" for to, token in tokens)
            return f"tunnel {effect.id}{at}: {told}"
        case effects.PairEnded(author=author, reason=reason, to=to):
            return f"ended {effect.id} by {_nick(author)}: {reason} | to {_ids(to)}"
    raise AssertionError(f"no line for {effect}")


def show_refusal(refusal: Refusal | Fail) -> str:
    """Return numeric and parameters, and the text where it is not the usual one."""
    if isinstance(refusal, Fail):
        return f"FAIL {' '.join(refusal.params[1:-1])}"
    words = " ".join((_ERROR_NAMES[refusal.numeric], *refusal.params))
    usual = numerics.ERROR_TEXTS[refusal.numeric]
    return words if refusal.text == usual else f"{words}: {refusal.text}"


class Chat:
    """A network, and what was said to it. ``play`` checks a transcript against it."""

    def __init__(self, limits: NetworkLimits = LIMITS, names: Names = ASCII_NAMES) -> None:
        self.network = Network(limits, names)
        self.now_ms = START_MS
        self.events: list[Event] = []
        self.effects: list[Effect] = []
        self.refusals: list[Refusal] = []
        self.failures: list[Fail] = []

    def play(self, transcript: str) -> None:
        """Apply the events of ``transcript``; fail unless all comes as it says."""
        wanted = [line.strip() for line in transcript.strip().splitlines() if line.strip()]
        found: list[str] = []
        for line in wanted:
            sign, _, rest = line.partition(" ")
            assert sign in (">>", "<<", "!!"), line
            if sign == ">>":
                found += [line, *self._apply(parse_event(rest, self.now_ms))]
                self.now_ms += STEP_MS
        assert found == wanted, "it came as:\n" + "\n".join(found)

    def _apply(self, event: Event) -> list[str]:
        self.events.append(event)
        before = state_of(self.network)
        try:
            changed = self.network.apply(event)
        except (Refusal, Fail) as refusal:
            assert state_of(self.network) == before, "a refused event has changed the state"
            if isinstance(refusal, Fail):
                self.failures.append(refusal)
            else:
                self.refusals.append(refusal)
            return [f"!! {show_refusal(refusal)}"]
        self.effects += changed
        for effect in changed:
            assert effect.stamp == event.stamp
        return [f"<< {show_effect(effect)}".rstrip() for effect in changed]

    def user(self, nick: str) -> User:
        user = self.network.find_user(nick)
        assert user is not None
        return user

    def channel(self, name: str) -> Channel:
        channel = self.network.find_channel(name)
        assert channel is not None
        return channel


def _nick(author: Author) -> str:
    return author.source.partition("!")[0]


def _nicks(users: Iterable[User]) -> str:
    return " ".join(user.nick for user in users) or "nobody"


def _ids(sessions: Iterable[events.SessionId]) -> str:
    return " ".join(map(str, sessions))


def _told(
    effect: effects.RealnameChanged
    | effects.AwayChanged
    | effects.AccountChanged
    | effects.HostChanged
    | effects.ReachabilityChanged,
) -> str:
    watched = f" | watched by {_ids(effect.watchers)}" if effect.watchers else ""
    return f"to {_nicks(effect.audience)}{watched}"


def _names(channels: Iterable[Channel]) -> str:
    return " ".join(channel.name for channel in channels) or "nowhere"
