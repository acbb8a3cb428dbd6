"""People come, talk and go, in whatever order: who is where, and who hears what, is as foretold.

A small model of a chat says what each connection must hear of what is done next, and where everyone
is then; the relay is a whole one, in memory. Who may do what the model asks the relay: that is what
the tests of the rules are about.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from securechat.irc.message import Message
from securechat.server.config import AccountsConfig, Config, LimitsConfig
from securechat.server.rules.belonging import may_always_enter
from securechat.server.state import Channel, User
from tests.fuzzing.hearing import Hearing
from tests.fuzzing.memory_parts import PASSWORD, End, memory_database, watched_log
from tests.fuzzing.memory_relay import MemoryRelay
from tests.server.network_checks import check_state

GUESTS = ("ann", "bob", "eve")
ACCOUNTS = ("cat", "dan")
ROOMS = ("#a", "#b")
DEVICES = 2
ABILITIES = ("", "echo-message", "echo-message message-tags server-time labeled-response batch")
TOLD = frozenset({"JOIN", "PART", "QUIT", "KICK", "NICK", "PRIVMSG", "MODE"})

CONFIG = dataclasses.replace(
    Config(),
    accounts=AccountsConfig(argon2_memory_kib=8, argon2_iterations=1, always_on="off"),
    limits=LimitsConfig(commands_per_s=0.0),
)

numbers = st.integers(0, 11)


@dataclass(eq=False)
class Device:
    """A connection of a person; ``heard`` is what has come to it since it was last looked at."""

    end: End
    hearing: Hearing
    echoes: bool
    heard: list[Message] = field(default_factory=list)


@dataclass(eq=False)
class Person:
    """Somebody who is there; the model of a user."""

    nick: str
    account: str | None
    devices: list[Device] = field(default_factory=list)
    rooms: set[str] = field(default_factory=set)


@dataclass(eq=False)
class Room:
    """The model of a channel."""

    owner: str | None
    modes: set[str] = field(default_factory=lambda: {"n", "t"})
    invited: set[Person] = field(default_factory=set)


class Chat(RuleBasedStateMachine):
    """What is done, and what must come of it."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = contextlib.ExitStack()
        database = self._stack.enter_context(memory_database(*ACCOUNTS))
        self._log = self._stack.enter_context(watched_log())
        self.relay = MemoryRelay(CONFIG, database)
        self._stack.callback(lambda: self.relay.kill())
        self.people: list[Person] = []
        self.rooms: dict[str, Room] = {}
        self._devices: dict[End, Device] = {}
        self._said = 0

    def teardown(self) -> None:
        self._stack.close()
        assert not self.relay.services.network.sessions

    # ---- what is done ----

    @initialize()
    def some_gather(self) -> None:
        """Else most of what is done would be done by one person alone."""
        for name, ability in zip(("ann", "cat", "cat", "bob"), (*ABILITIES, ""), strict=True):
            (self.a_device_comes if name in ACCOUNTS else self.a_guest_comes)(name, ability)
        for number in range(len(self.people)):
            self.join(number, "#a", " k")

    @rule(name=st.sampled_from(GUESTS), ability=st.sampled_from(ABILITIES))
    def a_guest_comes(self, name: str, ability: str) -> None:
        if not any(person.nick == name for person in self.people):
            person = Person(name, None)
            self.people.append(person)
            self._come(person, ability, f"NICK {name}", f"USER {name} 0 * :{name}")

    @rule(name=st.sampled_from(ACCOUNTS), ability=st.sampled_from(ABILITIES))
    def a_device_comes(self, name: str, ability: str) -> None:
        person = next((person for person in self.people if person.account == name), None)
        if person is None:
            person = Person(name, name)
            self.people.append(person)
        if len(person.devices) < DEVICES:
            self._come(person, ability, f"PASS {name}:{PASSWORD}", f"NICK {name}", "USER u 0 * :R")

    @precondition(lambda self: self.people)
    @rule(who=numbers, name=st.sampled_from(ROOMS), key=st.sampled_from(("", " k")))
    def join(self, who: int, name: str, key: str) -> None:
        person, device = self._pick(who)
        if not self._may_join(person, name, key):
            self._do(device, f"JOIN {name}{key}", {})
            return
        if name not in person.rooms:
            room = self.rooms.setdefault(name, Room(person.account))
            room.invited.discard(person)
            person.rooms.add(name)
            told = self._in(name)
        else:
            told = []
        self._do(device, f"JOIN {name}{key}", self._all_hear(told, "JOIN", person.nick, name))

    @precondition(lambda self: self._members())
    @rule(who=numbers)
    def part(self, who: int) -> None:
        person, name = self._pick_member(who)
        told = self._all_hear(self._in(name), "PART", person.nick, name)
        self._leave(person, name)
        self._do(self._device(person, who), f"PART {name}", told)

    @precondition(lambda self: self.people)
    @rule(who=numbers, name=st.sampled_from(ROOMS))
    def say_in_room(self, who: int, name: str) -> None:
        person, device = self._pick(who)
        self._said += 1
        told = {}
        if name in self.rooms and self._may_speak(person, name):
            told = self._all_hear(self._in(name), "PRIVMSG", person.nick, name, f"m{self._said}")
            if not device.echoes:
                told.pop(device, None)
            elif name not in person.rooms:
                told[device] = [("PRIVMSG", person.nick, name, f"m{self._said}")]
        self._do(device, f"PRIVMSG {name} m{self._said}", told)

    @precondition(lambda self: self.people)
    @rule(who=numbers, whom=numbers)
    def say_to_person(self, who: int, whom: int) -> None:
        (person, device), (other, _) = self._pick(who), self._pick(whom)
        self._said += 1
        message = "PRIVMSG", person.nick, other.nick, f"m{self._said}"
        told = self._all_hear([other], *message)
        if other is not person:
            told |= self._all_hear([person], *message)
            told.pop(device)
        if device.echoes:
            told[device] = [*told.get(device, []), message]
        self._do(device, f"PRIVMSG {other.nick} m{self._said}", told)

    @precondition(lambda self: self._members())
    @rule(who=numbers, mode=st.sampled_from(("+m", "-m", "+k", "-k", "+i", "-i", "-n", "+n")))
    def set_mode(self, who: int, mode: str) -> None:
        person, name = self._pick_member(who)
        modes, letter = self.rooms[name].modes, mode[1]
        told = {}
        if self._has_rank(person, name, "o") and (letter in modes) != (mode[0] == "+"):
            modes ^= {letter}
            param = ("k" if mode[0] == "+" else "*",) if letter == "k" else ()
            told = self._all_hear(self._in(name), "MODE", person.nick, name, mode, *param)
        key = " k" if letter == "k" else ""
        self._do(self._device(person, who), f"MODE {name} {mode}{key}", told)

    @precondition(lambda self: self._members())
    @rule(who=numbers, whom=numbers, mode=st.sampled_from(("+o", "-o", "+v", "-v")))
    def set_rank(self, who: int, whom: int, mode: str) -> None:
        person, name = self._pick_member(who)
        other = self._in(name)[whom % len(self._in(name))]
        ranks = self._channel(name).members[self._user(other).id].ranks
        told = {}
        changes = (mode[1] in ranks) != (mode[0] == "+")
        if self._has_rank(person, name, "o") and self._outranks(person, other, name, mode):
            if changes:
                told = self._all_hear(self._in(name), "MODE", person.nick, name, mode, other.nick)
            self._do(self._device(person, who), f"MODE {name} {mode} {other.nick}", told)

    @precondition(lambda self: self._members())
    @rule(who=numbers, whom=numbers)
    def kick(self, who: int, whom: int) -> None:
        person, name = self._pick_member(who)
        other = self._in(name)[whom % len(self._in(name))]
        told = {}
        if self._has_rank(person, name, "h") and self._outranks(person, other, name, "kick"):
            told = self._all_hear(self._in(name), "KICK", person.nick, name, other.nick)
            self._leave(other, name)
            self._do(self._device(person, who), f"KICK {name} {other.nick}", told)

    @precondition(lambda self: self._members())
    @rule(who=numbers, whom=numbers)
    def invite(self, who: int, whom: int) -> None:
        person, name = self._pick_member(who)
        other, _ = self._pick(whom)
        if name not in other.rooms and self._has_rank(person, name, "h"):
            self.rooms[name].invited.add(other)
        self._do(self._device(person, who), f"INVITE {other.nick} {name}", {})

    @precondition(lambda self: self.people)
    @rule(who=numbers)
    def change_nick(self, who: int) -> None:
        person, device = self._pick(who)
        if person.account is None:
            old, person.nick = (
                person.nick,
                f"{person.nick.rstrip('_')}{'_' * (not person.nick.endswith('_'))}",
            )
            if any(other.nick == person.nick for other in self.people if other is not person):
                person.nick = old
                return
            told = self._all_hear([person, *self._audience(person)], "NICK", old, person.nick)
            self._do(device, f"NICK {person.nick}", told)

    @precondition(lambda self: len(self.people) > 2)
    @rule(who=numbers, how=st.sampled_from(("quit", "vanish")))
    def go(self, who: int, how: str) -> None:
        person, device = self._pick(who)
        person.devices.remove(device)
        told = {}
        if not person.devices:
            told = self._all_hear(self._audience(person), "QUIT", person.nick)
            self.people.remove(person)
            for name in [*person.rooms]:
                self._leave(person, name)
            for room in self.rooms.values():
                room.invited.discard(person)
        if how == "vanish":
            device.end.vanish()
        else:
            device.end.send(b"QUIT\r\n")
        self._expect(told)
        assert not device.end.open

    @precondition(lambda self: self._said > 5)
    @rule(killed=st.booleans())
    def restart(self, killed: bool) -> None:
        if killed:
            self.relay.kill()
        else:
            self.relay.stop(lambda end, data: None)
        self.relay.restart()
        self.people.clear()
        self._devices.clear()
        self.rooms = {name: room for name, room in self.rooms.items() if room.owner is not None}
        for room in self.rooms.values():
            room.invited.clear()
        self._said = 0
        self.everybody_is_where_they_are()
        self.some_gather()

    # ---- what must hold ----

    @invariant()
    def everybody_is_where_they_are(self) -> None:
        network = self.relay.services.network
        check_state(network)
        self.relay.check_mishaps()
        assert not self._log.errors
        assert {user.nick for user in network.users.values()} == {p.nick for p in self.people}
        assert {
            name: sorted(member.user.nick for member in channel.members.values())
            for name, channel in network.channels.items()
        } == {name: sorted(person.nick for person in self._in(name)) for name in self.rooms}
        for name, room in self.rooms.items():
            assert set(network.channels[name].modes) == room.modes
            assert network.channels[name].owner == room.owner
        for person in self.people:
            assert len(self._user(person).sessions) == len(person.devices)
            for device in person.devices:
                assert device.hearing.nick == person.nick
                assert device.hearing.channels == person.rooms

    # ---- doing, and looking at what has come of it ----

    def _come(self, person: Person, ability: str, *lines: str) -> None:
        end = self.relay.connect()
        assert end is not None
        device = Device(end, Hearing(self.relay.services.network.fold), "echo" in ability)
        self._devices[end] = device
        person.devices.append(device)
        asked = [f"CAP REQ :{ability}", *lines, "CAP END"] if ability else lines
        end.send("".join(f"{line}\r\n" for line in asked).encode())
        self._expect({device: [("JOIN", person.nick, name) for name in sorted(person.rooms)]})

    def _do(self, device: Device, line: str, told: dict[Device, list[tuple[str, ...]]]) -> None:
        device.end.send(f"{line}\r\n".encode())
        self._expect(told)

    def _expect(self, told: dict[Device, list[tuple[str, ...]]]) -> None:
        """Have it done, and check that each device has heard just what was foretold."""

        def hear(end: End, data: bytes) -> None:
            device = self._devices[end]
            session = end.session
            allowed = session.caps if session is not None else 0
            device.heard += device.hearing.hear(data, allowed)

        self.relay.settle(hear)
        expected = {
            device: Counter(told.get(device, []))
            for person in self.people
            for device in person.devices
        }
        found = {
            device: Counter(_short(message) for message in device.heard if message.command in TOLD)
            for device in expected
        }
        for device in expected:
            # That ranks are given back to who comes in is not what is looked at here.
            if not any(message[0] == "MODE" for message in expected[device]):
                found[device] = Counter(
                    {key: n for key, n in found[device].items() if key[0] != "MODE"}
                )
            device.heard.clear()
        assert found == expected

    # ---- the model ----

    def _pick(self, number: int) -> tuple[Person, Device]:
        person = self.people[number % len(self.people)]
        return person, self._device(person, number)

    def _device(self, person: Person, number: int) -> Device:
        return person.devices[number % len(person.devices)]

    def _members(self) -> list[tuple[Person, str]]:
        return [(person, name) for person in self.people for name in sorted(person.rooms)]

    def _pick_member(self, number: int) -> tuple[Person, str]:
        members = self._members()
        return members[number % len(members)]

    def _in(self, name: str) -> list[Person]:
        return [person for person in self.people if name in person.rooms]

    def _audience(self, person: Person) -> list[Person]:
        return [p for p in self.people if p is not person and p.rooms & person.rooms]

    def _all_hear(
        self, people: Iterable[Person], *message: str
    ) -> dict[Device, list[tuple[str, ...]]]:
        return {device: [message] for person in people for device in person.devices}

    def _leave(self, person: Person, name: str) -> None:
        person.rooms.discard(name)
        if not self._in(name) and self.rooms[name].owner is None:
            del self.rooms[name]

    def _may_join(self, person: Person, name: str, key: str) -> bool:
        room = self.rooms.get(name)
        if room is None or name in person.rooms or person in room.invited:
            return True
        channel, user = self._channel(name), self._user(person)
        if may_always_enter(self.relay.services.network, channel, user):
            return True
        return "i" not in room.modes and ("k" not in room.modes or key != "")

    def _may_speak(self, person: Person, name: str) -> bool:
        modes = self.rooms[name].modes
        if name not in person.rooms:
            return not modes & {"n", "m"}
        member = self._channel(name).members[self._user(person).id]
        return "m" not in modes or bool(member.ranks)

    # ---- what only the relay knows ----

    def _user(self, person: Person) -> User:
        user = self.relay.services.network.find_user(person.nick)
        assert user is not None
        return user

    def _channel(self, name: str) -> Channel:
        return self.relay.services.network.channels[name]

    def _rank(self, person: Person, name: str) -> int:
        ranks = self._channel(name).ranks(self._user(person))
        return max(["vhoaq".index(rank) + 1 for rank in ranks], default=0)

    def _has_rank(self, person: Person, name: str, least: str) -> bool:
        return self._rank(person, name) > "vhoaq".index(least)

    def _outranks(self, person: Person, other: Person, name: str, what: str) -> bool:
        """Whether it is sure that one may do this to the other: the rules have the finer points."""
        if self.rooms[name].owner is not None and other.account == self.rooms[name].owner:
            return person is other and what != "kick"
        return self._rank(person, name) >= self._rank(other, name)


def _short(message: Message) -> tuple[str, ...]:
    if message.command == "QUIT":
        return ("QUIT", message.nick)
    return (message.command, message.nick, *message.params[: 2 if message.command == "KICK" else 4])


TestChat = Chat.TestCase
TestChat.settings = settings(max_examples=30, stateful_step_count=50)
