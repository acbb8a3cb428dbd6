"""The real relay, which also writes down all that it handles.

``python -m tests.e2e.recording_relay FOLDER FLAGS…``: the flags are those of ``securechat-server``.
For each connection, what its TLS decrypts and what is given to it to encrypt are a file each in
``FOLDER``: so that what is said in one piece is found in one piece.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

from securechat.net.tls_pipe import TlsPipe
from securechat.server import cli, relay


def record_into(folder: Path) -> None:
    """Have all pipes of the relay record."""
    numbers = itertools.count(1)

    class RecordingPipe(TlsPipe):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            number = next(numbers)
            # Without a buffer: a test may end the relay whenever it likes.
            self._heard = (folder / f"{number}-heard").open("wb", buffering=0)
            self._said = (folder / f"{number}-said").open("wb", buffering=0)

        def receive(self, data: bytes) -> bytes:
            plaintext = super().receive(data)
            self._heard.write(plaintext)
            return plaintext

        def send(self, data: bytes) -> None:
            self._said.write(data)
            super().send(data)

    relay.TlsPipe = RecordingPipe  # type: ignore[misc]  # the one place that makes the relay's pipes


if __name__ == "__main__":
    record_into(Path(sys.argv[1]))
    sys.exit(cli.main(sys.argv[2:]))
