"""The command line of bench.py: what is to be measured, and how much of everything."""

from __future__ import annotations

import argparse
import ipaddress
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from benchmark.attacks import ATTACKS
from benchmark.crowd import Target
from benchmark.fanout import MIN_TEXT_BYTES
from benchmark.relays import GROWTH_MEMBERS, MEMBERS
from benchmark.slow import BURST
from benchmark.tui import KEYS_LIMIT
from securechat.net.listener import parse_address

__all__ = ["QUICK", "Plan", "Sizes", "build_parser", "make_plan"]

SCENARIOS: Final = (
    "fanout",
    "rooms",
    "slow",
    "storm",
    "handshakes",
    "idle",
    "history",
    "writes",
    "mixed",
    "peers",
    "tui",
)
LONG: Final = ("relays", "abuse", "kills", "endurance")
"""Not among all: the first needs other programs, the others take as long as they are told to."""

MAX_CONNECTIONS: Final = 20_000
MAX_MESSAGES: Final = 1_000_000
MIN_SENDQ_BYTES: Final = 65_536  # a relay takes no less
MAX_TEXT_BYTES: Final = 400  # a whole line is 512 bytes
MOST_PROCESSES: Final = 8
MOST_RELAYS: Final = 8


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything. Immutable."""

    members: int = 1000
    senders: int = 1
    bytes: int = 100
    window: int = 16
    messages: int = 3000
    rooms: int = 100
    rate: int = 1000
    seconds: int = 10
    audience: int = 200
    stalled: int = 20
    slow_messages: int = 5000
    sendq_bytes: int = 1_048_576
    storm: int = 5000
    idle: int = 0
    handshakes: int = 1000
    connections: tuple[int, ...] = (1000, 10_000)
    stored: int = 2_000_000
    writers: int = 100
    write_window: int = 2
    written: int = 5000
    write_rate: int = 1000
    file_bytes: int = 1 << 30
    rounds: int = 5
    chat_messages: int = 1000
    room_messages: int = 50_000
    openings: int = 10
    keys: int = 200
    kills: int = 100
    duration: int = 3600
    pace: int = 200
    growth_kib: int = 4096
    attack_ms: int = 1500
    relays: int = 3
    people: int = 300
    talk_rate: int = 200
    talk_ms: int = 1500
    talk_messages: int = 1500
    changes: int = 900
    events: int = 20_000
    lease: int = 10
    seed: int = 0


QUICK = Sizes(
    members=20,
    messages=200,
    rooms=5,
    rate=100,
    seconds=1,
    audience=20,
    stalled=3,
    slow_messages=500,
    sendq_bytes=65_536,
    storm=40,
    idle=5,
    handshakes=20,
    connections=(50,),
    stored=5000,
    writers=10,
    written=100,
    write_rate=500,
    file_bytes=4_000_000,
    rounds=2,
    chat_messages=50,
    room_messages=2000,
    openings=2,
    keys=20,
    kills=3,
    duration=3,
    pace=20,
    attack_ms=20,
    relays=2,
    people=12,
    talk_rate=100,
    talk_ms=200,
    talk_messages=40,
    changes=30,
    events=100,
    lease=3,
    seed=1,
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
    attacks: tuple[str, ...] = tuple(ATTACKS)


def build_parser() -> argparse.ArgumentParser:
    """The options of bench.py."""
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
        choices=("all", *SCENARIOS, *LONG),
        help=f"what to measure (default: all, but for {', '.join(LONG)})",
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
        ("messages", "fanout, mixed: how many are sent, by all senders together"),
        ("rooms", "rooms, relays: how many, over which the people are spread"),
        ("rate", "rooms: messages each second in all of them together"),
        ("seconds", "rooms: how long they talk; storm: how long the audience does before"),
        (
            "audience",
            "slow, mixed: people in the room; storm, abuse: people who are in already, and talk",
        ),
        ("stalled", "slow: how many of them stop reading"),
        ("slow-messages", f"slow: messages to each room, in whole bursts of {BURST}"),
        ("sendq-bytes", "slow: what the relay lets wait for one client"),
        ("storm", "storm: clients that connect at once"),
        ("idle", "storm: connections that are there as well, and say nothing"),
        ("handshakes", "handshakes: how many"),
        ("stored", "history: messages in the store; abuse: in one room, at most 20,000"),
        ("writers", "writes: people who write, each in a room of their own"),
        ("write-window", "writes: messages of each that are not acknowledged yet"),
        ("written", "writes: messages, as fast as can be and then at a rate"),
        ("write-rate", "writes: that rate, messages each second of all together"),
        ("file-bytes", "peers: size of the file"),
        ("rounds", "peers, slow, writes, mixed, relays, abuse: how often, in turns"),
        ("chat-messages", "peers: messages to a room, alone and beside a file"),
        ("room-messages", "tui: messages in the room that is opened"),
        ("openings", "tui: how often it is opened"),
        ("keys", "tui: how many are pressed while somebody talks"),
        ("kills", "kills: how often the relay is killed under load"),
        ("duration", "endurance: seconds under load"),
        ("pace", "endurance: things that people do each second"),
        ("growth-kib", "endurance: by how much memory may grow in the second half"),
        ("attack-ms", "abuse: milliseconds of each attack, and of the quiet after it"),
        ("relays", "how many; also the same as the scenario relays"),
        ("people", "relays: people in each chat"),
        ("talk-rate", "relays: messages each second in all rooms of a chat"),
        ("talk-ms", "relays: for how many milliseconds, each time"),
        ("talk-messages", "relays: messages as fast as can be, each time"),
        ("changes", "relays: changes of the state, JOIN, PART and NICK, each time"),
        ("events", "relays: in the log when one more relay starts; a snapshot is after 20,000"),
        ("lease", "relays: seconds of silence after which one is lost"),
        ("seed", "kills, endurance: of what is left to chance; 0 for another each time"),
    ):
        value = getattr(usual, name.replace("-", "_"))
        add_size(f"--{name}", type=int, metavar="N", help=f"{text} (default: {value:,})")
    add_size(
        "--connections",
        type=int,
        nargs="+",
        metavar="N",
        help="idle: how many, each with a new relay; rooms: the first of these is that of the "
        "people (default: 1,000 and 10,000)",
    )
    add_size(
        "--attacks",
        nargs="+",
        metavar="NAME",
        choices=ATTACKS,
        default=list(ATTACKS),
        help=f"abuse: which, of {', '.join(ATTACKS)} (default: all)",
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
    least = {
        "members": 2,
        "bytes": MIN_TEXT_BYTES,
        "audience": 3,
        "idle": 0,
        "slow_messages": BURST,
        "sendq_bytes": MIN_SENDQ_BYTES,
        "relays": 2,
        "people": MEMBERS,
        "lease": 3,
        "duration": 2,
        "seed": 0,
    }
    most = {
        "members": MAX_CONNECTIONS,
        "bytes": MAX_TEXT_BYTES,
        "handshakes": MAX_CONNECTIONS,
        "window": 10_000,
        "messages": MAX_MESSAGES,
        "rate": 100_000,
        "seconds": 3600,
        "slow_messages": MAX_MESSAGES,
        "sendq_bytes": 1 << 30,
        "stored": 100_000_000,
        "write_window": 1000,
        "written": MAX_MESSAGES,
        "write_rate": 100_000,
        "file_bytes": 1 << 40,
        "rounds": 1000,
        "chat_messages": 100_000,
        "room_messages": MAX_MESSAGES,
        "openings": 1000,
        "keys": KEYS_LIMIT,
        "duration": 604_800,
        "growth_kib": 1 << 20,
        "attack_ms": 60_000,
        "relays": MOST_RELAYS,
        "talk_rate": 100_000,
        "talk_ms": 60_000,
        "talk_messages": MAX_MESSAGES,
        "changes": MAX_MESSAGES,
        "events": 20_000,
        "lease": 600,
        "seed": (1 << 32) - 1,
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
    if sizes.rate * sizes.seconds > MAX_MESSAGES:
        parser.error(f"--rate and --seconds make more than {MAX_MESSAGES:,} messages")
    if sizes.stalled > sizes.audience - 2:
        parser.error("more --stalled than leave one of the --audience to speak and one to read")
    if sizes.audience + sizes.idle > MAX_CONNECTIONS:
        parser.error(f"--audience and --idle make more than {MAX_CONNECTIONS:,} connections")
    if sizes.slow_messages % BURST:
        parser.error(f"--slow-messages is a multiple of {BURST}")
    if not 1 <= args.timeout <= 3600:
        parser.error("--timeout is from 1 to 3600 seconds")
    if args.tui and args.scenario not in ("all", "tui"):
        parser.error("--tui is a scenario of its own")
    scenario = "tui" if args.tui else args.scenario
    if args.relays is not None:
        if scenario not in ("all", "relays"):
            parser.error("--relays is a scenario of its own")
        scenario = "relays"
    least_people = GROWTH_MEMBERS * sizes.relays * args.processes
    if scenario == "relays" and sizes.people < least_people:
        parser.error(
            f"fewer --people than {least_people}: {GROWTH_MEMBERS} of each relay in each process"
        )
    if scenario in ("all", "rooms") and sizes.connections[0] < 2 * sizes.rooms:
        parser.error("more --rooms than --connections for two people in each")
    target = None
    if args.connect is not None and scenario in LONG:
        parser.error(f"{scenario} needs a relay of its own, not --connect")
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
        attacks=tuple(args.attacks),
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
