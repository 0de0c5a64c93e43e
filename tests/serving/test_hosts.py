"""Names under which a page of somebody else could ask this machine."""

import socket

import pytest

from .conftest import field, png

FOREIGN = ["attacker.example", "attacker.example:8000", "127.0.0.1.attacker.example", "localhost.example", "", "a b"]
OWN = ["127.0.0.1", "127.0.0.1:8000", "localhost", "LOCALHOST:99", "[::1]:8000", "192.168.1.7", "x.localhost"]


@pytest.mark.parametrize("host", FOREIGN)
def test_another_host_is_not_answered(serving, host):
    client = serving()
    for method, path in (("GET", "/info"), ("GET", "/"), ("GET", "/metrics"), ("GET", "/docs"), ("POST", "/predict")):
        reply = client.request(method, path, headers={"host": host})
        assert reply.status_code == 403
        assert "does not answer to the host" in reply.json()["error"]
    assert client.get("/ready", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", OWN)
def test_its_own_names_are_answered(serving, host):
    assert serving().get("/info", headers={"host": host}).status_code == 200


def test_two_hosts_are_one_too_many(serving):
    client = serving()
    for hosts in (b"evil.example\r\nhost: localhost", b"localhost\r\nhost: evil.example"):
        with socket.create_connection(client.address) as connection:
            connection.sendall(b"GET /info HTTP/1.1\r\nhost: %s\r\n\r\n" % hosts)
            assert connection.recv(65_536).startswith(b"HTTP/1.1 400")


def test_a_name_can_be_allowed(serving):
    client = serving(allowed_hosts=("images.example.org",))
    assert client.get("/info", headers={"host": "images.example.org"}).status_code == 200
    assert client.get("/info", headers={"host": "other.example.org"}).status_code == 403
    assert serving(allowed_hosts=("*",)).get("/info", headers={"host": "any.example"}).status_code == 200


def test_a_token_is_enough(serving, tmp_path):
    token = tmp_path / "token"
    token.write_text("0123456789abcdef-a-token")
    token.chmod(0o600)
    headers = {"host": "images.example.org", "authorization": "Bearer 0123456789abcdef-a-token"}
    assert serving(token_file=token).post("/predict", files=field(png(1)), headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/predict/", "/info/", "/docs/"])
def test_nothing_leads_to_an_address_that_the_host_names(serving, path):
    reply = serving().get(path, headers={"host": "localhost"})
    assert reply.status_code == 404
    assert "location" not in reply.headers
