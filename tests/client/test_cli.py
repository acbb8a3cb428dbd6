"""The command line: what it says, and what cannot be."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from securechat.client import cli
from securechat.client.cli import main
from securechat.client.lines.file_mode import ReceiveJob, SendJob
from securechat.client.options import Options, build_parser, read_options
from securechat.client.relays import RelayAddress
from securechat.client.settings.opening import Opening
from securechat.client.tui import start
from securechat.errors import ConfigError
from tests.client.invites import link_to
from tests.client.pty_child import MAIN, on_a_terminal
from tests.client.scripted_server import Peer, Pki, serving
from tests.server.relay_harness import RunningRelay

NICK = ["--nick", "alice"]
TOO_LONG = "x" * 300
"""No file system has a file of that name: the system does not even look."""


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.pdf"
    path.write_bytes(b"what it says")
    return path


def read(*arguments: str, terminal: bool = True) -> Options:
    return read_options(build_parser().parse_args(arguments), terminal=terminal)


def problems(*arguments: str, terminal: bool = True) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as raised:
        read(*arguments, terminal=terminal)
    return raised.value.problems


def test_a_chat_has_peers_and_a_pipe_has_none() -> None:
    assert read(*NICK).peers
    assert not read(*NICK, "--no-peers").peers
    assert not read(*NICK, "--to", "bob", terminal=False).peers


def test_folders(tmp_path: Path) -> None:
    options = read("--data", str(tmp_path / "data"), "--downloads", str(tmp_path / "files"))
    assert (options.data, options.downloads) == (tmp_path / "data", tmp_path / "files")
    assert (read().data, read().downloads) == (None, None)


def test_files_to_send(report: Path) -> None:
    job = read("--send", "bob", str(report)).job
    assert job == SendJob("bob", (report,), show_addresses=False)
    job = read("--send", "bob", str(report), str(report), "--direct").job
    assert job == SendJob("bob", (report, report), show_addresses=True)
    assert read().job is None


def test_files_to_receive(tmp_path: Path) -> None:
    options = read("--receive", str(tmp_path))
    assert options.job == ReceiveJob(tmp_path, (), 1, show_addresses=False)
    assert options.downloads == tmp_path
    job = read(
        *("--receive", str(tmp_path), "--from", "bob", "--from", "carol"),
        *("--count", "3", "--direct"),
    ).job
    assert job == ReceiveJob(tmp_path, ("bob", "carol"), 3, show_addresses=True)


def test_files_without_a_terminal(tmp_path: Path, report: Path) -> None:
    password = tmp_path / "password"
    password.write_text("pencil")
    login = [*NICK, "--password-file", str(password)]
    options = read(*login, "--send", "bob", str(report), terminal=False)
    assert options.peers
    assert options.job is not None
    assert problems(*NICK, "--send", "bob", str(report), terminal=False) == (
        "files need a login: --password-file or --cert when input is a pipe",
    )
    assert "--nick is needed when input is a pipe" in problems(
        *login[2:], "--receive", str(tmp_path), terminal=False
    )


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--send", "bob"], "--send needs a nick and a file"),
        (["--send", "", "REPORT"], "a nick is one word"),
        (["--send", "bob smith", "REPORT"], "a nick is one word"),
        (
            ["--send", "bob", "REPORT", "/no/such"],
            "--send /no/such: there is no such file, or it cannot be read",
        ),
        (["--send", "bob", "/"], "--send /: a folder cannot be sent, only files"),
        (["--send", "bob", "REPORT", "--receive", "/"], "--send and --receive are two programs"),
        (["--send", "bob", "REPORT", "--no-peers"], "files go to peers: not with --no-peers"),
        (["--send", "bob", "REPORT", "--from", "eve"], "--from needs --receive"),
        (
            ["--send", "bob", TOO_LONG],
            f"--send {TOO_LONG}: there is no such file, or it cannot be read",
        ),
        (["--receive", TOO_LONG], f"--receive {TOO_LONG}: there is no such folder"),
        (["--receive", "/no/such"], "--receive /no/such: there is no such folder"),
        (["--receive", "/", "--from", "a b"], "a nick is one word"),
        (["--receive", "/", "--count", "0"], "--count must be 1 or more"),
        (["--receive", "/", "--direct"], "--direct needs --send or --from"),
        (
            ["--receive", "/", "--downloads", "/tmp"],
            "--receive names the folder, and so does --downloads",
        ),
        (["--count", "2"], "--count needs --receive"),
        (["--upnp", "--no-peers"], "--upnp is for peers: not with --no-peers"),
        (["--direct"], "--direct needs --send or --from"),
    ],
)
def test_what_does_not_fit_together(report: Path, arguments: list[str], problem: str) -> None:
    given = [argument.replace("REPORT", str(report)) for argument in arguments]
    assert problems(*given) == (problem,)


def test_several_hosts() -> None:
    network = read(
        "--host", "A.example.org", "--host", "b.example.org:6700", "--host", "::1"
    ).network
    assert (network.host, network.port) == ("a.example.org", 6697)
    assert network.relays == (RelayAddress("b.example.org", 6700), RelayAddress("::1"))
    network = read("--host", "[::1]:1", "--host", "b", "--port", "7000").network
    assert network.given == (RelayAddress("::1", 1), RelayAddress("b", 7000))
    assert read().network.given == (RelayAddress("localhost"),)


def test_the_relays_of_a_domain(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.touch()
    options = read("--srv", "example.org", "--ca", str(ca))
    assert (options.network.srv, options.network.given) == ("example.org", ())
    assert options.named
    both = read("--srv", "example.org", "--ca", str(ca), "--host", "a").network
    assert (both.srv, both.given) == ("example.org", (RelayAddress("a"),))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--host", ""], "--host must not be empty"),
        (["--host", "a", "--host", "b:0"], "--host b:0: the port must be a number from 1 to 65535"),
        (["--host", "a,b"], "--host a,b: 'a,b' is not a host name: "),
        (["--srv", "a b", "--ca", "/dev/null"], "--srv a b: 'a b' is not a host name: "),
        (["--srv", "example.org"], "--srv needs --ca: what the DNS says is only safe with a CA"),
    ],
)
def test_what_is_no_place(arguments: list[str], problem: str) -> None:
    (found,) = problems(*arguments)
    assert found.startswith(problem)


LINK = "securechat://chat.example.org/#token=t"


def test_an_invite_link() -> None:
    options = read(LINK, "--no-peers", "--plain")
    assert (options.invite, options.explain, options.plain) == (LINK, False, True)
    assert read("--explain", LINK, terminal=False).explain
    assert read().invite == ""


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["chat.example.org"], "chat.example.org: not an invite link, which begins with"),
        (["securechat://chat.example.org"], "this invite link is not complete: copy all of it"),
        (["securechat://[::::]/#token=t"], "'::::' is not a host name"),
        (["--host", LINK], "an invite link is given by itself: securechat-client 'securechat://…'"),
        (["--explain"], "an invite link is given by itself"),
        ([LINK, "--nick", "ann"], "the invite link says where and as whom"),
        ([LINK, "--ca", "REPORT"], "the invite link says where and as whom"),
        ([LINK, "--network", "home"], "the invite link says where and as whom"),
        ([LINK, "--join", "#a"], "the invite link says where and as whom"),
        ([LINK, "--send", "bob", "REPORT"], "the invite link says where and as whom"),
    ],
)
def test_what_does_not_fit_to_an_invite(report: Path, arguments: list[str], problem: str) -> None:
    given = [argument.replace("REPORT", str(report)) for argument in arguments]
    [found] = problems(*given)
    assert problem in found


def test_an_invite_needs_somebody_to_answer() -> None:
    assert problems(LINK, terminal=False) == (
        "an invite link needs a terminal: there are questions to be answered by a person",
    )


def test_the_screen_follows_an_invite(
    profiles: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And opens nothing else."""
    followed: list[str] = []

    def screen(openings: list[Opening], *rest: object, invite: str) -> None:
        followed.extend([invite, *(opening.name for opening in openings)])

    monkeypatch.setattr(start, "run_screen", screen)
    opened(LINK)
    assert followed == [LINK]


