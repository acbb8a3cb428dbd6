"""More of the full-screen client against a real relay: attention, completion, mouse, questions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.widgets import Input

from securechat.client.settings.opening import Opening
from securechat.client.settings.profile_file import ProfileFile
from securechat.client.settings.profiles import Notifications, PasswordSource
from securechat.client.tui.app import ChatApp
from securechat.client.tui.dialogs import QuestionDialog
from tests.client.tui.screens import Screen, account, at_screen, profile, run
from tests.server.conftest import StartRelay
from tests.server.relay_harness import PASSWORD, FakeClock, RunningRelay

CAPS = ("message-tags", "server-time", "batch", "echo-message")


def guest(relay: RunningRelay, *rooms: str, nick: str = "ann", **more: Any) -> Opening:
    """What brings ann onto the relay without an account."""
    return Opening("home", profile(relay, nick, *rooms, **more))


async def in_rooms(ann: Screen, count: int = 1) -> None:
    """Wait until she is in so many rooms."""
    await ann.until(lambda: len(ann.network.chat.conversations.rooms()) == count)


async def click(ann: Screen, text: str, *, within: str = "", **how: Any) -> None:
    """Click on a text that is on the screen, in the widget that ``within`` selects."""
    screen = ann.app.screen
    region = screen.query_one(within).region if within else screen.region
    for y, line in enumerate(ann.lines()):
        x = line.find(text, region.x)
        if region.contains(x, y):
            widget, area = screen.get_widget_at(x, y)
            await ann.pilot.click(widget, offset=(x - area.x, y - area.y), **how)
            await ann.pilot.pause()
            return
    raise AssertionError(f"not there: {text}\n{ann.text()}")


async def answer(ann: Screen, prompt: str, text: str) -> None:
    """Answer the question that is shown, or will be."""
    await ann.see(prompt)
    ann.app.screen.query_one(Input).value = text
    assert not ann.shows(text)  # all of these are secrets
    await ann.press("enter")


def first_words(ann: Screen) -> tuple[str, str]:
    """What stands at the beginning of the header, and before the input."""
    lines = ann.lines()
    return lines[0].split()[0], lines[-1].split()[0]


# ---- attention ----


class Terminal:
    """What was written past the screen, to call the user."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.written: list[str] = []
        monkeypatch.setattr(ChatApp, "_write_raw", lambda app, text: self.written.append(text))


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.delenv("TMUX", raising=False)
    return Terminal(monkeypatch)


def test_what_calls_the_user(relay: RunningRelay, tmp_path: Path, terminal: Terminal) -> None:
    bob = relay.join("bob")
    bob.send("JOIN #den,#attic")
    clock = FakeClock()

    async def scene() -> None:
        notifications = Notifications(bell=True, desktop="osc777")
        opening = guest(relay, "#den", "#attic")
        ProfileFile(tmp_path / "profiles.toml").save_network("home", opening.profile)
        async with at_screen(
            tmp_path, opening, notifications=notifications, monotonic=clock
        ) as ann:

            async def hear(room: str, text: str) -> list[str]:
                clock.now += 60
                terminal.written.clear()
                bob.send(f"PRIVMSG {room} :{text}")
                await ann.until(lambda: text in [e.text for e in ann.buffer(room).entries])
                return terminal.written

            called = ["\a", "\x1b]777;notify;bob @ #attic;ann: hey\a"]
            await in_rooms(ann, 2)
            assert await hear("#attic", "nothing") == []
            assert await hear("#attic", "ann: hey") == called
            assert await hear("#den", "ann: hey") == []  # she looks at it
            await ann.say("/query #attic")
            await ann.say("/notify none")
            await ann.press("alt+up")
            assert await hear("#attic", "ann: hello?") == []
            await ann.say("/query #attic")
            await ann.say("/notify all")
            await ann.press("alt+up")
            assert len(await hear("#attic", "just talk")) == 2
            kept = ProfileFile(tmp_path / "profiles.toml").load().networks["home"]
            assert kept.notify == {"#attic": "all"}
            await ann.say("/query #attic")
            await ann.say("/notify")
            await ann.until(lambda: ann.shown.entries[-1].text == "all")

    run(scene())


