"""Measure a relay over loopback TLS: fan-out, many rooms, members that do not read or are unlike
each other, handshakes, all clients at once, memory of idle connections; its history; files between
peers; the full-screen client; and several relays that are one chat.

::

    python3 scripts/bench.py                              all of it, some ten minutes
    python3 scripts/bench.py fanout --members 1000 --senders 1 --bytes 100
    python3 scripts/bench.py rooms --connections 1000 --rooms 100 --rate 1000 --seconds 10
    python3 scripts/bench.py slow --audience 200 --stalled 20
    python3 scripts/bench.py storm --storm 5000 --idle 5000
    python3 scripts/bench.py idle --connections 1000 --json
    python3 scripts/bench.py history --stored 2000000
    python3 scripts/bench.py writes --writers 100 --write-rate 1000
    python3 scripts/bench.py mixed --audience 200
    python3 scripts/bench.py peers --file-bytes 1000000000 --rounds 5
    python3 scripts/bench.py tui                          or --tui: the full-screen client
    python3 scripts/bench.py --relays 3                   or relays: several relays, one chat
    python3 scripts/bench.py abuse --attacks flood handshakes logins
    python3 scripts/bench.py kills --kills 100
    python3 scripts/bench.py endurance --duration 3600
    python3 scripts/bench.py fanout --connect 127.0.0.1:6697 --pid 4711 --ca certs/ca.pem

Starts a relay of this checkout, with flood limits off, and processes with clients; ends them when
it is done. With ``--connect`` a server that runs already on this machine is measured (its flood
limits must be off): start two versions of it, and alternate. Linux only: processor time and memory
of the relay come from the kernel. Needs what the relay needs; ``.venv/bin/python`` has it once
``scripts/run.py`` or ``scripts/test.py`` has made it.

What the figures mean: a delivery is one message received by one member. Processor time is that of
the relay alone, so it is the figure that a busy machine and the cost of the load hurt least.
Latency is from a message's sending to its receipt by a member, with ``--window`` messages always in
flight: the time in a full queue (``--window 1``: in an empty one). "processors in use" tells who
was the bottleneck.

``rooms`` has people speak in turns, at times that are planned: all rooms together have ``--rate``
messages/s, evenly spaced, and nobody waits for anything. A message that is sent late does not put
off the next. Latency is of every receipt, from when the message was to be sent: what holds up the
load or the relay counts in all that was due meanwhile. "of which sent late" is the load's own part:
where that is not small, the machine was too busy for the figure. Hardly anything goes out in one
piece with something else, so a delivery costs more than in a full queue.

``slow`` has one member say 1,000 messages/s, twenty at a time, to a room in which all read and to
one in which ``--stalled`` of the ``--audience`` stop reading once they have joined, in turns; each
is a new room with new connections. Latency is that of those who read, from when the message was to
be sent; the medians of the rounds' percentiles. Memory is the most by which the relay's grew while
they talked, in any round. What it grows by while all read is the rest of the relay's, such as the
cache of its database; for those who stall there may wait ``--sendq-bytes`` each, before the relay
disconnects them, but what waits for several of them it keeps once. At the end of each round they
read again: who is still connected must get all that was said. With ``--connect`` the server must
have that very ``sendq_bytes``.

``storm`` is what follows a restart: ``--storm`` clients connect at the same moment, agree on
capabilities, register, and join rooms of a hundred. An ``--audience`` is in already, and talks in
rooms of twenty, 100 messages/s in all; its latency is as in ``rooms``, and so is "sent late": with
few processors much of it is due to the clients that come. "First packet sent again": nobody took
the connection at first, as more waited than the relay's queue holds, and the client's system tried
again a second or more later. How often that queue was full is counted by the kernel, for all
programs. Processor time includes the relay's for the audience, and for all that those in a room
hear of each other.

``history`` needs no relay: it fills a database in a temporary folder (half a gigabyte for each
million of messages) and reads and searches it as the relay's store thread does. The files are in
the system's memory then, as they are where people read.

``writes`` has people write who want to hear that what they wrote is kept (the relay echoes it once
it is on the disk), each alone in a room: as fast as that comes, with ``--write-window`` messages
under way, and then at a rate, with latency from when each was to be written. A relay with its
history and one that keeps none take turns. The figures are the medians of the rounds.

``mixed`` has a room of ``--audience`` members hear one sender as ``fanout`` does, under
circumstances that take turns: all members have the same capabilities; half of them have others, of
eight sorts; a relay without history; a file goes through the relay, over and over, as in ``peers``.
Each is compared with the first of its round. On few processors the two who send and receive the
file take from all others what they need: that is not the relay's doing.

``peers`` sends a file between clients in processes of their own, as a bot would, and copies it over
a bare ``ssl`` socket between two others, all in turns. The files are in memory where there is room
for three of them (/dev/shm), else in the system's temporary folder: the results say where. Peers
compute SHA-256 on both sides, and compare; one of the bare copies does that too, and one does not.
A rate is of the file from the receiver's acceptance until both sides know that it is there, whole;
a ratio is the median of those of the rounds. Then a room hears a speaker at a steady pace, with
nothing else, and beside files that go through the same relay as fast as they can; latency is from
when a message was to be sent. It makes accounts: the server must let anybody register, and not
limit tunnels (``tunnel_bytes_per_s = 0``).

``tui`` runs the full-screen client, as its users do, at a terminal (120x40) whose far end is this
program. A room is filled through the relay while another conversation is shown. It is open when
its last message is drawn; a key is answered when its character is: both as read from the terminal,
so all of the client's work counts, and that of no real terminal. Keys are pressed at irregular
intervals, by a plan that waits for no answer, while somebody says 1,000 messages/s there. The
client shares the processors with the relay, that speaker and this program: where there are few, or
others have them, these figures suffer first.

``relays``, ``abuse``, ``kills`` and ``endurance`` are not among "all", and have relays of their own
in any case. The latter two judge: they say what is wrong, and the exit code is 1.

``relays`` compares chats: that of one relay by itself (SQLite: "embedded"), of one relay in a
cluster ("cluster-1"), of two, and of ``--relays``; all but the first share three NATS servers (TLS;
each event is written by all three) and a PostgreSQL, which are started for it. In each there are
``--people`` in rooms of six, evenly on its relays, who take turns with those of the other chats. At
50 messages/s ("quiet") and at ``--talk-rate`` ("paced") messages are said at planned times, and
latency is of every receipt, from when the message was to be sent: "within" by people on the
speaker's relay, "across" by those on others. As fast as can be ("full"), somebody in each room
speaks again when the last member has heard it.
Processor time is that of all relays of the chat together, of the NATS servers together, and of
PostgreSQL; of the last two, what they use in a pause (for the relays of all chats) is taken off.
Changes of the state are made by thirty people at the same time, and are known when the relay
answers what is asked next. All processes share this machine: where there are fewer processors than
relays and servers, more relays are not faster, and the figures say what they cost.

Then, in the largest chat, the number of rooms grows, while people, rate and members of a room (3)
stay the same: each room on one relay, or on three. A further relay starts in a chat of one: with
hardly anything in the log; with ``--events`` (JOIN, PART, NICK), if these are 20,000 just before a
snapshot is due, and then just after it. A start ends when it takes connections. Last, a relay of
the largest chat is killed: its people come back to other relays at once, as somebody else, and join
a room; who they were is gone when somebody on another relay hears the QUIT.

``abuse`` leaves the relay the limits that it has where nobody configures anything. (None of them is
in the way of an audience that all comes from this machine: loopback addresses may have any number
of connections. So may those of the attackers, each of whose connections is from an address of its
own, 127.x.y.z; a relay on a network lets 64 come from one.) The ``--audience`` talks in rooms of
ten, 100 messages/s in all; half as many others sit in a room in which attackers say things, and do
not count. In turns there is quiet and one attack, for ``--attack-ms`` each. Whom the relay ends
comes back at once, and whoever has used up what one may do at once comes back as somebody else.
The process that attacks gives way to all others (nice 19), and the first "attack" does nothing but
keep it busy: what that costs is the machine's. Latency is from when a message was to be sent, the
medians of the rounds' percentiles; the ratio is to the mean of the quiet before and after.

``kills`` ends the relay by SIGKILL at random times, while people with accounts talk in rooms and to
each other as fast as they get the echoes, also in several lines; and sometimes while it starts, or
makes its database. Each time the database is checked as it was left (a copy: integrity, references,
search index); the next relay must answer CHATHISTORY with all that its sender had the echo of,
once, unchanged, and in order. What nobody had the echo of may be there, once.

``endurance`` has people do a bit of everything, well and badly behaved, ``--pace`` things each
second. Memory is flat if its trend in the second half of the time (Theil-Sen: the median of the
slopes between all samples, one a second) rises by no more than ``--growth-kib``; of what the kernel
counts, it is that which no file stands behind. What may be kept is full by then: the cache of the
database, the names and the people who have left that the relay knows. Threads and descriptors must
be as many as before anybody came, when all have left.
"""

