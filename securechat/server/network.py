"""The chat state as a deterministic state machine: ``apply(event) -> effects``.

It reads no clock, makes no ids and does no I/O; two machines that apply the same events are equal.
A rule that is broken raises ``Refusal`` and changes nothing. Who checks what: a handler checks the
form of a command, ``apply`` checks it against the state, for good.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from securechat.irc import numerics
from securechat.irc.casemapping import fold
from securechat.irc.masks import matches
from securechat.irc.modes import CHANNEL_MODES, ModeChange
from securechat.irc.names import is_channel
from securechat.server import effects, events
from securechat.server.effects import Effect
from securechat.server.events import Event, SessionId
from securechat.server.refusals import NickReserved, Refusal
from securechat.server.state import Ban, Channel, Membership, User, UserId

__all__ = ["Network", "NetworkLimits"]

_NEW_CHANNEL_MODES: Final = ("n", "t")
"""What a new channel has: no messages from outside, topic by operators."""


@dataclass(frozen=True, slots=True)
class NetworkLimits:
    """The limits that belong to the state: equal on all relays of a network. Immutable."""

    channels_per_user: int
    list_entries: int


class Network:
    """Users, channels, accounts. Guarded by the network lock, which the caller holds."""

    def __init__(self, limits: NetworkLimits) -> None:
        self.limits = limits
        self.users: dict[UserId, User] = {}
        self.nicks: dict[str, User] = {}  # by folded nick
        self.sessions: dict[SessionId, User] = {}
        self.channels: dict[str, Channel] = {}  # by folded name
        self.accounts: dict[str, str] = {}  # folded name → name
        self.most_users = 0
        self.mode_counts: Counter[str] = Counter()  # users with each user mode
        self._rules: dict[type[Event], Callable[[Any], list[Effect]]] = {
            events.SendMessage: self._send_message,
            events.Attach: self._attach,
            events.Detach: self._detach,
            events.ChangeNick: self._change_nick,
            events.SetRealname: self._set_realname,
            events.SetAway: self._set_away,
            events.SetUserModes: self._set_user_modes,
            events.CreateAccount: self._create_account,
            events.LogIn: self._log_in,
            events.GrantOperator: self._grant_operator,
            events.Join: self._join,
            events.Part: self._part,
            events.Kick: self._kick,
            events.Invite: self._invite,
            events.SetTopic: self._set_topic,
            events.SetChannelModes: self._set_channel_modes,
        }

    def apply(self, event: Event) -> list[Effect]:
        """Change the state by ``event``; return what changed.

        :raises Refusal: the state forbids it; nothing has changed.
        """
        return self._rules[type(event)](event)

    # ---- questions ----

    def find_user(self, nick: str) -> User | None:
        """Return the user with that nick."""
        return self.nicks.get(fold(nick))

    def find_channel(self, name: str) -> Channel | None:
        """Return the channel of that name."""
        return self.channels.get(fold(name))

    def audience(self, user: User) -> tuple[User, ...]:
        """Return the other users who share a channel with ``user``, each once."""
        seen = {
            user_id: member.user
            for channel in user.channels.values()
            for user_id, member in channel.members.items()
        }
        seen.pop(user.id, None)
        return tuple(seen.values())

    def snapshot(self) -> dict[str, Any]:
        """Return the whole state as plain values: equal states give equal snapshots."""
        return {
            "users": [
                {
                    "id": user.id,
                    "source": user.author.source,
                    "realname": user.realname,
                    "address": user.address,
                    "account": user.account,
                    "connected_ms": user.connected_ms,
                    "active_ms": user.active_ms,
                    "away": user.away,
                    "modes": sorted(user.modes),
                    "sessions": list(user.sessions),
                    "channels": sorted(user.channels),
                }
                for user in self.users.values()
            ],
            "channels": [
                {
                    "name": channel.name,
                    "created_ms": channel.created_ms,
                    "topic": [channel.topic, channel.topic_by, channel.topic_ms],
                    "modes": dict(channel.modes),
                    "bans": [list(ban) for ban in channel.bans.values()],
                    "members": {key: sorted(m.ranks) for key, m in channel.members.items()},
                    "invited": sorted(channel.invited),
                }
                for channel in self.channels.values()
            ],
            "accounts": dict(self.accounts),
            "most_users": self.most_users,
        }

    # ---- users ----

    def _attach(self, event: events.Attach) -> list[Effect]:
        self._check_reserved(event.nick, event.account)
        user = self.find_user(event.nick)
        if user is None:
            user = User(
                id=event.session,
                nick=event.nick,
                username=event.username,
                realname=event.realname,
                host=event.host,
                address=event.address,
                account=event.account,
                connected_ms=event.at_ms,
                active_ms=event.at_ms,
            )
            self.users[user.id] = user
            self.nicks[fold(user.nick)] = user
            self.most_users = max(self.most_users, len(self.users))
        elif user.account is None or user.account != event.account:
            raise Refusal(numerics.ERR_NICKNAMEINUSE, event.nick)
        user.sessions.append(event.session)
        self.sessions[event.session] = user
        if len(user.sessions) == 1:
            return []
        return [effects.SessionsChanged(event.session, event.at_ms, user)]

    def _detach(self, event: events.Detach) -> list[Effect]:
        user = self.sessions.pop(event.session, None)
        if user is None:
            return []
        user.sessions.remove(event.session)
        if user.sessions:
            return [effects.SessionsChanged(event.session, event.at_ms, user)]
        audience = self.audience(user)
        channels = tuple(user.channels.values())
        for channel in channels:
            self._remove_member(channel, user)
        for channel in self.channels.values():
            channel.invited.discard(user.id)
        self.mode_counts.subtract(user.modes)
        del self.users[user.id]
        del self.nicks[fold(user.nick)]
        return [
            effects.Quit(
                event.session, event.at_ms, user, user.author, event.reason, audience, channels
            )
        ]

    def _change_nick(self, event: events.ChangeNick) -> list[Effect]:
        user = self.sessions[event.session]
        self._check_reserved(event.nick, user.account)
        if self.find_user(event.nick) not in (None, user):
            raise Refusal(numerics.ERR_NICKNAMEINUSE, event.nick)
        if event.nick == user.nick:
            return []
        return [self._rename(event, user, event.nick)]

    def _rename(self, event: Event, user: User, nick: str) -> Effect:
        author = user.author
        del self.nicks[fold(user.nick)]
        user.nick = nick
        self.nicks[fold(nick)] = user
        user.refresh_author()
        audience = self.audience(user)
        return effects.NickChanged(event.session, event.at_ms, user, author, nick, audience)

    def _set_realname(self, event: events.SetRealname) -> list[Effect]:
        user = self.sessions[event.session]
        user.realname = event.realname
        audience = self.audience(user)
        return [effects.RealnameChanged(event.session, event.at_ms, user, user.author, audience)]

    def _set_away(self, event: events.SetAway) -> list[Effect]:
        user = self.sessions[event.session]
        if user.away == event.text:
            return []
        user.away = event.text
        audience = self.audience(user)
        return [effects.AwayChanged(event.session, event.at_ms, user, user.author, audience)]

    def _set_user_modes(self, event: events.SetUserModes) -> list[Effect]:
        user = self.sessions[event.session]
        done = []
        for change in event.changes:
            if change.adding == (change.letter in user.modes):
                continue
            if change.letter == "o" and change.adding:
                continue  # only OPER makes an operator
            self._set_user_mode(user, change)
            done.append(change)
        if not done:
            return []
        return [
            effects.UserModesChanged(event.session, event.at_ms, user, user.author, tuple(done))
        ]

    def _set_user_mode(self, user: User, change: ModeChange) -> None:
        (user.modes.add if change.adding else user.modes.remove)(change.letter)
        self.mode_counts[change.letter] += 1 if change.adding else -1

    def _grant_operator(self, event: events.GrantOperator) -> list[Effect]:
        user = self.sessions[event.session]
        if "o" in user.modes:
            return []
        changes = (ModeChange(True, "o"),)
        self._set_user_mode(user, *changes)
        return [effects.UserModesChanged(event.session, event.at_ms, user, user.author, changes)]

    def _create_account(self, event: events.CreateAccount) -> list[Effect]:
        self.accounts[fold(event.account)] = event.account
        holder = self.find_user(event.account)
        maker = self.sessions.get(event.session)
        if holder is None or holder is maker or holder.account == event.account:
            return []
        nick = event.displaced_nick
        while fold(nick) in self.nicks or fold(nick) in self.accounts:
            nick += "_"
        return [self._rename(event, holder, nick)]

    def _log_in(self, event: events.LogIn) -> list[Effect]:
        user = self.sessions[event.session]
        if user.account == event.account:
            return []
        user.account = event.account
        user.refresh_author()
        audience = self.audience(user)
        return [effects.AccountChanged(event.session, event.at_ms, user, user.author, audience)]

    def _check_reserved(self, nick: str, account: str | None) -> None:
        owner = self.accounts.get(fold(nick))
        if owner is not None and owner != account:
            raise NickReserved(nick)

    # ---- channels ----

    def _join(self, event: events.Join) -> list[Effect]:
        user = self.sessions[event.session]
        channel = self.find_channel(event.channel)
        if channel is not None and user.id in channel.members:
            return []
        if len(user.channels) >= self.limits.channels_per_user:
            raise Refusal(numerics.ERR_TOOMANYCHANNELS, event.channel)
        if channel is None:
            channel = Channel(
                event.channel, event.at_ms, modes=dict.fromkeys(_NEW_CHANNEL_MODES, "")
            )
            self.channels[fold(channel.name)] = channel
            ranks = {"o"}
        else:
            self._check_may_join(channel, user, event.key)
            ranks = set()
        channel.invited.discard(user.id)
        channel.members[user.id] = Membership(user, ranks)
        user.channels[fold(channel.name)] = channel
        return [effects.Joined(event.session, event.at_ms, channel, user, user.author)]

    def _part(self, event: events.Part) -> list[Effect]:
        user, channel = self._member(event.session, event.channel)
        self._remove_member(channel, user)
        return [
            effects.Parted(event.session, event.at_ms, channel, user, user.author, event.reason)
        ]

    def _kick(self, event: events.Kick) -> list[Effect]:
        user, channel = self._member(event.session, event.channel)
        self._check_operator(channel, user)
        target = self.find_user(event.nick)
        if target is None:
            raise Refusal(numerics.ERR_NOSUCHNICK, event.nick)
        if target.id not in channel.members:
            raise Refusal(numerics.ERR_USERNOTINCHANNEL, event.nick, channel.name)
        self._remove_member(channel, target)
        return [
            effects.Kicked(event.session, event.at_ms, channel, target, user.author, event.reason)
        ]

    def _invite(self, event: events.Invite) -> list[Effect]:
        target = self.find_user(event.nick)
        if target is None:
            raise Refusal(numerics.ERR_NOSUCHNICK, event.nick)
        user, channel = self._member(event.session, event.channel)
        if "i" in channel.modes:
            self._check_operator(channel, user)
        if target.id in channel.members:
            raise Refusal(numerics.ERR_USERONCHANNEL, target.nick, channel.name)
        channel.invited.add(target.id)
        return [effects.Invited(event.session, event.at_ms, channel, target, user.author)]

    def _set_topic(self, event: events.SetTopic) -> list[Effect]:
        user, channel = self._member(event.session, event.channel)
        if "t" in channel.modes:
            self._check_operator(channel, user)
        channel.topic = event.topic
        channel.topic_by = user.author.source if event.topic else ""
        channel.topic_ms = event.at_ms if event.topic else 0
        return [effects.TopicChanged(event.session, event.at_ms, channel, user.author, event.topic)]

    def _set_channel_modes(self, event: events.SetChannelModes) -> list[Effect]:
        user = self.sessions[event.session]
        channel = self.find_channel(event.channel)
        if channel is None:
            raise Refusal(numerics.ERR_NOSUCHCHANNEL, event.channel)
        self._check_operator(channel, user)
        found: list[Effect] = []
        done = []
        for change in event.changes:
            try:
                applied = self._set_channel_mode(channel, change, user, event.at_ms)
            except Refusal as refusal:
                found.append(effects.Refused(event.session, event.at_ms, refusal))
                continue
            if applied is not None:
                done.append(applied)
        if done:
            changed = effects.ChannelModesChanged(
                event.session, event.at_ms, channel, user.author, tuple(done)
            )
            found.insert(0, changed)
        return found

    def _set_channel_mode(
        self, channel: Channel, change: ModeChange, user: User, at_ms: int
    ) -> ModeChange | None:
        """Apply one change; return it as members should see it, ``None`` if it changed nothing."""
        letter, param = change.letter, change.param or ""
        match CHANNEL_MODES.kind(letter):
            case "prefix":
                return self._set_rank(channel, change.adding, letter, param)
            case "list":
                if not change.adding:
                    gone = channel.bans.pop(fold(param), None)
                    return ModeChange(False, letter, gone.mask) if gone else None
                if fold(param) in channel.bans:
                    return None
                if len(channel.bans) >= self.limits.list_entries:
                    raise Refusal(numerics.ERR_BANLISTFULL, channel.name, letter)
                channel.bans[fold(param)] = Ban(param, user.author.source, at_ms)
                return change
            case _ if change.adding:
                if channel.modes.get(letter) == param:
                    return None
                channel.modes[letter] = param
                return change
            case kind:
                if channel.modes.pop(letter, None) is None:
                    return None
                # A key is taken away with any parameter; which one it was is nobody's business.
                return ModeChange(False, letter, "*" if kind == "always" else None)

    def _set_rank(
        self, channel: Channel, adding: bool, letter: str, nick: str
    ) -> ModeChange | None:
        target = self.find_user(nick)
        if target is None:
            raise Refusal(numerics.ERR_NOSUCHNICK, nick)
        if target.id not in channel.members:
            raise Refusal(numerics.ERR_USERNOTINCHANNEL, nick, channel.name)
        ranks = channel.members[target.id].ranks
        if adding == (letter in ranks):
            return None
        (ranks.add if adding else ranks.discard)(letter)
        return ModeChange(adding, letter, target.nick)

    def _remove_member(self, channel: Channel, user: User) -> None:
        del channel.members[user.id]
        del user.channels[fold(channel.name)]
        if not channel.members:
            del self.channels[fold(channel.name)]

    # ---- messages ----

    def _send_message(self, event: events.SendMessage) -> list[Effect]:
        user = self.sessions[event.session]
        target = event.target
        if is_channel(target):
            channel = self.channels.get(fold(target))
            if channel is None:
                raise Refusal(numerics.ERR_NOSUCHCHANNEL, target)
            self._check_may_speak(channel, user)
            user.active_ms = event.at_ms
            return [
                effects.ChannelMessage(
                    event.session,
                    event.at_ms,
                    channel,
                    user.author,
                    event.kind,
                    event.text,
                    event.msgid,
                    event.tags,
                )
            ]
        recipient = self.nicks.get(fold(target))
        if recipient is None:
            raise Refusal(numerics.ERR_NOSUCHNICK, target)
        user.active_ms = event.at_ms
        return [
            effects.DirectMessage(
                event.session,
                event.at_ms,
                recipient,
                user,
                user.author,
                event.kind,
                event.text,
                event.msgid,
                event.tags,
            )
        ]

    # ---- rules ----

    def _member(self, session: SessionId, name: str) -> tuple[User, Channel]:
        user = self.sessions[session]
        channel = self.find_channel(name)
        if channel is None:
            raise Refusal(numerics.ERR_NOSUCHCHANNEL, name)
        if user.id not in channel.members:
            raise Refusal(numerics.ERR_NOTONCHANNEL, channel.name)
        return user, channel

    def _check_operator(self, channel: Channel, user: User) -> None:
        if "o" not in channel.ranks(user):
            raise Refusal(numerics.ERR_CHANOPRIVSNEEDED, channel.name)

    def _check_may_join(self, channel: Channel, user: User, key: str) -> None:
        # An invitation opens what is closed to all, but does not lift a ban.
        invited = user.id in channel.invited
        if _matches_any(channel.bans.values(), user):
            raise Refusal(numerics.ERR_BANNEDFROMCHAN, channel.name)
        if "i" in channel.modes and not invited:
            raise Refusal(numerics.ERR_INVITEONLYCHAN, channel.name)
        if "k" in channel.modes and channel.modes["k"] != key and not invited:
            raise Refusal(numerics.ERR_BADCHANNELKEY, channel.name)
        if "l" in channel.modes and len(channel.members) >= int(channel.modes["l"]) and not invited:
            raise Refusal(numerics.ERR_CHANNELISFULL, channel.name)

    def _check_may_speak(self, channel: Channel, user: User) -> None:
        member = channel.members.get(user.id)
        if member is None and "n" in channel.modes:
            raise Refusal(
                numerics.ERR_CANNOTSENDTOCHAN, channel.name, text="Cannot send to channel (+n)"
            )
        if member is not None and member.ranks:
            return
        if "m" in channel.modes:
            raise Refusal(
                numerics.ERR_CANNOTSENDTOCHAN, channel.name, text="Cannot send to channel (+m)"
            )
        if channel.bans and _matches_any(channel.bans.values(), user):
            raise Refusal(
                numerics.ERR_CANNOTSENDTOCHAN, channel.name, text="Cannot send to channel (+b)"
            )


def _matches_any(bans: Iterable[Ban], user: User) -> bool:
    return any(matches(ban.mask, user.author.source) for ban in bans)
