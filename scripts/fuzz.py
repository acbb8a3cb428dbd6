"""Feed the relay, and what reads bytes of others, with anything: nothing may break.

::

    python3 scripts/fuzz.py all --inputs 100000
    python3 scripts/fuzz.py relay --inputs 20000 --processes 2
    python3 scripts/fuzz.py all --inputs 10000000 --seconds 1800
    python3 scripts/fuzz.py parser --engine atheris --inputs 1000000
    python3 scripts/fuzz.py relay --repeat /tmp/securechat-fuzz/relay-1f2e3d4c

The targets are in ``tests/fuzzing``: each is a function that takes any bytes, and raises only if
something is wrong that must always hold. ``relay`` is a whole one in memory, with several people;
the others are what cuts and reads: lines (``framing``), messages (``parser``), logins (``sasl``),
records of peers (``records``), the first message of TLS (``hello``), WebSocket, the configuration,
invite links. One input is one call of a target. ``all`` divides the inputs by fixed shares.

Inputs are made from those in ``tests/fuzzing/corpus``, and of nothing, the same for the same
``--seed``. With ``--engine atheris`` (``pip install -e .[fuzz]``) the code is instrumented, and
what reaches new code is kept in ``--keep``: slower by far, for where chance does not get.

An input that breaks something is made smaller, saved, and printed with the command that repeats it;
so is one that takes longer than ``--timeout``. Exit code: 0 if there was none, else 1. Needs what
the tests need; ``.venv/bin/python`` has it once ``scripts/test.py`` has made it.
"""

import argparse
import faulthandler
import gc
import hashlib
import importlib.util
import mmap
import multiprocessing
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any

MIN_PYTHON = (3, 11)
if sys.version_info[:2] < MIN_PYTHON:
    sys.exit("fuzz.py: needs Python 3.11 or later")

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

NAMES = "framing", "parser", "sasl", "records", "hello", "invites", "websocket", "config", "relay"

MOST_FAILURES = 10
"""Different failures of one target, after which it is given up."""

MOST_HANGS = 2
"""The same for inputs that take too long: each takes as long as it may, and most are alike."""

ROUNDS = 50
"""Turns that the targets take with ``all``, so that each has had its share whenever it ends."""

TRIES = 400
"""How often a failing input is tried again, to make it smaller."""

PAGE = 1 << 20


class Hang(BaseException):
    """An input took too long. Not an ``Exception``: nothing that is fuzzed may take it for its."""


