"""Words, as they are found in PostgreSQL; the search itself is tested on both engines."""

import pytest

from securechat.store.entries import Conversation, Entry
from securechat.store.postgres_search import account_lexeme, message_vector, words_of

MESSAGE = Entry(
    Conversation("room"), "m1", 5, "PRIVMSG", "a!a@h", "a'\\", "A", "", "one two ONE", ""
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("... _ -", []),
        ("The QUICK brown-fox_jumps", ["the", "quick", "brown", "fox", "jumps"]),
        ("Crème brûlée", ["creme", "brulee"]),
        ("Cre\u0300me", ["creme"]),
        ("Straße İstanbul ΣΊΣΥΦΟΣ", ["strasse", "istanbul", "σισυφοσ"]),
        ("日本語 42 ½", ["日本語", "42", "1", "2"]),
        ("it's 'quoted' \\ \"so\"\x01\r\nend", ["it", "s", "quoted", "so", "end"]),
        ("x" * 501, ["x" * 500]),
    ],
)
def test_the_words_of_a_text(text, words):
    assert words_of(text) == words


def test_what_a_message_is_found_by():
    assert message_vector(7, MESSAGE) == "'one':1,3 'two':2 'c:7' 'n:61275c' 'a:41'"
    assert account_lexeme("A") == "a:41"
    assert message_vector(7, MESSAGE._replace(account=None, text="")) == "'c:7' 'n:61275c'"
    assert message_vector(7, MESSAGE._replace(kind="JOIN")) is None
