"""Fixtures of peers: a relay, and people on it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.peer.people import Person
from tests.server.conftest import relay, relay_certificates, start_relay
from tests.server.relay_harness import RunningRelay

__all__ = ["relay", "relay_certificates", "start_relay"]


class Meet:
    """Brings people of these names onto the relay, who can then be reached."""

    def __init__(self, relay: RunningRelay, folder: Path) -> None:
        self.relay = relay
        self.people = contextlib.ExitStack()
        self._folder = folder

    def __call__(self, *names: str, **how: Any) -> list[Person]:
        for name in names:
            self.relay.account(name).quit()
        return [self.again(name, **how) for name in names]

    def again(self, name: str, **how: Any) -> Person:
        """Bring somebody back who has an account, with the device in their folder."""
        person = Person(self.relay, name, self._folder / name, **how)
        self.people.callback(person.close)
        return person.connect()


@pytest.fixture
def meet(relay: RunningRelay, tmp_path: Path) -> Iterator[Meet]:
    meeting = Meet(relay, tmp_path)
    with meeting.people:
        yield meeting
