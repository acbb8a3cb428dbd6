"""The assistant that sets up a network: on the first run, and when one is added.

What is asked, and what the answers mean, is in ``securechat.client.assistant.setup``; here it is
shown. One step is on the screen at a time. Enter goes to the next field and, from the last, to the
next step; Esc leaves.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.suggester import Suggester
from textual.widget import Widget
from textual.widgets import Button, Static

from securechat.client.assistant.ca_file import CaFile, complete_path, find_ca
from securechat.client.assistant.setup import Setup, SetupResult, Step
from securechat.client.assistant.trial import Attempt, Trial, Verdict, describe_attempt
from securechat.client.settings.passwords import has_keyring
from securechat.client.settings.profiles import Network
from securechat.client.tui.dialogs import ConfirmDialog
from securechat.client.tui.questions import ChoiceQuestion, Question, TextQuestion
from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _, gettext_noop
from securechat.errors import PkiError, SecureChatError
from securechat.net.threads import start_thread

__all__ = ["SetupResult", "SetupScreen"]

_FINGERPRINT_LINE: Final = 48
"""Characters of a fingerprint in one line: 16 bytes of it, so that 60 columns are enough."""

_STEPS: Final[Mapping[Step, tuple[str, str]]] = {
    Step.ADDRESS: (
        gettext_noop("Where is the chat?"),
        gettext_noop(
            "Give the address of the server as you got it: an invite link, which begins with "
            "securechat://, a link that begins with ircs://, or a host name, with a port if it is "
            "another than 6697. Of a chat with several relays give all, with commas between."
        ),
    ),
    Step.TRUST: (
        gettext_noop("Whom to trust?"),
        gettext_noop(
            "A certificate proves that nobody stands between you and the server. It is worth as "
            "much as the CA (certificate authority) that has issued it. Most private servers have "
            "a CA of their own, which you got as a file."
        ),
    ),
    Step.CONNECTION: (
        gettext_noop("Testing the connection"),
        gettext_noop("The server is called, and its certificate is checked."),
    ),
    Step.NICK: (
        gettext_noop("Who are you?"),
        gettext_noop("The nick is the name by which the others see you and write to you."),
    ),
    Step.ACCOUNT: (
        gettext_noop("Your account"),
        gettext_noop(
            "An account keeps your nick yours: nobody else can use it. With one you also get what "
            "was said while you were away."
        ),
    ),
    Step.PASSWORD: (
        gettext_noop("Where to keep the password?"),
        gettext_noop("The password is never written into a file of this program."),
    ),
    Step.ROOMS: (
        gettext_noop("Ready to start"),
        gettext_noop("All of this can be changed later."),
    ),
}
"""The title of each step, and what there is to know."""


class _PathSuggester(Suggester):
    """Completes the path of a file; the right arrow key takes what is suggested."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)  # files come and go

    async def get_suggestion(self, value: str) -> str | None:
        return complete_path(value)