class Watchdog:
    """Interrupts an input that takes too long; owns the timer of this process."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._seen: tuple[int, float] = (-1, 0.0)
        self.count = 0
        signal.signal(signal.SIGALRM, self._look)
        tick_s = min(1.0, timeout_s / 4)
        signal.setitimer(signal.ITIMER_REAL, tick_s, tick_s)

    def _look(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._seen[0] != self.count:
            self._seen = self.count, now
            # What is stuck in C cannot be interrupted: then the process ends, and says where.
            faulthandler.dump_traceback_later(3 * self._timeout_s + 5, exit=True)
        elif now - self._seen[1] > self._timeout_s:
            self._seen = -1, now
            raise Hang

    def stop(self) -> None:
        """Watch no longer."""
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        faulthandler.cancel_dump_traceback_later()


def failure_of(run: Callable[[bytes], None], data: bytes) -> tuple[str, str]:
    """Run one input; return what it has broken, and where from; empty if nothing."""
    try:
        run(data)
    except (Exception, Hang) as error:  # noqa: BLE001 - whatever it is, it is what is looked for
        first: BaseException = error
        while first.__cause__ or first.__context__:
            first = first.__cause__ or first.__context__ or first
        at = traceback.extract_tb(first.__traceback__)[-1]
        if isinstance(first, Hang):  # where it is interrupted is chance
            return "Hang", traceback.format_exc()
        return (
            f"{type(first).__name__} {Path(at.filename).name}:{at.lineno}",
            traceback.format_exc(),
        )
    return "", ""


def smaller(run: Callable[[bytes], None], data: bytes, failure: str) -> bytes:
    """Return a part of ``data`` that fails alike: without lines, then without pieces."""
    tries = 0
    for separator in (b"\n", b""):
        size = max(1, len(data.split(b"\n") if separator else data) // 2)
        while size and tries < TRIES:
            start = 0
            parts: Sequence[Any] = data.split(b"\n") if separator else data
            while start < len(parts) and tries < TRIES:
                rest = [*parts[:start], *parts[start + size :]]
                attempt = separator.join(rest) if separator else bytes(rest)
                tries += 1
                if attempt != data and failure_of(run, attempt)[0] == failure:
                    data = attempt
                    parts = data.split(b"\n") if separator else data
                else:
                    start += size
            size //= 2
    return data


def save(folder: Path, target: str, data: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{target}-{hashlib.sha256(data).hexdigest()[:8]}"
    path.write_bytes(data)
    return path


def tell(path: Path, target: str, failure: str, text: str) -> None:
    print(f"{target}: {failure}\n{text}saved: {path}", flush=True)
    print(f"again: python3 scripts/fuzz.py {target} --repeat {path}", flush=True)


class Worker:
    """Runs inputs in a process of its own, and says how that went."""

    def __init__(self, options: argparse.Namespace, number: int, page: mmap.mmap) -> None:
        from tests.fuzzing.mutation import Inputs
        from tests.fuzzing.targets import TARGETS, read_corpus

        self._options = options
        self._page = page
        self._targets = [TARGETS[name] for name in options.targets]
        self._inputs = {
            target.name: Inputs(
                target, read_corpus(target.name), f"{options.seed} {number} {target.name}"
            )
            for target in self._targets
        }
        self._failures: dict[str, set[str]] = {target.name: set() for target in self._targets}
        self._hangs = dict.fromkeys(self._failures, 0)
        self.results = {target.name: [0, 0, 0.0] for target in self._targets}

    def run(self) -> None:
        """Run what there is to do, all targets in turns."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)
        self._watchdog = Watchdog(self._options.timeout)
        self._end = time.monotonic() + self._options.seconds
        whole = sum(target.share for target in self._targets)
        for turn in range(ROUNDS):
            for target in self._targets:
                share = self._options.inputs / self._options.processes * target.share / whole
                most = int(share * (turn + 1) / ROUNDS + 0.5)
                self._run_target(target, most - self.results[target.name][0])
        self._watchdog.stop()

    def _run_target(self, target: Any, count: int) -> None:
        result, failures = self.results[target.name], self._failures[target.name]
        inputs, page = self._inputs[target.name], self._page
        run = target.run
        head = target.name.encode().ljust(16)
        began = time.monotonic()
        done = 0
        hangs = self._hangs
        while done < count and len(failures) < MOST_FAILURES and hangs[target.name] < MOST_HANGS:
            if done % 16 == 0 and time.monotonic() > self._end:
                break
            data = inputs.next()
            page[: 20 + len(data)] = head + len(data).to_bytes(4, "big") + data
            self._watchdog.count += 1
            done += 1
            try:
                run(data)
            except Hang:
                hangs[target.name] += 1
                self._note(target, data, "Hang", traceback.format_exc())
            except Exception:  # noqa: BLE001 - it is looked at, and told
                self._failed(target, data)
        result[0] += done
        result[1] = len(failures)
        result[2] += time.monotonic() - began

    def _failed(self, target: Any, data: bytes) -> None:
        self._watchdog.stop()  # what follows may take long
        failure, text = failure_of(target.run, data)
        if failure and failure not in self._failures[target.name]:
            data = smaller(target.run, data, failure)
            _, text = failure_of(target.run, data)
        self._note(target, data, failure or "fails only at times", text)
        self._watchdog = Watchdog(self._options.timeout)

    def _note(self, target: Any, data: bytes, failure: str, text: str) -> None:
        if failure not in self._failures[target.name]:
            self._failures[target.name].add(failure)
            tell(save(self._options.save, target.name, data), target.name, failure, text)


def work(options: argparse.Namespace, number: int, page: mmap.mmap, answer: Connection) -> None:
    worker = Worker(options, number, page)
    worker.run()
    answer.send(worker.results)


def run_random(options: argparse.Namespace) -> int:
    fork = multiprocessing.get_context("fork")
    children = []
    for number in range(options.processes):
        page = mmap.mmap(-1, PAGE)  # what the child is at, should it not come back
        ours, theirs = fork.Pipe(duplex=False)
        child = fork.Process(target=work, args=(options, number, page, theirs), daemon=True)
        child.start()
        theirs.close()
        children.append((child, page, ours))
    totals = {name: [0, 0, 0.0] for name in options.targets}
    crashed = False
    for child, page, answer in children:
        try:
            for name, figures in answer.recv().items():
                totals[name] = [a + b for a, b in zip(totals[name], figures, strict=True)]
        except EOFError:
            crashed = True
            name = page[:16].decode().strip()
            data = page[20 : 20 + int.from_bytes(page[16:20], "big")]
            tell(save(options.save, name, data), name, "the process has ended in it", "")
        child.join()
    print(f"{'target':10} {'inputs':>12} {'failures':>9} {'seconds':>9} {'inputs/s':>10}")
    for name, (inputs, failures, seconds) in totals.items():
        rate = inputs / seconds if seconds else 0
        print(f"{name:10} {inputs:12,} {failures:9} {seconds:9.1f} {rate:10,.0f}")
    inputs, failures, seconds = (sum(column) for column in zip(*totals.values(), strict=True))
    print(f"{'all':10} {inputs:12,} {failures:9} {seconds:9.1f}")
    return 1 if failures or crashed else 0


