import pytest

from securechat.errors import StoreError
from securechat.store.certificates import AccountCertificate, AccountCertificates
from securechat.store.connection import Connection

ONE, TWO, THREE = "1" * 64, "2" * 64, "3" * 64


@pytest.fixture
def certificates(connection: Connection) -> AccountCertificates:
    return AccountCertificates(connection)


def test_the_certificates_of_an_account_in_the_order_of_their_addition(certificates):
    assert certificates.add("alice", TWO, "laptop", 5)
    assert certificates.add("alice", ONE, "", 6)
    assert certificates.add("bob", THREE, "phone", 4)
    assert certificates.list("alice") == (
        AccountCertificate(TWO, "laptop", 5),
        AccountCertificate(ONE, "", 6),
    )
    assert certificates.list("carol") == ()


def test_a_certificate_belongs_to_one_account(certificates):
    assert certificates.find(ONE) is None
    assert certificates.add("alice", ONE, "laptop", 5)
    assert not certificates.add("bob", ONE, "stolen", 6)
    assert not certificates.add("alice", ONE, "again", 7)
    assert certificates.find(ONE) == "alice"
    assert certificates.list("alice") == (AccountCertificate(ONE, "laptop", 5),)


def test_only_its_account_gives_a_certificate_up(certificates):
    certificates.add("alice", ONE, "laptop", 5)
    assert not certificates.remove("bob", ONE)
    assert not certificates.remove("alice", TWO)
    assert certificates.remove("alice", ONE)
    assert certificates.find(ONE) is None
    assert certificates.add("bob", ONE, "bought", 6)


def test_all_certificates_go_with_the_account(certificates):
    for account, fingerprint in (("alice", ONE), ("alice", TWO), ("bob", THREE)):
        certificates.add(account, fingerprint, "", 1)
    certificates.delete_account("alice")
    assert certificates.list("alice") == ()
    assert certificates.find(THREE) == "bob"


def test_an_error_of_the_database_is_a_store_error(connection, certificates):
    connection.execute("DROP TABLE account_certificates")
    with pytest.raises(StoreError, match="cannot add a certificate to alice"):
        certificates.add("alice", ONE, "", 1)
