"""A snapshot and the events after it equal the whole."""

from __future__ import annotations

import copy
import dataclasses
import zlib
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securechat.server import events, snapshot
from securechat.server.bans import AddressBans, Ban, Bans
from securechat.server.events import Event, Stamp
from securechat.server.lookalikes import Lookalikes
from securechat.server.names import ASCII_NAMES, Names
from securechat.server.network import Network, NetworkLimits
from securechat.server.refusals import Fail, NickReserved, Refusal
from securechat.server.snapshot import (
    SNAPSHOT_VERSION,
    SnapshotError,
    digest,
    digest_of,
    from_bytes,
    restore,
    take_snapshot,
    to_bytes,
)
from securechat.server.state import (
    AnnouncedDevice,
    Channel,
    Device,
    ListEntry,
    Membership,
    Pair,
    Relay,
    User,
    WhowasEntry,
)
from tests.properties import test_network_properties, test_peer_properties
from tests.properties.test_network_properties import World, shown
from tests.server.json_damage import damaged
from tests.server.network_checks import check_state
from tests.server.network_transcripts import LIMITS, Chat, parse_event
from tests.server.shapes import fingerprint, shape
from tests.server.test_names import NAMES

# ---- all that a network is, found without its snapshot ----

MADE_ANEW = {"nicks", "reachable", "pairs_of", "owned_rooms", "mode_counts"}
"""What is made of the rest: its order matters to nobody."""


def everything(network: Network) -> dict[str, Any]:
    """Return whatever is in a network, and in which order, down to the last attribute."""
    return {
        name: _as_found(value, name not in MADE_ANEW)
        for name, value in vars(network).items()
        if name not in ("names", "fold", "users", "channels")
    } | {
        "users": [_fields_of(user, "active_ms") for user in network.users.values()],
        "channels": [_fields_of(channel, "_verdicts") for channel in network.channels.values()],
    }


def _fields_of(value: Any, but: str) -> dict[str, Any]:
    names = [field.name for field in dataclasses.fields(value) if field.name != but]
    return {name: _as_found(getattr(value, name)) for name in names}


def _as_found(value: Any, ordered: bool = True) -> Any:
    match value:
        case User():
            return ("user", value.id)
        case Channel():
            return ("channel", value.uid)
        case Counter():
            return dict(+value)
        case dict():
            found = [(key, _as_found(each)) for key, each in value.items()]
            return found if ordered else dict(found)
        case list():
            return [_as_found(each) for each in value]
        case deque():
            return (value.maxlen, list(value))
        case Bans() | AddressBans() | Lookalikes():
            kept = {key: each for key, each in vars(value).items() if not callable(each)}
            return {
                key: _as_found(each, not isinstance(value, Lookalikes))
                for key, each in kept.items()
                if not isinstance(each, Names)
            }
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, NetworkLimits):
            return _fields_of(value, "")
        case tuple() | set() | frozenset() | str() | int() | None | NetworkLimits():
            return value
    raise AssertionError(f"what of {value!r}?")


def restored(network: Network) -> Network:
    """Return a network that is what ``network`` was, by way of bytes."""
    other = Network(LIMITS, network.names)
    restore(other, from_bytes(to_bytes(take_snapshot(network))))
    return other


def check_alike(network: Network, other: Network) -> None:
    assert everything(other) == everything(network)
    assert take_snapshot(other) == take_snapshot(network)
    assert digest(other) == digest(network)


# ---- any events, and then others ----


def _of_relays(number: int, world: World) -> Event | None:
    """Return an event of the relays themselves, now and then."""
    stamp, name = Stamp(0, world.count, f"relay{world.count}"), f"relay{number % 3}"
    match number % 16:
        case 0 | 1 | 2:
            return events.RelayStarted(stamp, name, "relay.test:6697", number)
        case 3:
            known = world.network.relays.get(name)
            return events.RelayLost(stamp, name, known.incarnation if known else 0, "lost")
    return None


def _outcome(network: Network, event: Event) -> Any:
    try:
        found = network.apply(event)
    except (Refusal, Fail) as refusal:
        return shown(refusal)
    known = [effect for effect in found if not type(effect).__name__.startswith("Relay")]
    return [*shown(known), *map(repr, (type(effect) for effect in found))]


