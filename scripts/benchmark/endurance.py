"""A relay under a mixed load for as long as wanted: do its memory, threads and descriptors grow?"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from socket import AF_INET
from typing import Any, Final

from benchmark.children import Child, Children
from benchmark.crowd import LoadError, Target
from benchmark.flat import Sample, Trend, sample, trend
from benchmark.life import READERS, Life, Ports
from benchmark.relay import cpu_s, prepare_relay, running, wait_for_port
from securechat import pki
from securechat.server.history.entries import direct_conversation, person
from securechat.server.names import ASCII_NAMES
from securechat.store.database import CACHE_KIB, open_database
from securechat.store.history import Entry, History

__all__ = ["measure_endurance"]

WARM_UP: Final = 0.5
"""Of the duration. What the allocators of C and of Python keep for later grows ever more slowly,
by some 2 MiB for each doubling of the time, while all that is in use stays the same: what is lost
grows as fast in the second half as in the first."""

EVERY_S: Final = 1.0
"""How often the relay is looked at."""

POLL_S: Final = 0.1
SETTLE_S: Final = 10.0
"""In which a relay must let go of the connections of those who have left."""

TAG_BYTES: Final = 3_900
FILLED: Final = CACHE_KIB * 1024 * 5 // 4 // TAG_BYTES
"""Messages that make more pages than the database's cache holds."""

FIRST_MS: Final = 1_000_000_000_000
TURN: Final = 1000

SETTINGS: Final[dict[str, dict[str, object]]] = {
    "websocket": {"listen": ["127.0.0.1:0"]},
    "metrics": {"listen": ["127.0.0.1:0"]},
    # What is asked is not how long a password takes to hash.
    "accounts": {"argon2_memory_kib": 8192, "argon2_iterations": 1, "failures_per_minute": 0},
    "history": {"page": TURN},
    "limits": {
        # They keep only so much, or for so long, and are to be full soon.
        "whowas_entries": 50,
        "handshake_timeout_s": 5,
        "registration_timeout_s": 5,
        "ping_interval_s": 5,
        "ping_timeout_s": 60,
    },
}


def measure_endurance(
    folder: Path,
    tls: str,
    *,
    seconds: int,
    per_s: int,
    growth_bytes: int,
    seed: int,
    timeout_s: float,
) -> dict[str, Any]:
    """Keep a relay busy for so many ``seconds``; return the figures.

    ``LoadError`` that says what has grown, if anything has.

    :param folder: for the relay's files; empty.
    :param per_s: things that people do each second.
    :param growth_bytes: by how much the trend of memory may rise in the second half of the time.
    :param timeout_s: for all but the duration.
    """
    config = prepare_relay(folder, tls, settings=SETTINGS)
    _fill(folder / "relay.db")
    with running(config) as process, Children(timeout_s + seconds) as children:
        port = wait_for_port(process, config)
        ports = Ports(
            wait_for_port(process, config, " for WebSocket"),
            wait_for_port(process, config, " for /metrics and /healthz"),
        )
        ca = pki.ca_files(folder).certificate
        target = Target(AF_INET, ("127.0.0.1", port), "127.0.0.1", ca, tls)
        life = children.start(partial(Life, target, ports, seed))
        return {"seed": seed} | _measure(process.pid, life, seconds, per_s, growth_bytes)


def _measure(
    pid: int, life: Child[Life], seconds: int, per_s: int, growth_bytes: int
) -> dict[str, Any]:
    first = sample(pid)
    life.do(Life.read_all, FILLED)
    life.do(Life.begin)
    before = cpu_s(pid)
    lived = life.begin(Life.live, seconds, per_s)
    samples = [sample(pid)]
    while not life.answered:
        time.sleep(EVERY_S)
        samples.append(sample(pid))
    done = lived()
    used_s, took_s = cpu_s(pid) - before, samples[-1].at_s - samples[0].at_s
    life.do(Life.leave)
    last = _settled(pid, first)
    measured = samples[round(len(samples) * WARM_UP) :]
    memory = trend(measured)
    grown = [*_grown_memory(memory, growth_bytes), *_grown_counts(first, last)]
    if grown:
        raise LoadError(f"not flat after {took_s:,.0f} s: {'; '.join(grown)}")
    return {
        "seconds": round(took_s, 1),
        "measured_seconds": round(measured[-1].at_s - measured[0].at_s, 1),
        "per_s": per_s,
        "done": dict(done.most_common()),
        "relay_processors": round(used_s / took_s, 3),
        "resident_bytes": [measured[0].resident_bytes, measured[-1].resident_bytes],
        "memory_trend_bytes": memory.grown_bytes,
        "memory_trend_bytes_per_hour": memory.per_hour_bytes,
        "memory_bound_bytes": growth_bytes,
        "threads": [first.threads, max(each.threads for each in samples), last.threads],
        "descriptors": [
            first.descriptors,
            max(each.descriptors for each in samples),
            last.descriptors,
        ],
    }


def _fill(path: Path) -> None:
    """Make a database in which two people have said more to each other than its cache holds."""
    one, other = (person(nick, nick, ASCII_NAMES.fold) for nick in READERS)
    conversation = direct_conversation(one, other)
    with contextlib.closing(open_database(path)) as connection:
        history = History(connection)
        for start in range(0, FILLED, TURN):
            connection.execute("BEGIN IMMEDIATE")
            history.add(
                Entry(
                    conversation=conversation,
                    msgid=f"filled{number}",
                    at_ms=FIRST_MS + number,
                    kind="PRIVMSG",
                    source=f"{READERS[0]}!load@load",
                    sender=READERS[0],
                    account=READERS[0],
                    detail=READERS[1],
                    text=str(number),
                    tags=f"+filled={'x' * TAG_BYTES}",
                )
                for number in range(start, min(start + TURN, FILLED))
            )
            connection.execute("COMMIT")


def _settled(pid: int, first: Sample) -> Sample:
    """What the relay holds once it has noticed that all have left."""
    end = time.monotonic() + SETTLE_S
    while (now := sample(pid))[-2:] != first[-2:] and time.monotonic() < end:
        time.sleep(POLL_S)
    return now


def _grown_memory(memory: Trend, most_bytes: int) -> Iterator[str]:
    if memory.grown_bytes > most_bytes:
        yield (
            f"memory grows by {memory.grown_bytes / 1024:,.0f} KiB in the second half, "
            f"{memory.per_hour_bytes / 1024:,.0f} KiB in an hour"
        )


def _grown_counts(first: Sample, last: Sample) -> Iterator[str]:
    for what in ("threads", "descriptors"):
        before, after = getattr(first, what), getattr(last, what)
        if after != before:
            yield f"{before} {what} at the beginning, {after} when all had left"
