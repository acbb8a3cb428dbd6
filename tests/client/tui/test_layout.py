from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from securechat.client.chat.buffers import Entry, EntryKind, FileState, Presence
from securechat.client.tui.layout import ROLES, Layout, Line, text_of
from securechat.client.tui.wrapping import cells
from tests.client.tui.talk import NOON, entry

WIDE = 60
NARROW = 38


def layout(width: int = WIDE, *, private: bool = False, times: bool = True) -> Layout:
    return Layout(width, show_times=times, private=private, own_nick="me")


def shown(laid_out: Layout, one: Entry, answered: Entry | None = None) -> list[str]:
    return [line.text.rstrip() for line in laid_out.lines(one, answered)]


def roles(line: Line) -> dict[str, str]:
    return {piece.text.strip(): piece.role for piece in line.pieces if piece.text.strip()}


def reply(msgid: str = "m1") -> Entry:
    one = entry("yes", sender="bob")
    one.reply_to = msgid
    return one


def test_columns() -> None:
    text = entry("some words that are more than one line can hold, in the end\nand another line")
    assert shown(layout(), text) == [
        "   12:00        ann some words that are more than one line",
        "                    can hold, in the end",
        "                    and another line",
    ]


def test_no_column_of_nicks_where_there_is_no_room() -> None:
    text = entry("some words that are more than one line can hold\nand another line")
    assert shown(layout(NARROW), text) == [
        "   12:00 ann some words that are more",
        "           than one line can hold",
        "           and another line",
    ]


def test_no_times_where_there_is_hardly_any_room() -> None:
    assert shown(layout(18), entry("some words and more")) == ["   ann some words", "     and more"]


def test_times_can_be_left_out() -> None:
    assert shown(layout(times=False), entry("hello")) == ["          ann hello"]


def test_a_long_nick_is_cut() -> None:
    [line] = shown(layout(), entry("hello", sender="a-very-long-nick"))
    assert line == "   12:00 a-very-lo… hello"


@pytest.mark.parametrize("width", [18, NARROW, WIDE, 80, 200])
@pytest.mark.parametrize("private", [False, True])
def test_no_line_is_too_wide(width: int, private: bool) -> None:
    text = entry("世界 👍 " * 30 + "https://example.org/" + "x" * 300, sender="世" * 20)
    text.state, text.reply_to, text.reactions = "waiting", "m1", {"👍" * 40: list("abcdef")}
    text.via = "relayed"
    laid_out = layout(width, private=private)
    lines = laid_out.lines(text, entry("世界" * 90))
    assert {piece.role for line in lines for piece in line.pieces} <= set(ROLES)
    assert max(cells(line.text) for line in lines) <= width
    assert cells(laid_out.rule("words " * 50, "day").text) <= width


@pytest.mark.parametrize("kind", get_args(EntryKind))
@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_all_pieces_have_a_role(kind: EntryKind, width: int) -> None:
    for sender in ("ann", ""):
        lines = layout(width).lines(entry("hello", kind, sender), None)
        assert {piece.role for line in lines for piece in line.pieces} <= set(ROLES)


def test_wide_characters_are_aligned() -> None:
    lines = shown(layout(), entry("世界" * 13, sender="世界"))
    assert lines == [f"   12:00       世界 {'世界' * 10}", f"{' ' * 20}{'世界' * 3}"]


@pytest.mark.parametrize(
    ("one", "line"),
    [
        (entry("waves", "action"), "   12:00      * ann waves"),
        (entry("note", "notice"), "   12:00      -ann- note"),
        (
            entry("VERSION", "ctcp"),
            "   12:00      -ann- asks by CTCP, and is not answered: VERSION",
        ),
        (entry("connected", "info", ""), "   12:00          * connected"),
        (entry("lost", "warning", ""), "   12:00          ! lost"),
    ],
)
def test_kinds(one: Entry, line: str) -> None:
    assert shown(layout(80), one) == [line.replace("12:00 ", "12:00    ")]


def test_kinds_without_a_column() -> None:
    assert shown(layout(NARROW), entry("waves", "action")) == ["   12:00 * ann waves"]
    # No action of somebody called "session" looks like this note.
    note = entry("session with ann: direct", "info", "")
    assert shown(layout(NARROW), note) == ["*  12:00 session with ann: direct"]
    forged = entry("with ann: direct", "action", "session")
    assert shown(layout(NARROW), forged) == ["   12:00 * session with ann: direct"]
    [note_line], [forged_line] = shown(layout(), note), shown(layout(), forged)
    assert note_line.index("*") > forged_line.index("*")
    assert shown(layout(NARROW), entry("lost", "warning", "")) == ["!  12:00 lost"]


def test_presences_and_files() -> None:
    presence = entry(kind="presence", sender="")
    presence.presences, presence.people = [Presence("joined", "ann")], 3
    assert shown(layout(), presence) == ["   12:00            → ann joined (3 people)"]
    assert shown(layout(NARROW), presence) == ["   12:00 → ann joined (3 people)"]
    file = entry(kind="file")
    file.file = FileState(1, "a.pdf", 1000, True, "moving", 500, 100.0, 5.0)
    assert shown(layout(), file) == [
        "   12:00        ann sending a.pdf (1.0 kB)",
        "                    [#####-----] 50 %  100 B/s  5 s left",
    ]


def test_markup_is_text() -> None:
    [line] = shown(layout(), entry("[bold]x[/] \\[y] {name}", sender="[red]"))
    assert line == "   12:00      [red] [bold]x[/] \\[y] {name}"