def _check_tail(storm: list[Event], cut: int) -> None:
    world = World()
    others: list[Network] = []
    for number, wanted in enumerate(storm):
        if number == cut:
            others.append(restored(world.network))
            check_alike(world.network, others[0])
            check_state(others[0])
        for event in (_of_relays(number * 7, world), world.fit(wanted)):
            if event is not None:
                outcome = _outcome(world.network, event)
                assert [_outcome(other, event) for other in others] == [outcome] * len(others)
    for other in others:
        check_alike(world.network, other)


@settings(max_examples=60)
@given(test_network_properties.storms, st.integers(0, 250))
def test_a_snapshot_and_the_tail_equal_the_whole(storm: list[Event], cut: int) -> None:
    _check_tail(storm, cut % len(storm))


@settings(max_examples=40)
@given(test_peer_properties.storms, st.integers(0, 250))
def test_so_they_do_with_peers(storm: list[Event], cut: int) -> None:
    _check_tail(storm, cut % len(storm))


# ---- what is in there ----

LINES = """
0 account ann
0 account bob
0 account eve
0 set eve always-on on
0 restore eve 5
1 attach ann as ann away out
2 attach bob as bob from 192.0.2.1
3 attach guest
4 attach ann as ann
5 attach root
5 oper
5 host bob a.host
3 publish * colour red
3 read #den 7
3 umode +iw
3 accept bob
1 publish * avatar cat.png
1 read #den 9
1 subscribe avatar colour
2 subscribe colour
1 watch bob guest
2 watch Guest
1 join #den
1 topic #den hello
1 mode #den +ntb x!*@*
1 mode #den +k key
1 rank #den bob +v
1 retain #den 7
1 publish #den url x
1 invite #den eve
2 join #den key
3 join #hall
2 join #hall
1 rename #den #yard why
1 announce ann's
4 announce ann's-other
2 announce bob's
2 offer ann * one
1 offer bob * two
2 answer two
0 kline 60 x!*@* spam
0 dline - 198.51.100.0/24 spam
0 close zoe x
6 attach passing
6 nick passing-by
6 detach bye
"""


def full_chat(names: Names = ASCII_NAMES) -> Chat:
    """Return a chat in which there is something of everything."""
    chat = Chat(names=names)
    for line in LINES.strip().splitlines():
        chat.network.apply(parse_event(line, chat.now_ms))
        chat.now_ms += 1
    network = chat.network
    network.apply(events.RelayStarted(Stamp(0, chat.now_ms, "r"), "relay", "relay.test:6697", 99))
    network.present_before["eve"] = [network.channels["#yard"]]
    network.log_hash = 8
    return chat


def test_there_is_something_of_everything() -> None:
    network = full_chat().network
    plain = take_snapshot(network)
    assert [name for name, value in plain.items() if not value] == []
    assert any(pair.answerer for pair in network.pairs.values())
    assert any(pair.offered for pair in network.pairs.values())
    for made, some in ((User, plain["users"]), (Channel, plain["channels"])):
        for name in some[0]:
            assert any(each[name] for each in some), f"no {made.__name__} has {name}"
    check_alike(network, restored(network))
    check_state(restored(network))


def test_whatever_a_network_is_made_of_is_in_a_snapshot_or_made_anew() -> None:
    kept = take_snapshot(Network(LIMITS)).keys() - {"version"}
    anew = MADE_ANEW | {"fold", "_similar_nicks", "_similar_accounts"}
    assert vars(Network(LIMITS)).keys() == kept | anew, "say in snapshot.py what becomes of it"


def test_when_somebody_was_active_is_not_known_from_a_snapshot() -> None:
    chat = full_chat()
    before = digest(chat.network)
    chat.network.apply(parse_event("2 privmsg #yard hi", chat.now_ms))
    bob = chat.user("bob")
    assert bob.active_ms == chat.now_ms
    assert digest(chat.network) == before
    other = restored(chat.network).find_user("bob")
    assert other is not None
    assert other.active_ms == other.connected_ms == bob.connected_ms


def test_order_is_part_of_the_state() -> None:
    first, second = Chat(), Chat()
    for chat, order in ((first, (1, 2)), (second, (2, 1))):
        for number in (1, 2):
            chat.network.apply(parse_event(f"{number} attach p{number}", 1))
        for number in order:
            chat.network.apply(parse_event(f"{number} watch somebody", 2))
    assert digest(first.network) != digest(second.network)


