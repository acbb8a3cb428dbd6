"""A chat with one command: a relay on this machine and a client on it.

::

    python3 scripts/run.py                 a relay on 127.0.0.1:6697 and a client on it
    python3 scripts/run.py --nick alice
    python3 scripts/run.py --server-only   only the relay, its log on this terminal

Makes ``.venv``, installs, and makes ``certs/`` on the first run. When the client ends, the relay
that was started for it is stopped. Standard library only, Python 3.11 or later.
"""

import argparse
import contextlib
import errno
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import BinaryIO

import _venv

ROOT = _venv.ROOT
CERTS = ROOT / "certs"
DATA = ROOT / "data"
LOG = DATA / "relay.log"

ADDRESS = "127.0.0.1"
READY_DEADLINE_S = 20.0
"""A relay that does not listen by then never will; a slow disk is allowed for."""

STOP_DEADLINE_S = 10.0
"""How long the relay may take to say goodbye and to write what it holds, before it is killed."""

TAIL_LINES = 15
Process = subprocess.Popen[bytes]
EXIT_EXPIRED = 3  # of gen_certs.py


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run.py", description="Start a relay on this machine and a client on it."
    )
    parser.add_argument("--nick", help="the name to use in the chat")
    parser.add_argument(
        "--port", type=int, default=6697, help="the relay's port on 127.0.0.1 (default: 6697)"
    )
    parser.add_argument("--server-only", action="store_true", help="start no client")
    return parser


def check_port(port: int) -> None:
    """``SetupFailed`` if nothing can listen on ``port``, before a minute is spent installing."""
    if not 1 <= port <= 65535:
        raise _venv.SetupFailed(f"a port is a number from 1 to 65535, not {port}")
    with socket.socket() as probe:
        # As servers do: connections that ended a moment ago do not count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                reason = "is taken (by a relay that runs already?); --port N takes another"
            else:
                reason = f"cannot be used: {error.strerror}"
            raise _venv.SetupFailed(f"port {port} on {ADDRESS} {reason}") from error


