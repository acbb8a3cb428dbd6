from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.client.chat.buffers import Notify
from securechat.client.tui.notifications import (
    ANY_EVERY_S,
    BODY_CHARACTERS,
    EVERY_S,
    TITLE_CHARACTERS,
    Notifier,
    NotifyMode,
    best_mode,
    wants,
)

OSC777 = re.compile(r"\x1b\]777;notify;([^;\x00-\x1f\x7f-\x9f]*);([^;\x00-\x1f\x7f-\x9f]*)\a")
OSC99 = re.compile(
    r"\x1b\]99;i=securechat-(\d+):d=0;([^;\x00-\x1f\x7f-\x9f]*)\x1b\\"
    r"\x1b\]99;i=securechat-\1:p=body;([^;\x00-\x1f\x7f-\x9f]*)\x1b\\"
)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Terminal:
    """What a notifier has written, and the time it goes by."""

    def __init__(self, mode: NotifyMode, **environ: str) -> None:
        self.written: list[str] = []
        self.clock = Clock()
        self.notifier = Notifier(self.written.append, mode, environ=environ, clock=self.clock)

    def sent(self, title: str, body: str) -> str:
        assert self.notifier.notify("#room", title, body)
        (sequence,) = self.written
        return sequence


@pytest.mark.parametrize(
    ("notify", "mention", "private", "wanted"),
    [
        ("all", False, False, True),
        ("mentions", False, False, False),
        ("mentions", True, False, True),
        ("mentions", False, True, True),
        ("none", True, True, False),
    ],
)
def test_what_calls_the_user(notify: Notify, mention: bool, private: bool, wanted: bool) -> None:
    assert wants(notify, mention=mention, private=private, focused_here=False) is wanted
    assert wants(notify, mention=mention, private=private, focused_here=True) is False


@pytest.mark.parametrize(
    ("environ", "mode"),
    [
        ({"TERM": "xterm-kitty"}, "osc99"),
        ({"TERM": "tmux-256color", "KITTY_WINDOW_ID": "1"}, "osc99"),
        ({"TERM": "xterm-256color"}, "osc777"),
        ({}, "osc777"),
    ],
)
def test_the_mode_follows_the_terminal(environ: dict[str, str], mode: NotifyMode) -> None:
    assert best_mode(environ) == mode


@pytest.mark.parametrize(
    ("mode", "sequence"),
    [
        ("bell", "\a"),
        ("osc777", "\x1b]777;notify;ann in #room;hello\a"),
        (
            "osc99",
            (
                "\x1b]99;i=securechat-1:d=0;ann in #room\x1b\\"
                "\x1b]99;i=securechat-1:p=body;hello\x1b\\"
            ),
        ),
    ],
)
def test_sequences(mode: NotifyMode, sequence: str) -> None:
    assert Terminal(mode).sent("ann in #room", "hello") == sequence


@pytest.mark.parametrize(
    ("mode", "sequence"),
    [
        ("bell", "\a"),
        ("osc777", "\x1bPtmux;\x1b\x1b]777;notify;ann;hello\a\x1b\\"),
        (
            "osc99",
            (
                "\x1bPtmux;\x1b\x1b]99;i=securechat-1:d=0;ann\x1b\x1b\\\x1b\\"
                "\x1bPtmux;\x1b\x1b]99;i=securechat-1:p=body;hello\x1b\x1b\\\x1b\\"
            ),
        ),
    ],
)
def test_sequences_within_tmux(mode: NotifyMode, sequence: str) -> None:
    terminal = Terminal(mode, TMUX="/tmp/tmux-1000/default,1,0")
    assert terminal.sent("ann", "hello") == sequence


def test_off_is_off() -> None:
    terminal = Terminal("off")
    assert not terminal.notifier.notify("#room", "ann", "hello")
    assert terminal.written == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a;b", "a,b"),
        ("\x07\x1b]0;owned\x07", "\ufffd]0,owned\ufffd"),
        ("end\x1b\\\x1b]52;c;eA==\x07", "end\ufffd\\\ufffd]52,c,eA==\ufffd"),
        ("\x9c\x9d0;t\x9c", "\ufffd0,t\ufffd"),
        ("two\nlines\r\n and\ttabs ", "two lines and tabs"),
        ("\x1funder\x1fline \x02bold\x02", "underline bold"),
        ("\u202egnp.exe", "\ufffdgnp.exe"),
    ],
)
def test_hostile_texts_stay_inside(text: str, shown: str) -> None:
    match = OSC777.fullmatch(Terminal("osc777").sent(text, text))
    assert match is not None
    assert match.groups() == (shown, shown)


@given(st.text(), st.text())
def test_nothing_gets_out_of_a_sequence(title: str, body: str) -> None:
    match = OSC777.fullmatch(Terminal("osc777").sent(title, body))
    assert match is not None
    assert OSC99.fullmatch(Terminal("osc99").sent(title, body))
    assert len(match[1]) <= TITLE_CHARACTERS
    assert len(match[2]) <= BODY_CHARACTERS


def test_long_texts_are_cut() -> None:
    match = OSC777.fullmatch(Terminal("osc777").sent("t" * 1000, "b" * 1000))
    assert match is not None
    assert match[1] == "t" * (TITLE_CHARACTERS - 1) + "…"
    assert match[2] == "b" * (BODY_CHARACTERS - 1) + "…"


def test_a_conversation_calls_once_in_a_while() -> None:
    terminal = Terminal("bell")
    notify, clock = terminal.notifier.notify, terminal.clock
    assert notify("#room", "ann", "1")
    clock.now += ANY_EVERY_S
    assert not notify("#room", "ann", "2")
    assert notify("bob", "bob", "3")  # another conversation
    clock.now += EVERY_S - ANY_EVERY_S
    assert notify("#room", "ann", "4")
    assert terminal.written == ["\a"] * 3


def test_many_conversations_do_not_ring_without_end() -> None:
    terminal = Terminal("bell")
    for number in range(1000):
        terminal.notifier.notify(f"stranger{number}", "hello", "hello")
    assert terminal.written == ["\a"]


def test_each_notification_of_kitty_has_its_number() -> None:
    terminal = Terminal("osc99")
    for conversation in ("#one", "#two"):
        terminal.notifier.notify(conversation, "ann", "hello")
        terminal.clock.now += ANY_EVERY_S
    numbers = [match[1] for text in terminal.written if (match := OSC99.fullmatch(text))]
    assert numbers == ["1", "2"]
