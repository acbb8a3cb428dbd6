"""The same file over a bare ``ssl`` socket: what a transfer between peers is compared with.

With SHA-256 on both sides, too: peers compute it, so that both know that the file arrived unchanged
and can go on after a break. A processor needs longer for that than for TLS.
"""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from benchmark.crowd import LoadError
from securechat import pki
from securechat.net.tls import client_context

__all__ = ["Certified", "Copier", "Received", "Sent", "certify"]

HOST: Final = "127.0.0.1"

STEP_BYTES: Final = 262_144
"""How much is read from the file, and encrypted, at a time; and the room for what is received."""


@dataclass(frozen=True, slots=True)
class Certified:
    """The files of a server's certificate, and of the CA that made it."""

    ca: Path
    certificate: Path
    key: Path


class Sent(NamedTuple):
    """When a copy began, by the monotonic clock; the hash of what was hashed of it; the cipher."""

    began_s: float
    sha256: str
    cipher: str


class Received(NamedTuple):
    """When all of a copy was there, by the same clock; and the hash."""

    ended_s: float
    sha256: str


def certify(folder: Path) -> Certified:
    """Make a CA and a certificate for this host in ``folder``."""
    folder.mkdir()
    pki.provision(folder, pki.Request(), now=datetime.now(UTC).replace(microsecond=0))
    files = pki.server_files(folder)
    return Certified(pki.ca_files(folder).certificate, files.certificate, files.key)


class Copier:
    """One side of copies, over blocking TLS 1.3 sockets. Owned by one thread.

    :param deadline: for all waiting, by the monotonic clock.
    """

    def __init__(self, certified: Certified, deadline: float) -> None:
        self._deadline = deadline
        self._connects = client_context(certified.ca)
        self._accepts = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._accepts.load_cert_chain(certified.certificate, certified.key)
        for context in (self._connects, self._accepts):
            context.minimum_version = ssl.TLSVersion.TLSv1_3
        self._listener = socket.create_server((HOST, 0))

    def port(self) -> int:
        """Return where ``receive`` waits."""
        return int(self._listener.getsockname()[1])

    def receive(self, target: Path, hashed: bool) -> Received:
        """Receive a file into ``target``, until it is there, safe on the disk."""
        sha256 = hashlib.sha256()
        with self._in_time():
            self._listener.settimeout(self._left())
            plain, _ = self._listener.accept()
            plain.settimeout(self._left())
            with (
                self._accepts.wrap_socket(plain, server_side=True) as sock,
                target.open("wb", buffering=0) as file,
            ):
                buffer = memoryview(bytearray(STEP_BYTES))  # one, and not a new one for each record
                while size := sock.recv_into(buffer):
                    file.write(buffer[:size])
                    if hashed:
                        sha256.update(buffer[:size])
                os.fsync(file.fileno())
                ended = time.monotonic()
                sock.unwrap().close()
        return Received(ended, sha256.hexdigest())

    def send(self, source: Path, port: int, hashed: bool) -> Sent:
        """Send ``source`` there."""
        sha256 = hashlib.sha256()
        with self._in_time():
            plain = socket.create_connection((HOST, port), self._left())
            with (
                self._connects.wrap_socket(plain, server_hostname=HOST) as sock,
                source.open("rb", buffering=0) as file,
            ):
                cipher = sock.cipher()
                began = time.monotonic()
                while data := file.read(STEP_BYTES):
                    sock.sendall(data)
                    if hashed:
                        sha256.update(data)
                sock.unwrap().close()  # returns when the other side has said that it has all
        return Sent(began, sha256.hexdigest(), cipher[0] if cipher is not None else "")

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()

    def _left(self) -> float:
        return max(0.001, self._deadline - time.monotonic())

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LoadError(f"the bare copy failed: {error}") from error
