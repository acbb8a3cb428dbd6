"""The output of a program that sends or receives files, and that nobody need watch."""

from __future__ import annotations

import shutil
from typing import Final, TextIO

from securechat.client.events import Connected, Disconnected, Event, Failure, Welcome
from securechat.client.lines.line_editor import display_width, fit
from securechat.client.words.peer_wording import describe_progress, size
from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import ngettext
from securechat.client.words.wording import Wording
from securechat.peer.events import (
    FileAccepted,
    FileEnded,
    FileFinished,
    FileProgress,
    FileSending,
    PeerIdentityChanged,
    PeerLost,
    PeerOpened,
)

__all__ = ["FileConsole"]

_PROBLEMS: Final = (PeerIdentityChanged, PeerLost, FileEnded, Failure, Disconnected)
"""What is always shown."""

_NEWS: Final = (Connected, Welcome, PeerOpened, FileSending, FileAccepted, FileFinished)
"""What is shown to who watches."""


class FileConsole:
    """Shows events. Owned by the main thread.

    :param screen: takes a line of each file that is whole, as ``sha256sum`` writes it.
    :param problems: takes all else.
    :param watched: whether ``problems`` is a terminal: then it takes what goes well, and progress.
    """

    def __init__(
        self, wording: Wording, *, screen: TextIO, problems: TextIO, watched: bool
    ) -> None:
        self.watched = watched
        self._wording = wording
        self._screen = screen
        self._problems = problems
        self._progress: dict[int, FileProgress] = {}  # of each file, the last
        self._columns = 0  # of the progress that is on the screen

    def show(self, event: Event) -> None:
        """Show ``event``, if it is worth it."""
        if isinstance(event, FileProgress):
            self._progress[event.transfer] = event
            if self.watched:
                self._show_progress()
            return
        if isinstance(event, FileFinished | FileEnded):
            self._progress.pop(event.transfer, None)
        if isinstance(event, FileFinished):
            self.erase_progress()
            line = f"{event.sha256}  {make_safe(str(event.path))}"
            print(line, file=self._screen, flush=True)
        line = self._wording.line(event)
        if line and isinstance(event, _PROBLEMS + (_NEWS if self.watched else ())):
            self.say(line)

    def say(self, line: str) -> None:
        """Show a line, which must be safe, beside the files."""
        self.erase_progress()
        print(line, file=self._problems, flush=True)

    def erase_progress(self) -> None:
        """Leave an empty line, if there is progress in it."""
        if self._columns:
            # No escape sequence: any terminal can do this.
            self._problems.write(f"\r{' ' * self._columns}\r")
            self._problems.flush()
            self._columns = 0

    def _show_progress(self) -> None:
        files = list(self._progress.values())
        if len(files) == 1:
            text = describe_progress(files[0])
        else:
            done, whole = sum(one.done_bytes for one in files), sum(one.size for one in files)
            rate = sum(one.rate_bytes_per_s for one in files)
            text = ngettext(
                "{count} file: {done} of {size}, {rate}/s",
                "{count} files: {done} of {size}, {rate}/s",
                len(files),
                done=size(done),
                size=size(whole),
                rate=size(rate),
            )
        self.erase_progress()
        text = fit(text, shutil.get_terminal_size().columns - 1)  # the last one would wrap
        self._columns = display_width(text)
        self._problems.write(text)
        self._problems.flush()