def test_a_terminal_without_the_focus_is_not_looked_at(
    relay: RunningRelay, tmp_path: Path, terminal: Terminal
) -> None:
    bob = relay.join("bob")
    bob.send("JOIN #den")

    async def scene() -> None:
        async with at_screen(tmp_path, guest(relay, "#den")) as ann:
            await in_rooms(ann)
            ann.app.post_message(events.AppBlur())
            await ann.until(lambda: ann.network.chat.conversations.attended is None)
            bob.send("PRIVMSG #den :ann: are you there?")
            await ann.until(lambda: ann.shown.mentions)
            assert terminal.written == ["\a"]
            ann.app.post_message(events.AppFocus())
            await ann.until(lambda: not ann.shown.mentions)

    run(scene())


def test_a_question_of_a_person_calls_from_any_conversation(
    relay: RunningRelay, tmp_path: Path, terminal: Terminal
) -> None:
    bob = relay.join("bob")

    async def scene() -> None:
        async with at_screen(tmp_path, guest(relay, "#den")) as ann:
            await in_rooms(ann)
            bob.send("PRIVMSG ann :psst")
            await ann.see("!1", "bob")
            assert terminal.written == ["\a"]

    run(scene())


# ---- completion, help, palette ----


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("hey bo", "hey bob "),
        ("bo", "bob: "),
        ("see #at", "see #attic "),
        ("/que", "/query "),
        ("/query bo", "/query bob"),
        (":thumbs_u", "👍"),
    ],
)
def test_tab_completes(relay: RunningRelay, tmp_path: Path, typed: str, completed: str) -> None:
    bob = relay.join("bob")
    bob.send("JOIN #den")

    async def scene() -> None:
        async with at_screen(tmp_path, guest(relay, "#den", "#attic")) as ann:
            await in_rooms(ann, 2)
            await ann.see("bob")
            composer = ann.app.chat_screen.composer
            composer.set_text(typed[:-1])
            await ann.type(typed[-1])
            await ann.press("tab")
            assert composer.get_text() == completed

    run(scene())


def test_the_candidates_are_shown_and_chosen(relay: RunningRelay, tmp_path: Path) -> None:
    async def scene() -> None:
        async with at_screen(tmp_path, guest(relay, "#den")) as ann:
            await in_rooms(ann)
            await ann.type("/no")
            await ann.see("/notice TARGET TEXT", "/notify [all|mentions|none]")
            await click(ann, "/notify")
            composer = ann.app.chat_screen.composer
            assert composer.get_text() == "/notify "
            await ann.type("n")
            await ann.press("tab", "enter")
            await ann.until(lambda: ann.shown.notify == "none")

    run(scene())


def test_help_is_searched_and_gives_a_command(relay: RunningRelay, tmp_path: Path) -> None:
    async def scene() -> None:
        async with at_screen(tmp_path, guest(relay, "#den")) as ann:
            await in_rooms(ann)
            await ann.press("f1")
            await ann.see("Commands", "/join #ROOM [KEY]")
            await ann.type("topic set")
            await ann.see("show or set the topic of a room")
            await ann.see_no("/join #ROOM [KEY]")
            await ann.press("enter")
            assert ann.app.chat_screen.composer.get_text() == "/topic "
            await ann.type("tea")
            await ann.press("enter")
            await ann.see("ann set the topic of #den: tea")
            await ann.say("/help")
            await ann.see("words to look for")
            await ann.press("escape")
            await ann.say("/help kick")
            await ann.see("throw somebody out of a room")

    run(scene())


def test_the_palette_goes_to_rooms_and_does_what_keys_do(
    relay: RunningRelay, tmp_path: Path
) -> None:
    async def scene() -> None:
        async with at_screen(tmp_path, guest(relay, "#den", "#attic")) as ann:
            await in_rooms(ann, 2)
            await ann.press("ctrl+p")
            await ann.type("atti")
            await ann.see("#attic")
            await ann.press("enter")
            await ann.until(lambda: ann.shown.name == "#attic")
            await ann.press("ctrl+p")
            await ann.type("light")
            await ann.see("theme: light")
            await ann.press("enter")
            await ann.until(lambda: ann.app.theme == "light")
            await ann.press("ctrl+p")
            await ann.type("members")
            await ann.press("enter")
            await ann.until(lambda: ann.app.chat_screen.has_class("-hide-members"))
            await ann.type("typing goes on")
            assert ann.app.chat_screen.composer.get_text() == "typing goes on"

    run(scene())


# ---- mouse ----


