from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.client.lines.line_editor import (
    HISTORY_LINES,
    LINE_CHARACTERS,
    Editor,
    View,
    display_width,
)
from tests.client.screen import Screen

LEFT, RIGHT, UP, DOWN = "\x1b[D", "\x1b[C", "\x1b[A", "\x1b[B"
HOME, END, DELETE = "\x1b[H", "\x1b[F", "\x1b[3~"

KEYS = [  # what is typed, what stands there then; | is the cursor
    ("abc", "abc|"),
    ("abc" + LEFT, "ab|c"),
    ("abc" + LEFT * 5 + "x", "x|abc"),
    ("abc" + LEFT + RIGHT * 3, "abc|"),
    ("abc\x1bOD\x1bOD\x1bOC", "ab|c"),
    ("abc" + HOME + "x" + END + "y", "xabcy|"),
    ("abc\x1b[1~x\x1b[4~y\x1bOHz\x1bOF", "zxabcy|"),
    ("abc\x01x\x05y", "xabcy|"),
    ("abc\x02\x02x\x06y", "axby|c"),
    ("abc\x7f\x08", "a|"),
    ("\x7f\x7f" + DELETE + LEFT, "|"),
    ("abc" + HOME + DELETE, "|bc"),
    ("abc" + LEFT + "\x04", "ab|"),
    ("one two\x17", "one |"),
    ("one two  \x17x", "one x|"),
    ("one two\x1b[1;5D\x15", "|two"),
    ("one two\x01\x1b[1;5C\x0b", "one|"),
    ("one two\x1bbx\x1bf", "one xtwo|"),
    ("a\tb", "a b|"),
    ("世界" + LEFT, "世|界"),
    ("e\u0301x" + LEFT * 2, "|e\u0301x"),
    ("xe\u0301\x7f", "x|"),
    ("xe\u0301" + HOME + RIGHT * 2, "xe\u0301|"),
    ("a\x1b[99;99Xb\x1b\x1b[Dc", "ac|b"),
    ("a\x1b[" + "1" * 40 + "b", None),
    ("a\x9b2Jb", "a2Jb|"),
    ("\x00\x03\x0c\x1a", "|"),
]


def type_in(editor: Editor, data: bytes) -> list[str]:
    return list(editor.feed(data))


def shown(editor: Editor) -> str:
    return f"{editor.text[: editor.cursor]}|{editor.text[editor.cursor :]}"


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize(("typed", "expected"), KEYS)
def test_keys(typed: str, expected: str | None, bytewise: bool) -> None:
    editor = Editor()
    data = typed.encode()
    for part in [bytes([b]) for b in data] if bytewise else [data]:
        assert type_in(editor, part) == []
    if expected is not None:
        assert shown(editor) == expected


def test_lines() -> None:
    editor = Editor()
    assert type_in(editor, b"one\r") == ["one"]
    assert type_in(editor, b"two\nthree\r\nfour\r\r") == ["two", "three", "four", ""]
    assert type_in(editor, b"five\r") == ["five"]
    assert type_in(editor, b"\nsix") == []  # the other half of CR LF
    assert editor.text == "six"


def test_invalid_utf8_is_marked() -> None:
    editor = Editor()
    assert type_in(editor, b"a\xffb\xc3\r") == ["a\ufffdb"]


def test_history() -> None:
    editor = Editor()
    type_in(editor, b"one\rtwo\rtwo\r\rdraft")
    seen = []
    for key in (UP, UP, UP, DOWN, DOWN, DOWN):
        type_in(editor, key.encode())
        seen.append(editor.text)
    assert seen == ["two", "one", "one", "two", "draft", "draft"]
    assert type_in(editor, (UP + UP + "!\r").encode()) == ["one!"]


def test_the_history_forgets_the_oldest() -> None:
    editor = Editor()
    for number in range(HISTORY_LINES + 5):
        type_in(editor, f"{number}\r".encode())
    type_in(editor, UP.encode() * (HISTORY_LINES + 50))
    assert editor.text == "5"


def test_a_secret_is_neither_shown_nor_remembered() -> None:
    editor, view, screen = Editor(), View(ansi=True), Screen()
    type_in(editor, b"before\r")
    editor.attend(object(), secret=True)
    type_in(editor, b"pencil")
    screen.write(view.draw("Password: ", editor, 40))
    assert screen.last == "Password:"
    type_in(editor, UP.encode())
    assert type_in(editor, b"\r") == ["pencil"]
    editor.attend(None, secret=False)
    type_in(editor, UP.encode())
    assert editor.text == "before"


def test_half_an_answer_is_dropped_with_its_question() -> None:
    editor, first, second = Editor(), object(), object()
    editor.attend(first, secret=True)
    type_in(editor, b"my-secret")
    editor.attend(first, secret=True)
    assert editor.text == "my-secret"
    editor.attend(second, secret=True)  # as secret as the first, and another
    assert editor.text == ""
    type_in(editor, b"my-secret")
    editor.attend(None, secret=False)
    assert shown(editor) == "|"
    type_in(editor, UP.encode())
    assert editor.text == ""


