"""The password of a network, from where the user keeps it.

No password is in an error, a log or a ``repr``; of a command's output nothing is shown.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from securechat.client.settings.profiles import PasswordSource
from securechat.client.words.safe_text import make_safe
from securechat.client.words.translation import _
from securechat.errors import ConfigError

__all__ = ["COMMAND_TIMEOUT_S", "has_keyring", "read_password", "store_in_keyring"]

COMMAND_TIMEOUT_S: Final = 30.0
"""How long a command may take, in seconds: the user may have to unlock something, and a command
that waits for what never comes must not hold the start for ever."""


def read_password(
    source: PasswordSource, *, network: str, account: str, ask: Callable[[str], str | None]
) -> str | None:
    """Return the password of ``account``, or ``None`` if the user does not give it.

    Blocks as long as the user is asked, by ``ask`` or by the system for the keyring: call it where
    that may be. A keyring that has no such password makes us ask; ``store_in_keyring`` keeps the
    answer, once the network has accepted it.

    :param network: the relay as ``HOST:PORT`` (``Network.relay``).
    :param ask: shows a text without a colon, and returns what the user enters; ``None``: nothing.
    :raises ConfigError: it cannot be read from there; the text says what to do.
    """
    if source.kind == "file" and source.path is not None:
        return _from_file(source.path)
    if source.kind == "command" and source.run:
        return _from_command(source.run)
    if source.kind == "keyring":
        stored = _from_keyring(network, account)
        if stored is not None:
            return stored
    return ask(
        _(
            "Password for {account} on {network}",
            account=make_safe(account),
            network=make_safe(network),
        )
    )


def has_keyring() -> bool:
    """Whether there is a keyring that can keep passwords. The first call may take a moment."""
    try:
        with _keyring_errors():
            import keyring

            return keyring.get_keyring().priority > 0  # those that only refuse have 0 or less
    except ConfigError:
        return False


def store_in_keyring(password: str, *, network: str, account: str) -> None:
    """Keep the password in the keyring, in place of an older one. Blocks as ``read_password``.

    :raises ConfigError: there is no keyring, or it refuses; the text says what to do.
    """
    with _keyring_errors():
        import keyring

        keyring.set_password(_service(network), account, password)


def _from_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            # Not mended in silence: whoever could read it may know the password.
            if os.name == "posix" and os.fstat(file.fileno()).st_mode & 0o077:
                problem = _(
                    "{path} is open to other users of this machine: give it the mode 600, and "
                    "change the password if one of them may have read it",
                    path=path,
                )
                raise ConfigError([problem])
            line = file.readline()
    except OSError as error:
        problem = _("{path}: cannot be read ({reason})", path=path, reason=error.strerror)
        raise ConfigError([problem]) from error
    return _first_line(line, str(path))


def _from_command(run: Sequence[str]) -> str:
    program = make_safe(run[0])
    try:
        done = subprocess.run(
            run,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # the screen may be in use
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
    except OSError as error:
        problem = _(
            "{program}: cannot be started ({reason})", program=program, reason=error.strerror
        )
        raise ConfigError([problem]) from error
    except subprocess.TimeoutExpired:
        problem = _(
            "{program}: gave no password within {seconds:.0f} seconds",
            program=program,
            seconds=COMMAND_TIMEOUT_S,
        )
        raise ConfigError([problem]) from None
    if done.returncode:
        problem = _(
            "{program}: gave no password, and ended with exit code {code}",
            program=program,
            code=done.returncode,
        )
        raise ConfigError([problem])
    return _first_line(done.stdout, program)


def _first_line(content: bytes, origin: str) -> str:
    line = content.partition(b"\n")[0].removesuffix(b"\r")
    # "ignore" changes what is not UTF-8; the error of decoding would carry the password.
    text = line.decode("utf-8-sig", "ignore")
    if not text or text.encode() != line.removeprefix(codecs.BOM_UTF8):
        raise ConfigError([_("{origin}: its first line is not a password in UTF-8", origin=origin)])
    return text


def _from_keyring(network: str, account: str) -> str | None:
    with _keyring_errors():
        import keyring

        return keyring.get_password(_service(network), account)


def _service(network: str) -> str:
    return f"securechat:{network}"


@contextlib.contextmanager
def _keyring_errors() -> Iterator[None]:
    if find_spec("keyring") is None:
        raise ConfigError([_('a keyring needs a package: pip install "securechat[keyring]"')])
    try:
        yield
    except Exception as error:  # noqa: BLE001 (each keyring is a package with errors of its own)
        # What they say is not shown: it might quote what was to be stored.
        raise ConfigError([_keyring_problem(error)]) from None


def _keyring_problem(error: Exception) -> str:
    from keyring.errors import KeyringLocked, NoKeyringError

    if isinstance(error, NoKeyringError):
        return _("there is no keyring here: have the password asked for, or read by a command")
    if isinstance(error, KeyringLocked):
        return _("the keyring is locked: unlock it, and try again")
    return _("the keyring cannot be used ({kind})", kind=type(error).__name__)
