"""The full-screen client against a real relay: what people do with it, key by key."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from textual.widgets import Button

from securechat.client.settings.opening import Opening
from securechat.client.settings.profile_file import ProfileFile
from securechat.client.tui.network import EVENTS_PER_TURN, Wake
from securechat.client.tui.questions import TextQuestion
from tests.client.invites import link_to
from tests.client.tui.screens import Screen, account, at_screen, profile, run
from tests.server.conftest import StartRelay
from tests.server.relay_harness import PASSWORD, FakeClock, RunningRelay

CAPS = ("message-tags", "server-time", "batch", "echo-message")


def test_talking_in_a_room(relay: RunningRelay, tmp_path: Path) -> None:
    bob = relay.join("bob")
    bob.send("JOIN #den")

    async def scene() -> None:
        async with at_screen(tmp_path, Opening("home", profile(relay, "ann", "#den"))) as ann:
            await ann.see("#den", "2 people", "bob", "@bob")
            await ann.type("hello all")
            await ann.press("enter")
            await ann.hears(bob, "PRIVMSG", "#den", "hello all")
            await ann.see("ann hello all")
            bob.send("PRIVMSG #den :hi ann")
            await ann.see("bob hi ann", "»")
            bob.send("PART #den :tea")
            await ann.see("bob left", "1 person")

    run(scene())


def test_a_crowd_that_says_much_at_once(relay: RunningRelay, tmp_path: Path) -> None:
    bob = relay.join("bob")
    bob.send("JOIN #den")

    async def scene() -> None:
        async with at_screen(tmp_path, Opening("home", profile(relay, "ann", "#den"))) as ann:
            await ann.until(lambda: ann.shown.joined)
            bob.send(*(f"PRIVMSG #den :line {number}" for number in range(5 * EVENTS_PER_TURN)))
            await ann.see(f"line {5 * EVENTS_PER_TURN - 1}")
            assert ann.texts() == [f"line {number}" for number in range(5 * EVENTS_PER_TURN)]
            bob.send("PRIVMSG #den :and on it goes")
            await ann.see("and on it goes")

    run(scene())


def test_nothing_of_others_is_markup(relay: RunningRelay, tmp_path: Path) -> None:
    bob = relay.join("bob")
    bob.send("JOIN #[bold]den", "TOPIC #[bold]den :[red]topic[/]", "PRIVMSG #[bold]den :[b]x[/b]")

    async def scene() -> None:
        opening = Opening("home", profile(relay, "ann", "#[bold]den"))
        async with at_screen(tmp_path, opening) as ann:
            await ann.see("#[bold]den", "[red]topic[/]")
            bob.send("PRIVMSG #[bold]den :[b]y[/b] [@click=app.bell]z[/]")
            await ann.see("[b]y[/b] [@click=app.bell]z[/]")

    run(scene())


def test_unread_mentions_and_the_way_to_them(relay: RunningRelay, tmp_path: Path) -> None:
    bob = relay.join("bob")
    bob.send("JOIN #den,#attic,#cellar")

    async def scene() -> None:
        opening = Opening("home", profile(relay, "ann", "#den", "#attic", "#cellar"))
        async with at_screen(tmp_path, opening) as ann:
            await ann.until(lambda: len(ann.network.chat.conversations.rooms()) == 3)
            assert ann.shown.name == "#den"
            bob.send("PRIVMSG #attic :one", "PRIVMSG #attic :two", "PRIVMSG #cellar :ann: hey")
            await ann.until(lambda: ann.buffer("#cellar").mentions == 1)
            assert (ann.buffer("#attic").unread, ann.buffer("#attic").mentions) == (2, 0)
            await ann.see("!1")
            await ann.press("alt+a")
            assert ann.shown.name == "#cellar"
            await ann.see("new", "bob ann: hey")
            await ann.press("f4")
            assert ann.shown.name == "#attic"
            assert ann.buffer("#cellar").unread == ann.buffer("#attic").unread == 0
            bob.send("PRIVMSG #attic :three")
            await ann.see("three")
            assert ann.buffer("#attic").unread == 0  # it is read as it comes

    run(scene())


def test_what_is_typed_stays_with_its_conversation(relay: RunningRelay, tmp_path: Path) -> None:
    async def scene() -> None:
        opening = Opening("home", profile(relay, "ann", "#den", "#attic"))
        async with at_screen(tmp_path, opening) as ann:
            await ann.until(lambda: len(ann.network.chat.conversations.rooms()) == 2)
            await ann.type("half a th")
            await ann.press("alt+down")
            assert ann.app.chat_screen.composer.get_text() == ""
            await ann.press("alt+up")
            assert ann.app.chat_screen.composer.get_text() == "half a th"

    run(scene())


def words_in(screen: Screen) -> list[str]:
    """The lines of the conversation of ``test_history…`` that are on the screen."""
    return re.findall(r"line [0-9]+", screen.text())


def test_history_comes_as_one_scrolls_up_and_nothing_jumps(
    relay: RunningRelay, tmp_path: Path
) -> None:
    bob = relay.account("bob", *CAPS)
    bob.send("JOIN #den")
    bob.send(*(f"PRIVMSG #den :line {number}" for number in range(350)))
    bob.sync()

    async def scene() -> None:
        relay.account("ann").quit()
        async with at_screen(tmp_path, account(relay, "ann", "#den")) as ann:
            await ann.see("line 349")
            assert len(ann.texts()) < 300
            seen: set[str] = set()
            while not ann.shown.reaches_start or not ann.shows("beginning of the conversation"):
                await ann.press("pageup")
                before = words_in(ann)
                await ann.until(lambda: not ann.shown.loading)
                assert words_in(ann) == before  # what has come in front moves nothing
                seen.update(before)
            assert [int(text.split()[1]) for text in ann.texts()] == list(range(350))
            assert {f"line {number}" for number in range(250)} <= seen
            await ann.press("ctrl+end")
            await ann.see("line 349")

    run(scene())


def test_search_finds_on_the_relay_and_opens_the_place(relay: RunningRelay, tmp_path: Path) -> None:
    bob = relay.account("bob", *CAPS)
    bob.send("JOIN #den", "PRIVMSG #den :the pineapple is ripe")
    bob.send(*(f"PRIVMSG #den :line {number}" for number in range(400)))
    bob.sync()

    async def scene() -> None:
        relay.account("ann").quit()
        async with at_screen(tmp_path, account(relay, "ann", "#den")) as ann:
            await ann.see("line 399")
            await ann.press("ctrl+f")
            await ann.type("pineapple")
            await ann.press("enter")
            await ann.see("the pineapple is ripe")
            await ann.press("down", "enter")
            await ann.until(lambda: not ann.shown.live and "line 1" in ann.texts())
            await ann.see("bob the pineapple is ripe", "line 3")
            selected = ann.app.chat_screen.messages.selected
            assert selected is not None
            assert selected.text == "the pineapple is ripe"
            bob.send("PRIVMSG #den :meanwhile")
            await ann.until(lambda: ann.shown.unread == 1)
            await ann.press("ctrl+end")
            await ann.see("meanwhile")
            assert ann.shown.live

    run(scene())


def test_replies_reactions_and_deletion(relay: RunningRelay, tmp_path: Path) -> None:
    bob = relay.account("bob", *CAPS, "draft/message-redaction")
    bob.send("JOIN #den")

    async def scene() -> None:
        relay.account("ann").quit()
        async with at_screen(tmp_path, account(relay, "ann", "#den")) as ann:
            await ann.until(lambda: ann.shown.joined)
            bob.send("PRIVMSG #den :tea or coffee?")
            await ann.see("tea or coffee?")
            await ann.press("ctrl+up", "enter")
            await ann.see("reply", "react")
            await ann.press("r")
            await ann.see("reply to bob", "tea or coffee?")
            await ann.type("tea")
            await ann.press("enter")
            answer = await ann.hears(bob, "PRIVMSG", "#den", "tea")
            [asked] = [entry for entry in ann.shown.entries if entry.text == "tea or coffee?"]
            assert answer.tags["+reply"] == asked.msgid
            await ann.see("╭ bob: tea or coffee?")
            await ann.say("/react bob 👍")
            reaction = await ann.hears(bob, "TAGMSG", "#den")
            assert reaction.tags["+draft/react"] == "👍"
            await ann.see("👍 1")
            bob.send(f"@+reply={answer.tags['msgid']};+draft/react=:) TAGMSG #den")
            await ann.see(":) 1")
            bob.send(f"REDACT #den {asked.msgid} :a secret")
            await ann.see("deleted by bob", "a secret")
            assert not asked.text
            await ann.say("/delete")
            await ann.hears(bob, "REDACT", "#den", answer.tags["msgid"])
            await ann.see("deleted by ann")

    run(scene())


def test_several_lines_are_guarded_and_go_as_one_message(
    relay: RunningRelay, tmp_path: Path
) -> None:
    bob = relay.join("bob", *CAPS, "draft/multiline")
    bob.send("JOIN #den")

    async def scene() -> None:
        from textual.events import Paste

        async with at_screen(tmp_path, Opening("home", profile(relay, "ann", "#den"))) as ann:
            await ann.until(lambda: ann.shown.joined)
            ann.app.post_message(Paste("one\ntwo\nthree\n"))
            await ann.see("one", "two", "three", "lines")
            assert ann.texts() == []
            await ann.press("enter")
            batch = await ann.hears(bob, "BATCH")
            assert batch.params[1:] == ("draft/multiline", "#den")
            said = [(await ann.hears(bob, "PRIVMSG")).params[1] for _ in range(3)]
            assert said == ["one", "two", "three"]
            await ann.until(lambda: ann.texts() == ["one\ntwo\nthree"])

    run(scene())


def test_who_is_typing_and_telling_that_we_are(relay: RunningRelay, tmp_path: Path) -> None:
    bob = relay.join("bob", *CAPS)
    bob.send("JOIN #den")

    async def scene() -> None:
        async with at_screen(tmp_path, Opening("home", profile(relay, "ann", "#den"))) as ann:
            await ann.until(lambda: ann.shown.joined)
            bob.send("@+typing=active TAGMSG #den")
            await ann.see("bob is typing…")
            bob.send("@+typing=done TAGMSG #den")
            await ann.see_no("bob is typing…")
            await ann.type("hel")
            heard = await ann.hears(bob, "TAGMSG", "#den")
            assert heard.tags["+typing"] == "active"

    run(scene())


def test_what_one_device_has_read_the_other_need_not(relay: RunningRelay, tmp_path: Path) -> None:
    bob = relay.account("bob", *CAPS)
    bob.send("JOIN #den")
    phone = relay.account("ann", *CAPS, "draft/read-marker")
    phone.send("JOIN #den")
    phone.sync()

    async def scene() -> None:
        async with at_screen(tmp_path, account(relay, "ann", "#den", "#attic")) as ann:
            await ann.until(lambda: len(ann.network.chat.conversations.rooms()) == 2)
            await ann.say("/query bob")
            bob.send("PRIVMSG #den :unread")
            await ann.until(lambda: ann.buffer("#den").unread == 1)
            said = await ann.hears(phone, "PRIVMSG", "#den", "unread")
            phone.send(f"MARKREAD #den timestamp={said.tags['time']}")
            await ann.until(lambda: ann.buffer("#den").unread == 0)
            bob.send("PRIVMSG #den :more")
            await ann.until(lambda: ann.buffer("#den").unread == 1)
            said = await ann.hears(phone, "PRIVMSG", "#den", "more")
            await ann.press("alt+a")
            marked = await ann.hears(phone, "MARKREAD", "#den", f"timestamp={said.tags['time']}")
            assert marked

    run(scene())


def test_a_lost_connection_is_shown_and_what_is_said_meanwhile_arrives_once(
    start_relay: StartRelay, tmp_path: Path
) -> None:
    relay = start_relay()
    port = relay.address[1]

    async def scene() -> None:
        relay.account("ann").quit()
        async with at_screen(tmp_path, account(relay, "ann", "#den")) as ann:
            await ann.until(lambda: ann.shown.joined)
            relay.stop()
            await ann.see("offline")
            await ann.say("are you there?")
            await ann.see("are you there?", "waiting")
            again = start_relay(server={"listen": (("127.0.0.1", port),)})
            await ann.see_no("offline")
            await ann.until(lambda: all(not entry.state for entry in ann.shown.entries))
            await ann.see_no("waiting")
            bob = again.account("bob", *CAPS, "draft/chathistory")
            bob.send("JOIN #den", "CHATHISTORY LATEST #den * 50")
            await ann.hears(bob, "BATCH")
            said = [message.params[1] for message in bob.sync() if message.command == "PRIVMSG"]
            assert said.count("are you there?") == 1

    run(scene())


def test_a_relay_that_does_not_answer_is_shown(relay: RunningRelay, tmp_path: Path) -> None:
    clock = FakeClock()

    async def scene() -> None:
        opening = Opening("home", profile(relay, "ann", "#den"))
        async with at_screen(tmp_path, opening, monotonic=clock) as ann:
            await ann.until(lambda: ann.shown.joined)
            with relay.relay.services.lock:  # the relay can do nothing meanwhile
                await ann.say("hello?")
                clock.now += 4.0
                ann.app.chat_screen.tick()
                await ann.see("slow: no answer for 4 seconds")
            await ann.until(lambda: not any(entry.state for entry in ann.shown.entries))
            ann.app.chat_screen.tick()
            await ann.see_no("slow:")

    run(scene())


async def give_password(ann: Screen, *questions: str) -> None:
    """Answer what the assistant asks of an account, and take what it suggests from there on."""
    pane = ann.app.screen.query_one("#step-account")
    await ann.until(lambda: pane.display and not pane.disabled)
    for question in questions:
        ann.app.screen.query_one(f"#{question}", TextQuestion).value = PASSWORD
    ann.app.screen.query_one("#next", Button).press()
    await ann.see("Where to keep the password?")
    await ann.press("enter")


def test_from_an_invite_to_talking(start_relay: StartRelay, tmp_path: Path) -> None:
    relay = start_relay(accounts={"registration": "invite"})
    link = link_to(relay, room="#friends", account="ann")

    async def scene() -> None:
        async with at_screen(tmp_path, invite=link) as ann:
            await give_password(ann, "password", "again")
            await ann.see("#friends", "1 person")
            await ann.type("hello")
            await ann.press("enter")
            await ann.see("ann hello")
            assert ann.network.client.account == "ann"

    run(scene())
    profiles = ProfileFile(tmp_path / "profiles.toml").load()
    assert profiles.last == "localhost"
    assert profiles.networks["localhost"].ca == tmp_path / "localhost-ca.pem"


def test_an_invite_to_where_one_is(relay: RunningRelay, tmp_path: Path) -> None:
    relay.account("ann").quit()
    opening = account(relay, "ann", "#den")
    ProfileFile(tmp_path / "profiles.toml").save_network("home", opening.profile)

    async def scene() -> None:
        async with at_screen(tmp_path, opening) as ann:
            await ann.see("#den")
            await ann.say(f"/network {link_to(relay, room='#garden', account='ann')}")
            await ann.see("The nick ann belongs to an account.")
            await give_password(ann, "password")
            await ann.until(lambda: ann.app.screen is ann.app.chat_screen)
            await ann.until(lambda: ann.shown.name == "#garden" and ann.shown.joined)
            assert [network.name for network in ann.app.networks] == ["home"]

    run(scene())
    kept = ProfileFile(tmp_path / "profiles.toml").load().networks
    assert list(kept) == ["home"]
    assert kept["home"].rooms == ("#den", "#garden")


def test_two_networks_at_once(relay: RunningRelay, tmp_path: Path) -> None:
    async def scene() -> None:
        openings = [
            Opening("home", profile(relay, "ann", "#den")),
            Opening("work", profile(relay, "anna", "#desk")),
        ]
        async with at_screen(tmp_path, *openings) as ann:
            await ann.see("home", "work", "#den", "#desk")
            await ann.say("from home")
            bob = relay.join("bob")
            bob.send("JOIN #den,#desk", "PRIVMSG #desk :anna: psst")
            await ann.see("!1")
            await ann.press("alt+a")
            assert ann.network.name == "work"
            await ann.see("bob anna: psst")
            await ann.press("alt+up")
            while ann.network.name == "work":
                await ann.press("alt+up")
            await ann.until(lambda: ann.shown.name == "#den")
            await ann.say("/disconnect")
            await ann.hears(bob, "QUIT")
            await ann.see("offline", "ann from home")  # what was said stays
            await ann.say("anybody?")
            await ann.see("not connected")
            await ann.say("/network home")
            await ann.see_no("offline")
            await ann.until(lambda: ann.network.name == "home" and ann.shown.joined)
            assert len(ann.app.networks) == 2

    run(scene())


def test_a_password_for_a_lost_connection_is_said_to_nobody(
    start_relay: StartRelay, tmp_path: Path
) -> None:
    relay = start_relay()

    async def scene() -> None:
        async with at_screen(tmp_path, Opening("home", profile(relay, "ann", "#den"))) as ann:
            await ann.until(lambda: ann.shown.joined)
            await ann.say("/register")
            await ann.see("New password for ann:")
            await ann.type("corr")
            relay.stop()
            await ann.see("The question is void")
            await ann.type("ect")
            await ann.press("enter")
            await ann.see_no("The question is void")
            assert ann.texts() == []
            assert ann.app.chat_screen.composer.get_text() == ""

    run(scene())


def test_news_that_come_while_one_leaves_are_shown_nowhere(
    relay: RunningRelay, tmp_path: Path
) -> None:
    relay.account("ann")

    async def come(ann: Screen) -> None:
        while True:
            ann.app.post_message(Wake(ann.network))
            await asyncio.sleep(0)

    async def scene() -> None:
        async with at_screen(tmp_path, account(relay, "ann", "#den")) as ann:
            await ann.until(lambda: bool(ann.network.chat.conversations.rooms()))
            news = asyncio.create_task(come(ann))
        news.cancel()

    run(scene())


def test_the_word_exit_leaves(relay: RunningRelay, tmp_path: Path) -> None:
    async def scene() -> None:
        async with at_screen(tmp_path, Opening("home", profile(relay, "ann", "#den"))) as ann:
            await ann.until(lambda: ann.shown.joined)
            await ann.type("exit")
            await ann.press("enter")
            await ann.until(lambda: not ann.app.is_running)

    run(scene())


def test_narrow_screens_fold_the_panes_and_a_key_shows_them(
    relay: RunningRelay, tmp_path: Path
) -> None:
    async def scene() -> None:
        opening = Opening("home", profile(relay, "ann", "#den", "#attic"))
        async with at_screen(tmp_path, opening, size=(50, 24)) as ann:
            await ann.until(lambda: len(ann.network.chat.conversations.rooms()) == 2)
            await ann.see_no("#attic")
            await ann.press("f7")
            await ann.see("#attic")
            await ann.press("f7")
            await ann.see_no("#attic")
            await ann.pilot.resize_terminal(120, 30)
            await ann.see("#attic", "@ann")

    run(scene())


def test_another_ca_is_explained(
    relay: RunningRelay, tmp_path: Path, start_relay: StartRelay
) -> None:
    wrong = tmp_path / "wrong.pem"
    relay.certificates.other_ca.cert_pem.write_to_path(wrong)

    async def scene() -> None:
        async with at_screen(tmp_path, Opening("home", profile(relay, "ann", ca=wrong))) as ann:
            await ann.see("home:")
            assert ann.app.error is not None
            await ann.press("escape")
            assert ann.app.is_running

    run(scene())


@pytest.mark.parametrize("name", ["light", "contrast", "sixteen", "dark"])
def test_themes(relay: RunningRelay, tmp_path: Path, name: str) -> None:
    async def scene() -> None:
        async with at_screen(tmp_path, Opening("home", profile(relay, "ann", "#den"))) as ann:
            await ann.until(lambda: ann.shown.joined)
            await ann.say(f"/theme {name}")
            assert ann.app.theme == name
            await ann.say("/theme plaid")
            await ann.see("there are these themes")
            assert f'theme = "{name}"' in (tmp_path / "profiles.toml").read_text()

    run(scene())
