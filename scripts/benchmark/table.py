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
    if "storm" in results:
        yield from _storm(results["storm"])
    if "handshakes" in results:
        yield from _handshakes(results["handshakes"])
    if "idle" in results:
        yield from _idle(results["idle"])
    if "history" in results:
        yield from _history(results["history"])
    if "writes" in results:
        yield from _writes(results["writes"])
    if "mixed" in results:
        yield from _mixed(results["mixed"])
    if "peers" in results:
        yield from _peers(results["peers"])
    if "tui" in results:
        yield from _tui(results["tui"])
    if "relays" in results:
        yield from _relays(results["relays"])
    if "abuse" in results:
        yield from _abuse(results["abuse"])
    if "kills" in results:
        yield from _kills(results["kills"])
    if "endurance" in results:
        yield from _endurance(results["endurance"])


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


def _storm(it: dict[str, Any]) -> Iterator[str]:
    if "skipped" in it:
        yield f"\nstorm: skipped: {it['skipped']}"
        return
    yield (
        f"\nstorm: {it['storm']:,} connect at once and join {it['rooms']:,} rooms, while "
        f"{it['audience']:,} people talk and {it['idle']:,} are idle"
    )
    yield _row(
        "all are in, half of them after", f"{it['seconds']:.2f} s, {it['joined_p50_s']:.2f} s"
    )
    yield _row("the longest wait for a handshake", f"{it['handshake_max_s']:.2f} s")
    yield _row(
        "refused, reset, first packet sent again",
        f"{it['refused']:,}, {it['reset']:,}, {it['sent_again']:,}",
    )
    queue = f"{it['accept_queue_longest']:,} long, {it['accept_queue_overflows']:,} times full"
    yield _row("accept queue at most", queue)
    yield _row("relay processor time each", f"{it['relay_cpu_us_per_connection']:,.0f} µs")
    for name, times in it["latency"].items():
        figures = f"{times['p50_ms']:.2f} ms, {times['p99_ms']:.2f} ms, {times['max_ms']:.2f} ms"
        yield _row(f"latency p50, p99, max, {name}", figures)
    yield _row("of which sent late, p99", f"{it['latency']['storm']['sent_late_p99_ms']:.2f} ms")


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


def _writes(it: dict[str, Any]) -> Iterator[str]:
    yield (
        f"\nwrites: {it['writers']:,} people, each alone in a room, {it['messages']:,} messages of "
        f"{it['bytes']} bytes in each of {it['rounds']} rounds"
    )
    for name, figures in it["relays"].items():
        paced = figures["at_rate"]
        yield _row(f"acknowledged per second, {name}", f"{figures['messages_per_s']:,}")
        each, at_rate = (f"{of['relay_cpu_us_per_message']:.0f} µs" for of in (figures, paced))
        yield _row(".. relay processor time each", f"{each}; at the rate {at_rate}")
        times = f"{figures['p50_ms']:.2f} ms, {figures['p99_ms']:.2f} ms"
        yield _row(f".. after (p50, p99), window {it['window']}", times)
        times = f"{paced['p50_ms']:.2f} ms, {paced['p99_ms']:.2f} ms"
        yield _row(f".. at {it['messages_per_s']:,} messages/s", times)


def _mixed(it: dict[str, Any]) -> Iterator[str]:
    yield (
        f"\nmixed: {it['members']:,} members of a room, 1 sending, {it['bytes']} bytes, window "
        f"{it['window']}, {it['messages']:,} messages in each of {it['rounds']} rounds"
    )
    for name, figures in it["kinds"].items():
        share = f"{figures['deliveries_to_usual']:.0%}"
        yield _row(name, f"{figures['deliveries_per_s']:,} deliveries/s ({share})")
        times = f"{figures['p50_ms']:.2f} ms, {figures['p99_ms']:.2f} ms"
        yield _row(".. latency p50, p99", f"{times} ({figures['p99_to_usual']:.0%})")
        yield _row(".. relay processor time", f"{figures['relay_cpu_us_per_delivery']:.2f} µs")


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


def _relays(it: dict[str, Any]) -> Iterator[str]:
    if "skipped" in it:
        yield f"\nrelays: skipped: {it['skipped']}"
        return
    yield (
        f"\nrelays: chats of 1 to {it['relays']} relays, {it['people']:,} people in each, in "
        f"{it['rooms']:,} rooms of {it['members']}; medians of {it['rounds']} rounds"
    )
    yield _row("processors in use in a pause", _costs(it["idle_processors"], "{:.3f}"))
    for name, chat in it["chats"].items():
        full, changes = chat["full"], chat["changes"]
        share = f"{full['to_embedded']:.0%} of embedded"
        yield _row(f"{name}: deliveries per second", f"{full['deliveries_per_s']:,.0f} ({share})")
        for kind, per_s in (
            ("quiet", it["quiet_messages_per_s"]),
            ("paced", it["messages_per_s"]),
            ("full", full["messages_per_s"]),
        ):
            name = f".. p50, p99, {kind}, {per_s:,.0f} messages/s"
            yield _row(name, _within_and_across(chat[kind]))
        for kind in ("paced", "full"):
            costs = _costs(chat[kind]["cpu_us_per_message"], "{:,.0f} µs")
            yield _row(f".. processor time of a message, {kind}", costs)
            costs = _costs(chat[kind]["cpu_us_per_delivery"], "{:,.0f} µs")
            yield _row(f".. of a delivery, {kind}", costs)
        share = f"{changes['to_embedded']:.0%} of embedded"
        yield _row(".. changes of the state per second", f"{changes['per_s']:,.0f} ({share})")
        for kind, times in changes["latency"].items():
            figures = f"{times['p50_ms']:.1f} ms, {times['p99_ms']:.1f} ms"
            yield _row(f".. p50, p99 of {kind}", figures)
        yield _row(".. relays' processor time of a change", f"{changes['relays_cpu_us']:,.0f} µs")
    for grown in it["growth"]:
        for where, name in (("local", "each on one relay"), ("spread", "on several")):
            found = grown[where]
            yield _row(f"{grown['rooms']:,} rooms, {name}: p50, p99", _within_and_across(found))
            costs = _costs(found["cpu_us_per_message"], "{:,.0f} µs")
            yield _row(".. processor time of a message", costs)
    yield from _starts_and_loss(it["start"], it["loss"])


