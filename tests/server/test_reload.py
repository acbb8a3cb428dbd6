"""A new configuration and a new certificate for a relay that runs; its connections stay."""

from __future__ import annotations

import dataclasses
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from securechat.errors import ConfigError, TlsError
from securechat.server.config import Config
from securechat.server.config_file import load_config
from securechat.server.reload import FIXED, changed_settings, with_fixed
from tests.server.conftest import StartRelay
from tests.server.relay_harness import Certificates, RunningRelay, make_certificates, make_config


class Reloaded:
    """A relay whose configuration a test changes, with certificate files of its own."""

    def __init__(self, start: StartRelay, folder: Path, **changes: Any) -> None:
        self.certificates = make_certificates(folder)
        tls = {"certificate": folder / "server.pem", "key": folder / "server.pem"}
        self.relay: RunningRelay = start(
            tls=tls | changes.pop("tls", {}), load_config=lambda: self.wanted, **changes
        )
        self.relay.certificates = self.certificates
        self.wanted = self.relay.config

    def want(self, section: str, **values: Any) -> None:
        changed = dataclasses.replace(getattr(self.wanted, section), **values)
        self.wanted = dataclasses.replace(self.wanted, **{section: changed})

    def reload(self) -> list[str]:
        """Return what was said, when all clients have been told what concerns them."""
        lines = self.relay.relay.reload()
        for session in self.relay.relay.services.registry.snapshot():
            self.relay.run_on(session, lambda: None)
        return lines

    def issue(self) -> bytes:
        """Put a new certificate of the same CA in place; return it as DER."""
        issued = self.certificates.ca.issue_cert("localhost", "127.0.0.1")
        issued.private_key_and_cert_chain_pem.write_to_path(self.certificates.server_file)
        return ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())


@pytest.fixture
def reloaded(start_relay: StartRelay, tmp_path: Path) -> Callable[..., Reloaded]:
    folder = tmp_path / "certs"
    folder.mkdir()
    return lambda **changes: Reloaded(start_relay, folder, **changes)


def test_connections_stay_and_see_what_is_new(reloaded: Callable[..., Reloaded]) -> None:
    relay = reloaded()
    alice = relay.relay.join("alice")
    relay.want("server", motd="Be kind.")
    assert relay.reload()[0] == "taken: [server] motd"
    assert "372 alice :- Be kind." in alice.ask("MOTD")


def test_what_only_a_start_can_change_stays_and_is_named(reloaded: Callable[..., Reloaded]) -> None:
    relay = reloaded()
    alice = relay.relay.join("alice")
    relay.want("server", network="Elsewhere", motd="New")
    relay.want("history", enabled=False)
    lines = relay.reload()
    assert lines[:2] == [
        "taken: [server] motd",
        "not before a restart: [server] network, [history] enabled",
    ]
    assert not [line for line in alice.seen() if "NETWORK" in line]
    assert relay.relay.relay.services.config.history.enabled


def test_a_configuration_that_is_wrong_changes_nothing(start_relay: StartRelay) -> None:
    problem = "[server] motd = 1: must be a string"

    def load() -> Config:
        raise ConfigError([problem])

    relay = start_relay(load_config=load, server={"motd": "As before"})
    alice = relay.join("alice")
    with pytest.raises(ConfigError, match=r"\[server\] motd = 1"):
        relay.relay.reload()
    assert "372 alice :- As before" in alice.ask("MOTD")


def test_a_certificate_that_is_wrong_changes_nothing_else(
    reloaded: Callable[..., Reloaded], tmp_path: Path
) -> None:
    relay = reloaded()
    relay.want("server", motd="New")
    relay.want("tls", certificate=tmp_path / "none.pem")
    with pytest.raises(TlsError, match=r"none\.pem"):
        relay.reload()
    assert relay.relay.relay.services.config.server.motd == ""
    relay.relay.join("alice")


