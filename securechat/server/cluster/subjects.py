"""The subjects of the stream: what an event is, and which relays need it.

``<stream>.<kind>.<word>.<word>…`` has a word for each slot a relay may have: 1 where that relay
needs the event, 0 where it does not. So a relay receives with *one* filter, a 1 in its place and
anything in all others, all events of the state, and of what is said only what its sessions need; in
the one order of the stream.

Subjects of their own for each room would be the more usual way. But a consumer has one filter
(several only since NATS 2.10), and many consumers have no common order: relays would disagree about
whether somebody spoke before or after being put out.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from securechat.server.state import RELAY_SLOTS

__all__ = ["EVERY_SLOT", "slots_in", "state_filter", "state_subject", "talk_filter", "talk_subject"]

EVERY_SLOT: Final = (1 << RELAY_SLOTS) - 1

_SUBJECTS: Final = 4_096
"""Subjects that are remembered both ways: there are as many as sets of relays that share a room."""


def state_subject(stream: str) -> str:
    """Return the subject of an event that changes the state: every relay needs it."""
    return f"{stream}.state.{_words(EVERY_SLOT)}"


def talk_subject(stream: str, slots: int) -> str:
    """Return the subject of what is said, for the relays of some slots: a bit for each."""
    return f"{stream}.talk.{_words(slots)}"


def state_filter(stream: str) -> str:
    """Return what covers all that changes the state, and nothing else."""
    return f"{stream}.state.>"


def talk_filter(stream: str, slot: int) -> str:
    """Return what covers all that the relay of a slot needs."""
    words = ["1" if each == slot else "*" for each in range(RELAY_SLOTS)]
    return f"{stream}.*.{'.'.join(words)}"


@lru_cache(_SUBJECTS)
def slots_in(subject: str) -> int:
    """Return the slots that a subject names, a bit for each."""
    words = subject.split(".")[2:]
    return sum(1 << slot for slot, word in enumerate(words) if word == "1")


@lru_cache(_SUBJECTS)
def _words(slots: int) -> str:
    return ".".join("1" if slots >> slot & 1 else "0" for slot in range(RELAY_SLOTS))
