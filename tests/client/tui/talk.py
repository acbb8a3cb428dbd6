"""Conversations to look at: what the tests of the list of messages say to each other."""

from __future__ import annotations

from datetime import datetime, timedelta

from securechat.client.chat.buffers import Buffer, BufferKind, Entry, EntryKind
from securechat.client.events import TextReceived

NOON = datetime(2026, 11, 27, 12, 0).astimezone()
"""A Friday, in the local time of wherever this runs."""


def clock() -> datetime:
    return NOON


def said(number: int, words: str = "") -> TextReceived:
    """What ann says in the minute ``number``; negative ones are before noon."""
    time = NOON + timedelta(minutes=number)
    msgid = f"m{number}"
    words = words or f"text {number}"
    return TextReceived("#den", "#den", "ann", None, words, "message", time, False, msgid=msgid)


def nobody(event: TextReceived) -> bool:
    return False


def talk(*numbers: int, kind: BufferKind = "room") -> Buffer:
    buffer = Buffer("#den", kind, "mentions")
    for number in numbers:
        buffer.append(buffer.text_entry(said(number), mention=False))
    return buffer


def entry(text: str = "", kind: EntryKind = "message", sender: str = "ann") -> Entry:
    made = Entry(1, kind, NOON, text)
    made.sender = sender
    return made