import importlib.util
import json
import os
import platform
import resource
import secrets
import signal
import socket
import ssl
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import Any

MIN_PYTHON = (3, 11)
if sys.version_info[:2] < MIN_PYTHON:
    sys.exit("bench.py: needs Python 3.11 or later, this is " + platform.python_version())
if sys.platform != "linux":
    sys.exit("bench.py: needs Linux, for the processor time and the memory of another process")

ROOT = Path(__file__).resolve().parent.parent
if importlib.util.find_spec("securechat") is None:  # from a checkout, not installed
    sys.path.insert(0, str(ROOT))

try:
    from benchmark.abuse import REAL_SETTINGS, measure_abuse
    from benchmark.chats import Missing
    from benchmark.crew import Crew
    from benchmark.crowd import LoadError, Target
    from benchmark.endurance import measure_endurance
    from benchmark.history import measure_history
    from benchmark.kills import measure_kills
    from benchmark.mixed import measure_mixed
    from benchmark.pace import percentile_ms
    from benchmark.peers import measure_peers
    from benchmark.plan import Plan, build_parser, make_plan
    from benchmark.relay import SENDQ_BYTES, cpu_s, running_relay, settled_memory_bytes
    from benchmark.relays import measure_relays
    from benchmark.rooms import Layout, measure_rooms
    from benchmark.slow import measure_slow
    from benchmark.storm import measure_storm
    from benchmark.table import table
    from benchmark.tui import measure_tui
    from benchmark.writes import measure_writes

    from securechat.errors import SecureChatError
