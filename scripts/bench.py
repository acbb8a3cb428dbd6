"""Measure a relay over loopback TLS: fan-out, handshakes, memory of idle connections; its history;
files between peers; and the full-screen client.

::

    python3 scripts/bench.py                              all of it, some nine minutes
    python3 scripts/bench.py fanout --members 1000 --senders 1 --bytes 100
    python3 scripts/bench.py idle --connections 1000 --json
    python3 scripts/bench.py history --stored 2000000
    python3 scripts/bench.py peers --file-bytes 1000000000 --rounds 5
    python3 scripts/bench.py tui                          or --tui: the full-screen client
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

``history`` needs no relay: it fills a database in a temporary folder (half a gigabyte for each
million of messages) and reads and searches it as the relay's store thread does. The files are in
the system's memory then, as they are where people read.

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
"""

import argparse
import importlib.util
import ipaddress
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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
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
    from _bench_crew import Crew
    from _bench_crowd import LoadError, Target
    from _bench_fanout import MIN_TEXT_BYTES
    from _bench_history import measure_history
    from _bench_peers import measure_peers
    from _bench_relay import cpu_s, running_relay, settled_memory_bytes
    from _bench_table import table
    from _bench_tui import KEYS_LIMIT, measure_tui

    from securechat.errors import SecureChatError
    from securechat.net.listener import parse_address
except ModuleNotFoundError as error:
    package = (error.name or "").partition(".")[0]
    if package not in ("cryptography", "wsproto", "h11"):
        raise
    sys.exit(f"bench.py: needs the package {package} (or use .venv/bin/python, which run.py makes)")

SCENARIOS = ("fanout", "handshakes", "idle", "history", "peers", "tui")
AT_ONCE = 64
"""Handshakes under way at a time: enough to keep the relay busy, fewer than any backlog."""

WARM_UP = 10
"""Connections before those that count: what the relay sets up once is not theirs."""

SPARE_DESCRIPTORS = 100
MAX_CONNECTIONS = 20_000
MAX_TEXT_BYTES = 400  # a whole line is 512 bytes
MOST_PROCESSES = 8


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything. Immutable."""

    members: int = 1000
    senders: int = 1
    bytes: int = 100
    window: int = 16
    messages: int = 3000
    handshakes: int = 1000
    connections: tuple[int, ...] = (1000, 10_000)
    stored: int = 2_000_000
    file_bytes: int = 1 << 30
    rounds: int = 5
    chat_messages: int = 1000
    room_messages: int = 50_000
    openings: int = 10
    keys: int = 200


QUICK = Sizes(
    members=20,
    messages=200,
    handshakes=20,
    connections=(50,),
    stored=5000,
    file_bytes=4_000_000,
    rounds=2,
    chat_messages=50,
    room_messages=2000,
    openings=2,
    keys=20,
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be measured. Immutable.

    ``target`` and ``pid`` are those of a server that runs already; without them one is started.
    """

    scenarios: tuple[str, ...]
    sizes: Sizes
    tls: str
    processes: int
    timeout_s: float
    as_json: bool
    target: Target | None = None
    pid: int | None = None


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench.py",
        description="Measure a relay over loopback TLS.",
        epilog="Compare two servers by alternating them, several times, with --connect.",
    )
    add = parser.add_argument
    add(
        "scenario",
        nargs="?",
        default="all",
        choices=("all", *SCENARIOS),
        help="what to measure (default: all)",
    )
    add("--tui", action="store_true", help="the same as the scenario tui")
    usual = Sizes()
    sizes = parser.add_argument_group("sizes")
    add_size = sizes.add_argument
    for name, text in (
        ("members", "fanout: people in the room, senders among them"),
        ("senders", "fanout: how many of them send"),
        ("bytes", f"fanout: length of a message's text, {MIN_TEXT_BYTES} to {MAX_TEXT_BYTES}"),
        ("window", "fanout: messages of each sender that not all members have yet"),
        ("messages", "fanout: how many are sent, by all senders together"),
        ("handshakes", "handshakes: how many"),
        ("stored", "history: messages in the store"),
        ("file-bytes", "peers: size of the file"),
        ("rounds", "peers: how often each is measured, in turns"),
        ("chat-messages", "peers: messages to a room, alone and beside a file"),
        ("room-messages", "tui: messages in the room that is opened"),
        ("openings", "tui: how often it is opened"),
        ("keys", "tui: how many are pressed while somebody talks"),
    ):
        value = getattr(usual, name.replace("-", "_"))
        add_size(f"--{name}", type=int, metavar="N", help=f"{text} (default: {value:,})")
    add_size(
        "--connections",
        type=int,
        nargs="+",
        metavar="N",
        help="idle: how many, each with a new relay (default: 1,000 and 10,000)",
    )
    add_size("--quick", action="store_true", help="small sizes, where none are given: does it run?")
    add("--tls", choices=("1.2", "1.3"), default="1.3", help="the version (default: 1.3)")
    # One processor is the relay's.
    processes = min(MOST_PROCESSES, max(1, (os.cpu_count() or 1) - 1))
    add(
        "--processes",
        type=int,
        default=processes,
        metavar="N",
        help="processes that hold the clients (default: one less than there are processors, "
        f"at most {MOST_PROCESSES})",
    )
    add(
        "--timeout",
        type=float,
        default=600.0,
        metavar="S",
        help="seconds that one scenario may take (default: 600)",
    )
    add("--json", action="store_true", help="print one JSON object instead of a table")
    running = parser.add_argument_group("a server that runs already")
    running.add_argument(
        "--connect", "--url", metavar="HOST:PORT", help="measure this one; loopback only"
    )
    running.add_argument("--pid", type=int, help="its process")
    running.add_argument("--ca", type=Path, metavar="FILE", help="the CA of its certificate, PEM")
    return parser


