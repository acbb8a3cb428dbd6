"""The assistant, key by key and click by click, against relays that are as they should be and not.

What is asked and answered in which way is held by ``test_setup``; here it must be on the screen.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Button, Input

from securechat.client.assistant.setup import Step
from securechat.client.client import Client
from securechat.client.settings.profiles import Network, PasswordSource
from securechat.client.tui import themes
from securechat.client.tui.questions import ChoiceQuestion, TextQuestion
from securechat.client.tui.setup_screen import SetupResult, SetupScreen
from securechat.client.words.translation import choose_language
from tests.client.invites import link_to
from tests.client.memory_keyring import memory_keyring
from tests.client.trials import (
    PROTOCOL_VERSION_ALERT,
    bad_certificate,
    closed_port,
    plain_server,
)
from tests.server.conftest import StartRelay
from tests.server.relay_harness import LONG_TIMEOUT_S, PASSWORD, Certificates, RunningRelay


class Host(App[None]):
    def __init__(self, screen: SetupScreen) -> None:
        super().__init__()
        self.assistant = screen
        self.results: list[SetupResult | None] = []

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return themes.variable_defaults(self)

    def on_mount(self) -> None:
        self.push_screen(self.assistant, self.results.append)


class User:
    """Somebody who sits in front of the assistant."""

    def __init__(self, app: Host, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot

    def text(self) -> str:
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)

    async def until(self, what: Callable[[], object]) -> None:
        deadline = time.monotonic() + LONG_TIMEOUT_S
        while not what():
            assert time.monotonic() < deadline, self.text()
            await self.pilot.pause(0.005)
        await self.pilot.pause(0)

    async def see(self, *words: str) -> None:
        """Wait until all of these are on the screen, however it wraps."""

        def seen() -> bool:
            shown = " ".join(self.text().split())
            return all(word in shown for word in words)

        await self.until(seen)

    async def press(self, *keys: str) -> None:
        """Press keys, one behind the other as fast as that goes."""
        for key in keys:
            self.app.simulate_key(key)
        await self.pilot.pause(0)

    async def enter(self, text: str = "") -> None:
        """Type a text and Enter, and wait until that has led to something else."""
        focused = self.app.focused
        await self.press(*text)
        if isinstance(focused, Input):
            await self.until(lambda: focused.value.endswith(text))
        await self.press("enter")
        await self.until(lambda: self.app.focused is not focused)

    async def click(self, selector: str) -> None:
        assert await self.pilot.click(selector)

    def set(self, key: str, value: str) -> None:
        self.app.assistant.query_one(f"#{key}", TextQuestion).value = value

    def choose(self, key: str, value: str) -> None:
        self.app.assistant.query_one(f"#{key}", ChoiceQuestion).value = value

    async def go_on(self) -> None:
        await self.pilot.pause(0)
        self.app.assistant.query_one("#next", Button).press()
        await self.pilot.pause(0)

    async def go_back(self) -> None:
        self.app.assistant.query_one("#back", Button).press()
        await self.pilot.pause(0)

    async def at(self, step: Step) -> None:
        """Wait until the assistant is at the step, and nothing is under way."""
        shown = self.app.assistant.query_one(f"#step-{step.name.lower()}")
        await self.until(lambda: shown.display and not shown.disabled)

    async def come_to(self, step: Step, port: int, ca: Path, nick: str = "ann") -> None:
        """Give the first answers, as far as ``step``."""
        self.set("address", f"localhost:{port}")
        await self.go_on()
        self.set("ca_file", str(ca))
        await self.go_on()
        await self.at(Step.CONNECTION)
        if step is Step.CONNECTION:
            return
        await self.see("All is well")
        await self.go_on()
        self.set("nick", nick)
        if step is not Step.NICK:
            await self.go_on()
            await self.at(step)


def sit(
    scene: Callable[[User], Awaitable[None]],
    folder: Path,
    *,
    size: tuple[int, int] = (80, 24),
    **more: Any,
) -> list[SetupResult | None]:
    """Run a scene in front of the assistant; return what it has given as its results."""

    async def run() -> list[SetupResult | None]:
        app = Host(SetupScreen(folder / "settings", here=folder, **more))
        async with app.run_test(size=size) as pilot:
            await scene(User(app, pilot))
        return app.results

    return asyncio.run(run())


@pytest.mark.parametrize("size", [(80, 24), (60, 24)])
def test_a_new_account_by_keys_alone(
    size: tuple[int, int], relay: RunningRelay, tmp_path: Path
) -> None:
    (tmp_path / "certs").mkdir()
    found = tmp_path / "certs" / "ca.pem"
    found.write_bytes(relay.certificates.ca_file.read_bytes())
    port = relay.address[1]

    async def scene(user: User) -> None:
        await user.see("Step 1 of 7: Where is the chat?", "Address")
        await user.enter(f"localhost:{port}")
        await user.see("Step 2 of 7: Whom to trust?", "(•) The CA in a file", "Compare its SHA-256")
        await user.enter()
        await user.enter()
        await user.see("Step 3 of 7", "encrypted (TLS 1.3)", f"that it is localhost:{port}")
        await user.see("The network calls itself TestNet.")
        await user.enter()
        await user.see("Step 4 of 7: Who are you?")
        await user.enter("ann")
        await user.enter("Ann Lee")
        await user.see("Step 5 of 7: Your account", "(•) Make an account of this nick")
        await user.enter()
        await user.enter(PASSWORD)
        await user.enter(PASSWORD)
        await user.see("Step 6 of 7: Where to keep the password?", "(•) Ask me at each start")
        await user.enter()
        await user.see("Step 7 of 7: Ready to start", "Account: ann")
        await user.enter("#home, garden")
        await user.enter()
        await user.until(lambda: user.app.results)

    (result,) = sit(scene, tmp_path, size=size)
    ca = tmp_path / "settings" / "TestNet-ca.pem"
    assert result == SetupResult(
        "TestNet",
        Network(
            "localhost",
            "ann",
            port=port,
            ca=ca,
            realname="Ann Lee",
            password=PasswordSource("prompt"),
            rooms=("#home", "#garden"),
        ),
        PASSWORD,
    )
    with Client(result.network.host, port, nick="ann", ca=ca, password=result.password) as client:
        client.connect()
        assert client.account == "ann"


def test_a_guest_by_mouse(relay: RunningRelay, tmp_path: Path) -> None:
    async def scene(user: User) -> None:
        await user.come_to(Step.ACCOUNT, relay.address[1], relay.certificates.ca_file)
        await user.click("#account _Option:last-of-type")
        await user.see("(•) Later")
        assert "Password" not in user.text()
        await user.click("#next")
        await user.see("Step 7 of 7", "Account: none")
        await user.click("#back")
        await user.see("Step 5 of 7", "(•) Later")
        # Pressed twice within a moment, a button takes it for one.
        await user.until(lambda: not user.app.assistant.query("#next.-active"))
        await user.click("#next")
        await user.see("Step 7 of 7", "TestNet-2")
        await user.until(lambda: not user.app.assistant.query("#next.-active"))
        await user.click("#next")
        await user.until(lambda: user.app.results)

    networks = {"TestNet": Network("elsewhere.example.org", "ann")}
    (result,) = sit(scene, tmp_path, networks=networks)
    assert result is not None
    assert result.network_name == "TestNet-2"
    assert result.password is None
    assert result.network.password is None


FAILURES = {
    "expired": ("has expired", "renew the certificate"),
    "not-yet-valid": ("is not valid yet", "Set the date and the clock"),
    "hostname": ("for another name", "exactly as you got it"),
    "untrusted": ("not of the CA that you trust", "by phone or face to face"),
}


@pytest.mark.parametrize("check", FAILURES)
def test_a_certificate_that_fails(
    check: str, start_relay: StartRelay, relay_certificates: Certificates, tmp_path: Path
) -> None:
    relay = start_relay(tls=bad_certificate(check, relay_certificates, tmp_path))

    async def scene(user: User) -> None:
        await user.come_to(Step.CONNECTION, relay.address[1], relay_certificates.ca_file)
        title, advice = FAILURES[check]
        await user.see(title, "What to do:", advice, "In the words of the program:", "Try again")
        await user.press("enter")  # the focus is on what mends it
        await user.at(Step.ADDRESS if check == "hostname" else Step.TRUST)

    assert sit(scene, tmp_path) == []


@pytest.mark.parametrize(
    ("answer", "title"),
    [
        (b":irc.test NOTICE * :Hello\r\n", "! The server does not speak TLS"),
        (PROTOCOL_VERSION_ALERT, "! The server's encryption is too old"),
        (None, "! Nothing listens there"),
    ],
)
def test_a_server_that_is_none(
    answer: bytes | None, title: str, relay_certificates: Certificates, tmp_path: Path
) -> None:
    async def scene(user: User, port: int) -> None:
        await user.come_to(Step.CONNECTION, port, relay_certificates.ca_file)
        await user.see(title)

    if answer is None:
        sit(lambda user: scene(user, closed_port()), tmp_path)
    else:
        with plain_server(answer) as port:
            sit(lambda user: scene(user, port), tmp_path)


def test_trying_again(relay: RunningRelay, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    relay.certificates.other_ca.cert_pem.write_to_path(other)

    async def scene(user: User) -> None:
        await user.come_to(Step.CONNECTION, relay.address[1], other)
        await user.see("Try again")
        await user.go_on()
        await user.at(Step.CONNECTION)
        await user.see("! The certificate is not of the CA that you trust")
        await user.go_back()
        user.choose("trust", "system")
        await user.go_on()
        await user.see("! This system does not know the CA of the server")
        await user.go_back()
        user.choose("trust", "file")
        user.set("ca_file", str(relay.certificates.ca_file))
        await user.go_on()
        await user.see("All is well")

    sit(scene, tmp_path)


def test_a_trial_is_broken_off(relay_certificates: Certificates, tmp_path: Path) -> None:
    async def scene(user: User, port: int) -> None:
        user.set("address", f"localhost:{port}")
        await user.go_on()
        user.set("ca_file", str(relay_certificates.ca_file))
        await user.go_on()
        await user.see(f"Connecting to localhost:{port}")
        assert user.app.assistant.query_one("#next").disabled
        await user.press("alt+left")
        await user.at(Step.TRUST)

    with plain_server(b"", stays=True) as port:
        sit(lambda user: scene(user, port), tmp_path)


def test_a_nick_in_use_one_reserved_and_a_wrong_password(
    relay: RunningRelay, tmp_path: Path
) -> None:
    relay.account("ann").quit()
    relay.join("bob")

    async def scene(user: User) -> None:
        await user.come_to(Step.NICK, relay.address[1], relay.certificates.ca_file, nick="bob")
        await user.go_on()
        await user.see("! the server does not take the nick bob: Nickname is already in use")
        user.set("nick", "ann")
        await user.go_on()
        await user.see("The nick ann belongs to an account.", "(•) Log in")
        assert "Make an account" not in user.text()
        user.set("password", "wrong password")
        await user.go_on()
        await user.see("! account and password do not fit together")
        assert PASSWORD not in user.text()
        await user.press("ctrl+u")
        await user.enter(PASSWORD)  # the focus is on what is wrong
        await user.see("Step 6 of 7")
        user.choose("keep", "command")
        await user.go_on()
        await user.see("! give the command that prints the password")
        user.set("command", "cat secret.txt")
        await user.go_on()
        await user.see("Step 7 of 7", "Password: printed by a command")
        await user.go_on()
        await user.until(lambda: user.app.results)

    (result,) = sit(scene, tmp_path)
    assert result is not None
    assert result.network.password == PasswordSource("command", run=("cat", "secret.txt"))
    assert result.password == PASSWORD


def test_a_server_by_invitation_only(start_relay: StartRelay, tmp_path: Path) -> None:
    relay = start_relay(accounts={"required": True, "registration": "invite"})

    async def scene(user: User) -> None:
        await user.come_to(Step.ACCOUNT, relay.address[1], relay.certificates.ca_file)
        await user.see("lets in only people with an account", "Invitation code or e-mail address")
        assert "Later" not in user.text()
        user.set("password", "short")
        user.set("again", "short")
        user.set("email", "no-such-code")
        await user.go_on()
        await user.see("! the server says no: Choose a password of at least 8 characters")
        user.set("password", PASSWORD)
        user.set("again", PASSWORD)
        await user.go_on()
        await user.see("Invitation code", "! the server says no:")

    sit(scene, tmp_path)


@pytest.fixture
def invited(start_relay: StartRelay) -> RunningRelay:
    """A relay that only lets in who has an invite."""
    return start_relay(accounts={"registration": "invite"})


@pytest.mark.parametrize(("pasted", "size"), [(False, (80, 24)), (True, (60, 24))])
def test_an_invite_link(
    pasted: bool, size: tuple[int, int], invited: RunningRelay, tmp_path: Path
) -> None:
    """What is left are the nick, the password, and where to keep that."""
    link = link_to(invited, room="#friends")

    async def scene(user: User) -> None:
        if pasted:
            await user.see("Step 1 of 7", "an invite link, which begins with")
            user.app.focused.post_message(events.Paste(f"{link}\n"))
            await user.until(lambda: user.app.assistant.query_one("#address Input").value == link)
            await user.press("enter")
        await user.see("Who are you?")
        assert "Step" not in user.text(), "the link has left out some"
        await user.at(Step.NICK)
        await user.enter("ann")
        await user.enter()
        await user.see("Your account", "(•) Make an account of this nick")
        assert "Invitation code" not in user.text()
        await user.at(Step.ACCOUNT)
        await user.enter(PASSWORD)
        await user.enter(PASSWORD)
        await user.see("Where to keep the password?")
        await user.enter()
        await user.until(lambda: user.app.results)

    (result,) = sit(scene, tmp_path, size=size, **({} if pasted else {"invite": link}))
    assert result is not None
    assert result.network_name == "localhost"
    assert result.network.rooms == ("#friends",)
    ca = tmp_path / "settings" / "localhost-ca.pem"
    assert result.network.ca == ca
    assert ca.read_bytes() == invited.certificates.ca.cert_pem.bytes()


def test_an_invite_for_one_nick_and_a_nick_that_is_taken(
    invited: RunningRelay, tmp_path: Path
) -> None:
    link = link_to(invited, account="ann")

    async def first(user: User) -> None:
        await user.at(Step.ACCOUNT)
        await user.go_back()
        await user.see("Who are you?", "ann")
        assert user.app.assistant.query_one("#nick").disabled
        await user.see("Real name")
        assert user.app.focused is user.app.assistant.query_one("#realname Input")
        await user.enter("Ann Lee")
        await user.at(Step.ACCOUNT)
        user.set("password", PASSWORD)
        user.set("again", PASSWORD)
        await user.go_on()
        await user.at(Step.PASSWORD)
        await user.go_on()
        await user.until(lambda: user.app.results)

    (result,) = sit(first, tmp_path, invite=link)
    assert result is not None
    assert (result.network.nick, result.network.realname) == ("ann", "Ann Lee")

    async def second(user: User) -> None:
        await user.at(Step.ACCOUNT)
        user.set("password", "another password")
        user.set("again", "another password")
        await user.go_on()
        await user.see("The nick ann belongs to an account.", "(•) Log in", "do not fit together")
        user.set("password", PASSWORD)
        await user.go_on()
        await user.at(Step.PASSWORD)
        await user.go_on()
        await user.until(lambda: user.app.results)

    networks = {result.network_name: result.network}
    assert sit(second, tmp_path, invite=link, networks=networks) == [result]


def test_an_invite_that_is_used_up(invited: RunningRelay, tmp_path: Path) -> None:
    async def scene(user: User) -> None:
        await user.at(Step.NICK)
        user.set("nick", "ann")
        await user.go_on()
        await user.at(Step.ACCOUNT)
        user.set("password", PASSWORD)
        user.set("again", PASSWORD)
        await user.go_on()
        await user.see("! the server does not take the invite", "Ask for a new link")
        user.set("email", link_to(invited))
        await user.go_on()
        await user.see("Where to keep the password?")
        await user.press("escape")
        await user.see("Leave the setup?", "The account ann is there.")

    # What is wrong must be seen also where the screen is too small for all of the step.
    sit(scene, tmp_path, size=(60, 20), invite=link_to(invited, token="no-such-token"))


def test_another_server_than_that_of_the_invite(invited: RunningRelay, tmp_path: Path) -> None:
    async def scene(user: User) -> None:
        await user.see("! This is not the server of your invite", "Do not go on with this link.")
        await user.press("enter")  # the focus is on the way back
        await user.at(Step.ADDRESS)
        await user.go_on()
        await user.see("! This is not the server of your invite")

    assert sit(scene, tmp_path, invite=link_to(invited, ca=invited.certificates.other_ca)) == []
    assert not (tmp_path / "settings").exists()


def test_another_ca_than_the_known_one(invited: RunningRelay, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    invited.certificates.other_ca.cert_pem.write_to_path(other)
    known = Network("localhost", "ann", port=invited.address[1], ca=other)

    async def scene(user: User) -> None:
        await user.see("! you know this server as the network mynet", "profiles.toml")

    sit(scene, tmp_path, size=(60, 24), invite=link_to(invited), networks={"mynet": known})


def test_a_button_is_as_wide_as_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(user: User) -> None:
        await user.see("Попробовать ещё раз", "Назад")

    monkeypatch.setenv("LANGUAGE", "en")  # choose_language changes it
    choose_language("ru")
    link = f"securechat://localhost:{closed_port()}/#token=t"
    try:
        sit(scene, tmp_path, size=(60, 20), invite=link)
    finally:
        choose_language("en")


def test_leaving_while_the_ca_is_fetched(tmp_path: Path) -> None:
    async def scene(user: User, port: int) -> None:
        await user.see(f"Fetching the CA of localhost:{port}")
        await user.press("alt+left")
        await user.at(Step.ADDRESS)
        await user.go_on()
        await user.see(f"Fetching the CA of localhost:{port}")

    with plain_server(b"", stays=True) as port:
        link = f"securechat://localhost:{port}/#token=t,ca={'A' * 43}"
        sit(lambda user: scene(user, port), tmp_path, invite=link)


def test_the_keyring(relay: RunningRelay, tmp_path: Path) -> None:
    async def scene(user: User) -> None:
        await user.come_to(Step.ACCOUNT, relay.address[1], relay.certificates.ca_file)
        user.set("password", PASSWORD)
        user.set("again", PASSWORD)
        await user.go_on()
        await user.see("Step 6 of 7", "In the keyring of this system")
        user.choose("keep", "keyring")
        await user.go_on()
        memory.locked = True
        await user.go_on()
        await user.see("Step 7 of 7", "! ", "keyring")
        memory.locked = False
        await user.go_on()
        await user.until(lambda: user.app.results)

    with memory_keyring() as memory:
        (result,) = sit(scene, tmp_path)
    assert result is not None
    assert result.network.password == PasswordSource("keyring")
    place = f"securechat:localhost:{relay.address[1]}"
    assert memory.kept == {(place, "ann"): PASSWORD}


def test_the_file_of_the_ca(relay: RunningRelay, tmp_path: Path) -> None:
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs" / "ca.pem").write_bytes(relay.certificates.ca_file.read_bytes())

    async def scene(user: User) -> None:
        user.set("address", "localhost")
        await user.go_on()
        await user.see("SHA-256 fingerprint", str(tmp_path)[:20])  # the one below this folder
        path = user.app.assistant.query_one("#ca_file Input", Input)
        path.value = f"{tmp_path}/certs/"
        await user.until(lambda: "fingerprint" not in user.text())
        path.focus()
        await user.press("end", "c")
        await user.until(lambda: path._suggestion)
        await user.press("right")
        await user.until(lambda: path.value == f"{tmp_path}/certs/ca.pem")
        await user.see("SHA-256 fingerprint")
        path.value = str(tmp_path)
        await user.go_on()
        await user.see("! there is no file")

    sit(scene, tmp_path)


def test_leaving(tmp_path: Path) -> None:
    async def at_once(user: User) -> None:
        await user.press("escape")
        await user.until(lambda: user.app.results)

    assert sit(at_once, tmp_path) == [None]

    async def after_a_question(user: User) -> None:
        await user.press("x", "escape")
        await user.see("Leave the setup?")
        await user.press("escape")
        await user.until(lambda: user.app.screen is user.app.assistant)
        await user.press("escape")
        await user.see("Leave the setup?")
        await user.click("#yes")
        await user.until(lambda: user.app.results)

    assert sit(after_a_question, tmp_path) == [None]


def test_nothing_is_markup(tmp_path: Path) -> None:
    async def scene(user: User) -> None:
        user.set("address", "irc://[bold]x[/]")
        await user.go_on()
        user.set("address", "localhost")
        await user.go_on()
        user.set("ca_file", "/[red]no[/red]")
        await user.go_on()
        await user.see("! there is no file /[red]no[/red]")

    sit(scene, tmp_path)


def test_what_is_chosen_is_a_character(tmp_path: Path) -> None:
    async def scene(user: User) -> None:
        user.set("address", "localhost")
        await user.go_on()
        await user.see("(•) The CA in a file", "( ) The CAs that this system trusts")
        await user.press("down")
        await user.see("( ) The CA in a file", "(•) The CAs that this system trusts")
        assert "The file of the CA" not in user.text()
        await user.press("up")
        await user.see("(•) The CA in a file", "The file of the CA")

    sit(scene, tmp_path)
