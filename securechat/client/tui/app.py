"""The full-screen client: its networks, and what chats and commands may ask of it.

The screen itself is ``chat_screen``. Everything here runs on Textual's thread.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from textual import work
from textual.app import App

from securechat.client.assistant.setup import explain_failure
from securechat.client.chat.buffers import Buffer, Notify
from securechat.client.chat.chat import Chat, Question
from securechat.client.chat.conversations import News
from securechat.client.client import Client
from securechat.client.events import RelaysAnnounced
from securechat.client.settings.opening import MakeClient, Opening
from securechat.client.settings.passwords import read_password
from securechat.client.settings.profile_file import ProfileFile
from securechat.client.settings.profiles import Notifications
from securechat.client.tui import palette, themes
from securechat.client.tui.chat_screen import ChatScreen
from securechat.client.tui.dialogs import CodeRow, QuestionDialog, SafetyCodeDialog, TextDialog
from securechat.client.tui.help_screen import HelpScreen
from securechat.client.tui.links import address
from securechat.client.tui.network import Network, ScreenChat, Wake
from securechat.client.tui.notifications import Notifier, NotifyMode, wants
from securechat.client.tui.search_desk import SearchDesk
from securechat.client.tui.setup_screen import SetupResult, SetupScreen
from securechat.client.tui.terminal_keys import correct_keys
from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _, explain
from securechat.errors import ConfigError, LocalProtocolError, SecureChatError

__all__ = ["ChatApp"]


class ChatApp(App[int]):
    """The screen. ``run`` returns the exit code.

    :param openings: what is opened at the start, the first of them is shown; none: the assistant.
    :param invite: an invite link for the assistant.
    :param profiles: where networks, theme and notifications are kept.
    :param clock: the local time.
    :param monotonic: seconds that only go forward.
    """

    TITLE = "securechat"

    def __init__(
        self,
        openings: Sequence[Opening],
        make_client: MakeClient,
        profiles: ProfileFile,
        *,
        invite: str = "",
        theme: str = "",
        notifications: Notifications | None = None,
        clock: Callable[[], datetime] = datetime.now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        correct_keys()
        for each in themes.THEMES.values():
            self.register_theme(each)
        self.theme = theme if theme in themes.THEMES else themes.DEFAULT_THEME
        self.networks: list[Network] = []
        self.error: SecureChatError | None = None  # why the last network ended, if not by the user
        self._openings = openings
        self._invite = invite
        self._wanted = ""  # the network to be shown as soon as it is open
        self._make_client = make_client
        self._profiles = profiles
        self._clock = clock
        self._monotonic = monotonic
        self._asked: tuple[Question, QuestionDialog] | None = None
        self._known: dict[str, Opening] = {}  # all networks that were opened, by name
        wanted = notifications or Notifications()
        ways: list[NotifyMode] = ["bell"] if wanted.bell else []
        self._notifiers = [
            Notifier(self._write_raw, way, clock=monotonic) for way in (*ways, wanted.desktop)
        ]
        self._search = SearchDesk(self)
        self.chat_screen = ChatScreen(self, monotonic=monotonic)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Return what the widgets' styles ask for."""
        return themes.variable_defaults(self)

    def get_default_screen(self) -> ChatScreen:
        """Return the screen below all others."""
        return self.chat_screen

    def begin(self) -> None:
        """Open the networks, or the assistant. Called once the screen is there."""
        for opening in self._openings:
            self.open_opening(opening)
        if not self._openings:
            self.open_setup(self._invite)

    # ---- networks ----

    def open_opening(self, opening: Opening) -> None:
        """Ask for nick and password where that is needed, then connect."""
        self._known[opening.name] = opening
        source = opening.profile.password
        if not opening.profile.nick:
            self._ask_nick(opening)
        elif opening.password is not None or source is None:
            self._connect(opening)
        elif source.kind == "prompt":
            self._ask_password(opening)
        else:
            self._read_password(opening)

    def _ask_nick(self, opening: Opening) -> None:
        def take(nick: str | None) -> None:
            nick = (nick or "").strip()
            if not nick and not self.networks:
                self.exit(0)
            elif nick and " " not in nick:
                self.open_opening(replace(opening, profile=replace(opening.profile, nick=nick)))
            elif nick:
                self._ask_nick(opening)

        self.push_screen(QuestionDialog(_("Your nick:"), secret=False), take)

    def _ask_password(self, opening: Opening) -> None:
        account = make_safe(opening.profile.login)

        def take(password: str | None) -> None:
            self._connect(replace(opening, password=password or None))

        prompt = _(
            "Password for {account} at {host}:", account=account, host=opening.profile.server
        )
        self.push_screen(QuestionDialog(prompt, secret=True), take)

    @work(thread=True)
    def _read_password(self, opening: Opening) -> None:
        """On a thread of its own: a command or the keyring may take its time, or ask by itself."""
        profile = opening.profile
        assert profile.password is not None
        try:
            password = read_password(
                profile.password,
                network=profile.relay,
                account=profile.login,
                ask=lambda text: None,
            )
        except SecureChatError as error:
            self.call_from_thread(self.show_failure, opening.name, error)
            return
        if password is None:
            self.call_from_thread(self._ask_password, opening)
        else:
            self.call_from_thread(self._connect, replace(opening, password=password))

    def _connect(self, opening: Opening) -> None:
        profile = opening.profile
        try:
            network = Network(
                opening.name,
                lambda wake: self._make_client(opening, wake),
                self,
                self.post_message,
                channels=profile.rooms,
                notify=profile.notify,
                clock=self._clock,
                monotonic=self._monotonic,
            )
        except SecureChatError as error:
            self.show_failure(opening.name, error)
            return
        self.networks.append(network)
        if self.chat_screen.network is None or opening.name == self._wanted:
            self._wanted = ""
            self.chat_screen.show_buffer(network, network.chat.conversations.server)
        network.client.start()
        self.chat_screen.update_soon()

    def show_failure(self, name: str, error: SecureChatError) -> None:
        """Say why a network cannot be opened, or has ended, and what can be done."""
        self.error = error
        found = explain_failure(error)
        parts = (found.meaning, found.advice, make_safe(found.words))
        text = "\n\n".join(part for part in parts if part)
        self.push_screen(TextDialog(f"{name}: {found.title}", text))

    def on_wake(self, message: Wake) -> None:
        """A network has news."""
        network = message.network
        if network not in self.networks or not self.is_running:  # the screen may be half gone
            return
        self.chat_screen.follow()  # whoever has scrolled up meanwhile has not read what comes
        attended = self.chat_screen.attended()
        for news in network.pump(rest=self.set_timer):
            self._announce(network, news, attended)
        chat = network.chat
        if network is self.chat_screen.network:
            self.chat_screen.messages.buffer_changed()
        self.chat_screen.update_soon()
        self.ask_question(network)
        if chat.finished and chat.error is not None:
            error, chat.error = chat.error, None
            self.show_failure(network.name, error)

    def watch_app_focus(self) -> None:
        """What is shown is read while the terminal has the focus."""
        if self.chat_screen.is_running:
            self.chat_screen.follow()
            self.chat_screen.update_soon()

    def _announce(self, network: Network, news: News, attended: Buffer | None) -> None:
        buffer = news.buffer
        wanted = wants(
            buffer.notify,
            mention=news.highlight,
            private=buffer.kind == "person",
            focused_here=buffer is attended,
        )
        if wanted:
            entry = news.entry
            title = f"{entry.sender} @ {buffer.title}" if entry.sender else buffer.title
            for notifier in self._notifiers:
                notifier.notify((network.name, buffer.name), title, entry.text)

    def _write_raw(self, text: str) -> None:
        if self._driver is not None and not self.is_headless:
            self._driver.write(text)
            self._driver.flush()

    # ---- questions of a chat ----

    def ask_question(self, network: Network) -> None:
        """Show the question that must be answered before the network can go on."""
        if self._asked is not None:
            self._void_question(*self._asked)
            return
        question = network.chat.question
        if question is None or network is not self.chat_screen.network:
            return
        dialog = QuestionDialog(question.prompt, secret=question.secret)
        self._asked = question, dialog

        def take(answer: str | None) -> None:
            self._asked = None
            if network.chat.question is question:
                network.chat.answer(answer or "")
                self.chat_screen.messages.buffer_changed()
            if self.chat_screen.network is not None:
                self.ask_question(self.chat_screen.network)

        self.push_screen(dialog, take)

    def _void_question(self, question: Question, dialog: QuestionDialog) -> None:
        """Say that a question is void, if it is: its connection is lost.

        Its dialog stays. Whoever is in the middle of a password goes on typing, and what comes up
        to Enter must not be said to a room.
        """
        if all(network.chat.question is not question for network in self.networks):
            dialog.say(_("The question is void; Enter goes on."))

    # ---- what chats and commands ask for: ``Face`` ----

    def moved(self, chat: Chat) -> None:
        """Show where the user of ``chat`` is now, if it is that network that is shown."""
        if self.chat_screen.network is not None and chat is self.chat_screen.network.chat:
            self.chat_screen.show_buffer(self.chat_screen.network, chat.conversations.current)

    def hide_buffer(self, buffer: Buffer) -> None:
        """Leave a room, or close the conversation with a person here."""
        network = self.chat_screen.network
        if network is None or buffer.kind == "server":
            raise LocalProtocolError("this conversation stays")
        if buffer.session is not None:  # it would go on out of sight
            raise LocalProtocolError(
                "a session is open here; /close {nick} ends it", nick=buffer.name
            )
        if buffer.joined:
            network.client.part(buffer.name)
        network.chat.conversations.close(buffer)
        self.chat_screen.messages.forget(buffer)
        self.chat_screen.show_buffer(network, network.chat.conversations.current)

    def open_help(self) -> None:
        """Show the help; a command that is chosen there comes into the input line."""

        def take(command: str | None) -> None:
            if command:
                self.chat_screen.composer.set_text(command)
            self.chat_screen.composer.focus()

        keys = [(key, what) for key, what, _action in self.chat_screen.key_help()]
        self.push_screen(HelpScreen(keys, ScreenChat.table.values()), take)

    def open_search(self, words: str) -> None:
        """Show the search."""
        if self.chat_screen.network is not None and self.chat_screen.shown is not None:
            self._search.open(self.chat_screen.network, self.chat_screen.shown, words)

    def open_setup(self, invite: str = "") -> None:
        """Show the assistant.

        :param invite: the link that it is to follow; empty: it asks.
        """

        def take(result: SetupResult | None) -> None:
            if result is None:
                if not self.networks:
                    self.exit(0)
                return
            self.safely(lambda: self._profiles.save_network(result.network_name, result.network))
            self.safely(lambda: self._profiles.set_last(result.network_name))
            self._enter(Opening(result.network_name, result.network, result.password))

        try:
            networks = self._profiles.load().networks
        except ConfigError as error:
            self.show_failure(_("Profiles"), error)
            return
        networks = {name: one.profile for name, one in self._known.items()} | dict(networks)
        folder = self._profiles.path.parent
        self.push_screen(SetupScreen(folder, networks=networks, invite=invite), take)

    def _enter(self, opening: Opening) -> None:
        """Open a network that was set up, and show it; an invite may have led to an open one."""
        for network in self.networks:
            if network.name == opening.name and not network.chat.finished:
                self.chat_screen.show_buffer(network, network.chat.conversations.current)
                for room in opening.profile.rooms:
                    self.safely(partial(network.chat.join, room))
                return
        self._forget_ended(opening.name)
        self._wanted = opening.name
        self.open_opening(opening)

    def _forget_ended(self, name: str) -> None:
        for network in [one for one in self.networks if one.name == name]:
            self.networks.remove(network)
            if network is self.chat_screen.network:
                self.chat_screen.network = self.chat_screen.shown = None

    def open_verification(self, name: str) -> None:
        """Show the safety code to be compared with somebody."""
        network = self.chat_screen.network
        if network is None:
            return
        found = network.client.peers.devices(name)
        if not found:
            raise LocalProtocolError(
                "no device of {nick} is known yet; one is after the first session: /peer {nick}",
                nick=name,
            )
        rows = [
            CodeRow(one.device.fingerprint, one.safety_code, one.device.verified, one.in_session)
            for one in found
        ]

        def take(answer: tuple[str, bool] | None) -> None:
            if answer is not None:
                fingerprint, verified = answer
                self.safely(
                    lambda: network.client.peers.verify(name, fingerprint, verified=verified)
                )
                self.chat_screen.tick()

        self.push_screen(SafetyCodeDialog(make_safe(name), rows), take)

    def set_theme(self, name: str) -> None:
        """Use another theme, now and from now on.

        :raises LocalProtocolError: there is none of that name.
        """
        if name not in themes.THEMES:
            raise LocalProtocolError(
                "there are these themes: {themes}", themes=", ".join(themes.THEMES)
            )
        self.theme = name
        self._profiles.set_theme(name)

    def set_notify(self, buffer: Buffer, notify: Notify) -> None:
        """Have a conversation ask for attention so, from now on."""
        network = self.chat_screen.network
        if network is None:
            return
        buffer.notify = notify
        network.chat.conversations.notify[buffer.name.lower()] = notify
        if network.name in self._profiles.load().networks:
            self._profiles.set_notify(network.name, buffer.name, notify)
        self.chat_screen.update_soon()

    def learn(self, chat: Chat, event: RelaysAnnounced) -> None:
        """Keep the relays of a network in its profile, if it has one."""
        with contextlib.suppress(ConfigError):  # they are announced again each time
            for network in self.networks:
                if network.chat is chat and network.name in self._profiles.load().networks:
                    self._profiles.set_learned(network.name, event.relays)

    def open_network(self, name: str) -> None:
        """Show a network, and open it if it is not.

        :raises SecureChatError: there is none of that name.
        """
        for network in self.networks:
            if network.name == name and not network.chat.finished:
                self.chat_screen.show_buffer(network, network.chat.conversations.current)
                return
        profile = self._profiles.load().networks.get(name)
        if profile is not None:
            self._profiles.set_last(name)
            opening = Opening(name, profile)
        elif name in self._known:
            opening = self._known[name]
        else:
            raise LocalProtocolError("there is no network {name} in the profiles", name=name)
        self._forget_ended(name)
        self._wanted = name
        self.open_opening(opening)

    def close_network(self) -> None:
        """Leave the network that is shown; what was said stays on the screen."""
        if self.chat_screen.network is not None:
            self._close_client(self.chat_screen.network.client)

    @work(thread=True)
    def _close_client(self, client: Client) -> None:
        client.close()  # which may take some seconds

    def leave(self) -> None:
        """End the program."""
        self.exit(0)

    def safely(self, work: Callable[[], object]) -> bool:
        """Do what may fail, and say so if it does."""
        try:
            work()
        except SecureChatError as error:
            self.notify(make_safe(explain(error)), severity="error", markup=False)
            return False
        return True

    def palette_entries(self) -> list[palette.PaletteEntry]:
        """Return what the command palette offers."""
        entries = [
            palette.PaletteEntry(
                buffer.title or network.name,
                network.name,
                partial(self.chat_screen.show_buffer, network, buffer),
            )
            for network in self.networks
            for buffer in network.chat.conversations
        ]
        entries += [
            palette.PaletteEntry(what, key, partial(self._act, action))
            for key, what, action in self.chat_screen.key_help()
        ]
        entries += [
            palette.PaletteEntry(_("theme: {name}", name=name), "", partial(self._try_theme, name))
            for name in themes.THEMES
        ]
        return entries

    def _try_theme(self, name: str) -> None:
        self.safely(lambda: self.set_theme(name))

    def _act(self, action: str) -> None:
        """Do what a key of the main screen does, once the palette above it is gone."""
        self.call_later(self.chat_screen.run_action, action)

    def action_command_palette(self) -> None:
        """Show the palette."""
        if not isinstance(self.screen, palette.ChatPalette):
            self.push_screen(palette.ChatPalette())

    def open_link(self, url: str) -> None:
        """Open a link with the system's browser."""
        self.open_url(address(url))
