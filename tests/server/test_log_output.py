from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from securechat.net.threads import start_thread
from securechat.server.log_output import LogOutput, make_formatter
from tests.server.relay_harness import LONG_TIMEOUT_S

NASTY = "#a\x1b]0;x\x07\u202e\u2028é✓\x7f"
"""A name that would do something to a terminal."""

SAFE = "#a\\x1b]0;x\\x07\\u202e\\u2028é✓\\x7f"


def record(
    message: str, *values: object, level: int = logging.INFO, **more: Any
) -> logging.LogRecord:
    return logging.LogRecord("securechat.server.x", level, "x.py", 1, message, values, None, **more)


def failure() -> logging.LogRecord:
    found = record("it failed", level=logging.ERROR)
    try:
        raise ValueError("of a bug")
    except ValueError:
        found.exc_info = sys.exc_info()
    return found


# ---- what a line looks like ----


def test_text_has_time_level_and_message() -> None:
    line = make_formatter("text", journal=False).format(record("join %s", "#room"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} INFO join #room", line)


@pytest.mark.parametrize("journal", [False, True])
def test_no_name_gets_an_escape_sequence_into_text(journal: bool) -> None:
    line = make_formatter("text", journal=journal).format(record("join %s", NASTY))
    assert line.endswith(f"join {SAFE}")


@pytest.mark.parametrize(
    ("level", "priority"),
    [
        (logging.DEBUG, "<7>DEBUG x"),
        (logging.INFO, "<6>INFO x"),
        (logging.WARNING, "<4>WARNING x"),
        (logging.ERROR, "<3>ERROR x"),
        (logging.CRITICAL, "<2>CRITICAL x"),
        (17, "<6>Level 17 x"),
    ],
)
def test_the_journal_is_told_the_priority_and_has_the_time(level: int, priority: str) -> None:
    assert make_formatter("text", journal=True).format(record("x", level=level)) == priority


def test_the_journal_is_told_it_on_every_line() -> None:
    lines = make_formatter("text", journal=True).format(failure()).split("\n")
    assert lines[0] == "<3>ERROR it failed"
    assert lines[-1] == "<3>ValueError: of a bug"
    assert all(line.startswith("<3>") for line in lines)


@pytest.mark.parametrize("journal", [False, True])
def test_json_is_one_object_on_one_line_of_ascii(journal: bool) -> None:
    line = make_formatter("json", journal=journal).format(record("join %s\nx", NASTY))
    assert line.isascii()
    assert line.isprintable()
    found = json.loads(line)
    assert list(found) == ["time", "level", "logger", "message"]
    assert found["message"] == f"join {NASTY}\nx"
    assert (found["level"], found["logger"]) == ("info", "securechat.server.x")
    assert datetime.fromisoformat(found["time"]).utcoffset() is not None


def test_json_has_the_traceback_where_there_is_one() -> None:
    line = make_formatter("json", journal=False).format(failure())
    assert "\n" not in line
    assert json.loads(line)["exception"].endswith("ValueError: of a bug")


# ---- where lines go ----


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    with ExitStack() as stack:
        for end in (reader, writer):
            stack.callback(_close, end)
        yield reader, writer


def _close(descriptor: int) -> None:
    try:
        os.close(descriptor)
    except OSError:  # the test has done it
        return


def test_lines_come_in_order(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    output = LogOutput(writer, "utf-8")
    for number in range(100):
        output.handle(record("line %d", number))
    output.flush()
    assert os.read(reader, 65_536).decode().splitlines() == [f"line {n}" for n in range(100)]
    output.close()


def test_what_the_encoding_has_not_is_escaped(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    output = LogOutput(writer, "ascii")
    output.handle(record("é"))
    output.close()
    assert os.read(reader, 100) == b"\\xe9\n"


def test_a_wrong_call_of_the_logger_is_no_ones_end(
    pipe: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    reader, writer = pipe
    output = LogOutput(writer, "utf-8")
    output.handle(record("%d people", "three"))
    output.handle(record("next"))
    output.close()
    assert os.read(reader, 100) == b"next\n"
    assert "--- Logging error ---" in capsys.readouterr().err


def test_a_reader_that_is_gone_costs_lines_only(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    output = LogOutput(writer, "utf-8")
    os.close(reader)
    for _ in range(3):
        output.handle(record("x"))
    output.flush()
    output.close()
    assert not output._thread.is_alive()


def test_a_thread_that_dies_is_told_of_and_waited_for_no_more(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = LogOutput(pipe[1], "utf-8")
    crashes: SimpleQueue[BaseException] = SimpleQueue()
    output.on_crash = crashes.put

    def die(data: bytes) -> None:
        raise SystemExit

    monkeypatch.setattr(output, "_write", die)
    output.handle(record("x"))
    assert isinstance(crashes.get(timeout=LONG_TIMEOUT_S), SystemExit)
    output.handle(record("y"))
    output.close()
    assert not output._thread.is_alive()


def test_a_reader_that_sleeps_keeps_nobody_waiting(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    output = LogOutput(writer, "utf-8", limit=5)
    long = "x" * 10_000
    for number in range(50):  # half a megabyte: no pipe holds that
        output.handle(record(f"{number} {long}"))
    found = bytearray()

    def read() -> None:
        while data := os.read(reader, 65_536):
            found.extend(data)

    awake = start_thread("reader", read)
    said = 50
    while output._lost:  # what comes next says so
        output.flush()
        output.handle(record("next"))
        said += 1
    output.close()
    os.close(writer)
    awake.join(LONG_TIMEOUT_S)
    lines = found.decode().splitlines()
    numbers = [int(line.partition(" ")[0]) for line in lines if line.endswith(long)]
    assert numbers == sorted(set(numbers))
    lost = [line.partition(" ")[0] for line in lines if line.endswith("nobody read them")]
    assert len(numbers) < 50
    # More than once, if its thread began only when some had been lost already.
    assert sum(map(int, lost)) == said - len(numbers) - lines.count("next")
    assert lines[-1] == "next"


def test_a_descriptor_that_does_not_block_is_waited_for(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(writer, b"." * 4_096):
            pass
    output = LogOutput(writer, "utf-8")
    numbers = [str(number) for number in range(50)]
    for number in numbers:
        output.handle(record(number))
    found = bytearray()

    def read() -> None:
        while data := os.read(reader, 65_536):
            found.extend(data)

    awake = start_thread("reader", read)
    output.close()
    os.close(writer)
    awake.join(LONG_TIMEOUT_S)
    assert found.decode().lstrip(".").split() == numbers


# ---- a process whose log it is ----

PROGRAM = """
import logging, sys
from securechat.server.config import LogConfig
from securechat.server.log_output import apply
log = logging.getLogger("securechat.test")
apply(LogConfig(**{first!r}))
log.debug("d1"); log.info("i1"); log.warning("w1")
apply(LogConfig(**{second!r}))
log.debug("d2"); log.info("i2"); log.warning("w2")
print("done", flush=True)
"""


def run(
    first: dict[str, str], second: dict[str, str], **options: Any
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(first=first, second=second)],
        stdout=subprocess.PIPE,
        text=True,
        timeout=LONG_TIMEOUT_S,
        check=False,
        **options,
    )


def test_format_and_level_can_be_changed_and_all_is_written_before_the_end() -> None:
    second = {"format": "json", "level": "warning"}
    done = run({"level": "debug"}, second, stderr=subprocess.PIPE)
    *text, last = done.stderr.splitlines()
    assert [line.partition(" ")[2] for line in text] == ["DEBUG d1", "INFO i1", "WARNING w1"]
    assert json.loads(last)["message"] == "w2"
    assert done.returncode == 0


@pytest.mark.parametrize(("offset", "lines"), [(0, "<6>INFO i1"), (1, "INFO i1")])
def test_the_journal_is_known_by_its_number(offset: int, lines: str, tmp_path: Path) -> None:
    with (tmp_path / "journal").open("w+") as file:
        found = os.fstat(file.fileno())
        stream = f"{found.st_dev}:{found.st_ino + offset}"
        run({}, {}, stderr=file, env=os.environ | {"JOURNAL_STREAM": stream})
        file.seek(0)
        first = file.readline().rstrip("\n")
    assert first.endswith(lines)
    assert first.startswith("<6>") is (offset == 0)


def test_a_process_without_an_output_or_a_reader_goes_on(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(reader)
    assert run({}, {}, stderr=writer).stdout == "done\n"
    closed = run({}, {}, preexec_fn=lambda: os.close(2))
    assert (closed.stdout, closed.returncode) == ("done\n", 0)
