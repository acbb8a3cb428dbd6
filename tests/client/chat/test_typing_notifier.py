"""https://ircv3.net/specs/client-tags/typing"""

from __future__ import annotations

import pytest

from securechat.client.chat.typing_notifier import IDLE_S, INTERVAL_S, TypingNotifier, TypingState


class Typist:
    def __init__(self) -> None:
        self.now = 100.0
        self.told: list[tuple[float, str, TypingState]] = []
        self.notifier = TypingNotifier(
            lambda target, state: self.told.append((self.now - 100.0, target, state)),
            lambda: self.now,
        )

    def states(self) -> list[tuple[float, TypingState]]:
        return [(when, state) for when, _, state in self.told]

    def wait(self, seconds: float) -> None:
        """Let time pass, ticking as the app does."""
        for _ in range(round(seconds * 2)):
            self.now += 0.5
            self.notifier.tick()


@pytest.fixture
def typist() -> Typist:
    return Typist()


def test_active_continuously_but_throttled(typist: Typist) -> None:
    # "SHOULD be sent by clients continuously while the user is making updates to the text-input
    # field"; "MUST be throttled so that any typing notification is not sent within 3 seconds of
    # another one for a given target"
    for count in range(1, 20):
        typist.notifier.edited("#home", "x" * count)
        typist.wait(0.5)
    assert typist.states() == [(0, "active"), (3, "active"), (6, "active"), (9, "active")]
    assert {target for _, target, _ in typist.told} == {"#home"}


def test_targets_are_throttled_apart(typist: Typist) -> None:
    typist.notifier.edited("#home", "a")
    typist.notifier.edited("ann", "b")
    assert typist.told == [(0, "#home", "active"), (0, "ann", "active")]


def test_paused_once(typist: Typist) -> None:
    # "MAY be sent by clients once when the user has paused typing in the text-input field and has
    # not cleared their text"
    typist.notifier.edited("#home", "hel")
    typist.wait(60)
    assert typist.states() == [(0, "active"), (IDLE_S, "paused")]
    typist.notifier.edited("#home", "hello")
    assert typist.states()[2:] == [(60, "active")]


def test_done_once_when_cleared(typist: Typist) -> None:
    # "MAY be sent by clients once when the user clears the text-input field without sending a
    # message"
    typist.notifier.edited("#home", "hello")
    typist.wait(4)
    typist.notifier.edited("#home", "")
    typist.notifier.edited("#home", "")
    typist.wait(60)
    assert typist.states() == [(0, "active"), (4, "done")]


def test_done_waits_for_its_time(typist: Typist) -> None:
    typist.notifier.edited("#home", "hello")
    typist.notifier.edited("#home", "")
    typist.wait(10)
    assert typist.states() == [(0, "active"), (INTERVAL_S, "done")]


def test_done_after_a_pause(typist: Typist) -> None:
    typist.notifier.edited("#home", "hello")
    typist.wait(6)
    typist.notifier.edited("#home", "")
    typist.wait(20)
    assert typist.states() == [(0, "active"), (5, "paused"), (8, "done")]


def test_cleared_and_typed_again(typist: Typist) -> None:
    typist.notifier.edited("#home", "hello")
    typist.notifier.edited("#home", "")
    typist.notifier.edited("#home", "h")
    typist.wait(3)
    assert typist.states() == [(0, "active"), (3, "active")]


def test_nothing_after_sending(typist: Typist) -> None:
    typist.notifier.edited("#home", "hello")
    typist.notifier.edited("#home", "hello!")  # another "active" would be due
    typist.notifier.sent("#home")
    typist.notifier.edited("#home", "")
    typist.wait(60)
    assert typist.states() == [(0, "active")]


def test_sending_does_not_end_the_throttle(typist: Typist) -> None:
    typist.notifier.edited("#home", "hello")
    typist.notifier.sent("#home")
    typist.wait(1)
    typist.notifier.edited("#home", "a")
    assert typist.states() == [(0, "active")]
    typist.wait(2)
    assert typist.states() == [(0, "active"), (3, "active")]


@pytest.mark.parametrize(("text", "told"), [("/join #x", False), ("//etc", True), ("/", False)])
def test_commands_are_not_told(typist: Typist, text: str, told: bool) -> None:
    # "and the text is not a "/slash command""
    typist.notifier.edited("#home", text)
    assert typist.states() == ([(0, "active")] if told else [])


def test_a_text_that_becomes_a_command(typist: Typist) -> None:
    typist.notifier.edited("#home", "hello")
    typist.wait(4)
    typist.notifier.edited("#home", "/me hello")
    assert typist.states() == [(0, "active"), (4, "done")]


def test_what_was_never_typed_to_is_no_trouble(typist: Typist) -> None:
    typist.notifier.sent("#home")
    typist.notifier.edited("#home", "")
    typist.wait(5)
    assert typist.told == []
