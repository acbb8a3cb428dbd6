"""Trials of the setup, run and waited for; and servers that are none of ours."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import trustme

from securechat.client.assistant.trial import Attempt, Purpose, Trial, Verdict
from securechat.client.settings.address import Address
from tests.server.relay_harness import LONG_TIMEOUT_S, Certificates, RunningRelay

PROTOCOL_VERSION_ALERT = bytes((21, 3, 1, 0, 2, 2, 70))
"""What a server says that knows only older versions of TLS (RFC 8446, section 6.2)."""


def attempt_at(
    relay: RunningRelay, purpose: Purpose = "probe", nick: str = "guest1234", **more: Any
) -> Attempt:
    host = more.pop("host", "localhost")
    ca = more.pop("ca", relay.certificates.ca_file)
    return Attempt(purpose, Address(host, relay.address[1]), ca, nick, **more)


def run_trial(attempt: Attempt, **more: Any) -> Verdict:
    """Run a trial to its end; return the verdict."""
    ends: queue.SimpleQueue[Verdict | None] = queue.SimpleQueue()
    Trial(
        attempt,
        on_connected=lambda event: None,
        on_end=lambda trial, verdict: ends.put(verdict),
        **more,
    ).start()
    verdict = ends.get(timeout=LONG_TIMEOUT_S)
    assert verdict is not None
    return verdict


def certificate(folder: Path, ca: trustme.CA, *names: str, **validity: datetime) -> dict[str, Path]:
    """Return the ``tls`` part of a relay's configuration with a certificate of ``ca``."""
    path = folder / "other-server.pem"
    issued = ca.issue_cert(*(names or ("localhost", "127.0.0.1")), **validity)
    issued.private_key_and_cert_chain_pem.write_to_path(path)
    return {"certificate": path, "key": path}


def bad_certificate(check: str, certificates: Certificates, folder: Path) -> dict[str, Path]:
    """Return the ``tls`` part with a certificate that fails ``check`` for a client at localhost."""
    now, day = datetime.now(UTC), timedelta(days=1)
    match check:
        case "expired":
            validity = {"not_before": now - 2 * day, "not_after": now - day}
            return certificate(folder, certificates.ca, **validity)
        case "not-yet-valid":
            validity = {"not_before": now + day, "not_after": now + 2 * day}
            return certificate(folder, certificates.ca, **validity)
        case "hostname":
            return certificate(folder, certificates.ca, "elsewhere.example.org")
        case _:
            return certificate(folder, certificates.other_ca)


@contextlib.contextmanager
def plain_server(
    answer: bytes, *, stays: bool = False, reached: threading.Event | None = None
) -> Iterator[int]:
    """Answer the first bytes of one connection with ``answer``, without TLS; give the port.

    :param stays: do not close the connection then, but wait for the client to do so.
    :param reached: set once the first bytes have come.
    """
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            sock, _ = listener.accept()
            with sock:
                sock.settimeout(LONG_TIMEOUT_S)
                sock.recv(65_536)
                if reached is not None:
                    reached.set()
                sock.sendall(answer)
                while stays and sock.recv(65_536):
                    pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):  # of one that is connected, on some systems
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(LONG_TIMEOUT_S)


def closed_port() -> int:
    """Return a port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
