"""WeeChat and irssi as child processes, driven as a user drives them, read as a user reads them.

What is typed goes to the client as a line for one of its windows; every line that it prints in a
window comes back through a pipe, with the window's name. Nothing here sleeps: ``wait_for`` reads
until a line has come.
"""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import shutil
import socket
import ssl
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.children import TIMEOUT_S, RelayProcess
from tests.server.relay_harness import LONG_TIMEOUT_S, PASSWORD, Client

SERVER = "securechat"
"""What the clients call the relay."""


def find_program(name: str, package: str) -> str:
    """Return the path of a program; skip the test where it is not installed."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed: apt-get install {package}")
    return path


def version_of(program: str) -> tuple[int, ...]:
    """Return the version that ``program --version`` prints, as far as it is numbers."""
    done = subprocess.run(
        [program, "--version"], capture_output=True, text=True, timeout=TIMEOUT_S, check=True
    )
    found = re.search(r"\d+(\.\d+)+", done.stdout)
    assert found is not None, done.stdout
    return tuple(int(number) for number in found[0].split("."))


CORE = "core.weechat"
"""WeeChat's own window."""


class Line(NamedTuple):
    window: str
    text: str


class RealClient(ABC):
    """A client that runs, in a home of its own. Owned by the test's thread."""

    def __init__(self, process: subprocess.Popen[bytes], output: int, *drained: int) -> None:
        self.process = process
        self.lines: list[Line] = []
        """Every line that the client has shown."""
        self._output = output
        self._drained = drained
        self._seen = 0
        self._partial = b""

    @abstractmethod
    def type(self, text: str, window: str = "") -> None:
        """Type a line in the window of a room or of a person, or in the relay's own."""

    @abstractmethod
    def close(self) -> None:
        """End the process, whatever it does."""

    def wait_for(self, text: str, window: str | None = None) -> str:
        """Return the next line with ``text`` in it; those before it are passed over."""
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            while self._seen < len(self.lines):
                line = self.lines[self._seen]
                self._seen += 1
                if text in line.text and window in (None, line.window):
                    return line.text
            self._read(deadline, text)

    def shown(self, text: str) -> list[Line]:
        """Return the lines with ``text`` in them that have come."""
        return [line for line in self.lines if text in line.text]

    def _read(self, deadline: float, wanted: str) -> None:
        timeout = max(0, deadline - time.monotonic())
        ready, _, _ = select.select([self._output, *self._drained], [], [], timeout)
        last = "\n".join(f"{line.window}\t{line.text}" for line in self.lines[-40:])
        assert ready, f"{wanted!r} did not come; the last lines are:\n{last}"
        for source in ready:
            data = os.read(source, 65_536)
            if source != self._output:
                continue
            assert data, f"the client has ended before {wanted!r} came; the last lines are:\n{last}"
            *complete, self._partial = (self._partial + data).split(b"\n")
            for raw in complete:
                window, _, text = raw.decode(errors="replace").partition("\t")
                self.lines.append(Line(window, text.strip()))


