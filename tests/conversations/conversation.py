r"""Scripted conversations with a relay, over verified TLS.

The relay runs in this process; in one of its own where the script has it killed.

One text file for each specification; its lines are, in order::

    # a comment
    > a sentence of the specification; a failure names the last one
    config: [limits]                 lines of the relay's configuration, before all others
    config: targets = 2
    alice connects                   as a guest of that nick
    alice connects with batch sasl   ... with capabilities
    alice connects as bob            ... under another nick
    alice registers with batch       makes the account alice, and is logged in
    alice logs in with batch         to the account alice, made before
    alice opens                      a connection, and says nothing yet
    alice joins #den                 and all that everybody hears of it is dropped
    alice -> JOIN #den               sends a line
    alice <- :alice!*@* JOIN #den    the next line that comes must match
    alice <- ...                     lines may come until one matches what is next
    alice <- nothing                 nothing more has come
    alice is cut off                 the relay closes the connection; lines before it are dropped
    alice leaves                     by QUIT
    alice vanishes                   closes the connection without a word
    the relay restarts               killed with SIGKILL, and started again on its data

In an expected line ``*`` stands for any text; a source that is not given may be any; tags that are
not given may be there, ``@!time`` says that ``time`` must not be; ``...`` as a parameter stands for
any number of them. ``{name}`` takes what stands there, and must be the same text ever after; in
a sent line it is replaced by it. In a sent line ``{70 x}`` stands for 70 times that letter, and
``\xE9`` for a byte.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

from securechat.irc.message import Message
from securechat.server.config_file import load_config
from securechat.server.relay import Relay
from tests.e2e.children import RelayProcess, run_relay
from tests.server.relay_harness import LONG_TIMEOUT_S, PASSWORD, Client, Closed, commands

__all__ = ["Conversation", "Mismatch"]

_CONFIG = """
[server]
network = "TestNet"
[accounts]
argon2_memory_kib = 8192
argon2_iterations = 1
[limits]
commands_per_s = 0
"""

_RESTART = "the relay restarts"

_STATEMENT = re.compile(
    r"(\w+) (->|<-|is|joins|connects|registers|logs|opens|leaves|vanishes)(?: (.*))?"
)


class Mismatch(AssertionError):
    """What came is not what the script says."""


class Conversation:
    """Plays one script against a relay of its own, or fails with the line that did not come."""

    def __init__(self, script: str, ca: Path, folder: Path) -> None:
        self._lines = script.splitlines()
        self._ca = ca
        self._folder = folder
        self._clients: dict[str, Client] = {}
        self._names: dict[str, str] = {}
        self._skipping: set[str] = set()
        self._quotation = ""
        self._stack = contextlib.ExitStack()
        self._process: RelayProcess | None = None
        self._port = 0

    def play(self) -> None:
        """Play the whole script."""
        with self._stack:
            self._start_relay()
            for number, line in enumerate(self._lines, 1):
                try:
                    self._play_line(line.strip())
                except (AssertionError, Closed, OSError) as error:
                    raise Mismatch(
                        f"line {number}: {line}\n  {self._quotation}\n  {error!r}"
                    ) from error

    def _play_line(self, line: str) -> None:
        if not line or line.startswith(("#", "config:")):
            return
        if line.startswith(">"):
            self._quotation = line
            return
        if line == _RESTART:
            self._restart()
            return
        found = _STATEMENT.fullmatch(line)
        assert found is not None, "not a line of a script"
        who, verb, rest = found[1], found[2], found[3] or ""
        match verb:
            case "->":
                self._clients[who].send_bytes(self._filled(rest) + b"\r\n")
            case "<-":
                self._expect(who, rest)
            case "opens":
                self._open(who)
            case "joins":
                self._clients[who].collect(f"JOIN {rest}")
                self._let_all_hear()
                for client in self._clients.values():
                    client.sync()
            case "connects" | "registers" | "logs":
                self._enter(who, verb, rest)
            case "leaves":
                self._clients.pop(who).quit()
            case "vanishes":
                self._clients.pop(who).vanish()
            case _:
                self._clients.pop(who).read_to_end()

    def _let_all_hear(self) -> None:
        """Wait until whoever is to hear of what was done has been told."""

    # ---- what comes ----

    def _expect(self, who: str, pattern: str) -> None:
        client = self._clients[who]
        if pattern == "...":
            self._skipping.add(who)
            return
        skipping = who in self._skipping
        self._skipping.discard(who)
        if pattern == "nothing":
            found = client.sync()
            if found and not skipping:
                raise Mismatch(f"but there came {client.lines[-1 - len(found) : -1]}")
            return
        passed = []
        while True:
            try:
                message = client.read()
            except (Closed, TimeoutError) as error:
                raise Mismatch(f"did not come; there came {passed}") from error
            if self._matches(pattern, message):
                return
            passed.append(client.lines[-1].decode())
            if not skipping:
                raise Mismatch(f"there came {passed[0]!r}")

    def _matches(self, pattern: str, message: Message) -> bool:
        expected = Message.parse(pattern)
        names = dict(self._names)
        fits = expected.command == message.command
        if expected.source is not None:
            fits = fits and _fits(expected.source, message.source or "", names)
        for key, value in expected.tags.items():
            if key.startswith("!"):
                fits = fits and key[1:] not in message.tags
            else:
                fits = fits and key in message.tags and _fits(value, message.tags[key], names)
        fits = fits and _all_fit(expected.params, message.params, names)
        if fits:
            self._names = names
        return fits

    def _filled(self, text: str) -> bytes:
        text = re.sub(r"\{(\d+) (.)\}", lambda found: int(found[1]) * found[2], text)
        text = re.sub(r"\{(\w+)\}", lambda found: self._names[found[1]], text)
        return re.sub(rb"\\x([0-9A-F]{2})", lambda found: bytes([int(found[1], 16)]), text.encode())

    # ---- coming and going ----

    def _open(self, who: str) -> Client:
        context = ssl.create_default_context(cafile=str(self._ca))
        context.set_alpn_protocols(["irc"])
        raw = socket.create_connection(("127.0.0.1", self._port), timeout=LONG_TIMEOUT_S)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = Client(context.wrap_socket(raw, server_hostname="localhost"))
        self._stack.callback(client.sock.close)
        self._clients[who] = client
        return client

    def _enter(self, who: str, verb: str, rest: str) -> None:
        before, _, capabilities = rest.partition("with ")
        nick = found[1] if (found := re.search(r"\bas (\S+)", before)) else who
        account = found[1] if (found := re.search(r"\bto (\S+)", before)) else nick
        caps = capabilities.split()
        client = self._open(who)
        if verb == "registers":
            client.request("draft/account-registration")
            client.send(f"NICK {nick}", f"REGISTER * * :{PASSWORD}")
            client.expect("REGISTER", "SUCCESS")
        elif verb == "logs":
            client.request("sasl")
            answers = client.authenticate_plain(account)
            assert "903" in commands(answers), answers
        client.register(nick, *caps)

    # ---- the relay ----

    def _start_relay(self) -> None:
        config = self._folder / "relay.toml"
        changes = [line.removeprefix("config:") for line in self._lines if line[:7] == "config:"]
        data = self._folder / "data"
        places = [
            *("[server]", 'listen = ["127.0.0.1:0"]'),
            *("[store]", f'path = "{data / "securechat.db"}"'),
            *("[tls]", f'certificate = "{self._ca.with_name("server.pem")}"'),
            f'key = "{self._ca.with_name("server-key.pem")}"',
        ]
        base = [*_CONFIG.splitlines(), *places]
        config.write_text(_merged(base, changes), encoding="utf-8")
        if _RESTART in self._lines:
            running = run_relay(self._ca, data, "--config", str(config))
            self._process = self._stack.enter_context(running)
            self._port = self._process.port
        else:
            relay = Relay(load_config(config))
            relay.start()
            self._stack.callback(_stop, relay)
            self._port = relay.addresses[0][1]

    def _restart(self) -> None:
        assert self._process is not None
        for client in self._clients.values():
            client.sock.close()
        self._clients.clear()
        self._process.process.kill()
        self._process.process.wait()
        self._start_relay()


def _stop(relay: Relay) -> None:
    relay.stop("The test is over")
    assert relay.crash is None, repr(relay.crash)


def _merged(base: list[str], changes: list[str]) -> str:
    """Return TOML lines with ``changes`` put into the tables that they name."""
    tables: dict[str, list[str]] = {}
    for lines in (base, changes):
        name = ""
        for line in map(str.strip, lines):
            if line.startswith("["):
                name = line
                tables.setdefault(name, [])
            elif line:
                key = line.partition("=")[0].strip()
                kept = [old for old in tables[name] if old.partition("=")[0].strip() != key]
                tables[name] = [*kept, line]
    return "\n".join("\n".join((name, *lines)) for name, lines in tables.items())


def _all_fit(patterns: tuple[str, ...], params: tuple[str, ...], names: dict[str, str]) -> bool:
    """Whether the patterns cover the parameters, of which ``...`` covers any number."""
    if not patterns:
        return not params
    if patterns[0] == "...":
        rests = (params[start:] for start in range(len(params) + 1))
        return any(_all_fit(patterns[1:], rest, names) for rest in rests)
    return (
        bool(params)
        and _fits(patterns[0], params[0], names)
        and _all_fit(patterns[1:], params[1:], names)
    )


def _fits(pattern: str, text: str, names: dict[str, str]) -> bool:
    """Whether ``pattern`` covers ``text``; takes the names that it binds into ``names``."""
    pieces: list[str] = []
    bound: list[str] = []
    for piece in re.split(r"(\*|\{\w+\})", pattern):
        if piece == "*":
            pieces.append(".*")
        elif piece[:1] == "{" and piece[1:-1] not in names:
            bound.append(piece[1:-1])
            pieces.append("(.+)")
        elif piece[:1] == "{":
            pieces.append(re.escape(names[piece[1:-1]]))
        else:
            pieces.append(re.escape(piece))
    found = re.fullmatch("".join(pieces), text, re.DOTALL)
    if found is None:
        return False
    names.update(zip(bound, found.groups(), strict=True))
    return True


def scripts() -> Iterator[Path]:
    """Yield the scripts, each named like the specification that it is of."""
    yield from sorted(Path(__file__).parent.glob("*.txt"))
