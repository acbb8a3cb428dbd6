from __future__ import annotations

from securechat.net.threads import start_thread
from securechat.server.telemetry.counters import Counters, LoginResult, Mishap


def test_all_counts_are_there_from_the_start() -> None:
    counters = Counters()
    assert counters.mishaps() == dict.fromkeys(Mishap, 0)
    assert set(counters.logins().values()) == {0}


def test_counts_of_several_threads() -> None:
    counters = Counters()

    def count() -> None:
        for _ in range(500):
            counters.count(Mishap.EXCESS_FLOOD)
            counters.count_login("PLAIN", LoginResult.FAILED)

    threads = [start_thread(f"count-{n}", count) for n in range(4)]
    for thread in threads:
        thread.join()
    counters.count_login("PLAIN", LoginResult.OK)
    assert counters.mishaps()[Mishap.EXCESS_FLOOD] == 2_000
    assert counters.mishaps()[Mishap.COMMAND_CRASHED] == 0
    logins = {key: count for key, count in counters.logins().items() if count}
    assert logins == {("PLAIN", LoginResult.FAILED): 2_000, ("PLAIN", LoginResult.OK): 1}
