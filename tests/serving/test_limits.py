"""What the server turns down, and that nobody delays anybody else."""

import socket
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from .conftest import GRAY, field, png, wait_until

TOKEN = "0123456789abcdef-a-token"


def _blank_png(side):
    """A PNG of some kilobytes that declares, and holds, side × side pixels."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = zlib.compress(bytes(side + 1) * side, 9)
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("declared", [True, False])
def test_a_large_body_is_refused(serving, declared):
    client = serving(max_body_mb=0.1)
    body = bytes(200_000)
    content = body if declared else iter([body[:50_000], body[50_000:]])
    reply = client.post("/predict", content=content, headers={"content-type": "multipart/form-data; boundary=x"})
    assert reply.status_code == 413
    assert "larger than 0.1 MB" in reply.json()["error"]
    assert client.post("/predict", files=field(png(1))).status_code == 200


def test_too_many_images_are_refused(serving):
    reply = serving(max_files=2).post("/predict", files=field(png(1), png(2), png(3)))
    assert reply.status_code == 413
    assert "more than 2 images" in reply.json()["error"]


MALFORMED = [
    (400, {"content": b"x", "headers": {"content-type": "image/png"}}),
    (415, {"content": b"x", "headers": {"content-type": "text/plain"}}),
    (415, {"content": b"x"}),
    (415, {"data": {"file": "x"}}),
    (400, {"files": [("picture", ("a.png", b"x"))]}),
    (400, {"content": b"x", "headers": {"content-type": "multipart/form-data"}}),
    (400, {"content": b"--x\r\nno header", "headers": {"content-type": "multipart/form-data; boundary=x"}}),
    (400, {"content": b"", "headers": {"content-type": "multipart/form-data; boundary=x"}}),
    (400, {"content": b"", "headers": {"content-type": "multipart/form-data; boundary=" + "x" * 5000}}),
    (400, {"content": b"{", "headers": {"content-type": "application/json"}}),
    (400, {"content": b"\xff\xfe{", "headers": {"content-type": "application/json"}}),
    (400, {"content": b"[" * 100_000, "headers": {"content-type": "application/json"}}),
    (400, {"json": []}),
    (400, {"json": {"files": []}}),
    (400, {"json": {"files": [{}]}}),
    (400, {"json": {"files": [{"content": "*"}]}}),
    (400, {"json": {"files": [{"content": "é"}]}}),
    (400, {"json": {"files": [{"content": "", "file": 3}]}}),
    (400, {"files": field(b"")}),
    (400, {"files": field(png(1)), "params": {"top": 0}}),
    (400, {"files": field(png(1)), "params": {"top": "many"}}),
    (400, {"files": field(png(1)), "params": {"top": "9" * 5000}}),
]


def test_a_malformed_request_is_answered_with_what_to_do(serving):
    client = serving()
    for status, request in MALFORMED:
        reply = client.post("/predict", **request)
        body = reply.json()
        text = body.get("error") or body["predictions"][0]["error"]
        assert (reply.status_code, bool(text), "\n" in text) == (status, True, False), (request, text)


def test_addresses_and_methods_that_are_not_there(serving):
    client = serving()
    assert client.get("/predicted").status_code == 404
    assert client.get("/predict").status_code == 405
    assert client.get("/predict").headers["allow"] == "POST"


def test_a_full_queue_says_when_to_come_back(serving, gated):
    client = serving(gated, queue=2, max_files=2, batch=1)
    gated.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(client.post, "/predict", files=field(png(seed))) for seed in range(2)]
        wait_until(lambda: client.server.service.pipeline.held == 2)
        full = client.post("/predict", files=field(png(5)))
        gated.gate.set()
        assert [reply.result().status_code for reply in waiting] == [200, 200]
    assert full.status_code == 429
    assert int(full.headers["retry-after"]) >= 1
    assert client.post("/predict", files=field(png(5))).status_code == 200


def test_the_bytes_of_all_requests_together_are_bounded(serving):
    client = serving()
    client.server.service.bodies.max_together = 100
    assert client.post("/predict", files=field(png(1))).status_code == 429
    client.server.service.bodies.max_together = 1000
    assert [client.post("/predict", files=field(png(1))).status_code for _ in range(5)] == [200] * 5
    assert client.server.service.bodies.in_memory == 0


def test_an_answer_that_takes_too_long_is_given_up_and_its_place_freed(serving, gated):
    client = serving(gated, timeout_s=0.2, batch=1)
    gated.gate.clear()
    assert client.post("/predict", files=field(png(1))).status_code == 504
    gated.gate.set()
    wait_until(lambda: client.server.service.pipeline.held == 0)
    client.server.service.pipeline.limits = client.server.service.pipeline.limits.__class__(
        **{**vars(client.server.service.pipeline.limits), "timeout_s": 30}
    )
    assert client.post("/predict", files=field(png(1))).status_code == 200


def test_a_bomb_is_refused_before_it_is_decoded(serving):
    bomb = _blank_png(6000)
    assert len(bomb) < 50_000
    reply = serving(max_megapixels=10).post("/predict", files=field(bomb, png(1)))
    refused, answered = reply.json()["predictions"]
    assert "declares 6000 × 6000 pixels, more than 10,000,000" in refused["error"]
    assert "classes" in answered


def test_large_images_do_not_delay_small_ones(serving, gated, monkeypatch):
    large, small = _blank_png(2100), png(1)
    original = type(GRAY).open

    def open_(self, source, *, max_pixels):
        assert len(source) == len(small) or max_pixels < 2100**2 or gated.gate.wait(30)
        return original(self, source, max_pixels=max_pixels)

    monkeypatch.setattr(type(GRAY), "open", open_)
    client = serving()
    gated.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(client.post, "/predict", files=field(large)) for _ in range(8)]
        wait_until(lambda: client.server.service.pipeline.held == 8)
        assert client.post("/predict", files=field(small)).status_code == 200
        assert not any(reply.done() for reply in waiting)
        gated.gate.set()
        assert [reply.result().status_code for reply in waiting] == [200] * 8


def test_slow_clients_do_not_delay_others(serving):
    client = serving()
    built = client.build_request("POST", "/predict", files=field(png(1)))
    head = "".join(f"{name}: {value}\r\n" for name, value in built.headers.items())
    request = f"POST /predict HTTP/1.1\r\n{head}\r\n".encode() + built.read()
    slow = [socket.create_connection(client.address) for _ in range(20)]
    for connection in slow:
        connection.sendall(request[:-5])
    assert client.post("/predict", files=field(png(2))).status_code == 200
    for connection in slow:
        connection.sendall(request[-5:])
    for connection in slow:
        with connection:
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")


def _raw(content_type, length, body):
    head = (
        f"POST /predict HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n"
    )
    return head.encode() + body


def test_a_body_that_does_not_arrive_is_given_up(serving):
    client = serving(upload_timeout_s=0.2)
    with socket.create_connection(client.address) as connection:
        connection.sendall(_raw("multipart/form-data; boundary=x", 99, b"--x"))
        answer = b""
        while piece := connection.recv(10_000):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 408")


def test_a_client_that_goes_away_leaves_nothing_behind(serving):
    client = serving()
    for _ in range(5):
        with socket.create_connection(client.address) as connection:
            connection.sendall(_raw("application/json", 99, b"{"))
            time.sleep(0.02)
    wait_until(lambda: "convlens_requests_in_flight 1.0" in client.get("/metrics").text)
    assert client.server.service.bodies.in_memory == 0
    assert 'code="5' not in client.get("/metrics").text.replace('code="503",path="/ready"', "")


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    path.chmod(0o600)
    return path


def test_the_token_guards_what_costs_or_tells(serving, token_file):
    client = serving(token_file=token_file)
    for method, path in (("POST", "/predict"), ("POST", "/explain"), ("GET", "/info"), ("GET", "/metrics")):
        for wrong in (None, f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN, "Bearer"):
            reply = client.request(method, path, headers={"authorization": wrong} if wrong else {})
            assert (reply.status_code, reply.headers["www-authenticate"]) == (401, "Bearer")
    right = {"authorization": f"Bearer {TOKEN}"}
    assert client.post("/predict", files=field(png(1)), headers=right).status_code == 200
    assert client.get("/info", headers=right).status_code == 200
    for path in ("/health", "/ready", "/", "/docs", "/openapi.json"):
        assert client.get(path).status_code == 200
