"""Events as plain values: whatever comes, it is an event of ours or an error of ours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securechat.irc.modes import ModeChange
from securechat.server import events
from securechat.server.cluster.event_codec import (
    EVENTS_VERSION,
    EventFormatError,
    UnknownVersion,
    check_version,
    decode,
    encode,
)
from securechat.server.events import Event, SendMessage, Stamp
from securechat.server.rules.table import RULES
from tests.server.json_damage import damaged
from tests.server.shapes import fingerprint, shape

KINDS = sorted(
    (
        made
        for made in map(events.__dict__.get, events.__all__)
        if isinstance(made, type) and issubclass(made, Event) and made is not Event
    ),
    key=lambda made: made.__name__,
)

STAMP = Stamp((5 << 32) | 7, 1_700_000_000_000, "id1", 3)
MESSAGE = SendMessage(STAMP, "#den", "PRIVMSG", "hällo\nthere \U0001f600", {"+reply": "a\r\n"})

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=8)


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Return a strategy of what an annotation allows."""
    simple = {
        str: TEXTS,
        int: st.integers(-(1 << 63), (1 << 63) - 1),
        bool: st.booleans(),
        bytes: st.binary(max_size=8),
        NoneType: st.none(),
    }
    if hint in simple:
        return simple[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is UnionType:
        return st.one_of(*map(values, arguments))
    if origin is tuple:
        return st.lists(values(arguments[0]), max_size=3).map(tuple)
    if origin is Mapping:
        return st.dictionaries(*map(values, arguments), max_size=3)
    hints = get_type_hints(hint)
    return st.builds(hint, **{name: values(hints[name]) for name in hints})


def through_json(plain: Any) -> Any:
    return json.loads(json.dumps(plain))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_is_encoded_is_decoded(kind: type[Event]) -> None:
    @settings(max_examples=15)
    @given(values(kind))
    def check(event: Event) -> None:
        found = decode(through_json(encode(event)))
        assert type(found) is kind
        assert found == event

    check()


def test_every_event_has_a_form_and_a_rule() -> None:
    assert set(KINDS) == RULES.keys()
    for kind in KINDS:
        assert "type" not in get_type_hints(kind)


def test_the_plain_form() -> None:
    assert encode(MESSAGE) == {
        "type": "SendMessage",
        "stamp": [(5 << 32) | 7, 1_700_000_000_000, "id1", 3],
        "target": "#den",
        "kind": "PRIVMSG",
        "text": "hällo\nthere \U0001f600",
        "tags": {"+reply": "a\r\n"},
    }
    change = events.RankAccount(STAMP, "#den", "ann", ModeChange(True, "v"))
    assert encode(change)["change"] == [True, "v", None]
    assert encode(events.Announce(STAMP, b"\0\xff"))["certificate"] == "AP8="


def test_what_is_encoded_shares_nothing_with_the_event() -> None:
    tags = {"+reply": "a"}
    plain = encode(replace(MESSAGE, tags=tags))
    plain["tags"]["+reply"] = "b"
    assert tags == {"+reply": "a"}


def test_decoding_changes_nothing_that_it_is_given() -> None:
    plain = encode(MESSAGE)
    before = json.dumps(plain)
    decode(plain)
    assert json.dumps(plain) == before


class _Class(str):
    """A text that is none of JSON's."""


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"type": "Nonsense"}, "no event of this type"),
        ({"type": "Event"}, "no event of this type"),
        ({"type": "Stamp"}, "no event of this type"),
        ({"type": "NO_TAGS"}, "no event of this type"),
        ({"type": None}, "no event of this type"),
        ({"type": ["SendMessage"]}, "no event of this type"),
        ({"type": "GrantOperator"}, "GrantOperator.4 unknown names"),
        ({"more": 1}, "SendMessage.1 unknown names"),
        ({"target": 1}, "SendMessage.target: a text is wanted, not int"),
        ({"target": None}, "SendMessage.target: a text is wanted, not NoneType"),
        ({"target": _Class("#den")}, "SendMessage.target: a text is wanted, not _Class"),
        ({"target": "a\0b"}, "SendMessage.target: this text has NUL in it"),
        ({"target": "a\ud800b"}, "SendMessage.target: this text has half a character"),
        ({"kind": "QUIT"}, "SendMessage.kind: one of NOTICE, PRIVMSG, TAGMSG is wanted"),
        ({"kind": ["NOTICE"]}, "SendMessage.kind: one of NOTICE, PRIVMSG, TAGMSG is wanted"),
        ({"tags": []}, "SendMessage.tags: an object is wanted, not list"),
        ({"tags": {"a": 1}}, "SendMessage.tags: a text is wanted, not int"),
        ({"tags": {"\ud800": "a"}}, "SendMessage.tags: this text has half a character"),
        ({"stamp": {}}, "SendMessage.stamp: a list of 4 values is wanted"),
        ({"stamp": [1, 2, "a"]}, "SendMessage.stamp: a list of 4 values is wanted"),
        ({"stamp": [True, 2, "a", 0]}, "SendMessage.stamp: a whole number is wanted, not bool"),
        ({"stamp": [1.0, 2, "a", 0]}, "SendMessage.stamp: a whole number is wanted, not float"),
        ({"stamp": [1, 1 << 63, "a", 0]}, "SendMessage.stamp: this number has over 64 bits"),
    ],
)
def test_what_is_no_event_is_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(EventFormatError) as caught:
        decode({**encode(MESSAGE), **changes})
    assert problem in str(caught.value)


