"""What peers leave for the user to do: open questions, and files that wait for a session."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from securechat.client.client import Client
from securechat.client.events import Event
from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _, explain
from securechat.errors import LocalProtocolError, SecureChatError
from securechat.peer.events import (
    FileAccepted,
    FileEnded,
    FileFinished,
    FileOffered,
    PeerAsked,
    PeerClosed,
    PeerOpened,
)

__all__ = ["PeerDesk", "why_not_sent"]

_NUMBER: Final = re.compile(r"[0-9]{1,9}")
"""Of a file; no nick begins with a digit."""


@dataclass(frozen=True, slots=True)
class _SessionQuestion:
    account: str
    nick: str


@dataclass(frozen=True, slots=True)
class _WaitingFile:
    name: str  # of the person, as the user called them
    path: Path


class PeerDesk:
    """The open questions, newest last, and the waiting files.

    Owned by the user interface's thread.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._questions: list[_SessionQuestion | int] = []  # a number is that of an offered file
        self._files: list[_WaitingFile] = []

    def note(self, event: Event) -> list[str]:
        """Take note of what has happened; return what the user must be told, made safe."""
        match event:
            case PeerAsked():
                self._settle_session(event.account)
                self._questions.append(_SessionQuestion(event.account, event.nick))
            case PeerOpened():
                self._settle_session(event.account)
                return self._offer_files(self._take_files(event.account, event.nick))
            case PeerClosed():
                self._settle_session(event.account)
                if not event.was_open:
                    return self._drop_files(event.account, event.nick)
            case FileOffered(accepted_before=False):
                self._questions.append(event.transfer)
            case FileAccepted() | FileFinished() | FileEnded():
                self._settle_file(event.transfer)
            case _:
                pass
        return []

    # ---- questions ----

    def accept(self, what: str = "", folder: Path | None = None) -> None:
        """Accept a session by its nick or account, a file by its number; the newest of them all.

        :param folder: for a file; where all files go, if there is none.
        :raises SecureChatError: it cannot be accepted, or there is no question.
        """
        question = self._choose(what)
        if isinstance(question, int):
            if folder is not None and not os.path.isdir(
                folder
            ):  # the other side need not hear of it
                raise LocalProtocolError("{folder}: there is no such folder", folder=folder)
            self._client.peers.accept_file(question, folder)
            self._settle_file(question)
        elif folder is not None:
            raise LocalProtocolError("a folder is for a file: /accept NUMBER FOLDER")
        else:
            self._client.peers.accept(question)
            self._settle_session(question)

    def decline(self, what: str = "") -> list[str]:
        """Decline what is asked; a session may also be one that we have asked for.

        Return what the user must be told, made safe.

        :raises SecureChatError: it cannot be declined, or there is no question.
        """
        question = self._choose(what)
        if isinstance(question, int):
            self._client.peers.decline_file(question)
            self._settle_file(question)
            return []
        self._client.peers.decline(question)
        self._settle_session(question)
        words = _("no session with {name}", name=make_safe(question))
        return [f"* {words}", *self._drop_files(question, question)]

    def is_asked_by(self, name: str) -> bool:
        """Whether that person asks for a session, and has no answer yet."""
        return any(self._is_of(question, name) for question in self._questions)

    def _is_of(self, question: _SessionQuestion | int, name: str) -> bool:
        same = self._client.same_name
        return not isinstance(question, int) and (
            same(question.account, name) or same(question.nick, name)
        )

    def _choose(self, what: str) -> str | int:
        """Return the number of a file or the name of a person."""
        if what:
            return int(what) if _NUMBER.fullmatch(what) else what
        if not self._questions:
            raise LocalProtocolError("nothing is asked now")
        newest = self._questions[-1]
        return newest if isinstance(newest, int) else newest.account

    def _settle_session(self, name: str) -> None:
        self._questions = [one for one in self._questions if not self._is_of(one, name)]

    def _settle_file(self, transfer: int) -> None:
        self._questions = [one for one in self._questions if one != transfer]

    # ---- files ----

    def send(self, name: str, path: Path) -> bool:
        """Offer a file; false if that waits for a session, which is asked for.

        :raises SecureChatError: it cannot be read, or nobody can be asked.
        """
        if problem := why_not_sent(path):
            raise LocalProtocolError("{path}: {problem}", path=path, problem=problem)
        if self._is_open(name):
            self._client.peers.send_file(name, path)
            return True
        # First this: the answer may come at once. Who was asked already answers all the same.
        waiting = _WaitingFile(name, path)
        self._files.append(waiting)
        try:
            self._client.peers.open(name)
        except LocalProtocolError:
            pass
        except SecureChatError:
            self._files.remove(waiting)
            raise
        return False

    def _is_open(self, name: str) -> bool:
        same = self._client.same_name
        return any(
            peer.state in ("open", "lost") and (same(peer.account, name) or same(peer.nick, name))
            for peer in self._client.peers.list()
        )

    def _take_files(self, account: str, nick: str) -> list[_WaitingFile]:
        same = self._client.same_name
        taken = [one for one in self._files if same(one.name, account) or same(one.name, nick)]
        self._files = [one for one in self._files if one not in taken]
        return taken

    def _drop_files(self, account: str, nick: str) -> list[str]:
        files = self._take_files(account, nick)
        return [_not_offered(file) for file in files]

    def _offer_files(self, files: list[_WaitingFile]) -> list[str]:
        problems = []
        for file in files:
            try:
                self._client.peers.send_file(file.name, file.path)
            except SecureChatError as error:
                problems.append(f"{_not_offered(file)}: {make_safe(explain(error))}")
        return problems


def _not_offered(file: _WaitingFile) -> str:
    return f"! {_('not offered: {file}', file=make_safe(file.path.name))}"


def why_not_sent(path: Path) -> str:
    """Return why there is nothing at ``path`` that can be sent; empty if there is."""
    # Not Path.is_dir and is_file: those raise where a folder may not be looked into.
    if os.path.isdir(path):
        return _("a folder cannot be sent, only files")
    if not os.path.isfile(path) or not os.access(path, os.R_OK):
        return _("there is no such file, or it cannot be read")
    return ""
