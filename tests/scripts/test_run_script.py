"""scripts/run.py, scripts/test.py and what they share, in a checkout whose programs are stand-ins.

Nothing is downloaded: the environment is there already, with a stamp that says so.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts import _venv

SCRIPTS = Path(_venv.__file__).parent
TIMEOUT_S = 240.0  # only a run that hangs takes as long

# It listens nowhere, but says so, and writes down what happens to it.
RELAY = """
import os, signal, sys
from pathlib import Path

def note(text):
    with open("events", "a") as events:
        events.write(text + "\\n")

def on_sigterm(number, frame):
    note("relay stopped")
    sys.exit(0)

signal.signal(signal.SIGTERM, on_sigterm)
signal.signal(signal.SIGINT, lambda number, frame: note("relay interrupted"))
Path("relay.json").write_text(__import__("json").dumps({"pid": os.getpid(), "argv": sys.argv[1:]}))
mode = os.environ.get("RELAY", "")
if mode == "fail":
    print("cannot open the store: it is broken", file=sys.stderr)
    sys.exit(4)
print("INFO listening on 127.0.0.1", file=sys.stderr, flush=True)
note("relay ready")
while True:
    signal.pause()
"""

CLIENT = """
import json, os, signal, sys
from pathlib import Path

root = Path(__file__).parent.parent.parent
relay = json.loads((root / "relay.json").read_text())["pid"]
os.kill(relay, 0)
(root / "client.json").write_text(json.dumps({"argv": sys.argv[1:], "cwd": os.getcwd()}))
mode = os.environ.get("CLIENT", "")
if mode == "stay":
    def on_sigint(number, frame):
        sys.exit(0)
    signal.signal(signal.SIGINT, on_sigint)
    print("client ready", flush=True)
    while True:
        signal.pause()
if mode == "kill-relay":
    os.kill(relay, signal.SIGKILL)
    while Path(f"/proc/{relay}").exists() and b"Z" not in Path(f"/proc/{relay}/stat").read_bytes():
        pass
sys.exit(int(os.environ.get("CLIENT_EXIT", "0")))
"""

# Counts its calls; GEN_CERTS has the exit codes of the first calls.
GEN_CERTS = """
import os, sys
from pathlib import Path

root = Path(__file__).parent.parent
with (root / "gen_certs.calls").open("a+") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
    calls.seek(0)
    number = len(calls.readlines())
codes = os.environ.get("GEN_CERTS", "").split()
code = int(codes[number - 1]) if number <= len(codes) else 0
print("all exists already")
if code == 1:
    print("gen_certs.py: cannot write in certs: Read-only file system", file=sys.stderr)
sys.exit(code)
"""

# Stands for python -m ruff, mypy and pytest, and runs everything else.
PYTHON = f"""#!/bin/sh
if [ "$1" = -m ]; then
    echo "$@" >> steps
    env > environment
    case " $FAIL " in *" $2 "*) exit 1 ;; esac
    [ "$2" = pytest ] && echo "3 passed in 0.01s"
    exit 0
