from __future__ import annotations

from pathlib import Path

import pytest

from securechat.client.chat.buffers import EntryState, FileState, Presence
from securechat.client.tui.entry_words import (
    deleted_words,
    file_words,
    presence_words,
    reactions_words,
    state_words,
)
from tests.client.tui.talk import entry


@pytest.mark.parametrize(
    ("state", "reason", "words"),
    [
        ("", "", ""),
        ("sent", "", "…"),
        ("waiting", "", "⏳ waiting for the connection"),
        ("unsure", "", "⚠ not known whether it arrived: choose it to send it again"),
        ("refused", "", "✗ not sent"),
        ("refused", "you are {banned}", "✗ not sent: you are {banned}"),
    ],
)
def test_what_became_of_a_text(state: EntryState, reason: str, words: str) -> None:
    text = entry("hello")
    text.state, text.reason = state, reason
    assert state_words(text) == words


@pytest.mark.parametrize(
    ("reason", "words"),
    [("", "message deleted by op"), ("spam", "message deleted by op: spam")],
)
def test_a_deleted_text(reason: str, words: str) -> None:
    text = entry()
    text.redacted_by, text.reason = "op", reason
    assert deleted_words(text) == words


def test_who_reacted() -> None:
    text = entry("hello")
    text.reactions = {"👍": ["ann", "me"], "x" * 30: ["bob"], ":)": list("abcdefg")}
    assert reactions_words(text, "me") == [
        ("👍 2 (you, ann)", True),
        (f"{'x' * 19}… 1 (bob)", False),
        (":) 7 (a, b, c, d, e and 2 more)", False),
    ]
    assert reactions_words(entry(), "me") == []


@pytest.mark.parametrize(
    ("presences", "people", "words"),
    [
        (
            [
                Presence("joined", "ann"),
                Presence("left", "carl", "lunch"),
                Presence("joined", "bob"),
                Presence("renamed", "dave", "dan"),
            ],
            12,
            "→ ann, bob joined · ← carl left: lunch · dave is now dan (12 people)",
        ),
        (
            [Presence("quit", "ann", "bye"), Presence("quit", "bob")],
            1,
            "← ann, bob quit (1 person)",
        ),
        ([Presence("quit", "ann", "bye")], None, "← ann quit: bye"),
        ([Presence("left", "ann")], None, "← ann left"),
        ([Presence("kicked", "ann", "spam")], None, "← ann was thrown out: spam"),
        ([Presence("kicked", "a"), Presence("kicked", "b")], None, "← a, b were thrown out"),
        ([Presence("away", "ann", "lunch")], None, "ann is away: lunch"),
        ([Presence("away", "ann"), Presence("away", "bob")], None, "ann, bob are away"),
        ([Presence("back", "ann")], None, "ann is back"),
        ([Presence("joined", "ann"), Presence("joined", "ann")], None, "→ ann joined"),
        (
            [Presence("joined", f"n{number}") for number in range(8)],
            9,
            "→ n0, n1, n2, n3, n4 and 3 more joined (9 people)",
        ),
        (
            [Presence("renamed", f"n{number}", "x") for number in range(6)],
            None,
            "n0 is now x, n1 is now x, n2 is now x, n3 is now x, n4 is now x, 1 more renamed",
        ),
    ],
)
def test_comings_and_goings(presences: list[Presence], people: int | None, words: str) -> None:
    presence = entry(kind="presence", sender="")
    presence.presences, presence.people = presences, people
    assert presence_words(presence) == words


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (
            FileState(3, "a.pdf", 1_200_000, outgoing=False),
            "file 3 is offered: a.pdf (1.2 MB); /accept 3 or /decline 3",
        ),
        (
            FileState(3, "a.pdf", 1_200_000, outgoing=True),
            "a.pdf (1.2 MB) is offered, no answer yet",
        ),
        (
            FileState(3, "a.pdf", 1000, True, "moving", 525, 1200.0, 3.2),
            "sending a.pdf (1.0 kB)\n[#####-----] 52 %  1.2 kB/s  3 s left",
        ),
        (
            FileState(3, "a.pdf", 1000, False, "moving", 0, 0.0, None),
            "receiving a.pdf (1.0 kB)\n[----------] 0 %  nothing moves",
        ),
        (
            FileState(3, "a.pdf", 0, False, "moving", 0, 1.0, 61.0),
            "receiving a.pdf (0 B)\n[##########] 100 %  1 B/s  1 min left",
        ),
        (
            FileState(3, "a.pdf", 1000, False, "moving", 2000, 1.0, 7300.0),
            "receiving a.pdf (1.0 kB)\n[##########] 100 %  1 B/s  2 h 1 min left",
        ),
        (
            FileState(3, "a.pdf", 5, False, "finished", 5, path=Path("/tmp/a.pdf")),
            "a.pdf (5 B) has arrived: /tmp/a.pdf",
        ),
        (
            FileState(3, "a.pdf", 5, True, "finished", 5, path=Path("/tmp/a.pdf")),
            "a.pdf (5 B) has arrived",
        ),
        (FileState(3, "a.pdf", 5, True, "ended", reason="no"), "a.pdf was not sent: no"),
        (FileState(3, "a.pdf", 5, False, "ended", reason="no"), "a.pdf was not received: no"),
    ],
)
def test_files(file: FileState, words: str) -> None:
    assert file_words(file) == words