@pytest.mark.parametrize("plain", [None, 1, "x", [], {}, [["type", "SendMessage"]]])
def test_what_is_no_object_of_an_event_is_refused(plain: object) -> None:
    with pytest.raises(EventFormatError):
        decode(plain)


@pytest.mark.parametrize("name", ["stamp", "target", "tags"])
def test_a_missing_field_is_refused_also_one_with_a_default(name: str) -> None:
    plain = encode(MESSAGE)
    del plain[name]
    with pytest.raises(EventFormatError, match=rf"SendMessage\.{name}: missing"):
        decode(plain)


@pytest.mark.parametrize("certificate", ["A", "AA=A", "ä", "AA\n==", 1])
def test_what_is_not_base64_is_refused(certificate: object) -> None:
    with pytest.raises(EventFormatError, match=r"Announce\.certificate: "):
        decode({**encode(events.Announce(STAMP, b"x")), "certificate": certificate})


@pytest.mark.parametrize("change", [["+", "v", None], [True, "v"], [True, "v", None, 1], "+v"])
def test_what_is_no_change_of_modes_is_refused(change: object) -> None:
    plain = encode(events.SetChannelModes(STAMP, "#den", (ModeChange(True, "m"),)))
    with pytest.raises(EventFormatError, match=r"SetChannelModes\.changes: "):
        decode({**plain, "changes": [change]})


@pytest.mark.parametrize(
    "event",
    [
        replace(MESSAGE, text="\udcff"),
        replace(MESSAGE, text="\0"),
        replace(MESSAGE, stamp=STAMP._replace(at_ms=1 << 63)),
        replace(MESSAGE, target=None),
    ],
)
def test_nothing_is_encoded_that_could_not_be_decoded(event: Event) -> None:
    with pytest.raises(EventFormatError, match="SendMessage"):
        encode(event)


def test_an_error_does_not_quote_what_may_be_secret() -> None:
    plain = encode(events.GrantTunnel(STAMP, "id", "own-token", "other-token"))
    for change in ({"token": ["own-token"]}, {"token": "own-token\0"}, {"own-token": 1}):
        with pytest.raises(EventFormatError) as caught:
            decode({**plain, **change})
        assert "own-token" not in str(caught.value)


EXAMPLES = [
    MESSAGE,
    events.SetChannelModes(STAMP, "#den", (ModeChange(True, "o", "bob"), ModeChange(False, "m"))),
    events.Announce(STAMP, b"certificate"),
    events.AddBan(STAMP, "K", "*!*@*", "spam", "root", None),
    events.Watch(STAMP, ("ann", "bob")),
]


@settings(max_examples=300)
@given(st.sampled_from(EXAMPLES).flatmap(lambda event: damaged(encode(event))))
def test_of_what_was_changed_comes_an_event_or_our_error(plain: Any) -> None:
    try:
        event = decode(plain)
    except EventFormatError:
        return
    again = encode(event)
    assert decode(again) == event
    assert set(again) == set(plain)


def test_versions() -> None:
    check_version(EVENTS_VERSION)
    for version in (EVENTS_VERSION + 1, 0, True, 1.0, "1", None, [1]):
        with pytest.raises(UnknownVersion, match="the same version of securechat"):
            check_version(version)


class _Recorded(NamedTuple):
    """The shape of all events, and how many they are."""

    fingerprint: str
    events: int


RECORDED = {1: _Recorded("736b7eafcb98c2d1", events=52)}
"""By ``EVENTS_VERSION``. What was released is not changed any more."""

ADVICE = """
An event is not what it was (or there is one more, or less).
Relays that know only what it was cannot go on with the same log. So:
- has EVENTS_VERSION {version} been released? Raise it, and record {found} of the new one;
- otherwise record {found} of {version}.
"""


def test_events_are_what_their_version_says() -> None:
    found = _Recorded(fingerprint("\n".join(map(shape, KINDS))), len(KINDS))
    assert RECORDED.get(EVENTS_VERSION) == found, ADVICE.format(version=EVENTS_VERSION, found=found)
