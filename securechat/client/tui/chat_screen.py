"""The main screen: one conversation, the panes around it, the keys.

It shows one conversation of one network and hands on: what is typed to the chat of that network,
what happens to the panes. What the panes show is made in ``views``; how a message looks is the
business of ``message_list``; what can be done with one, that of ``entry_menu``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Static

from securechat.client.chat.buffers import Buffer, Entry
from securechat.client.chat.completion import Completer
from securechat.client.chat.typing_notifier import TypingNotifier, TypingState
from securechat.client.tui import views
from securechat.client.tui.buffer_pane import BufferPane, BufferRow, next_unread
from securechat.client.tui.composer import Composer
from securechat.client.tui.dialogs import ConfirmDialog, TextDialog
from securechat.client.tui.entry_menu import EntryMenu
from securechat.client.tui.header import Header
from securechat.client.tui.member_pane import MemberPane
from securechat.client.tui.message_list import MessageList
from securechat.client.tui.network import Network, ScreenChat
from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _, gettext_noop
from securechat.errors import SecureChatError

if TYPE_CHECKING:
    from securechat.client.tui.app import ChatApp

__all__ = ["ChatScreen"]

PANES_EVERY_S: Final = 0.1
"""How long the side panes may be behind: they need not be drawn for each of 1,000 messages/s."""

TICK_S: Final = 1.0
"""How often is looked at what passes by itself: who is typing, waits, what has been read."""


class ChatScreen(Screen[None]):
    """What the user looks at. Owned by Textual's thread.

    :param desk: the app, which has the networks.
    """

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (60, "-medium"), (100, "-wide")]  # noqa: RUF012
    DEFAULT_CSS = """
    ChatScreen {
        #body { height: 1fr; }
        #buffers { width: 22; }
        #members { width: 18; }
        #middle { width: 1fr; }
        #typing { height: 1; color: $muted; text-style: $muted-style; padding: 0 1; }
        &.-medium #members { display: none; }
        &.-medium.-members #members { display: block; }
        &.-narrow #buffers, &.-narrow #members { display: none; }
        &.-narrow.-buffers #buffers, &.-narrow.-members #members { display: block; width: 1fr; }
        &.-narrow.-buffers #middle, &.-narrow.-members #middle { display: none; }
        &.-medium.-hide-buffers #buffers, &.-wide.-hide-buffers #buffers { display: none; }
        &.-wide.-hide-members #members { display: none; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "help", gettext_noop("help")),
        Binding("ctrl+f", "search", gettext_noop("search"), priority=True),
        Binding("alt+a,f4", "next_unread", gettext_noop("next unread")),
        Binding("alt+up,ctrl+pageup", "step(-1)", gettext_noop("previous conversation")),
        Binding("alt+down,ctrl+pagedown", "step(1)", gettext_noop("next conversation")),
        *(Binding(f"alt+{number}", f"jump({number})", show=False) for number in range(1, 10)),
        Binding("pageup", "page(-1)", gettext_noop("scroll up")),
        Binding("pagedown", "page(1)", gettext_noop("scroll down")),
        Binding("ctrl+home", "to_start", gettext_noop("to the beginning")),
        Binding("ctrl+end", "to_end", gettext_noop("to the present")),
        Binding("ctrl+up", "select(-1)", gettext_noop("choose a message above")),
        Binding("ctrl+down", "select(1)", gettext_noop("choose a message below")),
        Binding("f2", "topic", gettext_noop("the whole topic")),
        Binding("f3", "verify", gettext_noop("compare the safety code")),
        Binding("f7", "toggle_buffers", gettext_noop("conversations on, off")),
        Binding("f8", "toggle_members", gettext_noop("members on, off")),
        Binding("escape", "let_go", gettext_noop("let go"), show=False),
        Binding("ctrl+q", "leave", gettext_noop("leave"), priority=True),
    ]

    def __init__(self, desk: ChatApp, *, monotonic: Callable[[], float]) -> None:
        super().__init__()
        self.network: Network | None = None  # that is shown
        self.shown: Buffer | None = None
        self._desk = desk
        self._monotonic = monotonic
        self._panes: Timer | None = None
        self._typing = TypingNotifier(self._send_typing, monotonic)
        self._menu = EntryMenu(desk)
        self._reply_to: Entry | None = None
        self._prompt = ""
        self._typing_shown = ""

    def compose(self) -> ComposeResult:
        """Lay out the screen."""
        yield Header(id="header")
        with Horizontal(id="body"):
            yield BufferPane(id="buffers")
            with Vertical(id="middle"):
                yield MessageList(id="messages")
                yield Static("", id="typing", markup=False)
            yield MemberPane(id="members")
        yield Composer(Completer(ScreenChat.table.values(), self._nicks, self._rooms))

    def on_mount(self) -> None:
        """Begin to look at what passes by itself."""
        self.set_interval(TICK_S, self.tick)
        self.composer.focus()
        self.call_after_refresh(self._desk.begin)  # the parts have their own parts by then

    @property
    def messages(self) -> MessageList:
        """The conversation."""
        return self.query_one(MessageList)

    @property
    def composer(self) -> Composer:
        """Where the user types."""
        return self.query_one(Composer)

    # ---- the conversation that is shown ----

    def show_buffer(self, network: Network, buffer: Buffer) -> None:
        """Show a conversation; what is typed and not sent stays with the one before."""
        if buffer is self.shown:
            return
        if self.shown is not None:
            self.shown.draft = self.composer.get_text()
            if self.network is not None:
                self._typing.edited(self.shown.name, "")
                self.network.chat.conversations.left_off(self.shown)
                self.network.chat.conversations.attend(None)
        self.network, self.shown = network, buffer
        network.chat.conversations.current = buffer
        self._cancel_reply()
        self.messages.show(buffer)
        self.composer.set_text(buffer.draft)
        self.follow()
        self.update_panes()
        self._desk.ask_question(network)

    def attended(self) -> Buffer | None:
        """Return the conversation that the user reads now, to its end."""
        here = self.app.app_focus and self.is_current and self.messages.at_end
        return self.shown if here and self.shown is not None and self.shown.live else None

    def follow(self) -> None:
        """Tell the conversations what is read now."""
        for network in self._desk.networks:
            attended = self.attended() if network is self.network else None
            if attended is not network.chat.conversations.attended or attended is not None:
                network.chat.conversations.attend(attended)

    def update_soon(self) -> None:
        """Draw the panes again shortly."""
        if self._panes is None:
            self._panes = self.set_timer(PANES_EVERY_S, self.update_panes)

    def update_panes(self) -> None:
        """Draw the panes again now."""
        self._panes = None
        network, buffer = self.network, self.shown
        if network is None or buffer is None or not self.app.is_running:
            return
        self.query_one(BufferPane).show(views.buffer_rows(self._desk.networks, buffer))
        network.chat.conversations.refresh_members(buffer)
        self.query_one(MemberPane).show(views.member_rows(network, buffer))
        self.query_one(Header).show(
            views.header_state(
                network, buffer, self._monotonic(), several=len(self._desk.networks) > 1
            )
        )
        self._show_typing(views.typing_words(buffer.typing_now(self._monotonic())))
        self.messages.own_nick = make_safe(network.client.nick)
        self._show_prompt(buffer.title or network.name)

    def _show_typing(self, words: str) -> None:
        if words != self._typing_shown:
            self._typing_shown = words
            self.query_one("#typing", Static).update(words, layout=False)

    def _show_prompt(self, prompt: str) -> None:
        if prompt != self._prompt:
            self._prompt = prompt
            self.composer.set_prompt(prompt)

    def tick(self) -> None:
        """Look at what passes by itself."""
        if not self.app.is_running:  # parts of the screen may be gone
            return
        self._typing.tick()
        network, buffer = self.network, self.attended()
        if network is not None and buffer is not None and buffer.kind != "server":
            until = network.chat.conversations.mark_read(buffer)
            if until is not None:
                network.client.mark_read(buffer.name, until)
        if network is not None and self.shown is not None and self.shown.session is not None:
            network.refresh_safety(self.shown)
        self.follow()
        self.update_panes()

    # ---- what the user types ----

    def _nicks(self) -> list[str]:
        if self.network is None or self.shown is None:
            return []
        return views.nicks_by_activity(self.network, self.shown)

    def _rooms(self) -> list[str]:
        return (
            [room.title for room in self.network.chat.conversations.rooms()] if self.network else []
        )

    def on_composer_submitted(self, message: Composer.Submitted) -> None:
        """Say it, or do it."""
        network, buffer = self.network, self.shown
        if network is None or buffer is None:
            return
        reply_to = self._reply_to.msgid if self._reply_to is not None else None
        self._cancel_reply()
        self._typing.sent(buffer.name)
        if not buffer.live:
            network.chat.scrollback.latest(buffer)
        network.chat.enter(message.text, reply_to=reply_to)
        self.messages.clear_selection()
        self.messages.to_end()
        self.messages.buffer_changed()
        self._desk.ask_question(network)
        self.update_soon()

    def on_composer_edited(self, message: Composer.Edited) -> None:
        """Tell the others that we are typing."""
        if self.shown is not None and self.shown.kind != "server":
            self._typing.edited(self.shown.name, message.text)

    def on_composer_reply_cancelled(self) -> None:
        """The next text is no reply."""
        self._reply_to = None

    def on_composer_large_paste(self, message: Composer.LargePaste) -> None:
        """Ask whether so much was meant."""
        body = _(
            "{lines} lines, {characters} characters would be put into the input line.",
            lines=message.lines,
            characters=len(message.text),
        )

        def take(wanted: bool | None) -> None:
            if wanted:
                self.composer.insert_text(message.text)

        title = _("A large paste")
        self._desk.push_screen(ConfirmDialog(title, body, yes=_("Paste"), no=_("Cancel")), take)

    def _send_typing(self, target: str, state: TypingState) -> None:
        network = self.network
        if network is None:
            return
        buffer = network.chat.conversations.get(target)
        if buffer is not None and buffer.session is not None:
            if buffer.session != "lost":
                with contextlib.suppress(SecureChatError):  # the session is over since
                    network.client.peers.typing(target, state)
        else:
            network.client.typing(target, state)

    def start_reply(self, entry: Entry) -> None:
        """Have the next text answer ``entry``."""
        self._reply_to = entry
        self.composer.start_reply(entry.sender, entry.text.partition("\n")[0])
        self.composer.focus()

    def _cancel_reply(self) -> None:
        if self._reply_to is not None:
            self._reply_to = None
            self.composer.cancel_reply()

    # ---- messages of the panes ----

    def on_buffer_pane_chosen(self, message: BufferPane.Chosen) -> None:
        """Show the conversation."""
        for network in self._desk.networks:
            for buffer in network.chat.conversations:
                if buffer is message.row.key:
                    self.show_buffer(network, buffer)
                    break
        self._close_folded_panes()

    def on_member_pane_chosen(self, message: MemberPane.Chosen) -> None:
        """Offer what can be done with somebody."""
        self._menu.open_for_person(message.nick)
        self._close_folded_panes()

    def on_message_list_need_older(self) -> None:
        """Have older messages come."""
        if self.network is not None and self.shown is not None:
            self.network.chat.scrollback.older(self.shown)
            self.messages.buffer_changed()

    def on_message_list_need_newer(self) -> None:
        """Have newer messages come."""
        if self.network is not None and self.shown is not None:
            self.network.chat.scrollback.newer(self.shown)
            self.messages.buffer_changed()

    def on_message_list_end_reached(self) -> None:
        """What is shown is read now."""
        self.follow()
        self.update_soon()

    def on_message_list_link_clicked(self, message: MessageList.LinkClicked) -> None:
        """Open a link with the system's browser."""
        self._desk.open_link(message.url)

    def on_message_list_reply_clicked(self, message: MessageList.ReplyClicked) -> None:
        """Go to the text that was answered."""
        self.go_to(message.msgid)

    def on_message_list_entry_activated(self, message: MessageList.EntryActivated) -> None:
        """Offer what can be done with a message."""
        self._menu.open_for_entry(message.entry)

    def go_to(self, msgid: str) -> None:
        """Show the place of a text in the conversation that is shown."""
        network, buffer = self.network, self.shown
        if network is None or buffer is None:
            return

        def found() -> None:
            entry = buffer.find(msgid)
            if entry is not None and buffer is self.shown:
                self.messages.buffer_changed()
                self.messages.reveal(entry)

        if not network.chat.scrollback.around(buffer, msgid, found):
            self.notify(_("that message cannot be found"), markup=False)
        self.messages.buffer_changed()

    def on_header_topic_clicked(self) -> None:
        """Show all of the topic."""
        self.action_topic()

    # ---- keys ----

    def key_help(self) -> list[tuple[str, str, str]]:
        """Return each key that does something worth knowing: its name, what it does, the action."""
        return [
            (self.app.get_key_display(binding), _(binding.description), binding.action)
            for binding in self.BINDINGS
            if isinstance(binding, Binding) and binding.description
        ]

    def action_help(self) -> None:
        """F1."""
        self._desk.open_help()

    def action_search(self) -> None:
        """Ctrl-F."""
        self._desk.open_search("")

    def action_next_unread(self) -> None:
        """Go to the next conversation with something unread, mentions first."""
        rows = self._ordered()
        current = next((i for i, row in enumerate(rows) if row.active), 0)
        index = next_unread(rows, current)
        if index is not None:
            self.on_buffer_pane_chosen(BufferPane.Chosen(rows[index]))

    def action_step(self, step: int) -> None:
        """Go to the conversation above or below."""
        rows = self._ordered()
        if rows:
            current = next((i for i, row in enumerate(rows) if row.active), 0)
            self.on_buffer_pane_chosen(BufferPane.Chosen(rows[(current + step) % len(rows)]))

    def action_jump(self, number: int) -> None:
        """Go to the conversation of that number."""
        rows = views.buffer_rows(self._desk.networks, self.shown)
        if number <= len(rows):
            self.on_buffer_pane_chosen(BufferPane.Chosen(rows[number - 1]))

    def _ordered(self) -> Sequence[BufferRow]:
        self.update_panes()
        return self.query_one(BufferPane).ordered

    def action_page(self, step: int) -> None:
        """Scroll by a screen."""
        if step < 0:
            self.messages.page_up()
        else:
            self.messages.page_down()

    def action_to_start(self) -> None:
        """Go to the oldest message that is here."""
        self.messages.to_start()

    def action_to_end(self) -> None:
        """Go to the present."""
        if self.network is not None and self.shown is not None and not self.shown.live:
            self.network.chat.scrollback.latest(self.shown)
        self.messages.to_end()

    def action_select(self, step: int) -> None:
        """Choose a message; Enter then tells what can be done with it."""
        if step < 0:
            self.messages.select_previous()
        else:
            self.messages.select_next()
        if self.messages.selected is not None:
            self.messages.focus()

    def action_let_go(self) -> None:
        """Back to typing."""
        self.messages.clear_selection()
        self._close_folded_panes()
        self.composer.focus()

    def action_topic(self) -> None:
        """Show all of the topic."""
        if self.shown is not None and (self.shown.topic or self.shown.away):
            self._desk.push_screen(
                TextDialog(self.shown.title, self.shown.topic or self.shown.away)
            )

    def action_verify(self) -> None:
        """Compare the safety code with who is talked to."""
        if self.shown is not None and self.shown.kind == "person":
            name = self.shown.name
            self._desk.safely(lambda: self._desk.open_verification(name))

    def action_toggle_buffers(self) -> None:
        """Show or hide the conversations."""
        self._toggle("-buffers", "-hide-buffers")

    def action_toggle_members(self) -> None:
        """Show or hide who is in the room."""
        self._toggle("-members", "-hide-members")

    def _toggle(self, shown: str, hidden: str) -> None:
        # Which of the two counts depends on the width: a pane that is there by itself is hidden.
        self.toggle_class(shown, hidden)

    def _close_folded_panes(self) -> None:
        if self.has_class("-narrow"):
            self.remove_class("-buffers", "-members")

    def action_leave(self) -> None:
        """Leave."""
        self._desk.leave()