def test_a_reload_that_a_signal_asks_for_says_in_the_log_what_is_wrong(
    start_relay: StartRelay, caplog: pytest.LogCaptureFixture
) -> None:
    def load() -> Config:
        raise ConfigError(["[server] motd = 1: must be a string"])

    relay = start_relay(load_config=load)
    relay.may_log_errors = True
    relay.relay.begin_reload()
    relay.relay._caretaker.call(lambda: None)  # it does one after the other
    assert "reload: nothing has changed: [server] motd = 1: must be a string" in caplog.messages


def test_operators_and_passwords_are_those_of_the_new_configuration(
    reloaded: Callable[..., Reloaded],
) -> None:
    relay = reloaded(limits={"channels_per_user": 1})
    alice = relay.relay.join("alice")
    alice.ask("JOIN #a")
    assert [line for line in alice.ask("JOIN #b") if line.startswith("405 ")]
    relay.want("limits", channels_per_user=2)
    relay.reload()
    assert not [line for line in alice.ask("JOIN #b") if line.startswith("405 ")]


def test_clients_are_told_what_005_says_now(reloaded: Callable[..., Reloaded]) -> None:
    """
    "Tokens of the form `-PARAMETER` are used to negate a previously specified parameter."
    """
    relay = reloaded(limits={"denied_client_tags": "typing"})
    alice = relay.relay.join("alice")
    relay.want("limits", denied_client_tags="", topic_length=120)
    relay.reload()
    end = ":are supported by this server"
    assert alice.seen() == [f"005 alice TOPICLEN=120 -CLIENTTAGDENY {end}"]


def test_clients_with_cap_notify_are_told_what_is_offered_now(
    reloaded: Callable[..., Reloaded],
) -> None:
    """
    "If the server supports capability negotiation version 302 … CAP NEW … CAP DEL": those that
    have asked for it.
    """
    relay = reloaded()
    alice = relay.relay.join("alice", "cap-notify", "draft/account-registration")
    bob = relay.relay.join("bob", "draft/account-registration")
    relay.want("accounts", registration="closed")
    relay.reload()
    assert alice.seen() == ["CAP alice DEL draft/account-registration"]
    assert bob.seen() == []
    assert "CAP alice LIST cap-notify" in alice.ask("CAP LIST")
    relay.want("accounts", registration="open")
    relay.reload()
    assert alice.seen() == ["CAP alice NEW draft/account-registration"]


def test_a_new_connection_is_shown_the_new_certificate(reloaded: Callable[..., Reloaded]) -> None:
    relay = reloaded()
    alice = relay.relay.join("alice")
    old = alice.sock.getpeercert(binary_form=True)
    new = relay.issue()
    assert relay.reload()[-1].startswith("the certificate is valid for ")
    bob = relay.relay.join("bob")
    assert bob.sock.getpeercert(binary_form=True) == new != old
    assert alice.ask("PING x") == ["PONG relay.test x"]


def test_a_login_is_bound_to_the_certificate_that_the_client_was_shown(
    reloaded: Callable[..., Reloaded],
) -> None:
    relay = reloaded()
    relay.relay.account("alice").quit()
    early = relay.relay.connect()
    relay.issue()
    relay.reload()
    late = relay.relay.connect()
    assert early.binding != late.binding
    for client in (early, late):
        client.request("sasl")
        found = client.authenticate_scram("alice", binding=client.binding)
        assert found[-1].startswith("903 ")


def test_a_certificate_whose_files_have_changed_is_taken(
    reloaded: Callable[..., Reloaded], caplog: pytest.LogCaptureFixture
) -> None:
    relay = reloaded()
    watch = relay.relay.relay._upkeep.watch_certificate
    relay.relay.relay._caretaker.call(watch)
    assert not [text for text in caplog.messages if text.startswith("new certificate")]
    new = relay.issue()
    relay.relay.relay._caretaker.call(watch)
    assert len([text for text in caplog.messages if text.startswith("new certificate")]) == 1
    bob = relay.relay.join("bob")
    assert bob.sock.getpeercert(binary_form=True) == new