class WeeChat(RealClient):
    """``weechat-headless``; typed to by its FIFO, read by a trigger on whatever it prints."""

    PACKAGE = "weechat-headless weechat-plugins"
    PLUGINS = ("alias", "fifo", "irc", "trigger")
    """Some are in a package of their own, which may be missing."""

    def __init__(self, home: Path) -> None:
        program = find_program("weechat-headless", self.PACKAGE)
        self.version = version_of(program)
        home.mkdir()
        fifo = home / "typed"
        (home / "fifo.conf").write_text(f'[file]\nenabled = on\npath = "{fifo}"\n')
        (home / "trigger.conf").write_text(
            "[trigger]\nlines.hook = print\nlines.enabled = on\nlines.return_code = ok\n"
            r'lines.command = "/print -stdout ${buffer.full_name}\t${tg_prefix_nocolor} '
            r'${tg_message_nocolor}\n"' + "\n"
        )
        tell_directory = rf"/print -stdout {CORE}\t${{info:weechat_libdir}}/plugins\n"
        output, child_output = os.pipe()
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, child_output)
            process = subprocess.Popen(
                [
                    *(program, "--dir", str(home), "--plugins", ",".join(self.PLUGINS)),
                    *("--run-command", tell_directory),
                ],
                stdin=subprocess.DEVNULL,
                stdout=child_output,
                stderr=subprocess.STDOUT,
                env=_environment(),
                start_new_session=True,
            )
        super().__init__(process, output)
        self._typed = -1
        try:
            self._check_plugins(Path(self.wait_for("/plugins", CORE)))
            self._typed = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
            # By default it sends one command in two seconds. What a version has not, it ignores.
            for name in ("anti_flood", "anti_flood_prio_high", "anti_flood_prio_low"):
                self.type(f"/set irc.server_default.{name} 0", CORE)
        except BaseException:
            self.close()
            raise

    def _check_plugins(self, directory: Path) -> None:
        missing = [name for name in self.PLUGINS if not (directory / f"{name}.so").exists()]
        if missing:
            pytest.skip(f"WeeChat has no {', '.join(missing)}: apt-get install {self.PACKAGE}")

    def type(self, text: str, window: str = "") -> None:
        if "." not in window:
            window = f"irc.{SERVER}.{window}" if window else f"irc.server.{SERVER}"
        os.write(self._typed, f"{window} *{text}\n".encode())

    def wait_for(self, text: str, window: str | None = None) -> str:
        full = window if window is None or "." in window else f"irc.{SERVER}.{window}"
        return super().wait_for(text, full)

    def close(self) -> None:
        _end(self.process)
        os.close(self._output)
        if self._typed >= 0:
            os.close(self._typed)

    def add_server(self, relay: RelayProcess, ca: Path, nick: str, **options: str) -> None:
        """Make the relay known as ``SERVER``, verified with ``ca``; set options of it."""
        for line in (
            "/set weechat.network.gnutls_ca_system off",
            f'/set weechat.network.gnutls_ca_user "{ca}"',
            f"/server add {SERVER} localhost/{relay.port} -tls -nicks={nick}",
            *(f"/set irc.server.{SERVER}.{name} {value}" for name, value in options.items()),
        ):
            self.type(self.in_its_words(line), CORE)

    def in_its_words(self, line: str) -> str:
        """Return a command of WeeChat 4.0 for this version: flags and options were named ssl."""
        return line if self.version >= (4, 0) else re.sub(r"([-.])tls(?=[_ ])", r"\1ssl", line)

    def connect(self) -> None:
        self.type(f"/connect {SERVER}", CORE)


class Irssi(RealClient):
    """irssi on a terminal; typed to and read by a script, which sees what it prints as text."""

    PACKAGE = "irssi"

    def __init__(self, home: Path) -> None:
        program = find_program("irssi", self.PACKAGE)
        self.version = version_of(program)
        scripts = home / "scripts" / "autorun"
        scripts.mkdir(parents=True)
        (scripts / "pipes.pl").write_text(_IRSSI_SCRIPT)
        self._terminal, slave = pty.openpty()
        child_typed, self._typed = os.pipe()
        output, child_output = os.pipe()
        with contextlib.ExitStack() as stack:
            for descriptor in (slave, child_typed, child_output):
                stack.callback(os.close, descriptor)
            process = subprocess.Popen(
                [program, f"--home={home}", "--noconnect"],
                stdin=slave,
                stdout=slave,
                stderr=slave,
                pass_fds=(child_typed, child_output),
                env=_environment() | {"PIPES": f"{child_typed} {child_output}", "TERM": "xterm"},
                start_new_session=True,
            )
        super().__init__(process, output, self._terminal)
        try:
            self.wait_for("the pipes are open")
            # By default it sends five commands at once and then one in 2.2 seconds.
            self.type("/set cmds_max_at_once 100")
            self.type("/set cmd_queue_speed 10msec")
        except BaseException:
            self.close()
            raise

    def type(self, text: str, window: str = "") -> None:
        os.write(self._typed, f"{window}\t{text}\n".encode())

    def close(self) -> None:
        _end(self.process)
        for descriptor in (self._output, self._typed, self._terminal):
            os.close(descriptor)

    def add_server(self, relay: RelayProcess, ca: Path, nick: str, *flags: str) -> None:
        """Make the relay known as ``SERVER``, verified with ``ca``.

        :param flags: of the network, such as ``-sasl_username alice``; those of TLS go to the
            server.
        """
        of_server = [flag for flag in flags if flag.startswith("-tls")]
        of_network = [flag for flag in flags if not flag.startswith("-tls")]
        tls = " ".join(["-tls", "-tls_verify", f"-tls_cafile {ca}", *of_server])
        self.type(f"/network add -nick {nick} {' '.join(of_network)} {SERVER}")
        self.type(f"/server add {tls} -network {SERVER} localhost {relay.port}")

    def connect(self) -> None:
        self.type(f"/connect {SERVER}")


