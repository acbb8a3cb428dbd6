"""The results of bench.py as lines for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

__all__ = ["table"]

COPIES: Final = {
    "bare": "bare ssl socket, not hashed",
    "hashed": "bare ssl socket, SHA-256 on both sides",
    "direct": "peers, direct",
    "relayed": "peers, through the relay",
}


def table(results: dict[str, Any]) -> Iterator[str]:
    """The results as lines for people."""
    yield (
        f"Python {results['python']}, {results['openssl']}, TLS {results['tls']}, "
        f"{results['cpus']} processors, load from {results['load_processes']} process(es), "
        "flood limits off"
    )
    if "fanout" in results:
        yield from _fanout(results["fanout"])
    if "rooms" in results:
        yield from _rooms(results["rooms"])
    if "slow" in results:
        yield from _slow(results["slow"])
    if "handshakes" in results:
        yield from _handshakes(results["handshakes"])
    if "idle" in results:
        yield from _idle(results["idle"])
    if "history" in results:
        yield from _history(results["history"])
    if "peers" in results:
        yield from _peers(results["peers"])
    if "tui" in results:
        yield from _tui(results["tui"])


def _fanout(it: dict[str, Any]) -> Iterator[str]:
    yield (
        f"\nfanout: {it['members']:,} members, {it['senders']:,} sending, {it['bytes']} bytes, "
        f"window {it['window']}, {it['messages']:,} messages"
    )
    yield _row("deliveries", f"{it['deliveries']:,} of {it['deliveries_expected']:,}")
    yield _row("deliveries per second", f"{it['deliveries_per_s']:,}")
    yield _row("relay processor time per delivery", f"{it['relay_cpu_us_per_delivery']:.3f} µs")
    yield _row("relay processor time per message", f"{it['relay_cpu_us_per_message']:,.1f} µs")
    yield _row("latency p50", f"{it['latency_p50_ms']:.2f} ms")
    yield _row("latency p99", f"{it['latency_p99_ms']:.2f} ms")
    yield _in_use(it)


def _rooms(it: dict[str, Any]) -> Iterator[str]:
    yield (
        f"\nrooms: {it['connections']:,} people in {it['rooms']:,} rooms, "
        f"{it['messages_per_s']:,} messages/s in all, {it['messages']:,} messages"
    )
    yield _row("deliveries", f"{it['deliveries']:,} of {it['deliveries_expected']:,}")
    yield _row("deliveries per second", f"{it['deliveries_per_s']:,}")
    yield _row("relay processor time per delivery", f"{it['relay_cpu_us_per_delivery']:.1f} µs")
    for name in ("p50", "p99", "max"):
        yield _row(f"latency {name}", f"{it[f'latency_{name}_ms']:.2f} ms")
    yield _row("of which sent late, p99", f"{it['sent_late_p99_ms']:.2f} ms")
    yield _in_use(it)


def _slow(it: dict[str, Any]) -> Iterator[str]:
    yield (
        f"\nslow: {it['members']:,} members of a room, {it['messages_per_s']:,} messages/s of "
        f"{it['bytes']} bytes, {it['messages']:,} in each of {it['rounds']} rounds; "
        f"{it['stalled']} stop reading"
    )
    yield _row("deliveries", f"{it['deliveries']:,} of {it['deliveries_expected']:,}")
    for name, times in it["latency"].items():
        figures = f"{times['p50_ms']:.2f} ms, {times['p99_ms']:.2f} ms"
        yield _row(f"latency p50, p99, {name}", figures)
    for name, grown in it["relay_bytes_grown"].items():
        yield _row(f"relay memory more, {name}", f"{grown / 1024:,.0f} KiB")
    yield _row("most that may wait for them", f"{it['relay_bytes_bound'] / 1024:,.0f} KiB")
    yield _row("disconnected", f"{it['disconnected']:,} of {it['stalled_in_all_rounds']:,}")


def _handshakes(it: dict[str, Any]) -> Iterator[str]:
    yield f"\nhandshakes: {it['handshakes']:,} full ones, to the welcome after NICK and USER"
    yield _row("handshakes per second", f"{it['handshakes_per_s']:,.0f}")
    yield _row("relay processor time each", f"{it['relay_cpu_us_per_handshake']:,.0f} µs")
    yield _in_use(it)


def _idle(each: list[dict[str, Any]]) -> Iterator[str]:
    yield "\nidle: registered connections in no room"
    for it in each:
        name = f"relay memory each, of {it['connections']:,}"
        if "skipped" in it:
            yield _row(name, f"skipped: {it['skipped']}")
        else:
            yield _row(name, f"{it['relay_bytes_per_connection'] / 1024:.1f} KiB")


def _history(it: dict[str, Any]) -> Iterator[str]:
    yield f"\nhistory: {it['messages']:,} messages in {it['rooms']} rooms"
    yield _row("messages written per second", f"{it['messages_per_s']:,}")
    yield _row("size of the file", f"{it['file_bytes'] / 1e6:,.0f} MB")
    for name, times in it["reading"].items():
        yield _row(name, f"{times['median_ms']:.2f} ms, worst {times['worst_ms']:.2f} ms")


def _peers(it: dict[str, Any]) -> Iterator[str]:
    yield (
        f"\npeers: a file of {it['file_bytes'] / (1 << 20):,.0f} MiB in {it['files_in']}, "
        f"{it['cipher']}, medians of {it['rounds']} rounds"
    )
    for key, name in COPIES.items():
        used = ", ".join(f"{who} {cpu_s:.2f}" for who, cpu_s in it[key]["cpu_s_per_gib"].items())
        yield _row(name, f"{it[key]['mb_per_s']:,.0f} MB/s; processor s/GiB: {used}")
    yield _row("direct against bare", f"{it['direct_to_bare']:.0%}")
    yield _row("direct against bare with SHA-256", f"{it['direct_to_hashed']:.0%}")
    yield _row("through the relay against direct", f"{it['relayed_to_direct']:.0%}")
    chat = it["chat"]
    yield (
        f"  {chat['messages_per_s']:,.0f} messages/s to a room of {chat['hearers'] + 1}, "
        f"{chat['messages']:,} in each round: p50, p99"
    )
    for name, times in chat["latency"].items():
        yield _row(f"latency {name}", f"{times['p50_ms']:.2f} ms, {times['p99_ms']:.2f} ms")


def _tui(it: dict[str, Any]) -> Iterator[str]:
    if "skipped" in it:
        yield f"\ntui: skipped: {it['skipped']}"
        return
    yield (
        f"\ntui: the full-screen client, {it['columns']}x{it['lines']}, a room with "
        f"{it['messages']:,} messages of {it['bytes']} bytes"
    )
    opening = it["opening"]
    yield _row(
        "opening, to the last message drawn",
        f"{opening['median_ms']:.0f} ms, first {opening['first_ms']:.0f} ms, "
        f"worst {opening['worst_ms']:.0f} ms",
    )
    for name, times in it["key_to_drawn"].items():
        yield _row(
            f"key to character drawn, {name}",
            f"{times['median_ms']:.1f} ms, p99 {times['p99_ms']:.1f} ms, "
            f"worst {times['worst_ms']:.1f} ms",
        )
    talking = f"{it['messages_per_s']:,.0f}/s, shown"
    yield _row(f"processor time each, {talking}", f"{it['client_cpu_us_per_message']:,.0f} µs")
    unseen = f"{it['filled_per_s']:,}/s, not shown"
    yield _row(
        f"processor time each, {unseen}", f"{it['client_cpu_us_per_message_unseen']:,.0f} µs"
    )
    yield _row("memory each", f"{it['client_bytes_per_message']:,} bytes")


def _row(name: str, figure: str) -> str:
    return f"  {name:<40}{figure}"


def _in_use(it: dict[str, Any]) -> str:
    figure = f"relay {it['relay_processors']:.2f}, load {it['load_processors']:.2f}"
    return _row("processors in use", figure)