def test_a_certificate_that_has_changed_during_a_reload_is_taken_later(
    reloaded: Callable[..., Reloaded],
) -> None:
    """Between the reading of the files and the moment from which on they are served."""
    relay = reloaded()
    files, tls = relay.relay.relay._certificate, relay.relay.config.tls
    before = files.read(tls)
    new = relay.issue()
    files.serve(tls, before)
    relay.relay.relay._caretaker.call(relay.relay.relay._upkeep.watch_certificate)
    assert relay.relay.join("bob").sock.getpeercert(binary_form=True) == new


def test_a_certificate_that_is_being_replaced_is_taken_when_it_is_whole(
    reloaded: Callable[..., Reloaded], caplog: pytest.LogCaptureFixture
) -> None:
    """Two files cannot be replaced as one: meanwhile the key is that of another certificate."""
    relay = reloaded()
    relay.relay.may_log_errors = True
    watch = relay.relay.relay._upkeep.watch_certificate
    whole = relay.certificates.server_file.read_bytes()
    half = relay.certificates.server_file.with_name("half.pem")
    half.write_bytes(b"half of it")
    half.replace(relay.certificates.server_file)  # at once: the relay looks by itself as well
    for _ in range(2):
        relay.relay.relay._caretaker.call(watch)
    complaints = [text for text in caplog.messages if "cannot be used" in text]
    assert len(complaints) == 1, "told once for each state of the files"
    relay.relay.join("alice")  # by the one before
    relay.certificates.server_file.write_bytes(whole)
    os.utime(relay.certificates.server_file, ns=(1, 1))
    relay.relay.relay._caretaker.call(watch)
    assert caplog.messages[-1].startswith("new certificate")


def test_the_end_of_a_certificate_is_warned_of(
    relay_certificates: Certificates, start_relay: StartRelay, caplog: pytest.LogCaptureFixture
) -> None:
    """trustme's are valid until 2038."""
    relay = start_relay(wall_clock=lambda: 2_145_830_400.0 - 13.5 * 86_400)  # before 2037-12-31
    end = relay.relay.certificate.not_after
    relay.relay._caretaker.call(relay.relay._upkeep.warn_of_certificate)
    warnings = [text for text in caplog.messages if text.startswith("the certificate ends in")]
    assert bool(warnings) == (relay.relay._upkeep.days_left() < 14), end


# ---- without a relay ----


def test_what_has_changed_is_named_by_section_and_key(
    relay_certificates: Certificates, tmp_path: Path
) -> None:
    before = make_config(relay_certificates, tmp_path / "a.db")
    after = make_config(relay_certificates, tmp_path / "b.db", server={"motd": "x"})
    assert changed_settings(before, after) == [("server", "motd"), ("store", "path")]
    assert changed_settings(before, before) == []


def test_every_fixed_setting_is_one_and_stays(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text(
        """
        [server]
        name = "other.example"
        network = "Other"
        listen = ["127.0.0.1:1"]
        io_threads = 7
        [websocket]
        listen = ["127.0.0.1:2"]
        [store]
        url = "postgresql://localhost/other"
        password_file = "other"
        [history]
        enabled = false
        [peers]
        enabled = false
        [metrics]
        listen = ["127.0.0.1:3"]
        [cluster]
        nats = ["tls://nats.example.org:4222"]
        relay = "other"
        address = "other.example.org:6697"
        ca = "other"
        password_file = "other"
        credentials = "other"
        stream = "other"
        replicas = 1
        stream_mib = 99
        lease_s = 99
        """
    )
    wanted = load_config(file, {"store": {"path": "other.db"}})
    # In place of credentials.
    in_place = dataclasses.replace(wanted.cluster, user="other")
    wanted = dataclasses.replace(wanted, cluster=in_place)
    named = {*FIXED} - {("server", "casemapping")}  # it needs an extra
    assert {*changed_settings(Config(), wanted)} == named
    assert with_fixed(Config(), wanted) == Config()