def test_those_who_left_first_are_still_the_first() -> None:
    chat = Chat()
    for number, name in ((1, "ann"), (2, "bob")):
        for line in (
            f"0 account {name}",
            f"0 set {name} always-on on",
            f"{number} attach {name} as {name}",
        ):
            chat.network.apply(parse_event(line, 1))
    for number in (2, 1):
        chat.network.apply(parse_event(f"{number} detach bye", 2))
    other = restored(chat.network)
    assert list(other.gone) == [2, 1]
    check_alike(chat.network, other)


def test_a_snapshot_shares_nothing_with_the_network() -> None:
    chat = full_chat()
    plain = take_snapshot(chat.network)
    before = copy.deepcopy(plain)
    for line in (
        "1 mode #yard +m",
        "3 part #hall",
        "2 away x",
        "1 unsubscribe avatar",
        "4 retract",
    ):
        chat.network.apply(parse_event(line, chat.now_ms))
    for session in list(chat.network.sessions):
        chat.network.apply(parse_event(f"{session} detach bye", chat.now_ms))
    assert plain == before
    other = Network(LIMITS)
    restore(other, plain)
    other.apply(parse_event("1 mode #yard +m", chat.now_ms))
    assert plain == before


def test_a_network_that_was_in_use_forgets_what_it_was() -> None:
    network = full_chat().network
    other = Chat(dataclasses.replace(LIMITS, whowas_entries=1, monitored_nicks=9))
    other.play(">> 8 attach somebody\n>> 8 join #elsewhere\n<< joined #elsewhere somebody")
    restore(other.network, take_snapshot(network))
    check_alike(network, other.network)
    assert other.network.limits == LIMITS
    empty = Network(LIMITS)
    restore(other.network, take_snapshot(empty))
    check_alike(empty, other.network)


def test_what_looks_alike_is_still_refused() -> None:
    network = full_chat(NAMES).network
    other = restored(network)
    check_alike(network, other)
    event = parse_event("9 attach b\u043eb", 10)  # Cyrillic
    for each in (network, other):
        with pytest.raises(NickReserved):
            each.apply(event)


def test_nobody_is_put_back_into_a_room_that_has_ended() -> None:
    chat = Chat()
    for line in ("0 account eve", "0 set eve always-on on", "1 attach ann as ann", "1 join #den"):
        chat.network.apply(parse_event(line, 1))
    chat.network.present_before["eve"] = [chat.channel("#den")]
    for line in ("1 drop #den", "1 part #den bye"):
        chat.network.apply(parse_event(line, 2))
    other = restored(chat.network)
    for network in (chat.network, other):
        network.apply(parse_event("0 restore eve 1", 3))
        check_state(network)
    check_alike(chat.network, other)


# ---- what is no snapshot ----


def refused(plain: Any, network: Network | None = None) -> str:
    """Have a snapshot refused; return why."""
    into = network or full_chat().network
    before = everything(into)
    with pytest.raises(SnapshotError) as caught:
        restore(into, plain)
    assert everything(into) == before
    return str(caught.value)


def test_another_version_is_refused() -> None:
    plain = take_snapshot(Network(LIMITS))
    text = refused({**plain, "version": SNAPSHOT_VERSION + 1})
    assert "the same version of securechat" in text
    for version in (None, True, "1"):
        assert "version" in refused({**plain, "version": version})


@pytest.mark.parametrize(("there", "here"), [(ASCII_NAMES, NAMES), (NAMES, ASCII_NAMES)])
def test_another_casemapping_is_refused(there: Names, here: Names) -> None:
    plain = take_snapshot(Network(LIMITS, there))
    assert "[server] casemapping" in refused(plain, Network(LIMITS, here))


