from __future__ import annotations

from datetime import date, timedelta

import pytest

from securechat.client.tui.dates import day_words, long_date

TODAY = date(2026, 11, 27)


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (0, "today, Friday 27 November 2026"),
        (-1, "yesterday, Thursday 26 November 2026"),
        (-2, "Wednesday 25 November 2026"),
        (1, "Saturday 28 November 2026"),  # the clock of a server is ahead
    ],
)
def test_days_around_this_one(days: int, words: str) -> None:
    assert day_words(TODAY + timedelta(days=days), TODAY) == words


def test_all_days_and_months_have_names() -> None:
    shown = [long_date(date(2026, month, 1)) for month in range(1, 13)]
    assert shown[0] == "Thursday 1 January 2026"
    assert shown[-1] == "Tuesday 1 December 2026"
    assert len({words.split()[2] for words in shown}) == 12
    week = {long_date(TODAY + timedelta(days=day)).split()[0] for day in range(7)}
    assert len(week) == 7
