"""scripts/gen_certs.py: arguments in, lines and exit codes out."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cryptography
import pytest

from scripts import gen_certs
from securechat import pki

SCRIPT = Path(gen_certs.__file__)


def run(folder: Path, *arguments: str) -> int:
    return gen_certs.main(["--dir", str(folder), *arguments])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_default_folder_is_that_of_the_checkout() -> None:
    root = Path(__file__).resolve().parent.parent.parent
    assert gen_certs.build_parser().parse_args([]).dir == root / "certs"


def test_first_run_makes_ca_and_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "certs") == 0
    printed = capsys.readouterr().out
    assert sorted(contents(tmp_path / "certs")) == [
        "ca-key.pem",
        "ca.pem",
        "server-key.pem",
        "server.pem",
    ]
    server = pki.load_certificate(tmp_path / "certs" / "server.pem")
    assert pki.hosts_of(server)[:3] == ("localhost", "127.0.0.1", "::1")
    fingerprint = pki.fingerprint((tmp_path / "certs" / "ca.pem").read_bytes())
    assert f"CA fingerprint (SHA-256): {fingerprint}" in printed
    assert "valid for 80 days" in printed


def test_second_run_says_in_one_line_that_all_exists(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path)
    before = contents(tmp_path)
    capsys.readouterr()
    assert run(tmp_path) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("all exists already in ")
    assert printed.out.count("\n") == 1
    assert pki.fingerprint(before["ca.pem"]) in printed.out
    assert printed.err == ""
    assert contents(tmp_path) == before


def test_hosts_and_days(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "--host", "bücher.example", "--host", "192.0.2.7", "--days", "30") == 0
    assert "for xn--bcher-kva.example, 192.0.2.7" in capsys.readouterr().out
    server = pki.load_certificate(tmp_path / "server.pem")
    assert pki.days_left(server, now=datetime.now(UTC)) in (29, 30)


def test_clients(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "--client", "alice", "--client", "bob", "--client", "bob") == 0
    assert "client-bob.pem" in capsys.readouterr().out
    assert {"client-alice.pem", "client-alice-key.pem", "client-bob.pem"} <= set(contents(tmp_path))


def test_renew_keeps_the_ca_and_force_does_not(tmp_path: Path) -> None:
    run(tmp_path)
    first = contents(tmp_path)
    assert run(tmp_path, "--renew") == 0
    second = contents(tmp_path)
    assert second["ca.pem"] == first["ca.pem"]
    assert second["server.pem"] != first["server.pem"]
    assert run(tmp_path, "--force") == 0
    assert contents(tmp_path)["ca.pem"] != first["ca.pem"]


def test_renew_and_force_contradict_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(tmp_path, "--renew", "--force")
    assert "not allowed with" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--renew"], "no CA to renew from"),
        (["--host", "not a host"], "'not a host' is not a host name"),
        (["--client", "../server"], "a client's name cannot have '.'"),
        (["--client", "007"], "a client's name cannot begin with '0'"),
        (["--client", "a" * 31], "1 to 30 characters"),
        (["--days", "0"], "1 to 3650 days"),
    ],
)
def test_errors_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert run(tmp_path, *arguments) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("gen_certs.py: ")
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert contents(tmp_path) == {}


def test_a_file_in_place_of_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "certs").write_text("")
    assert run(tmp_path / "certs") == 1
    assert "cannot write in" in capsys.readouterr().err


def test_an_expired_server_certificate_has_its_own_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=100)
    pki.provision(tmp_path, pki.Request(), now=long_ago)
    assert run(tmp_path) == gen_certs.EXIT_EXPIRED == 3
    assert "HAS EXPIRED: --renew" in capsys.readouterr().out
    assert run(tmp_path, "--renew") == 0


def test_a_server_certificate_that_ends_soon_is_mentioned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "--days", "10") == 0
    assert "expires in 10 days: --renew" in capsys.readouterr().out


def test_the_machine_name_is_among_the_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "node", lambda: "laptop.example")
    assert run(tmp_path) == 0
    hosts = pki.hosts_of(pki.load_certificate(tmp_path / "server.pem"))
    assert hosts[-1] == "laptop.example"


def bare_python(*arguments: str, path: str = "") -> subprocess.CompletedProcess[str]:
    """The script in a Python that sees no installed packages but those below ``path``."""
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-S", str(SCRIPT), *arguments]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_without_cryptography_it_says_how_to_get_it() -> None:
    done = bare_python()
    assert done.returncode == 1
    assert "python3 -m pip install --upgrade cryptography" in done.stderr
    assert done.stderr.count("\n") == 1


def test_it_runs_from_a_checkout_that_is_not_installed(tmp_path: Path) -> None:
    # As a plain path the folder's .pth files are not read, so an editable install does not count.
    packages = str(Path(cryptography.__file__).resolve().parent.parent)
    done = bare_python("--dir", str(tmp_path), path=packages)
    assert done.returncode == 0, done.stderr
    assert "made" in done.stdout


def test_an_old_cryptography_is_named_before_anything_is_written(tmp_path: Path) -> None:
    package = tmp_path / "packages" / "cryptography"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('__version__ = "38.0.4"\n')
    done = bare_python("--dir", str(tmp_path / "certs"), path=str(package.parent))
    assert done.returncode == 1
    assert "45.0 or later" in done.stderr
    assert not (tmp_path / "certs").exists()