def make_certificates(venv: _venv.Venv) -> None:
    """Whatever is missing in certs/; a server certificate that has expired is renewed."""
    command = [str(venv.python), str(ROOT / "scripts" / "gen_certs.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == EXIT_EXPIRED:
        done = subprocess.run([*command, "--renew"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["gen_certs.py failed and gave no reason"]
        raise _venv.SetupFailed(lines[-1].removeprefix("gen_certs.py: "))
    print(done.stdout, end="", flush=True)


def relay_command(venv: _venv.Venv, port: int) -> list[str]:
    # Absolute paths, as in all commands here: they work from any folder.
    return [
        *(str(venv.program("securechat-server")), "--listen", f"{ADDRESS}:{port}"),
        *("--cert", str(CERTS / "server.pem"), "--key", str(CERTS / "server-key.pem")),
        *("--client-ca", str(CERTS / "ca.pem")),
        *("--data", str(DATA)),
    ]


def client_command(venv: _venv.Venv, port: int, nick: str | None) -> list[str]:
    command = [str(venv.program("securechat-client")), "--ca", str(CERTS / "ca.pem")]
    command += ["--host", "localhost", "--port", str(port)]
    return command if nick is None else [*command, "--nick", nick]


def how_to_join(venv: _venv.Venv, port: int, nick: str | None) -> str:
    """The commands with which others on this machine join.

    WeeChat before 4.0 ignores ``-tls`` without a word and would connect in plain text, hence the
    hint. Its option and irssi's take a path with spaces in double quotes.
    """
    other = "guest" if nick != "guest" else "guest2"
    ca = CERTS / "ca.pem"
    irssi_ca = f'"{ca}"' if " " in str(ca) else ca
    return f"""\
To join from a second terminal:
  {shlex.join(client_command(venv, port, other))}
from WeeChat (before 4.0: -ssl in place of -tls):
  /set weechat.network.gnutls_ca_user "{ca}"
  /server add securechat localhost/{port} -tls
  /connect securechat
from irssi:
  /connect -tls -tls_verify -tls_cafile {irssi_ca} localhost {port}
"""


@contextlib.contextmanager
def relay_process(command: Sequence[str], log: BinaryIO | None) -> Iterator[Process]:
    """The relay, writing to ``log`` or to this terminal; gone when the block is left.

    It has a process group of its own: Ctrl-C goes to this program and to the client, and the relay
    gets the SIGTERM at which it stops in order.
    """
    with _starting(command):
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=ROOT,
            process_group=0,
        )
    try:
        yield process
    finally:
        stop(process)


@contextlib.contextmanager
def client_process(command: Sequence[str]) -> Iterator[Process]:
    """The client, with this terminal and in the user's folder; gone when the block is left."""
    with _starting(command):
        process = subprocess.Popen(command)
    try:
        yield process
    finally:
        stop(process)


@contextlib.contextmanager
def _starting(command: Sequence[str]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _venv.SetupFailed(
            f"cannot start {command[0]} ({error.strerror}): remove .venv and run this again"
        ) from error


def stop(process: Process) -> None:
    """End ``process``: ask first, kill after ``STOP_DEADLINE_S``."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_ready(
    process: Process, log: Path, start: int, deadline_s: float = READY_DEADLINE_S
) -> None:
    """Return when the relay has logged that it listens; ``SetupFailed`` if it ends or does not.

    ``start`` is where this relay's part of the log begins, in bytes.
    """
    end = time.monotonic() + deadline_s
    while True:
        # Looked at first: what a relay that has ended wrote is complete when it is read below.
        code = process.poll()
        written = log.read_bytes()[start:].decode(errors="replace")
        if code is not None:
            problem = f"the relay ended with exit code {code} (log: {log})"
        elif "listening on" in written:
            return
        elif time.monotonic() >= end:
            problem = f"the relay did not start to listen in {deadline_s:.0f} s (log: {log})"
        else:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
            continue
        show_tail(written)
        raise _venv.SetupFailed(problem)


def show_tail(written: str) -> None:
    for line in written.splitlines()[-TAIL_LINES:]:
        print(f"  {line}", file=sys.stderr)


def serve(venv: _venv.Venv, port: int, nick: str | None) -> int:
    """Run the relay in the foreground until it ends or is interrupted."""
    print(how_to_join(venv, port, nick))
    print("The relay's log follows; Ctrl-C stops it.", flush=True)
    with relay_process(relay_command(venv, port), None) as relay:
        try:
            code = relay.wait()
        except KeyboardInterrupt:
            return 0  # the usual way to stop it
    if code != 0:
        raise _venv.SetupFailed(f"the relay ended with exit code {code}")
    return 0


def chat(venv: _venv.Venv, port: int, nick: str | None) -> int:
    """Run the relay in the background and the client in the foreground; the client's exit code."""
    start = LOG.stat().st_size
    with LOG.open("ab") as log, relay_process(relay_command(venv, port), log) as relay:
        wait_until_ready(relay, LOG, start)
        print(f"The relay listens on {ADDRESS}:{port}; its log is {LOG}.")
        print(how_to_join(venv, port, nick), flush=True)
        with client_process(client_command(venv, port, nick)) as client:
            # Ctrl-C is the client's to answer. (A handler, since SIG_IGN would be inherited.)
            before = signal.signal(signal.SIGINT, lambda number, frame: None)
            try:
                code = client.wait()
            finally:
                signal.signal(signal.SIGINT, before)
        if relay.poll() is not None:
            show_tail(LOG.read_bytes()[start:].decode(errors="replace"))
            print(f"run.py: the relay ended by itself (log: {LOG})", file=sys.stderr)
    return code if code >= 0 else 128 - code


def run(args: argparse.Namespace) -> int:
    check_port(args.port)
    venv = _venv.Venv()
    venv.ensure("tui")
    make_certificates(venv)
    try:
        DATA.mkdir(mode=0o700, exist_ok=True)
        LOG.touch()
    except OSError as error:
        raise _venv.SetupFailed(f"cannot write {error.filename}: {error.strerror}") from error
    return (serve if args.server_only else chat)(venv, args.port, args.nick)


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)  # an exception, so that the children are stopped on the way out


def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _leave)
    try:
        return run(args)
    except _venv.SetupFailed as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