fi
exec {shlex.quote(sys.executable)} "$@"
"""


def write_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    # A space in the path, as in "My Projects": every command must survive it.
    root = tmp_path / "check out"
    for script in ("_venv.py", "run.py", "test.py"):
        (root / "scripts").mkdir(parents=True, exist_ok=True)
        shutil.copy(SCRIPTS / script, root / "scripts" / script)
    (root / "scripts" / "gen_certs.py").write_text(GEN_CERTS)
    (root / "pyproject.toml").write_text("[project]\nname = 'stand-in'\n")
    bin_folder = root / ".venv" / "bin"
    write_program(bin_folder / "python", PYTHON)
    # Through sh: the kernel does not take a space in the path after "#!".
    for name, text in (("securechat-server", RELAY), ("securechat-client", CLIENT)):
        (bin_folder / f"{name}.py").write_text(text)
        run_it = f"exec {shlex.quote(sys.executable)} {shlex.quote(str(bin_folder / name))}.py"
        write_program(bin_folder / name, f'#!/bin/sh\n{run_it} "$@"\n')
    write_stamp(root, ["test", "tui"])
    return root


def write_stamp(root: Path, extras: list[str]) -> None:
    venv = _venv.Venv(root)
    (venv.folder / "securechat.json").write_text(json.dumps({**venv._state(), "extras": extras}))


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


def run_script(
    root: Path, script: str, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(root / "scripts" / script), *arguments],
        env={**os.environ, **variables},
        cwd=root.parent,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )


@contextlib.contextmanager
def running(
    root: Path, *arguments: str, until: str, **variables: str
) -> Iterator[subprocess.Popen[str]]:
    """run.py, started and awaited until it (or what it started) prints ``until``."""
    process = subprocess.Popen(
        [sys.executable, str(root / "scripts" / "run.py"), *arguments],
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if until in line:
                break
        else:
            pytest.fail(f"run.py ended before it printed {until!r}")
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=TIMEOUT_S)


def events(root: Path) -> list[str]:
    return (root / "events").read_text().splitlines()


def assert_gone(root: Path) -> None:
    pid = json.loads((root / "relay.json").read_text())["pid"]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


class TestRun:
    def test_relay_client_and_the_end_of_both(self, checkout: Path, port: int) -> None:
        done = run_script(checkout, "run.py", "--nick", "alice", "--port", str(port))
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        assert json.loads((checkout / "relay.json").read_text())["argv"] == [
            *("--listen", f"127.0.0.1:{port}"),
            *("--cert", str(checkout / "certs" / "server.pem")),
            *("--key", str(checkout / "certs" / "server-key.pem")),
            *("--client-ca", str(checkout / "certs" / "ca.pem")),
            *("--data", str(checkout / "data")),
        ]
        client = json.loads((checkout / "client.json").read_text())
        assert client["argv"] == [
            *("--ca", str(checkout / "certs" / "ca.pem")),
            *("--host", "localhost", "--port", str(port), "--nick", "alice"),
        ]
        assert client["cwd"] == str(checkout.parent)  # /send takes paths as the user sees them
        assert events(checkout) == ["relay ready", "relay stopped"]
        assert_gone(checkout)

    def test_it_says_how_others_join(self, checkout: Path, port: int) -> None:
        done = run_script(checkout, "run.py", "--port", str(port))
        ca = checkout / "certs" / "ca.pem"
        program = checkout / ".venv" / "bin" / "securechat-client"
        (line,) = (line for line in done.stdout.splitlines() if "--nick guest" in line)
        assert shlex.split(line) == [
            *(str(program), "--ca", str(ca), "--host", "localhost"),
            *("--port", str(port), "--nick", "guest"),
        ]
        assert f'/set weechat.network.gnutls_ca_user "{ca}"\n' in done.stdout
        assert f"/server add securechat localhost/{port} -tls\n" in done.stdout
        assert f'/connect -tls -tls_verify -tls_cafile "{ca}" localhost {port}\n' in done.stdout

    def test_the_guest_does_not_take_the_same_nick(self, checkout: Path, port: int) -> None:
        done = run_script(checkout, "run.py", "--port", str(port), "--nick", "guest")
        assert "--nick guest2" in done.stdout

    def test_the_relay_logs_to_a_file(self, checkout: Path, port: int) -> None:
        done = run_script(checkout, "run.py", "--port", str(port))
        assert (checkout / "data" / "relay.log").read_text() == "INFO listening on 127.0.0.1\n"
        assert "INFO listening" not in done.stdout + done.stderr
        assert stat.S_IMODE((checkout / "data").stat().st_mode) == 0o700

    def test_a_second_run_waits_for_its_own_relay(self, checkout: Path, port: int) -> None:
        assert run_script(checkout, "run.py", "--port", str(port)).returncode == 0
        done = run_script(checkout, "run.py", "--port", str(port), RELAY="fail")
        assert done.returncode == 1
        assert "INFO listening" not in done.stderr  # that was the first one

    def test_nothing_is_installed_twice(self, checkout: Path, port: int) -> None:
        run_script(checkout, "run.py", "--port", str(port))
        assert not (checkout / "steps").exists()  # where pip would have been noted

    def test_the_exit_code_is_that_of_the_client(self, checkout: Path, port: int) -> None:
        done = run_script(checkout, "run.py", "--port", str(port), CLIENT_EXIT="7")
        assert done.returncode == 7
        assert_gone(checkout)

    def test_a_relay_that_fails_is_shown_with_its_log(self, checkout: Path, port: int) -> None:
        done = run_script(checkout, "run.py", "--port", str(port), RELAY="fail")
        assert done.returncode == 1
        assert done.stderr.splitlines() == [
            "  cannot open the store: it is broken",
            f"run.py: the relay ended with exit code 4 (log: {checkout / 'data' / 'relay.log'})",
        ]
        assert not (checkout / "client.json").exists()

    def test_a_relay_that_ends_under_the_client_is_mentioned(
        self, checkout: Path, port: int
    ) -> None:
        done = run_script(checkout, "run.py", "--port", str(port), CLIENT="kill-relay")
        assert "run.py: the relay ended by itself" in done.stderr

    def test_ctrl_c_belongs_to_the_client(self, checkout: Path, port: int) -> None:
        with running(checkout, "--port", str(port), until="client ready", CLIENT="stay") as process:
            os.killpg(process.pid, signal.SIGINT)  # as the terminal does it
            assert process.wait(TIMEOUT_S) == 0
        assert events(checkout) == ["relay ready", "relay stopped"]
        assert_gone(checkout)

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
    def test_a_run_that_is_ended_takes_its_children_along(
        self, checkout: Path, port: int, number: signal.Signals
    ) -> None:
        with running(checkout, "--port", str(port), until="client ready", CLIENT="stay") as process:
            process.send_signal(number)
            assert process.wait(TIMEOUT_S) == 128 + number
        assert events(checkout) == ["relay ready", "relay stopped"]
        assert_gone(checkout)

    def test_server_only_until_ctrl_c(self, checkout: Path, port: int) -> None:
        with running(
            checkout, "--port", str(port), "--server-only", until="INFO listening on"
        ) as process:
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait(TIMEOUT_S) == 0
        assert events(checkout)[-1] == "relay stopped"
        assert "relay interrupted" not in events(checkout)
        assert not (checkout / "client.json").exists()

    def test_server_only_that_fails(self, checkout: Path, port: int) -> None:
        done = run_script(checkout, "run.py", "--port", str(port), "--server-only", RELAY="fail")
        assert done.returncode == 1
        assert "cannot open the store" in done.stderr
        assert done.stderr.endswith("run.py: the relay ended with exit code 4\n")

    def test_an_expired_certificate_is_renewed(self, checkout: Path, port: int) -> None:
        done = run_script(checkout, "run.py", "--port", str(port), GEN_CERTS="3 0")
        assert done.returncode == 0
        assert (checkout / "gen_certs.calls").read_text() == "\n--renew\n"

    def test_certificates_that_cannot_be_made(self, checkout: Path, port: int) -> None:
        done = run_script(checkout, "run.py", "--port", str(port), GEN_CERTS="1")
        assert done.returncode == 1
        assert done.stderr == "run.py: cannot write in certs: Read-only file system\n"

    def test_a_port_that_is_taken(self, checkout: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            number = server.getsockname()[1]
            done = run_script(checkout, "run.py", "--port", str(number))
        assert done.returncode == 1
        assert f"port {number} on 127.0.0.1 is taken" in done.stderr
        assert done.stderr.count("\n") == 1

    def test_no_such_port(self, checkout: Path) -> None:
        done = run_script(checkout, "run.py", "--port", "70000")
        assert done.stderr == "run.py: a port is a number from 1 to 65535, not 70000\n"

    def test_a_program_that_is_missing(self, checkout: Path, port: int) -> None:
        (checkout / ".venv" / "bin" / "securechat-client").unlink()
        done = run_script(checkout, "run.py", "--port", str(port))
        assert done.returncode == 1
        assert "cannot start" in done.stderr
        assert done.stderr.count("\n") == 1
        assert_gone(checkout)

    def test_a_data_folder_that_cannot_be_made(self, checkout: Path, port: int) -> None:
        (checkout / "data").write_text("a file")
        done = run_script(checkout, "run.py", "--port", str(port))
        assert done.returncode == 1
        assert done.stderr.startswith("run.py: cannot write ")
        assert done.stderr.count("\n") == 1

    def test_a_relay_that_never_listens(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.syspath_prepend(str(SCRIPTS))
        spec = importlib.util.spec_from_file_location("run_script", SCRIPTS / "run.py")
        assert spec is not None
        assert spec.loader is not None
        run = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(run)
        log = tmp_path / "relay.log"
        log.write_text("listening on a port of an earlier run\nreading the history\n")
        silent = [sys.executable, "-c", "import sys; sys.stdin.read()"]
        with subprocess.Popen(silent, stdin=subprocess.PIPE) as process:
            with pytest.raises(Exception, match="did not start to listen in 0 s"):
                run.wait_until_ready(process, log, log.read_text().index("reading"), 0.0)
            assert process.stdin is not None
            process.stdin.close()
        assert capsys.readouterr().err == "  reading the history\n"


class TestTest:
    def test_all_steps_in_order_and_reported(self, checkout: Path) -> None:
        done = run_script(checkout, "test.py", CI="true")
        assert done.returncode == 0
        steps = (checkout / "steps").read_text().splitlines()
        steps.remove("-m mypy --strict securechat")  # beside the others
        assert steps == [
            "-m ruff check",
            "-m ruff format --check",
            f"-m pytest -n {min(4, 2 * (os.cpu_count() or 1))} --dist worksteal",
        ]
        lines = done.stdout.splitlines()
        assert lines[lines.index("== results") :] == [
            "== results",
            "ruff check: ok",
            "ruff format: ok",
            "mypy: ok",
            "pytest: ok",
        ]
        # Whoever looks for the counts from the end of the output finds those of pytest.
        assert [line for line in lines if any(char.isdigit() for char in line)][-1] == (
            "3 passed in 0.01s"
        )

    @pytest.mark.parametrize("failing", ["mypy", "pytest"])
    def test_one_failure_fails_all_but_stops_nothing(self, checkout: Path, failing: str) -> None:
        done = run_script(checkout, "test.py", FAIL=failing)
        assert done.returncode == 1
        assert f"{failing}: FAILED (exit code 1)" in done.stdout
        assert len((checkout / "steps").read_text().splitlines()) == 4

    def test_arguments_are_for_pytest_alone(self, checkout: Path) -> None:
        done = run_script(checkout, "test.py", "-k", "framing", "-x")
        assert done.returncode == 0
        assert (checkout / "steps").read_text() == "-m pytest -k framing -x\n"
        assert run_script(checkout, "test.py", "-x", FAIL="pytest").returncode == 1

    def test_what_is_compiled_is_kept_whatever_the_environment_says(self, checkout: Path) -> None:
        done = run_script(checkout, "test.py", PYTHONDONTWRITEBYTECODE="1", FORCE_COLOR="1")
        assert done.returncode == 0
        settings = (checkout / "environment").read_text().splitlines()
        names = {setting.partition("=")[0] for setting in settings}
        assert "NO_COLOR" in names
        assert names.isdisjoint({"PYTHONDONTWRITEBYTECODE", "FORCE_COLOR"})

    def test_help_needs_no_environment(self, checkout: Path) -> None:
        shutil.rmtree(checkout / ".venv")
        done = run_script(checkout, "test.py", "--help")
        assert done.returncode == 0
        assert "python3 scripts/test.py" in done.stdout
        assert not (checkout / ".venv").exists()

    def test_a_failed_installation_is_one_line(self, checkout: Path) -> None:
        write_stamp(checkout, [])
        done = run_script(checkout, "test.py", FAIL="pip")
        assert done.returncode == 1
        assert done.stderr.startswith("test.py: pip failed: ")
        assert done.stderr.count("\n") == 1

    def test_ci_runs_just_this(self) -> None:
        script = SCRIPTS.parent / ".ci" / "run"
        commands = [line for line in script.read_text().splitlines() if "scripts/" in line]
        assert commands == ["exec python3 scripts/test.py"]
        assert os.access(script, os.X_OK)


class TestVenv:
    def installs(self, root: Path, *extras: str) -> list[str]:
        """What ``ensure`` installs: the last argument of each call of pip."""
        (root / "steps").unlink(missing_ok=True)
        _venv.Venv(root).ensure(*extras)
        if not (root / "steps").exists():
            return []
        return [line.split()[-1] for line in (root / "steps").read_text().splitlines()]

    def test_what_is_done_is_not_done_again(self, checkout: Path) -> None:
        assert self.installs(checkout, "test") == []
        assert self.installs(checkout) == []

    def test_a_changed_pyproject_is_installed_with_all_extras(self, checkout: Path) -> None:
        (checkout / "pyproject.toml").write_text("[project]\nname = 'changed'\n")
        assert self.installs(checkout, "test") == [".[test]"]
        assert self.installs(checkout, "test") == []

    def test_one_script_keeps_the_extras_of_the_other(self, checkout: Path) -> None:
        write_stamp(checkout, ["more"])
        assert self.installs(checkout, "test") == [".[more,test]"]
        assert self.installs(checkout, "more") == []

    @pytest.mark.parametrize("stamp", ["", "{}", "[]", "null", '{"extras": 1}'])
    def test_a_stamp_that_cannot_be_read_counts_as_none(self, checkout: Path, stamp: str) -> None:
        (checkout / ".venv" / "securechat.json").write_text(stamp)
        assert self.installs(checkout) == ["."]

    def test_a_checkout_that_was_moved_is_installed_again(self, checkout: Path) -> None:
        moved = checkout.rename(checkout.parent / "moved")
        assert self.installs(moved, "test") == [".[test]"]

    def test_a_failed_installation_leaves_no_stamp(
        self, checkout: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_stamp(checkout, [])
        monkeypatch.setenv("FAIL", "pip")
        with pytest.raises(_venv.SetupFailed, match="pip failed"):
            self.installs(checkout, "test")
        monkeypatch.delenv("FAIL")
        assert self.installs(checkout, "test") == [".[test]"]

    def test_a_real_environment_is_made(self, checkout: Path) -> None:
        venv = _venv.Venv(checkout)
        shutil.rmtree(venv.folder)
        assert not venv._is_usable()
        venv._create()
        assert venv._is_usable()

    @pytest.mark.parametrize("module", ["venv", "ensurepip"])
    def test_a_python_without_venv(
        self, checkout: Path, monkeypatch: pytest.MonkeyPatch, module: str
    ) -> None:
        shutil.rmtree(checkout / ".venv")
        real = importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: None if name == module else real(name)
        )
        with pytest.raises(_venv.SetupFailed, match=f"no {module} module.*apt install python3"):
            _venv.Venv(checkout).ensure()

    def test_a_file_in_place_of_the_environment(self, checkout: Path) -> None:
        shutil.rmtree(checkout / ".venv")
        (checkout / ".venv").write_text("")
        with pytest.raises(_venv.SetupFailed, match="cannot make"):
            _venv.Venv(checkout).ensure()

    def test_a_stamp_that_cannot_be_written(self, checkout: Path) -> None:
        stamp = checkout / ".venv" / "securechat.json"
        stamp.unlink()
        stamp.mkdir()
        with pytest.raises(_venv.SetupFailed, match="cannot use"):
            _venv.Venv(checkout).ensure()


OFFLINE_LOG = """\
2026-01-05T19:34:06,204   Running command pip subprocess to install build dependencies
2026-01-05T19:34:06,669   WARNING: Retrying after connection broken by 'NewConnectionError(...)'
2026-01-05T19:34:06,675   ERROR: Could not find a version that satisfies setuptools>=77
2026-01-05T19:34:06,675   ERROR: No matching distribution found for setuptools>=77
2026-01-05T19:34:06,823   ERROR: [present-rich] pip subprocess exited with 1
"""


@pytest.mark.parametrize(
    ("log", "output", "said"),
    [
        (OFFLINE_LOG, "note: see above\n", "pip cannot reach the package index: no network?"),
        # Without retries pip does not even mention the connection.
        (
            "2026-01-05T19:34:06,675   ERROR: Could not find a version (from versions: none)\n",
            "note: see above\n",
            "pip cannot reach the package index: no network?",
        ),
        (
            "x ERROR: first\nx ERROR: Could not install: No space left on device\nx more\n",
            "ERROR: ...\n",
            "pip failed: Could not install: No space left on device",
        ),
        ("", "something else\n", "pip failed: something else"),
        ("", "", "pip failed: no reason given"),
    ],
)
def test_pip_is_explained(log: str, output: str, said: str) -> None:
    assert _venv.explain_pip(log, output) == said
