"""Who may read what: what strangers cannot make long."""

from __future__ import annotations

from pathlib import Path

from securechat.server.history.access import GUESTS_MOST, own_conversations
from securechat.server.history.entries import direct_conversation
from securechat.store.database import open_database
from securechat.store.history import Entry, History


def said(number: int, other: str) -> Entry:
    conversation = direct_conversation("ann", other)
    return Entry(
        conversation, f"m{number}", number, "PRIVMSG", f"{other}!x@y", other, None, "ann", "hi", ""
    )


def test_a_stranger_of_many_nicks_hides_no_account(tmp_path: Path) -> None:
    """All accounts are there, and as many guests as may be, the latest."""
    connection = open_database(tmp_path / "history.db")
    history = History(connection)
    people = ["bob", "~carl", *(f"~x{number}" for number in range(GUESTS_MOST)), "dora"]
    history.add(said(number, who) for number, who in enumerate(people))
    expected = [direct_conversation("ann", who) for who in people if who != "~carl"]
    assert own_conversations(history, "ann") == expected
    connection.close()
