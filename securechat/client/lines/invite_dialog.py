"""What an invite link leaves open, asked for on a terminal, line by line.

The steps are those of the assistant (``securechat.client.assistant.setup``); here each is a line or
two. What is typed is read as the system hands it over: nothing else is going on meanwhile.
"""

from __future__ import annotations

import getpass
import queue
import shutil
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TextIO

from securechat.client.assistant.setup import Keep, Setup, SetupResult, Step
from securechat.client.assistant.trial import Attempt, Trial, Verdict, describe_attempt
from securechat.client.events import Disconnected
from securechat.client.settings.passwords import has_keyring
from securechat.client.settings.profiles import Network
from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _, explain, gettext_noop
from securechat.errors import SecureChatError

__all__ = ["InviteDialog"]

_KEEPS: Final[Mapping[Keep, str]] = {
    "prompt": gettext_noop("Ask me at each start"),
    "keyring": gettext_noop("In the keyring of this system"),
    "command": gettext_noop("A command prints it (password manager)"),
}


class InviteDialog:
    """Follows an invite link with somebody at a terminal. Owned by the main thread.

    ``error`` is why it has not come to a network, if that was no wish of the user.

    :param networks: the profiles that there are.
    :param screen: takes what is going on; the questions go where ``input`` and ``getpass`` ask.
    """

    def __init__(self, networks: Mapping[str, Network], *, screen: TextIO) -> None:
        self.error: SecureChatError | None = None
        self._setup = Setup(networks=networks)
        self._screen = screen

    def run(self, link: str, folder: Path) -> SetupResult | None:
        """Return the network that the link leads to; ``None`` if it does not, which has been told.

        The CA is then in ``folder``, and the password where the user wants it. Blocks.

        :raises KeyboardInterrupt: the user leaves, by Ctrl-C or Ctrl-D.
        """
        setup = self._setup
        setup.answers.address = link
        asks = {
            Step.NICK: self._ask_nick,
            Step.ACCOUNT: self._ask_account,
            Step.PASSWORD: self._ask_keep,
            Step.ROOMS: self._ask_rooms,
        }
        try:
            self._go_on()
            while setup.step in asks:
                if asks[setup.step]():
                    self._go_on()
                else:
                    setup.back()
        except (EOFError, KeyboardInterrupt):
            self._say(f"\n{setup.farewell}")
            raise KeyboardInterrupt from None
        return self._finish(folder) if setup.step is Step.DONE else None

    def _go_on(self) -> None:
        """Hand in the answers, try out what must be, and say what has come of it."""
        setup = self._setup
        self.error = None
        attempt = setup.next()
        while attempt is not None:
            self._say(f"* {describe_attempt(attempt)}")
            verdict = _try(attempt)
            if isinstance(verdict.event, Disconnected):
                self.error = verdict.event.error
            attempt = setup.take(attempt, verdict)
        if setup.note:
            self._say(f"* {setup.note}")
        for problem in setup.problems.values():
            self._say(f"! {problem}")
        found = setup.explanation
        if found is not None:
            advice = _("What to do: {advice}", advice=found.advice)
            words = _("In the words of the program: {words}", words=found.words)
            self._say("\n".join((f"! {found.title}", found.meaning, advice, words)))

    def _finish(self, folder: Path) -> SetupResult | None:
        try:
            return self._setup.finish(folder)
        except SecureChatError as error:  # the account is made: the link can be followed again
            self.error = error
            self._say(f"! {make_safe(explain(error))}")
            return None

    def _say(self, text: str) -> None:
        columns = shutil.get_terminal_size().columns  # a terminal breaks lines within words
        wrap = textwrap.TextWrapper(columns, break_on_hyphens=False)
        for line in text.splitlines():
            print(wrap.fill(line), file=self._screen, flush=True)

    # ---- the questions; each returns whether to go on, or back ----

    def _ask_nick(self) -> bool:
        if self._setup.nick_is_fixed:
            input(_("Enter tries again, Ctrl-D leaves: "))
        else:
            self._setup.answers.nick = input(_("Your nick: "))
        return True

    def _ask_account(self) -> bool:
        setup, given = self._setup, self._setup.answers
        if given.account == "later":
            return True
        if setup.wants_code and (not given.email or "email" in setup.problems):
            given.email = input(_("New invite link (empty: take another nick): "))
            if given.password or not given.email:
                return bool(given.email)
        name = make_safe(given.login)
        if given.account == "login":
            given.password = self._ask_password(
                _("Password for {account}: ", account=name),
                _("Password for {account} (empty: take another nick): ", account=name),
            )
        else:
            given.password = self._ask_password(
                _("New password for {nick}: ", nick=name),
                _("New password for {nick} (empty: take another nick): ", nick=name),
            )
            given.again = given.password and getpass.getpass(_("The same again: "))
        return bool(given.password) or setup.nick_is_fixed

    def _ask_password(self, prompt: str, or_go_back: str) -> str:
        return getpass.getpass(prompt if self._setup.nick_is_fixed else or_go_back)

    def _ask_keep(self) -> bool:
        given = self._setup.answers
        keeps = [keep for keep in _KEEPS if keep != "keyring" or has_keyring()]
        self._say(_("Where to keep the password?"))
        for number, keep in enumerate(keeps, 1):
            self._say(f"  {number}  {_(_KEEPS[keep])}")
        answer = input(_("A number (empty: 1): ")).strip() or "1"
        numbers = {str(number): keep for number, keep in enumerate(keeps, 1)}
        if answer not in numbers:
            return self._ask_keep()
        given.keep = numbers[answer]
        if given.keep == "command":
            given.command = input(_("The command: "))
        return True

    def _ask_rooms(self) -> bool:
        given = self._setup.answers
        if "rooms" in self._setup.problems:
            given.rooms = input(_("Rooms to be in, with commas between them: "))
        if "network" in self._setup.problems:
            given.network = input(_("What this network is called here: "))
        return True


def _try(attempt: Attempt) -> Verdict:
    """Run a trial to its end. Ctrl-C breaks it off."""
    verdicts: queue.SimpleQueue[Verdict | None] = queue.SimpleQueue()
    trial = Trial(
        attempt,
        on_connected=lambda event: None,
        on_end=lambda trial, verdict: verdicts.put(verdict),
    )
    trial.start()
    try:
        verdict = verdicts.get()
    finally:
        trial.cancel()
    assert verdict is not None  # only a trial that was cancelled has none
    return verdict