def test_clicks_on_conversations_and_people(relay: RunningRelay, tmp_path: Path) -> None:
    bob = relay.join("bob")
    bob.send("JOIN #den")

    async def scene() -> None:
        async with at_screen(tmp_path, guest(relay, "#den", "#attic")) as ann:
            await ann.see("bob", "#attic")
            await click(ann, "#attic", within="BufferPane")
            assert ann.shown.name == "#attic"
            await ann.type("hi")  # the focus stays where one types
            assert ann.app.chat_screen.composer.get_text() == "hi"
            await click(ann, "#den", within="BufferPane")
            assert ann.shown.name == "#den"
            await ann.see("@bob")
            await click(ann, "bob", within="MemberPane")
            await ann.see("talk in private", "ask for a session")
            await click(ann, "talk in private")
            await ann.until(lambda: ann.shown.name == "bob")
            await ann.type("psst")
            await ann.press("enter")
            await ann.hears(bob, "PRIVMSG", "bob", "psst")

    run(scene())


def test_clicks_on_links_and_answered_texts(
    relay: RunningRelay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(ChatApp, "open_url", lambda app, url, **more: opened.append(url))
    bob = relay.account("bob", *CAPS)
    bob.send("JOIN #den", "PRIVMSG #den :the question")
    question = bob.expect("PRIVMSG").tags["msgid"]
    bob.send(*(f"PRIVMSG #den :line {number}" for number in range(60)))
    bob.send(f"@+reply={question} PRIVMSG #den :see https://example.org/a_b?c=d, please")
    bob.sync()

    async def scene() -> None:
        relay.account("ann").quit()
        async with at_screen(tmp_path, account(relay, "ann", "#den")) as ann:
            await ann.see("╭ bob: the question")
            await click(ann, "https://example.org", within="MessageList")
            assert opened == ["https://example.org/a_b?c=d"]
            await click(ann, "bob: the question", within="MessageList")
            await ann.see("bob the question", "line 1")
            assert ann.app.chat_screen.messages.selected is ann.shown.find(question)

    run(scene())


def test_the_wheel_scrolls_and_has_older_messages_come(relay: RunningRelay, tmp_path: Path) -> None:
    bob = relay.account("bob", *CAPS)
    bob.send("JOIN #den")
    bob.send(*(f"PRIVMSG #den :line {number}" for number in range(250)))
    bob.sync()

    async def scene() -> None:
        relay.account("ann").quit()
        async with at_screen(tmp_path, account(relay, "ann", "#den")) as ann:
            await ann.see("line 249")
            before = len(ann.texts())
            messages = ann.app.chat_screen.messages
            x, y = messages.region.center
            while len(ann.texts()) == before:
                wheel = {"widget": None, "x": x, "y": y, "delta_x": 0, "delta_y": -1}
                keys = {"button": 0, "shift": False, "meta": False, "ctrl": False}
                ann.app.post_message(events.MouseScrollUp(**wheel, **keys, screen_x=x, screen_y=y))
                await ann.pilot.pause()
            assert not messages.at_end
            await ann.see_no("line 249")

    run(scene())


def test_the_menu_of_a_message_by_a_double_click(relay: RunningRelay, tmp_path: Path) -> None:
    bob = relay.account("bob", *CAPS)
    bob.send("JOIN #den")

    async def scene() -> None:
        relay.account("ann").quit()
        async with at_screen(tmp_path, account(relay, "ann", "#den")) as ann:
            await in_rooms(ann)
            bob.send("PRIVMSG #den :tea?")
            await ann.see("tea?")
            await click(ann, "tea?", within="MessageList", times=2)
            await ann.see("Message of bob", "reply", "react", "copy")
            await click(ann, "reply")
            await ann.see("reply to bob")
            await ann.type("yes")
            await ann.press("enter")
            assert (await ann.hears(bob, "PRIVMSG", "#den", "yes")).tags["+reply"]

    run(scene())


# ---- who is there ----


def test_the_members_pane(relay: RunningRelay, tmp_path: Path) -> None:
    bob = relay.join("bob")
    carol = relay.join("carol")
    bob.send("JOIN #den")
    bob.sync()  # who comes first is the operator
    carol.send("AWAY :tea", "JOIN #den")
    carol.sync()

    async def scene() -> None:
        async with at_screen(tmp_path, guest(relay, "#den")) as ann:
            await ann.see("3 people", "Operators 1", "@bob", "Members 2", "(carol)")
            bob.send("AWAY :lunch", "MODE #den +v ann")
            await ann.see("@(bob)", "Voiced 1", "+ann")
            carol.send("AWAY")
            await ann.see_no("(carol)")
            bob.send("AWAY")
            await ann.see("@bob")

    run(scene())


def test_many_who_come_and_go_are_one_entry(relay: RunningRelay, tmp_path: Path) -> None:
    async def scene() -> None:
        async with at_screen(tmp_path, guest(relay, "#den")) as ann:
            await in_rooms(ann)
            crowd = [relay.join(f"guest{number:02}") for number in range(30)]
            before = len(ann.shown.entries)
            for one in crowd:
                one.send("JOIN #den")
                one.sync()
            await ann.see("guest00, guest01, guest02", "25 more joined (31 people)")
            for one in crowd:
                one.send("PART #den")
                one.sync()
            await ann.see("25 more left (1 person)")
            assert len(ann.shown.entries) == before + 1
            assert ann.shown.unread == 0

    run(scene())


def test_rooms_are_left_entered_renamed_and_closed(relay: RunningRelay, tmp_path: Path) -> None:
    bob = relay.join("bob")
    bob.send("JOIN #den")

    async def scene() -> None:
        async with at_screen(tmp_path, guest(relay, "#den", "#attic")) as ann:
            await in_rooms(ann, 2)
            bob.send("TOPIC #den :tea at five")
            await ann.see("bob set the topic of #den: tea at five")
            await ann.until(lambda: "tea at five" in ann.lines()[0])
            bob.send("RENAME #den #lair :nicer")
            await ann.see("bob has renamed #den to #lair: nicer")
            await ann.until(lambda: first_words(ann) == ("#lair", "#lair"))
            await ann.say("still here")
            await ann.hears(bob, "PRIVMSG", "#lair", "still here")
            await ann.say("/part")
            await ann.until(lambda: not ann.buffer("#lair").joined)
            await ann.hears(bob, "PART", "#lair")
            await ann.say("/join #lair")
            await ann.hears(bob, "JOIN", "#lair")
            await ann.until(lambda: ann.shown.name == "#lair" and ann.shown.joined)
            await ann.say("/hide")
            await ann.hears(bob, "PART", "#lair")
            await ann.see_no("#lair")
            assert ann.network.chat.conversations.get("#lair") is None

    run(scene())


def test_being_thrown_out_is_told_and_nothing_goes_elsewhere(
    relay: RunningRelay, tmp_path: Path
) -> None:
    bob = relay.join("bob")
    bob.send("JOIN #den,#attic")

    async def scene() -> None:
        async with at_screen(tmp_path, guest(relay, "#attic", "#den")) as ann:
            await in_rooms(ann, 2)
            await ann.say("/query #den")
            await ann.type("you are all")
            bob.send("KICK #den ann :enough")
            await ann.see("you were thrown out of #den by bob: enough")
            assert ann.shown.name == "#den"
            await ann.type(" fools")
            await ann.press("enter")
            await ann.see("you are all fools", "not sent")
            await ann.say("/join #den")
            await ann.until(lambda: ann.shown.joined)
            assert ann.shown.name == "#den"
            await click(ann, "you are all fools", within="MessageList", times=2)
            await ann.see("send again", "forget it")
            await ann.press("r")
            await ann.hears(bob, "PRIVMSG", "#den", "you are all fools")
            await ann.see_no("not sent")
            bob.send("PRIVMSG #attic :quiet here")
            await ann.until(lambda: ann.buffer("#attic").unread)
            assert [e.text for e in ann.buffer("#attic").entries if e.is_text] == ["quiet here"]

    run(scene())


def test_somebody_takes_another_nick(relay: RunningRelay, tmp_path: Path) -> None:
    bob = relay.join("bob")

    async def scene() -> None:
        async with at_screen(tmp_path, guest(relay, "#den")) as ann:
            await in_rooms(ann)
            bob.send("JOIN #den", "PRIVMSG ann :psst")
            await ann.until(lambda: ann.network.chat.conversations.get("bob"))
            await ann.say("/query bob")
            await ann.see("psst")
            bob.send("NICK robert")
            await ann.see("bob is now robert")
            await ann.until(lambda: first_words(ann) == ("robert", "robert"))
            await ann.say("hello again")
            await ann.hears(bob, "PRIVMSG", "robert", "hello again")
            await ann.say("/nick annie")
            await ann.see("annie")
            bob.send("PRIVMSG annie :that suits you")
            await ann.see("robert that suits you")

    run(scene())


# ---- answers ----


def test_answers_come_where_the_user_is(relay: RunningRelay, tmp_path: Path) -> None:
    relay.account("carol").quit()
    bob = relay.join("bob")

    async def scene() -> None:
        async with at_screen(tmp_path, guest(relay, "#den")) as ann:
            await in_rooms(ann)
            await ann.say("/whois bob")
            await ann.see("Real bob")
            await ann.say("/frobnicate now")
            await ann.see("there is no command /frobnicate")
            await ann.say("/nick bob")
            await ann.see("the nick bob:")
            await ann.say("/query bob")
            await ann.say("/whois nobody")
            await ann.see("nobody")
            await ann.see("No such nick")
            await ann.say("/part")
            await ann.see("which channel? you are in none now")
            await ann.say("/login carol")
            await answer(ann, "Password for carol:", "wrong password")
            await ann.see("login as carol failed")
            await ann.say("/hide")
            assert ann.shown.name == "#den"
            bob.send("PRIVMSG ann :it opens by itself")
            await ann.see("!1")

    run(scene())


# ---- questions ----


def test_a_nick_in_use(relay: RunningRelay, tmp_path: Path) -> None:
    relay.join("ann")

    async def scene() -> None:
        async with at_screen(tmp_path, guest(relay, "#den")) as ann:
            await ann.see("Your nick:")
            await ann.press("enter")
            await ann.see("Your nick:")
            await ann.type("anna")
            await ann.press("enter")
            await in_rooms(ann)
            assert ann.network.client.nick == "anna"
            await ann.see_no("Your nick:")

    run(scene())


def test_a_reserved_nick_and_a_wrong_password(relay: RunningRelay, tmp_path: Path) -> None:
    relay.account("ann").quit()

    async def scene() -> None:
        async with at_screen(tmp_path, guest(relay, "#den")) as ann:
            await ann.see("Password for ann (empty: take another nick):")
            await ann.type("wrong")
            assert ann.app.screen.query_one(Input).value == "wrong"
            assert ann.shows("•••••")
            assert not ann.shows("wrong")
            first = ann.app.screen
            await ann.press("enter")
            await ann.until(lambda: isinstance(ann.app.screen, QuestionDialog))
            assert ann.app.screen is not first
            await answer(ann, "Password for ann", PASSWORD)
            await in_rooms(ann)
            assert ann.network.client.account == "ann"
            entries = [e for buffer in ann.network.chat.conversations for e in buffer.entries]
            assert not any(PASSWORD in entry.text for entry in entries)

    run(scene())


def test_escape_goes_from_password_to_nick_and_ctrl_q_leaves(
    relay: RunningRelay, tmp_path: Path
) -> None:
    relay.account("ann").quit()

    async def scene() -> None:
        async with at_screen(tmp_path, guest(relay, "#den")) as ann:
            await ann.see("Password for ann")
            await ann.press("escape")
            await ann.see("Your nick:")
            await ann.press("ctrl+q")
            await ann.until(lambda: not ann.app.is_running)

    run(scene())


def test_registering(relay: RunningRelay, tmp_path: Path) -> None:
    async def scene() -> None:
        async with at_screen(tmp_path, guest(relay, "#den")) as ann:
            await in_rooms(ann)
            for again in ("other", PASSWORD):
                await ann.say("/register")
                await answer(ann, "New password for ann:", PASSWORD)
                await answer(ann, "The same again:", again)
                if again == "other":
                    await ann.see("not registered: the passwords differ")
            await ann.see("the account ann is yours now")
            assert ann.network.client.account == "ann"

    run(scene())


SOURCES = {
    "prompt": PasswordSource("prompt"),
    "file": PasswordSource("file", path=Path("password")),
    "command": PasswordSource("command", run=(sys.executable, "-c", f"print({PASSWORD!r})")),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_where_a_password_comes_from(relay: RunningRelay, tmp_path: Path, kind: str) -> None:
    relay.account("ann").quit()
    source = SOURCES[kind]
    if kind == "file":
        path = tmp_path / "password"
        path.write_text(PASSWORD)
        path.chmod(0o600)
        source = PasswordSource("file", path=path)

    async def scene() -> None:
        async with at_screen(tmp_path, guest(relay, "#den", password=source)) as ann:
            if kind == "prompt":
                await answer(ann, "Password for ann at localhost:", PASSWORD)
            await ann.until(lambda: ann.app.chat_screen.network)
            await in_rooms(ann)
            assert ann.network.client.account == "ann"

    run(scene())


def test_a_wrong_password_is_asked_for_again(relay: RunningRelay, tmp_path: Path) -> None:
    relay.account("ann").quit()
    source = PasswordSource("command", run=(sys.executable, "-c", "print('wrong')"))

    async def scene() -> None:
        async with at_screen(tmp_path, guest(relay, "#den", password=source)) as ann:
            await answer(ann, "Password for ann (empty: take another nick):", PASSWORD)
            await in_rooms(ann)
            assert ann.network.client.account == "ann"

    run(scene())


def test_a_password_that_cannot_be_read_is_told(relay: RunningRelay, tmp_path: Path) -> None:
    source = PasswordSource("file", path=tmp_path / "nowhere")

    async def scene() -> None:
        async with at_screen(tmp_path, guest(relay, "#den", password=source)) as ann:
            await ann.see("home:", "nowhere", "cannot be read")
            await ann.press("escape")
            assert ann.app.is_running

    run(scene())


# ---- places ----


def test_a_new_size_keeps_the_place(relay: RunningRelay, tmp_path: Path) -> None:
    bob = relay.account("bob", *CAPS)
    bob.send("JOIN #den")
    bob.send(*(f"PRIVMSG #den :line {number} {'word ' * 20}" for number in range(90)))
    bob.sync()

    async def scene() -> None:
        relay.account("ann").quit()
        async with at_screen(tmp_path, account(relay, "ann", "#den"), size=(120, 30)) as ann:
            await ann.see("line 89")
            await ann.press("pageup", "pageup")
            messages = ann.app.chat_screen.messages
            top = messages._view._anchors[ann.shown].entry
            for size in ((70, 24), (50, 20), (120, 30)):
                await ann.pilot.resize_terminal(*size)
                await ann.pilot.pause()
                assert messages._view._anchors[ann.shown].entry is top
                following = ann.shown.at(ann.shown.position_of(top) + 1)
                await ann.see(following.text.partition(" word")[0])
            bob.send("PRIVMSG #den :something new")
            await ann.until(lambda: ann.shown.unread == 1)
            assert messages._view._anchors[ann.shown].entry is top

    run(scene())


def test_80_by_24_has_room_for_all(relay: RunningRelay, tmp_path: Path) -> None:
    bob = relay.join("bob")
    bob.send("JOIN #den", "TOPIC #den :tea at five")

    async def scene() -> None:
        async with at_screen(tmp_path, guest(relay, "#den"), size=(80, 24)) as ann:
            await in_rooms(ann)
            bob.send("PRIVMSG #den :hello")
            await ann.see("tea at five", "2 people", "home", "#den", "bob hello")
            await ann.type("hi")
            assert "hi" in ann.lines()[-1]
            await ann.press("f8")
            await ann.see("Operators 1", "@bob", "ann")
            await ann.press("f8")
            await ann.see_no("Operators 1")

    run(scene())


def test_what_another_device_says_comes_once(relay: RunningRelay, tmp_path: Path) -> None:
    bob = relay.account("bob", *CAPS)
    bob.send("JOIN #den")
    phone = relay.account("ann", *CAPS)
    phone.send("JOIN #den")
    phone.sync()

    async def scene() -> None:
        async with at_screen(tmp_path, account(relay, "ann", "#den")) as ann:
            await in_rooms(ann)
            phone.send("PRIVMSG #den :from the phone", "PRIVMSG bob :to bob alone")
            await ann.until(lambda: ann.texts() == ["from the phone"])
            await ann.until(lambda: ann.network.chat.conversations.get("bob"))
            assert [e.text for e in ann.buffer("bob").entries if e.is_text] == ["to bob alone"]
            assert ann.shown.unread == ann.buffer("bob").unread == 0
            await ann.say("from the desk")
            await ann.hears(phone, "PRIVMSG", "#den", "from the desk")
            bob.send("PRIVMSG #den :both of you")
            await ann.until(lambda: ann.texts()[-1] == "both of you")
            assert ann.texts() == ["from the phone", "from the desk", "both of you"]
            assert all(entry.own for entry in ann.shown.entries if entry.sender == "ann")

    run(scene())


def test_a_relay_that_asks_for_an_account(start_relay: StartRelay, tmp_path: Path) -> None:
    relay = start_relay(accounts={"required": True})

    async def scene() -> None:
        async with at_screen(tmp_path, guest(relay, "#den")) as ann:
            await ann.see("Password for ann (empty: register it):")
            await ann.press("enter")
            for prompt in ("New password for ann:", "The same again:"):
                await answer(ann, prompt, PASSWORD)
            await in_rooms(ann)
            assert ann.network.client.account == "ann"

    run(scene())