def _starts_and_loss(start: dict[str, Any], loss: dict[str, Any]) -> Iterator[str]:
    yield _row("a relay starts in, hardly any events", f"{start['empty_s']:.2f} s")
    yield _row(f".. with {start['events']:,} events", f"{start['log_s']:.2f} s")
    if "snapshot_s" in start:
        yield _row(".. with more, from a snapshot", f"{start['snapshot_s']:.2f} s")
    gone, back = loss["gone_s"], loss["elsewhere_s"]
    yield _row(
        f"killed, its {loss['people']:,} people are gone after",
        f"{gone['first']:.2f} to {gone['last']:.2f} s, with a lease of {loss['lease_s']} s",
    )
    yield _row(
        ".. and in a room on another relay after",
        f"{back['median']:.2f} s, the last {back['last']:.2f} s",
    )


def _within_and_across(it: dict[str, Any]) -> str:
    return "; ".join(
        f"{name} {it[name]['p50_ms']:.2f} ms, {it[name]['p99_ms']:.2f} ms"
        for name in ("within", "across")
        if name in it
    )


def _costs(costs: dict[str, float], form: str) -> str:
    return ", ".join(f"{who} {form.format(cost)}" for who, cost in costs.items())


def _abuse(it: dict[str, Any]) -> Iterator[str]:
    yield (
        f"\nabuse: {it['audience']:,} people say {it['messages_per_s']:,} messages/s, beside "
        f"attacks of {it['seconds']:g} s, with the usual limits; medians of {it['rounds']} rounds"
    )
    for name, attack in it["attacks"].items():
        yield _row(
            f"{name}: latency p50, p99, max",
            f"{attack['p50_ms']:.2f} ms, {attack['p99_ms']:.2f} ms, {attack['max_ms']:.2f} ms",
        )
        quiet = f"{attack['quiet_p50_ms']:.2f} ms, {attack['quiet_p99_ms']:.2f} ms"
        yield _row(".. in the quiet around it", f"{quiet}; p99 {attack['p99_to_quiet']:.1f} times")
        yield _row(
            ".. connections, lines answered",
            f"{attack['connections']:,}, {attack['lines_answered']:,}",
        )
        ended = (f"{why or 'no reason'} {count:,}" for why, count in attack["ended"].items())
        yield _row(".. of which the relay ended", ", ".join(ended) or "none")
        yield _row(
            ".. relay processors, memory more",
            f"{attack['relay_processors']:.2f}, {attack['relay_bytes_grown'] / 1024:,.0f} KiB",
        )
        if attack["descriptors_left"]:
            yield _row(".. descriptors left behind", f"{attack['descriptors_left']:,}")


def _kills(it: dict[str, Any]) -> Iterator[str]:
    yield (
        f"\nkills: {it['kills']:,} under load, {it['kills_at_start']:,} while it started; "
        f"{it['speakers']} speakers in {it['conversations']} conversations, seed {it['seed']}"
    )
    yield _row("messages said", f"{it['said']:,}")
    yield _row("of which acknowledged", f"{it['acknowledged']:,}")
    yield _row("in the history at the end", f"{it['kept']:,}")
    yield _row("acknowledged and lost", f"{it['lost']:,}")
    yield _row("twice in the history", f"{it['twice']:,}")
    yield _row("databases damaged", f"{it['damaged']:,} of {it['databases']:,}")


def _endurance(it: dict[str, Any]) -> Iterator[str]:
    yield f"\nendurance: {it['seconds']:,.0f} s at {it['per_s']:,} things/s, seed {it['seed']}"
    yield f"  {', '.join(f'{name} {count:,}' for name, count in it['done'].items())}"
    mib = [size / (1 << 20) for size in it["resident_bytes"]]
    yield _row("relay memory, warmed up and last", f"{mib[0]:.1f} MiB, {mib[1]:.1f} MiB")
    grown = it["memory_trend_bytes"] / 1024
    bound = it["memory_bound_bytes"] / 1024
    yield _row(
        f"its trend in {it['measured_seconds']:,.0f} s",
        f"{grown:+,.0f} KiB; flat: up to {bound:,.0f}",
    )
    for name in ("threads", "descriptors"):
        before, most, after = it[name]
        yield _row(f"{name} before, most, after", f"{before:,}, {most:,}, {after:,}")
    yield _row("relay processors in use", f"{it['relay_processors']:.2f}")


def _row(name: str, figure: str) -> str:
    return f"  {name:<40}{figure}"


def _in_use(it: dict[str, Any]) -> str:
    figure = f"relay {it['relay_processors']:.2f}, load {it['load_processors']:.2f}"
    return _row("processors in use", figure)