def make_plan(parser: argparse.ArgumentParser, args: argparse.Namespace) -> Plan:
    """The plan for ``args``; ``parser.error`` if they contradict each other or ask too much."""
    base = asdict(QUICK if args.quick else Sizes())
    given = {name: getattr(args, name) for name in base if getattr(args, name) is not None}
    sizes = Sizes(**{**base, **given, "connections": tuple(given.get("connections", ()))})
    if not sizes.connections:
        sizes = Sizes(**{**base, **given})
    least = {"members": 2, "bytes": MIN_TEXT_BYTES}
    most = {
        "members": MAX_CONNECTIONS,
        "bytes": MAX_TEXT_BYTES,
        "handshakes": MAX_CONNECTIONS,
        "window": 10_000,
        "messages": 1_000_000,
        "stored": 100_000_000,
        "file_bytes": 1 << 40,
        "rounds": 1000,
        "chat_messages": 100_000,
        "room_messages": 1_000_000,
        "openings": 1000,
        "keys": KEYS_LIMIT,
    }
    for name, value in asdict(sizes).items():
        low, high = least.get(name, 1), most.get(name, MAX_CONNECTIONS)
        for number in value if isinstance(value, tuple) else (value,):
            if not low <= number <= high:
                option = name.replace("_", "-")
                parser.error(f"--{option} is from {low:,} to {high:,}, not {number:,}")
    if not 1 <= args.processes <= MOST_PROCESSES:
        parser.error(f"--processes is from 1 to {MOST_PROCESSES}")
    # The senders are all in one process, and each process holds a share of the members.
    if args.processes > sizes.members or sizes.senders > sizes.members // args.processes:
        parser.error("more --senders than --members that one of the --processes holds")
    if not 1 <= args.timeout <= 3600:
        parser.error("--timeout is from 1 to 3600 seconds")
    if args.tui and args.scenario not in ("all", "tui"):
        parser.error("--tui is a scenario of its own")
    scenario = "tui" if args.tui else args.scenario
    target = None
    if args.connect is not None:
        if args.pid is None or args.ca is None:
            parser.error("--connect needs --pid and --ca")
        target = loopback_target(parser, args.connect, args.ca, args.tls)
        if not Path(f"/proc/{args.pid}/stat").exists():
            parser.error(f"there is no process {args.pid}")
    elif args.pid is not None or args.ca is not None:
        parser.error("--pid and --ca belong to --connect")
    return Plan(
        scenarios=SCENARIOS if scenario == "all" else (scenario,),
        sizes=sizes,
        tls=args.tls,
        processes=args.processes,
        timeout_s=args.timeout,
        as_json=args.json,
        target=target,
        pid=args.pid,
    )


def loopback_target(parser: argparse.ArgumentParser, where: str, ca: Path, tls: str) -> Target:
    """The target ``where``, which must be this machine: it is put under load."""
    try:
        host, port = parse_address(where)
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (ValueError, OSError) as error:
        parser.error(f"--connect {where}: {error}")
    if not all(ipaddress.ip_address(address[0]).is_loopback for *_, address in found):
        parser.error(f"--connect {where}: not a loopback address; only this machine is measured")
    family, *_, address = found[0]
    return Target(family, (str(address[0]), port), host, ca, tls)


# ---- scenarios ----


@contextmanager
def relay(plan: Plan) -> Iterator[tuple[Target, int]]:
    """The relay to measure and its pid: a new one, unless one runs already."""
    if plan.target is not None and plan.pid is not None:
        yield plan.target, plan.pid
        return
    with tempfile.TemporaryDirectory(prefix="securechat-bench-") as name:
        folder = Path(name)
        with running_relay(folder, plan.tls) as (pid, port, ca):
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
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if count + WARM_UP + SPARE_DESCRIPTORS > most:
        reason = f"a process may have {most:,} open files here (ulimit -Hn)"
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


def history(plan: Plan) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="securechat-bench-") as name:
        return measure_history(Path(name), plan.sizes.stored)


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


def percentile_ms(values: Sequence[int], percent: int) -> float:
    """The percentile of sorted nanoseconds, in milliseconds."""
    return round(values[min(len(values) - 1, len(values) * percent // 100)] / 1e6, 3)


RUN: dict[str, Callable[[Plan], Any]] = {
    "fanout": fanout,
    "handshakes": handshakes,
    "idle": idle,
    "history": history,
    "peers": peers,
    "tui": tui,
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