except ModuleNotFoundError as error:
    package = (error.name or "").partition(".")[0]
    if package not in ("cryptography", "wsproto", "h11"):
        raise
    sys.exit(f"bench.py: needs the package {package} (or use .venv/bin/python, which run.py makes)")

AT_ONCE = 64
"""Handshakes under way at a time: enough to keep the relay busy, fewer than any backlog."""

WARM_UP = 10
"""Connections before those that count: what the relay sets up once is not theirs."""

SPARE_DESCRIPTORS = 100

MIXED_FILE_BYTES = 1 << 26
"""Of the file beside a room: it is sent until the room has heard all, and then to its end."""

MOST_STORED = 20_000
"""Messages in the room whose history attackers ask for: they are said, as by anybody."""

MOST_SEEDS = 1_000_000
"""Few enough to be typed again."""


# ---- scenarios ----


@contextmanager
def relay(plan: Plan, *, sendq_bytes: int = SENDQ_BYTES) -> Iterator[tuple[Target, int]]:
    """The relay to measure and its pid: a new one, unless one runs already."""
    if plan.target is not None and plan.pid is not None:
        yield plan.target, plan.pid
        return
    with new_relay(plan, sendq_bytes=sendq_bytes) as started:
        yield started


@contextmanager
def relay_without_history(plan: Plan) -> Iterator[tuple[Target, int] | None]:
    """Another one that keeps no history; none where the one to measure runs already."""
    if plan.target is not None:
        yield None
        return
    with new_relay(plan, settings={"history": {"enabled": False}}) as started:
        yield started


