"""How the server stops, seen from its clients."""

import socket

import httpx

from .conftest import field, png, wait_until


def _request(client):
    built = client.build_request("POST", "/predict", files=field(png(1)))
    head = "".join(f"{name}: {value}\r\n" for name, value in built.headers.items())
    return f"POST /predict HTTP/1.1\r\n{head}\r\n".encode() + built.read()


def test_a_request_that_is_half_sent_is_still_answered(serving):
    client = serving()
    request = _request(client)
    connections = [socket.create_connection(client.address) for _ in range(10)]
    for connection in connections:
        connection.sendall(request[:-10])
    wait_until(lambda: "convlens_requests_in_flight 11.0" in client.get("/metrics").text)
    client.server.should_exit = True
    wait_until(lambda: client.server.service.draining)
    for connection in connections:
        connection.sendall(request[-10:])
    for connection in connections:
        with connection:
            answer = connection.recv(10_000)
            assert answer.startswith(b"HTTP/1.1 200")
            assert b"connection: close" in answer


def test_a_connection_that_was_silent_may_still_ask(serving):
    client = serving()
    with socket.create_connection(client.address) as connection:
        wait_until(lambda: len(client.server.server_state.connections) == 2)
        client.server.should_exit = True
        wait_until(lambda: client.server.service.draining)
        connection.sendall(_request(client))
        assert connection.recv(10_000).startswith(b"HTTP/1.1 200")


def test_it_says_that_it_is_being_stopped_before_it_stops_to_listen(serving):
    client = serving(drain_delay_s=1)
    client.server.should_exit = True
    wait_until(lambda: client.server.service.draining)
    assert client.get("/ready").status_code == 503
    assert client.get("/health").status_code == 200
    reply = httpx.post(client.base_url.join("/predict"), files=field(png(1)))
    assert (reply.status_code, reply.headers["connection"]) == (200, "close")