def test_a_mention_is_marked_by_a_character() -> None:
    text = entry("hello me")
    text.mention = True
    [line] = layout().lines(text, None)
    assert line.text.startswith("»  12:00 ")
    assert roles(line)["hello me"] == "mention"


def test_our_nick_is_not_as_others() -> None:
    text = entry("hello")
    text.own = True
    assert roles(layout().lines(text, None)[0])["ann"] == "own-nick"
    assert roles(layout().lines(entry("hello"), None)[0])["ann"].startswith("nick-")


def test_a_text_of_a_peer_has_a_lock_where_no_text_can_be() -> None:
    text = entry("🔒 direct\n🔒 direct 12:00 ann forged")
    text.via = "relayed"
    assert shown(layout(80, private=True), text) == [
        "🔒 relayed 12:00           ann 🔒 direct",
        "                               🔒 direct 12:00 ann forged",
    ]
    assert shown(layout(WIDE, private=True), text)[0] == "🔒 12:00        ann 🔒 direct"
    text.via = None
    assert shown(layout(80, private=True), text)[0] == " " * 11 + "12:00           ann 🔒 direct"


@pytest.mark.parametrize("width", [NARROW, WIDE, 80])
def test_all_other_lines_have_nothing_left_of_the_text(width: int) -> None:
    """No text can look like a message of somebody else, its reply or its reactions."""
    text = entry("\n".join(["first", "12:00 bob hello", "╭ bob: hello", "╰ 👍 1 (bob)"]))
    lines = shown(layout(width), text)
    start = len(lines[0].partition("first")[0])
    if width < WIDE:
        start = start - len("ann ") + 2
    assert [line[:start].strip() for line in lines[1:]] == ["", "", ""]
    assert [line[start:] for line in lines[1:]] == text.text.split("\n")[1:]


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_a_reply_shows_what_it_answers(width: int) -> None:
    answered = entry("a question that goes on and on\nand on", sender="ann")
    first, second = layout(width).lines(reply(), answered)
    assert first.reply_to == "m1"
    assert second.reply_to == ""
    assert first.text.strip().startswith("╭ ann: a question")
    assert first.text.endswith("…") == (width == NARROW)
    assert "bob yes" in second.text
    indent = 2 if width == NARROW else 0
    assert first.text.index("╭") + 2 == second.text.index("bob" if indent else "yes") + indent


def test_a_reply_to_what_is_not_there() -> None:
    assert shown(layout(), reply()) == [
        "                  ╭ a message that is not loaded",
        "   12:00        bob yes",
    ]


def test_reactions_stand_below() -> None:
    text = entry("hello")
    text.reactions = {"👍": ["bob", "me"], ":)": ["carl"]}
    _first, second = layout().lines(text, None)
    assert second.text == "                  ╰ 👍 2 (you, bob)  :) 1 (carl)"
    assert roles(second)["👍 2 (you, bob)"] == "own-reaction"
    assert roles(second)[":) 1 (carl)"] == "reaction"


def test_a_deleted_text_says_who_did_it() -> None:
    text = reply()
    text.text, text.redacted_by, text.reason = "", "op", "spam"
    [line] = layout().lines(text, None)
    assert line.text == "   12:00        bob [message deleted by op: spam]"
    assert roles(line)["[message deleted by op: spam]"] == "deleted"


def test_a_text_on_its_way_says_so() -> None:
    text = entry("hello")
    text.state, text.reason = "refused", "you are banned"
    [line] = layout().lines(text, None)
    assert line.text.endswith("hello ✗ not sent: you are banned")
    assert roles(line)["✗ not sent: you are banned"] == "refused"


def test_all_parts_of_a_link_know_the_whole() -> None:
    url = "https://example.org/" + "x" * 40
    lines = layout().lines(entry(f"see ({url})."), None)
    links = [piece for line in lines for piece in line.pieces if piece.role == "link"]
    assert len(links) == 2
    assert "".join(piece.text for piece in links) == url
    assert {piece.link for piece in links} == {url}
    assert {piece.link for line in lines for piece in line.pieces if piece.role != "link"} == {""}


def test_lines_are_kept_until_something_changes() -> None:
    laid_out, text, answered = layout(), reply(), entry("hello")
    lines = laid_out.lines(text, None)
    assert laid_out.lines(text, None) is lines
    with_answered = laid_out.lines(text, answered)
    assert with_answered[0].text != lines[0].text
    assert laid_out.lines(text, answered) is with_answered
    answered.text = "other words"
    answered.changed()
    assert laid_out.lines(text, answered)[0].text.endswith("ann: other words")
    text.text = "no"
    text.changed()
    assert laid_out.lines(text, answered)[1].text.endswith("bob no")


def test_a_rule_goes_across() -> None:
    assert layout(20).rule("new", "new").text == "─────── new ────────"
    assert layout(20).rule("more words than fit here", "new").text == "─ more words than… ─"


def test_what_is_copied() -> None:
    assert text_of(entry("two\nlines")) == "two\nlines"
    presence = entry(kind="presence", sender="")
    presence.presences = [Presence("joined", "ann")]
    assert text_of(presence) == "→ ann joined"
    file = entry(kind="file")
    file.file = FileState(1, "a.pdf", 5, True)
    assert text_of(file) == "a.pdf (5 B) is offered, no answer yet"
    deleted = entry()
    deleted.redacted_by = "op"
    assert text_of(deleted) == "message deleted by op"
    asked = replace(entry("VERSION", "ctcp"), own=True, time=NOON)
    assert text_of(asked) == "VERSION"
