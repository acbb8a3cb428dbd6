"""Days as people write them, in the language in use."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from securechat.client.words.translation import _, gettext_noop

__all__ = ["day_words", "long_date"]

_WEEKDAYS: Final = (
    gettext_noop("Monday"),
    gettext_noop("Tuesday"),
    gettext_noop("Wednesday"),
    gettext_noop("Thursday"),
    gettext_noop("Friday"),
    gettext_noop("Saturday"),
    gettext_noop("Sunday"),
)

_MONTHS: Final = (
    gettext_noop("January"),
    gettext_noop("February"),
    gettext_noop("March"),
    gettext_noop("April"),
    gettext_noop("May"),
    gettext_noop("June"),
    gettext_noop("July"),
    gettext_noop("August"),
    gettext_noop("September"),
    gettext_noop("October"),
    gettext_noop("November"),
    gettext_noop("December"),
)
"""As they stand behind the number of a day: a catalogue has the genitive, where there is one."""


def long_date(day: date) -> str:
    """Return ``Friday 27 November 2026``."""
    return _(
        "{weekday} {day} {month} {year}",
        weekday=_(_WEEKDAYS[day.weekday()]),
        day=day.day,
        month=_(_MONTHS[day.month - 1]),
        year=day.year,
    )


def day_words(day: date, today: date) -> str:
    """Return the date, and whether that is today or yesterday."""
    if day == today:
        return _("today, {date}", date=long_date(day))
    if day == today - timedelta(days=1):
        return _("yesterday, {date}", date=long_date(day))
    return long_date(day)