class SetupScreen(Screen[SetupResult | None]):
    """Sets up a network. The result is one that works, or ``None`` if the user has left.

    The CA is then in ``folder`` and the password where the user wants it; to save the profile and
    to connect is up to the app. All connections of the assistant are closed by then.

    :param folder: where the settings are kept; made if need be.
    :param networks: those that there are already, by name.
    :param invite: an invite link, which is followed at once.
    :param nick: a suggestion.
    :param here: the folder below which a CA made by ``gen_certs.py`` is looked for; ``None``: the
        current one.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", show=False),
        Binding("alt+left", "back", show=False),
        Binding("pageup", "scroll_body(-1)", show=False),
        Binding("pagedown", "scroll_body(1)", show=False),
    ]

    DEFAULT_CSS = """
    SetupScreen {
        background: $background;
        color: $foreground;
        & > #title {
            dock: top;
            height: auto;
            padding: 0 2;
            background: $panel;
            text-style: bold;
        }
        & > #body {
            padding: 1 2 0 2;
            scrollbar-size-vertical: 1;
        }
        #body Static {
            width: 100%;
            height: auto;
            max-width: 76;
        }
        #body Question {
            max-width: 76;
        }
        .step {
            height: auto;
            display: none;
        }
        .intro, #news, #ca, #summary {
            margin-bottom: 1;
        }
        #news, #progress {
            text-style: bold;
        }
        #good {
            color: $safe;
        }
        #failure {
            height: auto;
            display: none;
        }
        #failure > Static {
            margin-bottom: 1;
        }
        #failure-title {
            color: $danger;
            text-style: bold;
        }
        #failure-words {
            color: $muted;
            text-style: $muted-style;
        }
        & > #buttons {
            dock: bottom;
            height: 3;
            padding: 0 2;
            background: $panel;
        }
        #buttons > Button {
            margin-right: 1;
        }
        #buttons > Static {
            width: 1fr;
            height: 3;
            text-wrap: nowrap;
            text-overflow: ellipsis;
            content-align: right middle;
            color: $muted;
            text-style: $muted-style;
        }
    }
    """

    class Connected(Message):
        """The server's certificate has passed, in a trial."""

        def __init__(self, trial: Trial) -> None:
            self.trial = trial
            super().__init__()

    class Tried(Message):
        """A trial is over; ``verdict`` is ``None`` when it was cancelled."""

        def __init__(self, trial: Trial, verdict: Verdict | None) -> None:
            self.trial = trial
            self.verdict = verdict
            super().__init__()

    class Kept(Message):
        """CA and password are where they belong, or could not be brought there."""

        def __init__(self, outcome: SetupResult | SecureChatError) -> None:
            self.outcome = outcome
            super().__init__()

    class KeyringFound(Message):
        """There is a keyring."""

    def __init__(
        self,
        folder: Path,
        *,
        networks: Mapping[str, Network] | None = None,
        invite: str = "",
        nick: str = "",
        here: Path | None = None,
    ) -> None:
        super().__init__()
        self._folder = folder
        self._setup = Setup(networks=networks, nick=nick, ca_file=find_ca(here or Path()))
        self._setup.answers.address = invite
        self._untouched = replace(self._setup.answers)
        self._shown: Step | None = None
        self._trial: Trial | None = None  # under way
        self._last_trial: Trial | None = None
        self._progress = ""
        self._keeping = False
        self._has_keyring = False

    # ---- what there is ----

    def compose(self) -> ComposeResult:
        """Compose all steps; one of them is shown."""
        yield Static(id="title")
        with VerticalScroll(id="body", can_focus=False):
            yield Static(id="news")
            for step, make in self._steps().items():
                with Vertical(id=_step_id(step), classes="step"):
                    yield Static(Content(_(_STEPS[step][1])), classes="intro")
                    yield from make()
            yield Static(id="progress")
            with Vertical(id="failure"):
                for part in ("title", "meaning", "advice", "words"):
                    yield Static(id=f"failure-{part}")
        with Horizontal(id="buttons"):
            yield Button(Content(_("Back")), id="back")
            yield Button(Content(_("Next")), id="next", variant="primary")
            yield Static(Content(_("Esc: leave")))

    def _steps(self) -> Mapping[Step, Callable[[], Iterator[Widget]]]:
        return {
            Step.ADDRESS: self._compose_address,
            Step.TRUST: self._compose_trust,
            Step.CONNECTION: self._compose_connection,
            Step.NICK: self._compose_nick,
            Step.ACCOUNT: self._compose_account,
            Step.PASSWORD: self._compose_password,
            Step.ROOMS: self._compose_rooms,
        }

    def _compose_address(self) -> Iterator[Widget]:
        yield TextQuestion(
            "address",
            _("Address"),
            hint=_("for example {example}", example="chat.example.org"),
        )

    def _compose_trust(self) -> Iterator[Widget]:
        yield ChoiceQuestion(
            "trust",
            [
                ("file", _("The CA in a file that I got from the host")),
                ("system", _("The CAs that this system trusts")),
            ],
        )
        yield TextQuestion(
            "ca_file",
            _("The file of the CA"),
            hint=_("→ takes the completion"),
            suggester=_PathSuggester(),
        )
        yield Static(id="ca")

    def _compose_connection(self) -> Iterator[Widget]:
        yield Static(id="good")

    def _compose_nick(self) -> Iterator[Widget]:
        yield TextQuestion("nick", _("Nick"))
        yield TextQuestion("realname", _("Real name, if the others may know it"))

    def _compose_account(self) -> Iterator[Widget]:
        yield ChoiceQuestion(
            "account",
            [
                ("login", _("Log in: I have an account")),
                ("register", _("Make an account of this nick")),
                ("later", _("Later; go on without an account")),
            ],
        )
        yield TextQuestion("login", _("Account"))
        yield TextQuestion("password", _("Password"), secret=True)
        yield TextQuestion("again", _("The same password again"), secret=True)
        yield TextQuestion("email", _("Invitation code or e-mail address"))

    def _compose_password(self) -> Iterator[Widget]:
        yield ChoiceQuestion(
            "keep",
            [
                ("prompt", _("Ask me at each start")),
                ("keyring", _("In the keyring of this system")),
                ("command", _("A command prints it (password manager)")),
            ],
        )
        yield TextQuestion(
            "command",
            _("The command"),
            hint=_("for example {example}", example="pass show chat"),
        )

    def _compose_rooms(self) -> Iterator[Widget]:
        yield TextQuestion(
            "rooms",
            _("Rooms to be in, if any"),
            hint=_("with commas between them, for example {example}", example="#home, #garden"),
        )
        yield TextQuestion("network", _("What this network is called here"))
        yield Static(id="summary")

    def on_mount(self) -> None:
        """Show the first step; follow the invite link, if there is one."""
        start_thread("setup keyring", self._look_for_keyring, daemon=True)
        self._show()
        if self._setup.answers.address:
            self._go_on()

    def on_unmount(self) -> None:
        """Leave no connection behind."""
        if self._trial is not None:
            self._trial.cancel()

    def _look_for_keyring(self) -> None:
        if has_keyring():  # it may take a moment, and nobody is to wait for it
            self.post_message(self.KeyringFound())

    # ---- showing ----

    @property
    def _busy(self) -> bool:
        return self._trial is not None or self._keeping

    @property
    def _pane(self) -> Widget:
        """What is shown of the current step."""
        assert self._shown is not None
        return self.query_one(f"#{_step_id(self._shown)}")

    def _show(self) -> None:
        """Show where the setup is now."""
        setup = self._setup
        step = Step.ROOMS if setup.step is Step.DONE else setup.step
        moved, self._shown = step is not self._shown, step
        for one in _STEPS:
            pane = self.query_one(f"#{_step_id(one)}")
            pane.display = one is step
            # What is being tried out must not be changed meanwhile.
            pane.disabled = self._busy and one is step
        title = _(_STEPS[step][0])
        if not setup.invited:  # whose link has left out some
            count = len(_STEPS)
            title = _(
                "Step {number} of {count}: {title}", number=step.value, count=count, title=title
            )
        self.query_one("#title", Static).update(Content(title))
        self._offer()
        self._fill()
        self._show_questions()
        self._show_news()
        self._show_failure()
        self._show_buttons()
        if moved:
            self.query_one("#body").scroll_home(animate=False)
        self._focus()

    def _offer(self) -> None:
        """Let be chosen what there is."""
        choices = self._setup.account_choices or ("login", "register", "later")
        self.query_one("#account", ChoiceQuestion).offer(choices)
        keeps = ("prompt", *(["keyring"] if self._has_keyring else []), "command")
        self.query_one("#keep", ChoiceQuestion).offer(keeps)

    def _fill(self) -> None:
        """Show the answers that there are, and what is wrong with them.

        Only when a step begins or could not be ended: what is just being typed would be lost.
        """
        setup = self._setup
        for question in self._pane.query(Question):  # also those that may be shown later
            question.value = getattr(setup.answers, question.key)
            question.show_problem(setup.problems.get(question.key, ""))

    def _show_questions(self) -> None:
        """Show the questions that the answers so far leave, and what they say of a CA."""
        given, setup = self._setup.answers, self._setup
        wanted = {
            "ca_file": given.trust == "file",
            "login": given.account == "login",
            "password": given.account != "later",
            "again": given.account == "register",
            "email": given.account == "register" and setup.wants_code,
            "command": given.keep == "command",
        }
        for key, wish in wanted.items():
            self.query_one(f"#{key}").display = wish
        self.query_one("#nick").disabled = setup.nick_is_fixed
        if self._shown is Step.TRUST:
            self._show_ca()
        elif self._shown is Step.ROOMS:
            self.query_one("#summary", Static).update(Content("\n".join(setup.summary())))

    def _show_ca(self) -> None:
        """Say which CA is in the file."""
        given = self._setup.answers
        found = None
        if given.trust == "file":
            with contextlib.suppress(PkiError):  # said when the user goes on, not at each key
                found = self._setup.look_at_ca()
        words = self.query_one("#ca", Static)
        words.update(Content(_ca_words(found) if found is not None else ""))
        words.display = found is not None

    def _show_news(self) -> None:
        setup = self._setup
        news = self.query_one("#news", Static)
        news.update(Content(setup.note))
        news.display = bool(setup.note)
        progress = self.query_one("#progress", Static)
        progress.update(Content(self._progress if self._busy else ""))
        progress.display = self._busy
        good = self.query_one("#good", Static)
        good.update(Content(self._good_words() if setup.connected else ""))
        good.display = setup.connected

    def _good_words(self) -> str:
        server = self._setup.server
        lines = [
            _(
                "All is well: the connection is encrypted ({version}), and the server has proved "
                "that it is {place}.",
                version=server.tls_version.replace("v", " "),
                place=self._setup.place,
            )
        ]
        if server.network:
            name = make_safe(server.network)
            lines.append(_("The network calls itself {name}.", name=name))
        return "\n\n".join(lines)

    def _show_failure(self) -> None:
        found = self._setup.explanation
        self.query_one("#failure").display = found is not None
        if found is None:
            return
        texts = {
            "title": f"! {found.title}",
            "meaning": found.meaning,
            "advice": _("What to do: {advice}", advice=found.advice),
            "words": _("In the words of the program: {words}", words=found.words),
        }
        for part, text in texts.items():
            self.query_one(f"#failure-{part}", Static).update(Content(text))
        self.query_one("#failure").scroll_visible(animate=False)

    def _show_buttons(self) -> None:
        back, go_on = self.query_one("#back", Button), self.query_one("#next", Button)
        back.disabled = self._shown is Step.ADDRESS or self._keeping
        go_on.disabled = self._busy
        if self._setup.explanation is not None:
            label = _("Try again")
        else:
            label = _("Start") if self._shown is Step.ROOMS else _("Next")
        go_on.label = Content(label)
        go_on.refresh(layout=True)  # a label may be longer than the one before

    def _focus(self) -> None:
        """Put the focus on what is wrong, or on what is asked first, or on what goes on."""
        setup, questions = self._setup, list(self._questions())
        wrong = (one for one in questions if one.key in setup.problems)
        question = next(wrong, None) or self._first_open(questions)
        if self._busy:
            self.query_one("#back").focus()
        elif question is not None:
            question.begin()
            if setup.problems:  # what is wrong stands below
                self.call_after_refresh(question.scroll_visible, animate=False)
        else:  # a failed connection: there is something to mend
            self.query_one("#next" if setup.connected else "#back").focus()

    def _first_open(self, questions: Sequence[Question]) -> Question | None:
        """Return what is to be answered first: with an invite, what it has not answered."""
        unanswered = (one for one in questions if self._setup.invited and not one.value)
        return next(unanswered, questions[0] if questions else None)

    def _questions(self) -> Iterator[Question]:
        """Yield the questions of this step that are shown, and can be answered."""
        for question in self._pane.query(Question):
            if question.display and not question.disabled:
                yield question

    # ---- what the user does ----

    @on(Question.Changed)
    def _answered(self, event: Question.Changed) -> None:
        question = event.question
        if question.value == getattr(self._setup.answers, question.key):
            return  # it was filled in by us, and what is wrong with it still is
        question.show_problem("")
        self._collect()
        self._show_questions()

    @on(Question.Entered)
    def _entered(self, event: Question.Entered) -> None:
        questions = list(self._questions())
        if event.question not in questions:
            return
        following = questions[questions.index(event.question) + 1 :]
        if following:
            following[0].begin()
        else:
            self._go_on()

    @on(Button.Pressed, "#next")
    def _next_pressed(self) -> None:
        self._go_on()

    @on(Button.Pressed, "#back")
    def _back_pressed(self) -> None:
        self.action_back()

    def action_back(self) -> None:
        """Go back; a trial that is under way is broken off."""
        if self._keeping or self._shown is Step.ADDRESS:
            return
        if self._trial is not None:
            self._trial.cancel()
            self._trial = None
        self._collect()
        self._setup.back()
        self._show()

    def action_scroll_body(self, direction: int) -> None:
        """Scroll by a page."""
        body = self.query_one("#body")
        body.scroll_relative(y=direction * body.size.height, animate=False)

    def action_leave(self) -> None:
        """Leave, after a question if something would be lost."""
        if self._keeping:
            return
        self._collect()
        if self._setup.answers == self._untouched:
            self.dismiss(None)
            return

        def leave(sure: bool | None) -> None:
            if sure:
                self.dismiss(None)

        self.app.push_screen(
            ConfirmDialog(
                _("Leave the setup?"),
                self._setup.farewell or _("What you have entered is lost."),
                yes=_("Leave"),
                no=_("Stay here"),
            ),
            leave,
        )

    def _collect(self) -> None:
        for question in self._questions():
            setattr(self._setup.answers, question.key, question.value)

    # ---- going on ----

    def _go_on(self) -> None:
        if self._busy:
            return
        self._collect()
        attempt = self._setup.next()
        if attempt is not None:
            self._try(attempt)
        elif self._setup.step is Step.DONE:
            self._keep()
        self._show()

    def _try(self, attempt: Attempt) -> None:
        self._progress = describe_attempt(attempt)
        trial = Trial(
            attempt,
            on_connected=lambda _event: self.post_message(self.Connected(trial)),
            on_end=lambda trial, verdict: self.post_message(self.Tried(trial, verdict)),
            after=self._last_trial,
        )
        self._trial = self._last_trial = trial
        trial.start()

    @on(Connected)
    def _connected(self, event: Connected) -> None:
        if event.trial is self._trial and event.trial.attempt.purpose == "probe":
            self._progress = _("The certificate is in order. Waiting for the chat server …")
            self._show_news()

    @on(Tried)
    def _tried(self, event: Tried) -> None:
        if event.trial is not self._trial or event.verdict is None:
            return
        self._trial = None
        attempt = self._setup.take(event.trial.attempt, event.verdict)
        if attempt is not None:
            self._try(attempt)
        self._show()

    def _keep(self) -> None:
        self._keeping = True
        self._progress = _("Keeping what you have chosen …")
        start_thread("setup keeping", self._keep_all)

    def _keep_all(self) -> None:
        outcome: SetupResult | SecureChatError
        try:
            outcome = self._setup.finish(self._folder)
        except SecureChatError as error:
            outcome = error
        self.post_message(self.Kept(outcome))

    @on(Kept)
    def _kept(self, event: Kept) -> None:
        self._keeping = False
        if isinstance(event.outcome, SetupResult):
            self.dismiss(event.outcome)
        else:
            self._setup.not_finished(event.outcome)
            self._show()

    @on(KeyringFound)
    def _keyring_found(self) -> None:
        self._has_keyring = True
        self._offer()


def _step_id(step: Step) -> str:
    return f"step-{step.name.lower()}"


def _ca_words(found: CaFile) -> str:
    """Return what a person must know of the CAs in a file in order to trust them."""
    return "\n\n".join(
        _(
            "CA: {name}\nvalid from {start} to {end}\n"
            "Compare its SHA-256 fingerprint with what the host told you by phone or face to face:"
            "\n{fingerprint}",
            name=authority.name,
            start=f"{authority.not_before:%Y-%m-%d}",
            end=f"{authority.not_after:%Y-%m-%d}",
            fingerprint=_in_lines(authority.fingerprint),
        )
        for authority in found.authorities
    )


def _in_lines(text: str) -> str:
    starts = range(0, len(text), _FINGERPRINT_LINE)
    return "\n".join(text[start : start + _FINGERPRINT_LINE] for start in starts)
