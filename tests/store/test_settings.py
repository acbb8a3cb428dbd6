import pytest

from securechat.errors import StoreError
from securechat.store.connection import Connection
from securechat.store.settings import AccountSettings


@pytest.fixture
def settings(connection: Connection) -> AccountSettings:
    return AccountSettings(connection)


def test_a_setting_is_kept_for_its_account(settings):
    settings.set("alice", "always-on", "on")
    settings.set("alice", "color", "rot ✓")
    settings.set("bob{}", "always-on", "off")
    settings.set("alice", "always-on", "off")
    assert settings.get_all("alice") == {"always-on": "off", "color": "rot ✓"}
    assert settings.get_all("carol") == {}
    assert settings.load() == {
        "alice": {"always-on": "off", "color": "rot ✓"},
        "bob{}": {"always-on": "off"},
    }


def test_settings_are_deleted_singly_or_with_the_account(settings):
    for account in ("alice", "bob"):
        settings.set(account, "a", "1")
        settings.set(account, "b", "2")
    settings.delete("alice", "a")
    settings.delete("alice", "a")
    settings.delete_account("bob")
    assert settings.load() == {"alice": {"b": "2"}}


def test_an_error_of_the_database_is_a_store_error(connection, settings):
    connection.execute("DROP TABLE account_settings")
    with pytest.raises(StoreError, match="cannot save the setting color of alice"):
        settings.set("alice", "color", "red")
    with pytest.raises(StoreError, match="cannot load the settings"):
        settings.load()
