"""Who is where: the channels that we are in and their members, as the server has told us."""

from __future__ import annotations

from dataclasses import dataclass, field

from securechat.client.events import MemberSnapshot
from securechat.irc.isupport import Isupport

__all__ = ["Channel", "Member", "Roster"]


@dataclass(slots=True)
class Member:
    """One member of one channel. Owned by the roster's thread."""

    nick: str
    ranks: set[str] = field(default_factory=set)  # mode letters
    away: bool = False


@dataclass(slots=True)
class Channel:
    """A channel that we are in. Owned by the roster's thread."""

    name: str
    topic: str = ""
    members: dict[str, Member] = field(default_factory=dict)  # folded nick → member
    incoming: dict[str, Member] | None = None  # a list of names that is not complete yet
    complete: bool = False  # the names have been received once since we joined


class Roster:
    """The channels that we are in. Owned by the thread of its connection.

    Names are compared as ``isupport`` says. A name that nobody told us of is no error: servers
    differ, and a lost message must not break the rest.
    """

    def __init__(self, isupport: Isupport) -> None:
        self._isupport = isupport
        self._channels: dict[str, Channel] = {}

    def names(self) -> tuple[str, ...]:
        """Return the names of the channels that we are in."""
        return tuple(channel.name for channel in self._channels.values())

    def channel(self, name: str) -> Channel | None:
        """Return the channel, ``None`` when we are not in it."""
        return self._channels.get(self._isupport.fold(name))

    def people(self, name: str) -> int:
        """Return how many members a channel has, 0 when we are not in it."""
        channel = self.channel(name)
        return len(channel.members) if channel else 0

    def open(self, name: str) -> None:
        """We have joined a channel; its members are not known yet."""
        self._channels[self._isupport.fold(name)] = Channel(name)

    def close(self, name: str) -> None:
        """We have left a channel."""
        self._channels.pop(self._isupport.fold(name), None)

    def add(self, name: str, nick: str) -> None:
        """Somebody has joined."""
        channel = self.channel(name)
        if channel:
            key = self._isupport.fold(nick)
            channel.members.setdefault(key, Member(nick, away=self._is_away(key)))

    def remove(self, name: str, nick: str) -> None:
        """Somebody has left."""
        channel = self.channel(name)
        if channel:
            channel.members.pop(self._isupport.fold(nick), None)

    def remove_everywhere(self, nick: str) -> tuple[tuple[str, int], ...]:
        """Somebody has left the network; return the channels it was in, with who remains."""
        key = self._isupport.fold(nick)
        left = []
        for channel in self._channels.values():
            if channel.members.pop(key, None):
                left.append((channel.name, len(channel.members)))
        return tuple(left)

    def rename_channel(self, old: str, new: str) -> None:
        """A channel has another name; its members stay."""
        channel = self._channels.pop(self._isupport.fold(old), None)
        if channel:
            channel.name = new
            self._channels[self._isupport.fold(new)] = channel

    def rename(self, old: str, new: str) -> tuple[str, ...]:
        """Somebody has another nick; return the channels where they are."""
        found = []
        for channel in self._channels.values():
            member = channel.members.pop(self._isupport.fold(old), None)
            if member:
                member.nick = new
                channel.members[self._isupport.fold(new)] = member
                found.append(channel.name)
        return tuple(found)

    def set_away(self, nick: str, *, away: bool) -> None:
        """Somebody is away, or back."""
        key = self._isupport.fold(nick)
        for channel in self._channels.values():
            if key in channel.members:
                channel.members[key].away = away

    def set_rank(self, name: str, nick: str, letter: str, *, held: bool) -> None:
        """Somebody was given a rank or lost it."""
        channel = self.channel(name)
        member = channel.members.get(self._isupport.fold(nick)) if channel else None
        if member and held:
            member.ranks.add(letter)
        elif member:
            member.ranks.discard(letter)

    def names_line(self, name: str, entries: list[str]) -> bool:
        """Take one line of names (``@alice``, ``+bob!user@host``); false if we are not there."""
        channel = self.channel(name)
        if channel is None:
            return False
        if channel.incoming is None:
            channel.incoming = {}
        letters = {mark: letter for letter, mark in self._isupport.prefixes.items()}
        for entry in entries:
            ranks = set()
            while entry and entry[0] in letters:
                ranks.add(letters[entry[0]])
                entry = entry[1:]
            nick = entry.partition("!")[0]
            if nick:
                key = self._isupport.fold(nick)
                channel.incoming[key] = Member(nick, ranks, self._is_away(key))
        return True

    def names_end(self, name: str) -> bool | None:
        """The list of names is complete. Return whether it is the first since we joined.

        ``None`` when we are not in the channel.
        """
        channel = self.channel(name)
        if channel is None:
            return None
        if channel.incoming is not None:
            channel.members, channel.incoming = channel.incoming, None
        first = not channel.complete
        channel.complete = True
        return first

    def snapshot(self, name: str) -> tuple[MemberSnapshot, ...]:
        """Return the members of a channel, by rank and then by nick."""
        channel = self.channel(name)
        if channel is None:
            return ()
        marks = self._isupport.prefixes
        order = list(marks.values())
        found = [
            MemberSnapshot(
                member.nick,
                "".join(mark for letter, mark in marks.items() if letter in member.ranks),
                member.away,
            )
            for member in channel.members.values()
        ]
        return tuple(
            sorted(
                found,
                key=lambda member: (
                    order.index(member.marks[0]) if member.marks else len(order),
                    self._isupport.fold(member.nick),
                ),
            )
        )

    def _is_away(self, key: str) -> bool:
        return any(
            channel.members[key].away
            for channel in self._channels.values()
            if key in channel.members
        )