def run_atheris(options: argparse.Namespace) -> int:
    """Run each target in a process of its own: atheris ends it."""
    if importlib.util.find_spec("atheris") is None:
        sys.exit("fuzz.py: --engine atheris needs atheris: pip install -e .[fuzz]")
    if len(options.targets) == 1 and options.child:
        return fuzz_instrumented(options)
    worst = 0
    for name in options.targets:
        command = [sys.executable, __file__, name, "--child", *sys.argv[2:]]
        worst = max(worst, subprocess.run(command, check=False).returncode != 0)
    return worst


def fuzz_instrumented(options: argparse.Namespace) -> int:
    import atheris

    with atheris.instrument_imports(include=["securechat"]):
        from tests.fuzzing.targets import CORPUS, TARGETS

    target = TARGETS[options.targets[0]]
    found = options.keep / target.name
    found.mkdir(parents=True, exist_ok=True)
    options.save.mkdir(parents=True, exist_ok=True)
    words = options.keep / f"{target.name}.dict"  # with those that are not in the dictionary
    words.write_text("".join(f'"{escaped(word)}"\n' for word in target.words if 0 < len(word) < 60))
    arguments = [
        sys.argv[0],
        *(f"-{name}={value}" for name, value in {
            "runs": options.inputs,
            "max_total_time": int(min(options.seconds, 10**6)),
            "timeout": int(options.timeout),
            "seed": int(hashlib.sha256(options.seed.encode()).hexdigest()[:6], 16) + 1,
            "max_len": target.most,
            "dict": words,
            "artifact_prefix": f"{options.save / target.name}-",
            "print_final_stats": 1,
            "rss_limit_mb": 4096,
        }.items()),
        str(found),
        str(CORPUS / target.name),
    ]  # fmt: skip
    print(f"== {target.name}; a failure is repeated by --repeat FILE", flush=True)
    atheris.Setup(arguments, target.run)
    atheris.Fuzz()
    return 0


def escaped(word: bytes) -> str:
    return re.sub(r'["\\]|[^ -~]', lambda c: f"\\x{ord(c[0]):02X}", word.decode("latin-1"))


def repeat(options: argparse.Namespace) -> int:
    from tests.fuzzing.targets import TARGETS

    watchdog = Watchdog(options.timeout)
    failure, text = failure_of(TARGETS[options.targets[0]].run, options.repeat.read_bytes())
    watchdog.stop()
    print(f"{text}{options.repeat}: {failure}" if failure else f"{options.repeat}: all is well")
    return 1 if failure else 0


def parse_options(argv: Sequence[str]) -> argparse.Namespace:
    from_temp = Path(tempfile.gettempdir())
    parser = argparse.ArgumentParser(prog="fuzz.py", description=__doc__.partition("\n")[0])
    parser.add_argument("target", choices=[*NAMES, "all"])
    parser.add_argument("--inputs", type=int, default=10_000, help="how many, in all")
    parser.add_argument("--seconds", type=float, default=1e9, help="end after so many")
    parser.add_argument("--seed", default="0", help="other inputs for another word")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds for one input")
    parser.add_argument("--engine", choices=["random", "atheris"], default="random")
    parser.add_argument("--save", type=Path, default=from_temp / "securechat-fuzz",
                        help="folder for inputs that break something")  # fmt: skip
    parser.add_argument("--keep", type=Path, default=from_temp / "securechat-fuzz" / "found",
                        help="folder for what atheris finds")  # fmt: skip
    parser.add_argument("--repeat", type=Path, metavar="FILE", help="run this one input")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    options.targets = NAMES if options.target == "all" else [options.target]
    if options.repeat is not None and options.target == "all":
        parser.error("--repeat needs its target")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    options = parse_options(sys.argv[1:] if argv is None else argv)
    missing = [
        name for name in ("cryptography", "wsproto") if importlib.util.find_spec(name) is None
    ]
    if missing:
        sys.exit("fuzz.py: run it with .venv/bin/python, once scripts/test.py has made that")
    if options.repeat is not None:
        return repeat(options)
    return run_atheris(options) if options.engine == "atheris" else run_random(options)


if __name__ == "__main__":
    sys.exit(main())