def _twice(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda plain: plain[name].append(copy.deepcopy(plain[name][0]))


DAMAGES: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a user twice": (_twice("users"), "users: one is there twice"),
    "a channel twice": (_twice("channels"), "channels: one is there twice"),
    "a session twice": (_twice("sessions"), "sessions: something is there twice"),
    "a session of nobody": (lambda p: p["sessions"][0].__setitem__(1, 99), "is not there"),
    "gone and there": (lambda p: p["gone"].append(1), "gone: this does not agree"),
    "gone and unknown": (lambda p: p["gone"].append(99), "is not there"),
    "no device": (lambda p: p["devices"].pop(), "devices: this does not agree"),
    "no member": (lambda p: p["channels"][0]["members"].pop(), "members: this does not agree"),
    "not in there": (lambda p: p["users"][1]["channels"].pop(), "members: this does not agree"),
    "in no channel": (lambda p: p["users"][1]["channels"].append("#x"), "is not there"),
    "no watcher": (lambda p: p["watchers"].popitem(), "monitors: this does not agree"),
    "no subscriber": (lambda p: p["subscribers"].popitem(), "subscriptions: this does not"),
    "announced by nobody": (lambda p: p["announced"][0].__setitem__(0, 99), "announced: this"),
    "a pair of nobody": (lambda p: p["pairs"]["one"].__setitem__(0, 99), "pairs: this"),
    "no lists": (lambda p: p["channels"][0]["lists"].clear(), "channels: a list is missing"),
    "of no network": (lambda p: p["bans"][1].__setitem__(1, "x"), "bans: one is of no network"),
    "limits": (lambda p: p["limits"].__setitem__(4, -1), "limits: a number is below 0"),
    "missing": (lambda p: p.pop("gone"), "gone: missing"),
    "unknown": (lambda p: p.update(x=1), "1 unknown names"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_does_not_agree_is_refused(name: str) -> None:
    damage, problem = DAMAGES[name]
    plain = take_snapshot(full_chat().network)
    damage(plain)
    assert problem in refused(plain)


@settings(max_examples=300)
@given(damaged(take_snapshot(full_chat().network)))
def test_of_what_was_changed_comes_a_network_or_our_error(plain: Any) -> None:
    network = Network(LIMITS)
    try:
        restore(network, plain)
    except SnapshotError:
        assert everything(network) == everything(Network(LIMITS))
    else:
        check_alike(network, restored(network))


# ---- bytes ----


def test_bytes() -> None:
    plain = take_snapshot(full_chat().network)
    assert from_bytes(to_bytes(plain)) == plain
    assert digest_of(from_bytes(to_bytes(plain))) == digest_of(plain)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "cut off"),
        (b"nonsense", "damaged"),
        (zlib.compress(b"{}")[:-1], "cut off"),
        (zlib.compress(b"{}")[:-1] + b"x", "damaged"),
        (zlib.compress(b"{"), "damaged"),
        (zlib.compress(b"\xff"), "damaged"),
        (zlib.compress(b"[]"), "damaged"),
        (zlib.compress(b"[" * 100_000), "damaged"),
        (zlib.compress(b"9" * 5_000), "damaged"),
    ],
)
def test_what_is_no_snapshot_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(SnapshotError, match=problem):
        from_bytes(data)


def test_no_snapshot_is_larger_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = take_snapshot(full_chat().network)
    packed = to_bytes(plain)
    size = len(zlib.decompress(packed))
    monkeypatch.setattr(snapshot, "SNAPSHOT_BYTES", size)
    assert from_bytes(to_bytes(plain)) == plain
    monkeypatch.setattr(snapshot, "SNAPSHOT_BYTES", size - 1)
    with pytest.raises(SnapshotError, match=f"over {size - 1} bytes"):
        to_bytes(plain)
    with pytest.raises(SnapshotError, match=f"over {size - 1} bytes"):
        from_bytes(packed)


def test_half_a_character_is_an_error_of_ours() -> None:
    plain = take_snapshot(full_chat().network)
    plain["users"][0]["realname"] = "\udcff"
    with pytest.raises(SnapshotError, match="half a character"):
        to_bytes(plain)


# ---- its version ----

RECORDED = {1: "12136d35df16621e"}
"""The shape of a snapshot by ``SNAPSHOT_VERSION``. What was released is not changed any more."""

ADVICE = """
A snapshot is not what it was, as something that it is made of has changed.
- Has SNAPSHOT_VERSION {version} been released? Raise it, and record {found} of the new one;
- otherwise record {found} of {version}.
"""


def test_a_snapshot_is_what_its_version_says() -> None:
    kinds = (NetworkLimits, AnnouncedDevice, Ban, Device, ListEntry, Pair, Relay, WhowasEntry)
    parts = [*map(shape, kinds), *sorted(take_snapshot(Network(LIMITS)))]
    for made in (User, Channel, Membership):
        hints = get_type_hints(made)
        parts += [f"{field.name}:{hints[field.name]}" for field in dataclasses.fields(made)]
    found = fingerprint("\n".join(parts))
    assert RECORDED.get(SNAPSHOT_VERSION) == found, ADVICE.format(
        version=SNAPSHOT_VERSION, found=found
    )