@contextmanager
def new_relay(
    plan: Plan,
    *,
    sendq_bytes: int = SENDQ_BYTES,
    settings: Mapping[str, Mapping[str, object]] = MappingProxyType({}),
) -> Iterator[tuple[Target, int]]:
    with tempfile.TemporaryDirectory(prefix="securechat-bench-") as name:
        folder = Path(name)
        running = running_relay(folder, plan.tls, sendq_bytes=sendq_bytes, settings=settings)
        with running as (pid, port, ca):
            yield Target(socket.AF_INET, ("127.0.0.1", port), "127.0.0.1", ca, plan.tls), pid


def crew(plan: Plan, target: Target, most: int) -> Crew:
    """The load processes for at most so many clients."""
    prefix = "b" + secrets.token_hex(2)[:3]
    return Crew(target, prefix, min(plan.processes, most), plan.timeout_s)


def fanout(plan: Plan) -> dict[str, Any]:
    sizes = plan.sizes
    with relay(plan) as (target, pid), crew(plan, target, sizes.members) as load:
        load.connect(sizes.members, AT_ONCE)
        load.join()
        load.prepare(sizes.senders, sizes.window * sizes.senders, sizes.bytes)
        load.exchange(max(sizes.window, sizes.messages // 10))  # to warm up
        before, load_before = cpu_s(pid), sum(map(cpu_s, load.pids))
        receipts = load.exchange(sizes.messages)
        used_s, load_used_s = cpu_s(pid) - before, sum(map(cpu_s, load.pids)) - load_before
    seconds = (
        max(part.last_received_ns for part in receipts)
        - min(part.first_sent_ns for part in receipts)
    ) / 1e9
    deliveries = sum(part.deliveries for part in receipts)
    latencies = sorted(latency for part in receipts for latency in part.latencies_ns)
    return {
        "members": sizes.members,
        "senders": sizes.senders,
        "bytes": sizes.bytes,
        "window": sizes.window,
        "messages": sizes.messages,
        "deliveries": deliveries,
        "deliveries_expected": sizes.messages * (sizes.members - 1),
        "seconds": round(seconds, 4),
        "deliveries_per_s": round(deliveries / seconds),
        "relay_cpu_us_per_delivery": round(used_s / deliveries * 1e6, 4),
        "relay_cpu_us_per_message": round(used_s / sizes.messages * 1e6, 2),
        "relay_processors": round(used_s / seconds, 3),
        "load_processors": round(load_used_s / seconds, 3),
        "latency_p50_ms": percentile_ms(latencies, 50),
        "latency_p99_ms": percentile_ms(latencies, 99),
        "latency_samples": len(latencies),
    }


def rooms(plan: Plan) -> dict[str, Any]:
    sizes = plan.sizes
    layout = Layout(sizes.connections[0], sizes.rooms, min(plan.processes, sizes.rooms))
    with relay(plan) as (target, pid):
        return measure_rooms(
            target,
            pid,
            layout,
            per_s=sizes.rate,
            seconds=sizes.seconds,
            timeout_s=plan.timeout_s,
        )


def slow(plan: Plan) -> dict[str, Any]:
    sizes = plan.sizes
    with relay(plan, sendq_bytes=sizes.sendq_bytes) as (target, pid):
        return measure_slow(
            target,
            pid,
            members=sizes.audience,
            stalled=sizes.stalled,
            messages=sizes.slow_messages,
            rounds=sizes.rounds,
            sendq_bytes=sizes.sendq_bytes,
            timeout_s=plan.timeout_s,
        )


def storm(plan: Plan) -> dict[str, Any]:
    sizes = plan.sizes
    reason = too_many_files(sizes.storm + sizes.audience + sizes.idle)
    if reason:
        return {"storm": sizes.storm, "skipped": reason}
    with relay(plan) as (target, pid):
        return measure_storm(
            target,
            pid,
            storm=sizes.storm,
            audience=sizes.audience,
            idle=sizes.idle,
            quiet_s=sizes.seconds,
            processes=min(plan.processes, sizes.storm),
            timeout_s=plan.timeout_s,
        )


def handshakes(plan: Plan) -> dict[str, Any]:
    count = plan.sizes.handshakes
    with relay(plan) as (target, pid), crew(plan, target, count) as load:
        load.connect(WARM_UP, AT_ONCE)
        before, load_before = cpu_s(pid), sum(map(cpu_s, load.pids))
        done = load.connect(count, AT_ONCE)
        used_s, load_used_s = cpu_s(pid) - before, sum(map(cpu_s, load.pids)) - load_before
    seconds = max(part.ended_s for part in done) - min(part.began_s for part in done)
    return {
        "handshakes": count,
        "seconds": round(seconds, 4),
        "handshakes_per_s": round(count / seconds, 1),
        "relay_cpu_us_per_handshake": round(used_s / count * 1e6, 1),
        "relay_processors": round(used_s / seconds, 3),
        "load_processors": round(load_used_s / seconds, 3),
    }


def idle(plan: Plan) -> list[dict[str, Any]]:
    return [idle_connections(plan, count) for count in plan.sizes.connections]


def idle_connections(plan: Plan, count: int) -> dict[str, Any]:
    reason = too_many_files(count + WARM_UP)
    if reason:
        return {"connections": count, "skipped": reason}
    with relay(plan) as (target, pid), crew(plan, target, count) as load:
        load.connect(WARM_UP, AT_ONCE)
        before = settled_memory_bytes(pid)
        load.connect(count, AT_ONCE)
        grown = settled_memory_bytes(pid) - before
    return {
        "connections": count,
        "relay_bytes_before": before,
        "relay_bytes_per_connection": round(grown / count),
    }


def too_many_files(connections: int) -> str:
    """Why there cannot be so many connections, empty if there can."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if connections + SPARE_DESCRIPTORS <= most:
        return ""
    return f"a process may have {most:,} open files here (ulimit -Hn)"


def history(plan: Plan) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="securechat-bench-") as name:
        return measure_history(Path(name), plan.sizes.stored)


def writes(plan: Plan) -> dict[str, Any]:
    sizes = plan.sizes
    with relay(plan) as usual, relay_without_history(plan) as other:
        return measure_writes(
            {"history": usual} | ({"no history": other} if other is not None else {}),
            writers=sizes.writers,
            window=sizes.write_window,
            messages=sizes.written,
            per_s=sizes.write_rate,
            rounds=sizes.rounds,
            timeout_s=plan.timeout_s,
        )


def mixed(plan: Plan) -> dict[str, Any]:
    sizes = plan.sizes
    with relay(plan) as (target, pid), relay_without_history(plan) as other:
        return measure_mixed(
            target,
            pid,
            without_history=other,
            members=sizes.audience,
            window=sizes.window,
            text_bytes=sizes.bytes,
            messages=sizes.messages,
            file_bytes=min(sizes.file_bytes, MIXED_FILE_BYTES),
            rounds=sizes.rounds,
            timeout_s=plan.timeout_s,
        )


def peers(plan: Plan) -> dict[str, Any]:
    sizes = plan.sizes
    with relay(plan) as (target, pid):
        return measure_peers(
            target,
            pid,
            size=sizes.file_bytes,
            rounds=sizes.rounds,
            messages=sizes.chat_messages,
            timeout_s=plan.timeout_s,
        )


def tui(plan: Plan) -> dict[str, Any]:
    if importlib.util.find_spec("textual") is None:
        return {"skipped": "the full-screen client needs the package textual"}
    sizes = plan.sizes
    with relay(plan) as (target, _):
        return measure_tui(
            target,
            messages=sizes.room_messages,
            openings=sizes.openings,
            keys=sizes.keys,
            timeout_s=plan.timeout_s,
        )


def relays(plan: Plan) -> dict[str, Any]:
    sizes = plan.sizes
    try:
        return measure_relays(
            plan.tls,
            relays=sizes.relays,
            people=sizes.people,
            rooms=sizes.rooms,
            per_s=sizes.talk_rate,
            seconds=sizes.talk_ms / 1000,
            messages=sizes.talk_messages,
            changes=sizes.changes,
            events=sizes.events,
            lease_s=sizes.lease,
            rounds=sizes.rounds,
            processes=plan.processes,
            timeout_s=plan.timeout_s,
        )
    except Missing as reason:
        return {"skipped": str(reason)}


def abuse(plan: Plan) -> dict[str, Any]:
    sizes = plan.sizes
    with new_relay(plan, settings=REAL_SETTINGS) as (target, pid):
        return measure_abuse(
            target,
            pid,
            audience=sizes.audience,
            bystanders=sizes.audience // 2,
            seconds=sizes.attack_ms / 1000,
            rounds=sizes.rounds,
            stored=min(sizes.stored, MOST_STORED),
            attacks=plan.attacks,
            timeout_s=plan.timeout_s,
        )


def kills(plan: Plan) -> dict[str, Any]:
    sizes = plan.sizes
    with tempfile.TemporaryDirectory(prefix="securechat-bench-") as name:
        return measure_kills(
            Path(name),
            plan.tls,
            kills=sizes.kills,
            seed=sizes.seed or secrets.randbelow(MOST_SEEDS) + 1,
            timeout_s=plan.timeout_s,
        )


def endurance(plan: Plan) -> dict[str, Any]:
    sizes = plan.sizes
    with tempfile.TemporaryDirectory(prefix="securechat-bench-") as name:
        return measure_endurance(
            Path(name),
            plan.tls,
            seconds=sizes.duration,
            per_s=sizes.pace,
            growth_bytes=sizes.growth_kib * 1024,
            seed=sizes.seed or secrets.randbelow(MOST_SEEDS) + 1,
            timeout_s=plan.timeout_s,
        )


RUN: dict[str, Callable[[Plan], Any]] = {
    "fanout": fanout,
    "rooms": rooms,
    "slow": slow,
    "storm": storm,
    "handshakes": handshakes,
    "idle": idle,
    "history": history,
    "writes": writes,
    "mixed": mixed,
    "peers": peers,
    "tui": tui,
    "relays": relays,
    "abuse": abuse,
    "kills": kills,
    "endurance": endurance,
}


# ---- what is printed ----


def about(plan: Plan) -> dict[str, Any]:
    """The circumstances. The versions are those of this program and of a relay started by it."""
    return {
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "cpus": os.cpu_count(),
        "tls": plan.tls,
        "load_processes": plan.processes,
        "relay": "started" if plan.pid is None else f"process {plan.pid}",
    }


def run(plan: Plan) -> int:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    results = about(plan)
    for name in plan.scenarios:
        if not plan.as_json and sys.stderr.isatty():
            print(f"measuring {name} …", file=sys.stderr)
        results[name] = RUN[name](plan)
    print(json.dumps(results, indent=2) if plan.as_json else "\n".join(table(results)))
    return 0


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)  # an exception, so that the children are stopped on the way out


def main(argv: Sequence[str] | None = None) -> int:
    parser = build_parser()
    plan = make_plan(parser, parser.parse_args(argv))
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _leave)
    try:
        return run(plan)
    except (LoadError, SecureChatError) as error:
        print(f"bench.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
