"""What a bot may rely on."""

from __future__ import annotations

import dataclasses
import typing

import securechat.client
from securechat.client import events
from tests.values import check_value


def test_all_is_exported_and_documented() -> None:
    for name in securechat.client.__all__:
        thing = getattr(securechat.client, name)
        if isinstance(thing, type):
            assert thing.__doc__, name


def test_every_event_is_exported_a_value_and_part_of_event() -> None:
    kinds = set(typing.get_args(events.Event))
    for name in events.__all__:
        thing = getattr(events, name)
        if thing is events.PeerSignalled:
            continue  # the client takes it itself
        assert name in securechat.client.__all__
        if isinstance(thing, type) and name != "MemberSnapshot":
            assert thing in kinds
            assert dataclasses.fields(thing)
            check_value(thing)


def test_what_peers_tell_is_exported() -> None:
    for kind in typing.get_args(events.Event):
        assert kind is events.PeerSignalled or kind.__name__ in securechat.client.__all__
