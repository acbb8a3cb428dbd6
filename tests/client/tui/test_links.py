from __future__ import annotations

import pytest

from securechat.client.tui.links import address, find_links


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("see https://example.org/a?b=c#d now", ["https://example.org/a?b=c#d"]),
        ("HTTPS://Example.org", ["HTTPS://Example.org"]),
        ("http://localhost:8080/x", ["http://localhost:8080/x"]),
        ("ircs://irc.example.org:6697/#den", ["ircs://irc.example.org:6697/#den"]),
        ("http://[::1]:80/", ["http://[::1]:80/"]),
        ("two: http://a.org, http://b.org.", ["http://a.org", "http://b.org"]),
        ("(https://example.org/)", ["https://example.org/"]),
        ("(https://example.org/a)b", ["https://example.org/a"]),
        ("https://en.example.org/wiki/C_(language)", ["https://en.example.org/wiki/C_(language)"]),
        ("(at https://x.org/C_(language).)", ["https://x.org/C_(language)"]),
        ("[https://x.org/a]", ["https://x.org/a"]),
        ("is it https://x.org/a?!", ["https://x.org/a"]),
        ("is it https://x.org?", ["https://x.org"]),
        ('"https://x.org"', ["https://x.org"]),
        ("**https://x.org/**", ["https://x.org/"]),
        ("<https://x.org/>", ["https://x.org/"]),
        ("https://ru.example.org/wiki/Москва", ["https://ru.example.org/wiki/Москва"]),
    ],
)
def test_what_is_a_link(text: str, links: list[str]) -> None:
    assert [text[start:end] for start, end in find_links(text)] == links


@pytest.mark.parametrize(
    "text",
    [
        "example.org",
        "ftp://example.org/",
        "irc://example.org/",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "xhttps://example.org",
        "https://",
        "https:// example.org",
        "https://.org",
        "https://example.org@evil.example",  # leads to what is behind the @
        "https://user:secret@evil.example/",
        "https://exam-ple@evil.example",
        "https://example.org:80@evil.example/",
        "https://example.org\\@evil.example",
        "https://ex\N{CYRILLIC SMALL LETTER A}mple.org/",  # looks like another
        "https://xn.\N{CYRILLIC SMALL LETTER A}.org/",
        "https://example.org%2eevil.example/",
        "https://example.org:port/",
    ],
)
def test_what_is_none(text: str) -> None:
    assert find_links(text) == []


def test_a_long_text_is_no_work() -> None:
    text = "https://" + "a-" * 50_000
    assert find_links(text) == []


@pytest.mark.parametrize(
    ("link", "ascii_only"),
    [
        ("https://x.org/a%20b?c=d&e#(f)", "https://x.org/a%20b?c=d&e#(f)"),
        ("https://x.org/é", "https://x.org/%C3%A9"),
    ],
)
def test_programs_get_ascii(link: str, ascii_only: str) -> None:
    assert address(link) == ascii_only
