"""Run everything that must pass: lint, format, types, tests. One command, here and in CI.

::

    python3 scripts/test.py                     all of it
    python3 scripts/test.py -k framing -x       only pytest, with these arguments

Makes ``.venv`` and installs the test extra on the first run, and again when ``pyproject.toml`` has
changed. Every step runs even if one before it failed. Exit code: 0 if all passed (with arguments:
that of pytest). Standard library only, Python 3.11 or later.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import _venv

WORKERS = min(4, 2 * (os.cpu_count() or 1))
"""Two for each processor: much of a test is waiting, for processes to start, say. More than four
would wait for each other's."""

STEPS = {
    "ruff check": ["ruff", "check"],
    "ruff format": ["ruff", "format", "--check"],
    "mypy": ["mypy", "--strict", "securechat"],
    "pytest": ["pytest", "-n", str(WORKERS), "--dist", "worksteal"],
}
BESIDE = "mypy"
"""The step that runs beside the others, on one processor; what it prints comes in one piece."""

UNWANTED = frozenset({"FORCE_COLOR", "PYTHONDONTWRITEBYTECODE"})
"""What makes logs hard to read; and what has each of the many processes compile all of it again."""


def plain_environment() -> dict[str, str]:
    """The environment without colours: logs are read by people and by programs."""
    environment = {name: value for name, value in os.environ.items() if name not in UNWANTED}
    return {**environment, "NO_COLOR": "1"}


def run_step(
    venv: _venv.Venv, module: Sequence[str], *, stdin: int | None = None, stdout: int | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(venv.python), "-m", *module],
        cwd=venv.root,
        env=plain_environment(),
        stdin=stdin,
        stdout=stdout,
        stderr=None if stdout is None else subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


def run_beside(venv: _venv.Venv) -> int:
    done = run_step(venv, STEPS[BESIDE], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    print(f"\n== {BESIDE}\n{done.stdout}", end="", flush=True)
    return done.returncode


def run_all(venv: _venv.Venv) -> int:
    results: dict[str, int] = dict.fromkeys(STEPS, 0)
    with ThreadPoolExecutor(1) as executor:
        beside = executor.submit(run_beside, venv)
        for name in STEPS:
            if name != BESIDE:
                print(f"== {name}", flush=True)
                results[name] = run_step(venv, STEPS[name], stdin=subprocess.DEVNULL).returncode
        results[BESIDE] = beside.result()
    print("== results")
    for name, code in results.items():
        print(f"{name}: {'ok' if code == 0 else f'FAILED (exit code {code})'}")
    return 1 if any(results.values()) else 0


def main(argv: Sequence[str] | None = None) -> int:
    pytest_arguments = list(sys.argv[1:] if argv is None else argv)
    if pytest_arguments in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    venv = _venv.Venv()
    try:
        venv.ensure("test")
        if pytest_arguments:
            return run_step(venv, ["pytest", *pytest_arguments]).returncode
        return run_all(venv)
    except _venv.SetupFailed as error:
        print(f"test.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