def test_a_draft_comes_back_after_the_questions() -> None:
    editor = Editor()
    type_in(editor, b"before\rhalf a line" + LEFT.encode() * 4)
    for question in (object(), object()):
        editor.attend(question, secret=True)
        assert shown(editor) == "|"
        assert type_in(editor, UP.encode() + b"pencil\rpen") == ["pencil"]
    editor.attend(None, secret=False)
    assert shown(editor) == "half a |line"
    type_in(editor, (UP + DOWN).encode())
    assert shown(editor) == "half a line|"


def test_no_answer_is_remembered() -> None:
    """An invitation code is shown, and is a secret all the same."""
    editor = Editor()
    editor.attend(object(), secret=False)
    assert type_in(editor, b"invite:abc\r") == ["invite:abc"]
    editor.attend(None, secret=False)
    type_in(editor, UP.encode())
    assert editor.text == ""


def test_what_is_pasted_behind_a_command_answers_its_question() -> None:
    editor, asked = Editor(), object()
    lines = []
    for line in editor.feed(b"/register\rpencil\rpencil\rdraft"):
        lines.append(line)
        editor.attend(asked if len(lines) < 3 else None, secret=len(lines) < 3)
    assert lines == ["/register", "pencil", "pencil"]
    assert editor.text == "draft"
    type_in(editor, UP.encode())
    assert editor.text == "/register"


def test_control_d_leaves_from_an_empty_line_only() -> None:
    editor = Editor()
    type_in(editor, b"a\x04")
    assert not editor.left
    type_in(editor, b"\x7f\x04")
    assert editor.left


def test_a_line_has_an_end() -> None:
    editor = Editor()
    type_in(editor, b"x" * (LINE_CHARACTERS + 10))
    assert len(editor.text) == LINE_CHARACTERS


def test_display_width() -> None:
    assert display_width("abc") == 3
    assert display_width("世界") == 4
    assert display_width("e\u0301\u200d") == 1


@pytest.mark.parametrize("ansi", [True, False], ids=["ansi", "dumb"])
class TestView:
    def test_typing_at_the_end_writes_only_what_is_typed(self, ansi: bool) -> None:
        editor, view = Editor(), View(ansi=ansi)
        view.draw("> ", editor, 40)
        type_in(editor, b"hello")
        assert view.draw("> ", editor, 40) == "hello"
        type_in(editor, "é".encode())
        assert view.draw("> ", editor, 40) == "é"
        assert view.draw("> ", editor, 40) == ""

    def test_a_dumb_terminal_gets_no_escape_sequence(self, ansi: bool) -> None:
        editor, view = Editor(), View(ansi=ansi)
        out = view.draw("> ", editor, 40)
        for typed in ("hello", LEFT, LEFT, "x", HOME, DELETE, "\x05\x15"):
            type_in(editor, typed.encode())
            out += view.draw("> ", editor, 40)
        out += view.erase()
        assert ("\x1b" in out) is ansi

    def test_what_comes_in_is_above_and_the_line_stays(self, ansi: bool) -> None:
        editor, view, screen = Editor(), View(ansi=ansi), Screen()
        type_in(editor, b"half a line" + LEFT.encode() * 4)
        screen.write(view.draw("[#room] ", editor, 40))
        column = screen.column
        screen.write(view.erase() + "12:04 <bob> hi\n" + view.draw("[#room] ", editor, 40))
        assert screen.text == ["12:04 <bob> hi", "[#room] half a line"]
        assert screen.column == column

    def test_a_long_line_scrolls(self, ansi: bool) -> None:
        editor, view, screen = Editor(), View(ansi=ansi), Screen()
        type_in(editor, b"0123456789abcdefghij")
        screen.write(view.draw("> ", editor, 13))
        assert screen.last == "> abcdefghij"
        type_in(editor, HOME.encode())
        screen.write(view.draw("> ", editor, 13))
        assert (screen.last, screen.column) == ("> 0123456789", 2)
        type_in(editor, END.encode() + b"\x15")
        screen.write(view.draw("> ", editor, 13))
        assert (screen.last, screen.column) == (">", 2)

    def test_a_long_prompt_leaves_room(self, ansi: bool) -> None:
        editor, view, screen = Editor(), View(ansi=ansi), Screen()
        type_in(editor, b"hi")
        screen.write(view.draw("[#" + "x" * 100 + "] ", editor, 40))
        assert screen.last == "[#" + "x" * 18 + "hi"

    @given(
        keys=st.lists(
            st.one_of(
                st.sampled_from([LEFT, RIGHT, HOME, END, DELETE, UP, "\x7f", "\x17", "\x0b", "\r"]),
                st.text(alphabet="ab 世é\u0301👋", max_size=12),
            ),
            max_size=30,
        ),
        columns=st.integers(8, 30),
    )
    def test_the_screen_shows_what_is_typed(
        self, ansi: bool, keys: list[str], columns: int
    ) -> None:
        editor, view, screen = Editor(), View(ansi=ansi), Screen()
        for key in keys:
            type_in(editor, key.encode())
            screen.write(view.draw("> ", editor, columns))
            fresh = Screen()
            again = View(ansi=ansi)
            again._start = view._start
            fresh.write(again.draw("> ", editor, columns))
            assert (screen.last, screen.column) == (fresh.last, fresh.column)
            assert display_width(screen.last) < columns
            if display_width(editor.text) <= columns - 3:
                assert screen.last == f"> {editor.text}".rstrip()
