"""Make ``.venv`` and install this checkout into it: what run.py and test.py share.

Standard library only: it runs in a fresh clone, before anything is installed. Importing it ends the
program with one line if the Python is too old, so the scripts import it first; up to there all of
them hold to what an old Python can at least read.
"""

import hashlib
import importlib.util
import json
import platform
import subprocess
import sys
from pathlib import Path

MIN_PYTHON = (3, 11)
if sys.version_info[:2] < MIN_PYTHON:
    sys.exit(f"needs Python 3.11 or later, but {sys.executable} is {platform.python_version()}")

ROOT = Path(__file__).resolve().parent.parent

_NETWORK_SIGNS = (
    "NewConnectionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ProxyError",
    "Connection refused",
    "Network is unreachable",
    "name resolution",
    "Name or service not known",
    "(from versions: none)",
)


class SetupFailed(Exception):
    """What was asked for cannot be done; ``str()`` is the one line that says why."""


class Venv:
    """The virtual environment of one checkout. Owned by its caller."""

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root
        self.folder = root / ".venv"
        self.python = self.program("python")
        self._stamp = self.folder / "securechat.json"

    def program(self, name: str) -> Path:
        """Where the environment keeps the program ``name``."""
        return self.folder / "bin" / name

    def ensure(self, *extras: str) -> None:
        """Make the environment and install the checkout with ``extras``, unless that is done.

        A stamp in ``.venv`` says what is installed. It is written last, so an interrupted
        installation is done again. ``SetupFailed`` if it cannot be done. Blocks: pip may download.
        """
        try:
            installed = self._installed()
            if installed is not None and installed >= set(extras) and self.python.exists():
                return
            if not self._is_usable():
                self._create()
            wanted = sorted((installed or set()) | set(extras))
            self._install(wanted)
            stamp = {**self._state(), "extras": wanted}
            self._stamp.write_text(json.dumps(stamp) + "\n", encoding="utf-8")
        except OSError as error:
            raise SetupFailed(f"cannot use {error.filename}: {error.strerror}") from error

    def _state(self) -> dict[str, str]:
        """What an installation depends on besides the extras."""
        declared = (self.root / "pyproject.toml").read_bytes()
        # The programs in bin/ and the editable install hold the path of the checkout.
        return {"pyproject": hashlib.sha256(declared).hexdigest(), "root": str(self.root)}

    def _installed(self) -> set[str] | None:
        """The extras installed, or ``None`` if the checkout as it is now is not installed."""
        try:
            stamp = json.loads(self._stamp.read_text(encoding="utf-8"))
            extras = set(stamp.pop("extras"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError, AttributeError):  # not what this program wrote
            return None
        return extras if stamp == self._state() else None

    def _is_usable(self) -> bool:
        """Whether there is an environment, perhaps made by hand, that pip can install into."""
        if not self.python.exists():  # also where the Python it was made from is gone
            return False
        probe = f"import sys, pip; sys.exit(sys.version_info[:2] < {MIN_PYTHON})"
        return _run([str(self.python), "-c", probe], self.root).returncode == 0

    def _create(self) -> None:
        for module in ("venv", "ensurepip"):
            if importlib.util.find_spec(module) is None:
                version = f"{sys.version_info[0]}.{sys.version_info[1]}"
                raise SetupFailed(
                    f"this Python has no {module} module; on Debian and Ubuntu: "
                    f"sudo apt install python{version}-venv"
                )
        print(f"making {self.folder}", flush=True)
        done = _run([sys.executable, "-m", "venv", "--clear", str(self.folder)], self.root)
        if done.returncode != 0:
            raise SetupFailed(f"cannot make {self.folder}: {_last_line(done.stdout)}")

    def _install(self, extras: list[str]) -> None:
        what = f".[{','.join(extras)}]" if extras else "."
        print(f"installing {what} into {self.folder} (a minute the first time)", flush=True)
        log = self.folder / "pip.log"
        command = [str(self.python), "-m", "pip", "install", "--quiet", "--no-input"]
        command += ["--disable-pip-version-check", "--log", str(log), "--editable", what]
        log.unlink(missing_ok=True)  # pip appends
        done = _run(command, self.root)
        if done.returncode != 0:
            # What went wrong in a build is told in the log only.
            written = log.read_text(errors="replace") if log.exists() else ""
            raise SetupFailed(f"{explain_pip(written, done.stdout)} (details: {log})")


def explain_pip(log: str, output: str) -> str:
    """What pip's log and output mean, in one line."""
    # With no network pip ends with "no matching distribution", which points at the wrong thing.
    if any(sign in log for sign in _NETWORK_SIGNS):
        return "pip cannot reach the package index: no network?"
    lines = (line.partition("ERROR: ")[2] for line in log.splitlines())
    errors = [line for line in lines if line and not line.startswith("[present-rich]")]
    return f"pip failed: {errors[-1] if errors else _last_line(output)}"


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )


def _last_line(output: str) -> str:
    lines = output.strip().splitlines()
    return lines[-1] if lines else "no reason given"
