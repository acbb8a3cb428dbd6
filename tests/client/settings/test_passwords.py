"""Passwords come from where the user keeps them, and get nowhere else."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backend
import keyring.backends.fail
import pytest
from keyring.errors import KeyringLocked

from securechat.client.settings import passwords
from securechat.client.settings.passwords import has_keyring, read_password, store_in_keyring
from securechat.client.settings.profiles import PasswordSource
from securechat.errors import ConfigError

SECRET = "hunter2"

NETWORK = "chat.example.org:6697"

posix_only = pytest.mark.skipif(os.name != "posix", reason="file modes are a POSIX notion")


class MemoryKeyring(keyring.backend.KeyringBackend):
    """A keyring as the desktops have them, in memory."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.stored: dict[tuple[str, str], str] = {}
        self.failure: Exception | None = None

    def get_password(self, service: str, username: str) -> str | None:
        self._fail()
        return self.stored.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._fail()
        self.stored[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.stored[service, username]

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def ring() -> Iterator[MemoryKeyring]:
    before = keyring.get_keyring()
    ring = MemoryKeyring()
    keyring.set_keyring(ring)
    yield ring
    keyring.set_keyring(before)


@pytest.fixture
def no_ring(ring: MemoryKeyring) -> None:
    keyring.set_keyring(keyring.backends.fail.Keyring())  # type: ignore[no-untyped-call]


def nobody_is_asked(text: str) -> str | None:
    raise AssertionError(text)


def read(source: PasswordSource) -> str | None:
    return read_password(source, network=NETWORK, account="ann", ask=nobody_is_asked)


def problem_of(source: PasswordSource) -> str:
    """What the error says, of which nothing that a log would have shows the password."""
    with pytest.raises(ConfigError) as caught:
        read(source)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


def child(*lines: str) -> PasswordSource:
    return PasswordSource("command", run=(sys.executable, "-c", "\n".join(lines)))


def file_with(path: Path, content: bytes, mode: int = 0o600) -> PasswordSource:
    path.write_bytes(content)
    path.chmod(mode)
    return PasswordSource("file", path)


FIRST_LINES = [
    (b"hunter2", "hunter2"),
    (b"hunter2\nmore\n", "hunter2"),
    (b"hunter2\r\nmore", "hunter2"),
    (b" with spaces \n", " with spaces "),
    ("\ufeffключ\n".encode(), "ключ"),
]


class TestPrompt:
    @pytest.mark.parametrize("answer", [SECRET, None])
    def test_the_user_is_asked(self, answer: str | None) -> None:
        asked = []

        def ask(text: str) -> str | None:
            asked.append(text)
            return answer

        source = PasswordSource("prompt")
        assert read_password(source, network=NETWORK, account="ann\x1b", ask=ask) == answer
        assert asked == [f"Password for ann\N{REPLACEMENT CHARACTER} on {NETWORK}"]


class TestFile:
    @pytest.mark.parametrize(("content", "password"), FIRST_LINES)
    def test_its_first_line(self, tmp_path: Path, content: bytes, password: str) -> None:
        assert read(file_with(tmp_path / "secret", content)) == password

    @pytest.mark.parametrize("content", [b"", b"\nhunter2", b"hunter2\xff\n", b"\xef\xbb\xbf\n"])
    def test_no_password_in_its_first_line(self, tmp_path: Path, content: bytes) -> None:
        source = file_with(tmp_path / "secret", content)
        assert problem_of(source) == (
            f"{tmp_path / 'secret'}: its first line is not a password in UTF-8"
        )

    @posix_only
    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620])
    def test_open_to_others(self, tmp_path: Path, mode: int) -> None:
        source = file_with(tmp_path / "secret", SECRET.encode(), mode)
        assert "is open to other users of this machine: give it the mode 600" in problem_of(source)

    def test_not_there(self, tmp_path: Path) -> None:
        source = PasswordSource("file", tmp_path / "secret")
        assert "cannot be read (No such file or directory)" in problem_of(source)