def test_how_other_programs_use_an_invite(
    relay: RunningRelay, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--explain", link_to(relay, token="secret", account="ann", room="#den")]) == 0
    text = capsys.readouterr().out
    assert relay.certificates.ca.cert_pem.bytes().decode() in text
    assert f"-tls_cafile FILE localhost {relay.address[1]} invite:secret:ann:PASSWORD ann" in text
    assert "/join #den" in text
    assert main(["--explain", LINK, "--lang", "en"]) == 0  # without a CA nobody is asked
    assert "FILE" not in capsys.readouterr().out


def test_no_ca_but_that_of_the_invite_is_explained(
    relay: RunningRelay, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--explain", link_to(relay, ca=relay.certificates.other_ca)]) == 2
    out, complaint = capsys.readouterr()
    assert out == ""
    assert "is not the one that the invite names" in complaint
    assert "Somebody may be in between" in complaint
    link = link_to(relay, token="t")
    relay.stop()
    assert main(["--explain", link]) == 1
    assert "nothing listens on that port" in capsys.readouterr().err


def test_all_mistakes_are_named_at_once() -> None:
    found = problems("--send", "bob", "--from", "eve", "--count", "0", "--no-peers")
    assert len(found) == 5


def test_help_tells_of_peers_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    for part in ("--send NICK", "--receive DIR", "--from NICK", "--no-peers", "exit codes:"):
        assert part in text


# ---- profiles and options ----

PROFILES = """\
last = "home"

[networks.home]
host = "home.example"
nick = "ann"
rooms = ["#home"]

[networks.work]
host = "work.example"
nick = "a.smith"
account = "smith"
password = { from = "file", path = "PASSWORD" }
autoconnect = true
"""

Opened = Callable[..., list[Opening]]


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("pencil\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def profiles(tmp_path: Path, password: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = tmp_path / "securechat" / "profiles.toml"
    path.parent.mkdir()
    path.write_text(PROFILES.replace("PASSWORD", str(password)))
    return path


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    """Run the program with these arguments; return what its interface was told to open."""
    found: list[Opening] = []

    def interface(opening: Opening, options: Options, **more: bool) -> int:
        found.append(opening)
        return 0

    def screen(openings: list[Opening], *rest: object, **more: object) -> None:
        found.extend(openings)

    for name in ("_chat", "_pipe", "_files"):
        monkeypatch.setattr(cli, name, interface)
    monkeypatch.setattr(start, "run_screen", screen)
    monkeypatch.setenv("TERM", "xterm")

    def run(*arguments: str, terminal: bool = True) -> list[Opening]:
        found.clear()
        for stream in (sys.stdin, sys.stdout):
            monkeypatch.setattr(stream, "isatty", lambda: terminal, raising=False)
        assert main(arguments) == 0
        return found

    return run


@pytest.mark.parametrize(
    ("arguments", "terminal", "names"),
    [
        ([], True, ["home", "work"]),
        (["--network", "work"], True, ["work"]),
        (["--host", "else.example", "--nick", "x"], True, ["else.example"]),
        (["--host", "a.example", "--host", "b.example:1", "--nick", "x"], True, ["a.example"]),
        (["--plain", "--srv", "example.org", "--ca", "/dev/null"], True, ["example.org"]),
        (["--plain"], True, ["home"]),
        (["--plain", "--network", "work"], True, ["work"]),
        (["--plain", "--nick", "x"], True, ["localhost"]),
        (["--nick", "x", "--join", "#x"], False, ["localhost"]),
        (["--network", "work", "--to", "bob"], False, ["work"]),
        (["--network", "work", "--receive", "/"], False, ["work"]),
        (["--receive", "/"], True, ["home"]),
    ],
)
def test_which_network_is_opened(
    profiles: Path, opened: Opened, arguments: list[str], terminal: bool, names: list[str]
) -> None:
    assert [opening.name for opening in opened(*arguments, terminal=terminal)] == names


def test_options_add_to_a_profile(profiles: Path, opened: Opened, password: Path) -> None:
    login = ["--password-file", str(password), "--join", "#more"]
    for arguments in (login, ["--plain", *login]):
        first = opened(*arguments)[0]
        assert (first.name, first.password) == ("home", "pencil")
        assert first.profile.rooms == ("#home", "#more")


def test_a_password_is_shown_by_nothing(
    profiles: Path, opened: Opened, capfd: pytest.CaptureFixture[str]
) -> None:
    [opening] = opened("--plain", "--network", "work")
    assert opening.password == "pencil"
    assert "pencil" not in f"{opening!r}{opening}{''.join(capfd.readouterr())}"
    help_text = build_parser().format_help()
    assert "--password-file" in help_text
    assert "--password " not in help_text


def test_a_network_that_is_not_there(
    profiles: Path, opened: Opened, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["--network", "nowhere"], ["--plain", "--network", "nowhere"]):
        with pytest.raises(SystemExit) as left:
            opened(*arguments)
        assert left.value.code == 2
        assert "there is no network nowhere in" in capsys.readouterr().err


def test_a_network_and_what_contradicts_it() -> None:
    assert problems("--network", "home", "--nick", "x") == (
        "--network says where and as whom: no other option may",
    )


def run_pipe(relay: RunningRelay, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run the program with a line from a pipe; return its exit code and what it complains of."""
    done = subprocess.run(
        [
            *(sys.executable, "-c", MAIN),
            *("--port", str(relay.address[1]), "--ca", str(relay.certificates.ca_file)),
            *("--nick", "carol", *arguments),
        ],
        input="hello\n",
        capture_output=True,
        text=True,
        timeout=60,
        env={name: value for name, value in (os.environ | environment).items() if value},
        check=False,
    )
    return done.returncode, done.stderr


def test_a_pipe_needs_no_profiles(relay: RunningRelay, tmp_path: Path) -> None:
    """Nor does it stumble over those that are broken, whatever is asked in which language."""
    bob = relay.join("bob")
    (tmp_path / "securechat").mkdir()
    (tmp_path / "securechat" / "profiles.toml").write_bytes(b"[networks\xff")
    assert run_pipe(relay, "--to", "bob", XDG_CONFIG_HOME=str(tmp_path)) == (0, "")
    assert bob.expect("PRIVMSG").params == ("bob", "hello")


def test_a_pipe_into_a_room_whatever_its_case(relay: RunningRelay) -> None:
    bob = relay.join("bob")
    bob.send("JOIN #den", "MODE #den +n")
    bob.sync()
    assert run_pipe(relay, "--join", "#den", "--to", "#DEN") == (0, "")
    assert bob.expect("PRIVMSG").params[1] == "hello"


def test_a_pipe_that_cannot_deliver(relay: RunningRelay) -> None:
    code, problem = run_pipe(relay, "--to", "nobody")
    assert code == 1
    assert "nobody" in problem


def test_a_pipe_takes_the_first_relay_that_is_there(relay: RunningRelay) -> None:
    bob = relay.join("bob")
    more = ("--host", "127.0.0.1:1", "--host", f"127.0.0.1:{relay.address[1]}")
    assert run_pipe(relay, "--to", "bob", *more) == (0, "")
    assert bob.expect("PRIVMSG").params == ("bob", "hello")


def test_a_pipe_and_no_relay_at_all(relay: RunningRelay) -> None:
    more = ("--host", "127.0.0.1:1", "--host", "127.0.0.1:2")
    code, problem = run_pipe(relay, "--to", "bob", *more)
    assert (code, problem.count("\n")) == (1, 1)
    assert "cannot connect to 127.0.0.1:2: nothing listens" in problem


def test_what_a_relay_announces_is_kept_in_the_profile(pki: Pki, tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        peer.negotiate()
        peer.welcome(isupport="CHANTYPES=# securechat/RELAYS=localhost:1,b.example.org:6700")
        peer.until_gone()

    path = tmp_path / "securechat" / "profiles.toml"
    path.parent.mkdir()
    with serving(pki, script) as server:
        profile = f'host = "localhost"\nport = {server.port}\nca = "{pki.ca_file}"\nnick = "ann"\n'
        path.write_text(f"[networks.home]\n{profile}")
        where = {"XDG_CONFIG_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
        with on_a_terminal("--network", "home", "--no-peers", **where) as child:
            child.wait_for("welcome to")
            child.type("/help\n")
            child.wait_for("/part")  # it has taken what came with the welcome
            child.type("exit\n")
            assert child.wait() == 0
    learned = 'learned = ["localhost:1", "b.example.org:6700"]\n'
    assert path.read_text() == f"[networks.home]\n{profile}{learned}"


def test_without_a_home_there_are_no_profiles(
    monkeypatch: pytest.MonkeyPatch, opened: Opened, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setattr(Path, "home", no_home)
    assert [one.name for one in opened("--nick", "x", "--to", "bob", terminal=False)] == [
        "localhost"
    ]
    with pytest.raises(SystemExit) as left:
        opened("--network", "home", "--to", "bob", terminal=False)
    assert left.value.code == 2
    assert "there is no home folder" in capsys.readouterr().err
