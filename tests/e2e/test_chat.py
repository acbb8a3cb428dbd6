"""Two line clients and a relay, as people run them."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import trustme

from tests.e2e.children import STOP_S, TIMEOUT_S, RelayProcess, TerminalClient, run_relay, script

OpenClient = Callable[..., TerminalClient]
PASSWORD = "correct horse battery"


def test_two_people_talk(relay: RelayProcess, open_client: OpenClient) -> None:
    alice = open_client(relay, "--nick", "alice", "--join", "#room")
    alice.wait_for("you joined #room (1 person)")
    bob = open_client(relay, "--nick", "bob", "--join", "#room")
    bob.wait_for("you joined #room (2 people)")
    alice.wait_for("bob joined #room (2 people)")
    alice.type("hello bob")
    bob.wait_for("<alice> hello bob")
    bob.type("/me waves")
    alice.wait_for("* bob waves")
    bob.type("/nick robert")
    alice.wait_for("bob is now known as robert")
    bob.type("/msg alice only you")
    alice.wait_for("<robert> only you")
    bob.type("exit")
    assert bob.process.wait(TIMEOUT_S) == 0
    alice.wait_for("robert quit (#room: 1 person)")
    alice.process.send_signal(signal.SIGINT)
    assert alice.process.wait(TIMEOUT_S) == 0


def test_a_nick_is_kept_over_a_restart(ca: Path, tmp_path: Path, open_client: OpenClient) -> None:
    with run_relay(ca, tmp_path / "data") as relay:
        alice = open_client(relay, "--nick", "alice")
        alice.wait_for("you are alice")
        alice.type("/register")
        alice.wait_for("New password")
        alice.type(PASSWORD)
        alice.wait_for("gain")
        alice.type(PASSWORD)
        alice.wait_for("logged in as alice")
        assert relay.stop() == 0
        alice.wait_for("shutting down")
    with run_relay(ca, tmp_path / "data") as relay:
        stranger = open_client(relay, "--nick", "alice")
        stranger.wait_for("Password for alice")
        stranger.type("not the password")
        stranger.wait_for("authentication failed")
        password_file = tmp_path / "password"
        password_file.write_text(PASSWORD + "\n")
        alice = open_client(relay, "--nick", "alice", "--password-file", str(password_file))
        alice.wait_for("logged in as alice")
        assert not any(PASSWORD in line for line in relay.log)


def test_a_client_comes_back_when_the_relay_does(
    ca: Path, tmp_path: Path, open_client: OpenClient
) -> None:
    with run_relay(ca, tmp_path / "data") as relay:
        port = relay.port
        alice = open_client(relay, "--nick", "alice", "--join", "#room")
        alice.wait_for("you joined #room")
        relay.process.kill()
        alice.wait_for("connection lost")
    with run_relay(ca, tmp_path / "data", port=port):
        alice.wait_for("you joined #room")


def test_lines_from_a_pipe_arrive(relay: RelayProcess, open_client: OpenClient) -> None:
    alice = open_client(relay, "--nick", "alice", "--join", "#ops")
    alice.wait_for("you joined #ops")
    done = subprocess.run(
        [
            script("securechat-client"),
            *("--ca", str(relay.ca), "--port", str(relay.port), "--nick", "cron"),
            *("--join", "#ops"),
        ],
        input="backup done\nall is wéll\n",
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    alice.wait_for("<cron> backup done")
    alice.wait_for("<cron> all is wéll")


def test_a_long_line_is_one_message(relay: RelayProcess, open_client: OpenClient) -> None:
    alice = open_client(relay, "--nick", "alice", "--join", "#ops")
    alice.wait_for("you joined #ops")
    text = "one two " * 100 + "end"
    done = subprocess.run(
        [
            script("securechat-client"),
            *("--ca", str(relay.ca), "--port", str(relay.port), "--nick", "cron"),
            *("--join", "#ops"),
        ],
        input=f"{text}\n",
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    alice.wait_for(f"<cron> {text}")


def test_the_wrong_ca_is_refused_in_plain_words(relay: RelayProcess, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    done = subprocess.run(
        [
            script("securechat-client"),
            *("--ca", str(other), "--port", str(relay.port), "--nick", "eve", "--join", "#room"),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 2
    assert "not issued by the CA that you trust" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_signal_tells_everybody_and_ends_in_time(
    relay: RelayProcess, open_client: OpenClient
) -> None:
    alice = open_client(relay, "--nick", "alice", "--no-reconnect")
    alice.wait_for("you are alice")
    relay.process.send_signal(signal.SIGINT)
    assert relay.process.wait(STOP_S) == 0
    alice.wait_for("shutting down")
    assert alice.process.wait(TIMEOUT_S) == 1


def test_the_bot_of_the_readme_runs_as_written(
    relay: RelayProcess, open_client: OpenClient, tmp_path: Path
) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    bot = readme.partition("```python\n")[2].partition("```")[0]
    assert len(bot.splitlines()) <= 20
    # Only the port is another: a test takes a free one.
    assert bot.count('"localhost", ') == 1
    bot = bot.replace('"localhost", ', f'"localhost", {relay.port}, ')
    process = subprocess.Popen(
        [script("python"), "-c", bot], cwd=tmp_path, env=dict(os.environ), stderr=subprocess.PIPE
    )
    try:
        alice = open_client(relay, "--nick", "alice", "--join", "#room")
        alice.wait_for("you joined #room")
        alice.type("/names")
        alice.wait_for("echo")
        alice.type("hello bot")
        alice.wait_for("<echo> alice: hello bot")
    finally:
        process.kill()
        process.communicate()