class TestCommand:
    @pytest.mark.parametrize(("output", "password"), FIRST_LINES)
    def test_the_first_line_of_its_output(self, output: bytes, password: str) -> None:
        source = child("import sys", f"sys.stdout.buffer.write({output!r})")
        assert read(source) == password

    def test_it_is_started_without_a_shell(self) -> None:
        source = child("import sys", "print(sys.argv[1])")
        source = PasswordSource("command", run=(*source.run, "$HOME; `ls` *"))
        assert read(source) == "$HOME; `ls` *"

    def test_it_does_not_read_what_is_typed(self, tmp_path: Path) -> None:
        (tmp_path / "typed").write_text("typed")
        before = os.dup(0)
        with (tmp_path / "typed").open() as typed:
            os.dup2(typed.fileno(), 0)
        try:
            source = child("import sys", "print('got', repr(sys.stdin.read()))")
            assert read(source) == "got ''"
        finally:
            os.dup2(before, 0)
            os.close(before)

    def test_what_it_complains_of_is_not_on_the_screen(
        self, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert read(child("import sys", "sys.stderr.write('x')", f"print({SECRET!r})")) == SECRET
        assert capfd.readouterr() == ("", "")

    def test_a_failure(self) -> None:
        source = child("import sys", f"print({SECRET!r})", "sys.exit(f'{3 * 7}: no such key')")
        problem = problem_of(source)
        assert problem.endswith(": gave no password, and ended with exit code 1")

    @pytest.mark.parametrize("output", [b"", b"\n", b"hunter2\xff"])
    def test_no_password_in_its_output(self, output: bytes) -> None:
        source = child("import sys", f"sys.stdout.buffer.write({output!r})")
        assert problem_of(source).endswith(": its first line is not a password in UTF-8")

    def test_no_such_program(self, tmp_path: Path) -> None:
        source = PasswordSource("command", run=(str(tmp_path / "none"),))
        assert "cannot be started (No such file or directory)" in problem_of(source)

    def test_it_takes_too_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(passwords, "COMMAND_TIMEOUT_S", 0.5)
        source = child("import time", f"print({SECRET!r}, flush=True)", "time.sleep(600)")
        assert "gave no password within" in problem_of(source)


class TestKeyring:
    def test_what_is_stored_is_read(self, ring: MemoryKeyring) -> None:
        assert has_keyring()
        store_in_keyring(SECRET, network=NETWORK, account="ann")
        assert ring.stored == {(f"securechat:{NETWORK}", "ann"): SECRET}
        assert read(PasswordSource("keyring")) == SECRET

    def test_who_has_stored_nothing_is_asked(self, ring: MemoryKeyring) -> None:
        store_in_keyring("other", network=NETWORK, account="bob")
        source = PasswordSource("keyring")
        found = read_password(source, network=NETWORK, account="ann", ask=lambda text: SECRET)
        assert found == SECRET
        assert list(ring.stored) == [(f"securechat:{NETWORK}", "bob")]

    @pytest.mark.usefixtures("no_ring")
    def test_there_is_none(self) -> None:
        assert not has_keyring()
        assert "there is no keyring here" in problem_of(PasswordSource("keyring"))

    @pytest.mark.parametrize(
        ("failure", "problem"),
        [
            (KeyringLocked("hunter2"), "the keyring is locked: unlock it, and try again"),
            (RuntimeError("hunter2"), "the keyring cannot be used (RuntimeError)"),
        ],
    )
    def test_it_refuses(self, ring: MemoryKeyring, failure: Exception, problem: str) -> None:
        ring.failure = failure
        assert problem_of(PasswordSource("keyring")) == problem
        with pytest.raises(ConfigError) as caught:
            store_in_keyring(SECRET, network=NETWORK, account="ann")
        assert str(caught.value) == problem
        assert SECRET not in "".join(traceback.format_exception(caught.value)).replace(
            "store_in_keyring(SECRET", ""
        )

    def test_without_the_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "keyring", None)
        assert not has_keyring()
        assert 'pip install "securechat[keyring]"' in problem_of(PasswordSource("keyring"))