_IRSSI_SCRIPT = r"""
use strict;
use Irssi;

my ($typed, $shown) = split / /, $ENV{PIPES};
open(my $in, '<&=', $typed) or die $!;
open(my $out, '>&=', $shown) or die $!;

sub show { my ($window, $text) = @_; syswrite($out, "$window\t$text\n"); }

Irssi::signal_add_first('print text', sub {
    my ($dest, $text, $stripped) = @_;
    show($dest->{target} // '', $_) for split /\n/, $stripped;
});

my $partial = '';
sub typed {
    sysread($in, my $data, 65536) or return;
    $partial .= $data;
    while ($partial =~ s/^(.*?)\t(.*?)\n//) {
        my ($window, $text) = ($1, $2);
        my $item = $window eq '' ? undef : Irssi::window_item_find($window);
        my $server = defined $item ? $item->{server} : (Irssi::servers())[0];
        Irssi::signal_emit('send command', $text, $server, $item);
    }
}
Irssi::input_add(fileno($in), Irssi::INPUT_READ, \&typed, undef);
show('', 'the pipes are open');
"""


def _environment() -> dict[str, str]:
    """The environment of a client: nothing of the user's that would change what it shows."""
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    return kept | {"HOME": "/nonexistent", "LANG": "C.UTF-8", "TZ": "UTC"}


def connect(relay: RelayProcess) -> Client:
    """Return a client that does just what a test says, connected to ``relay``."""
    context = ssl.create_default_context(cafile=str(relay.ca))
    sock = socket.create_connection(("localhost", relay.port), timeout=LONG_TIMEOUT_S)
    try:
        return Client(context.wrap_socket(sock, server_hostname="localhost"))
    except BaseException:
        sock.close()
        raise


def register_account(relay: RelayProcess, name: str) -> None:
    """Make an account with ``PASSWORD``; nobody is on the relay by its name afterwards."""
    client = connect(relay)
    client.request("draft/account-registration")
    client.send(f"NICK {name}", f"REGISTER * * :{PASSWORD}")
    assert client.expect("REGISTER").params[:2] == ("SUCCESS", name)
    client.quit()


def readme_lines(client: str, relay: RelayProcess) -> list[str]:
    """Return what the README has a user of ``client`` type, with a host and a CA that exist."""
    section = (Path(__file__).parents[2] / "README.md").read_text().partition(f"\nIn {client}")[2]
    section = re.split(r"\nIn |\n## ", section)[0]
    text = section.replace("/path/to/certs/ca.pem", str(relay.ca))
    text = re.sub(r"chat\.example\.org([/ ])6697", rf"localhost\g<1>{relay.port}", text)
    return re.findall(r"^    (/.*)", text, re.MULTILINE)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
