"""Downloads from a local server that cuts connections, ignores ranges, fails and lies."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from convlens import files
from convlens.networks import card, download
from convlens.networks.download import DownloadError, fetch
from convlens.networks.places import DamagedWeightsError
from convlens.networks.published import PublishedWeights

CONTENT = bytes(range(256)) * 4000


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        wanted = self.headers.get("Range")
        server.ranges.append(wanted)
        behaviour = server.behaviours.pop(0) if server.behaviours else "whole"
        if behaviour in (404, 503):
            self.send_error(behaviour)
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and behaviour != "no ranges" else 0
        if start >= len(server.content) and start:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(server.content) - start))
        self.end_headers()
        content = server.content[start:]
        self.wfile.write(content[: len(content) // 2] if behaviour == "cut" else content)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "_PAUSES_S", (0.0, 0.0, 0.0))
    for variable in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content, server.behaviours, server.ranges = CONTENT, [], []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def weights_at(server, prefix=None):
    return PublishedWeights(
        network="lenet5",
        name="test",
        file_name="lenet5-test.pth",
        url=f"http://127.0.0.1:{server.server_port}/models/lenet5-test.pth",
        sha256_prefix=prefix or hashlib.sha256(CONTENT).hexdigest()[:8],
        package=None,
        file_mb=1.0,
        licence=None,
        top1=None,
        top5=None,
        preprocessing=card("lenet5").preprocessing,
    )


def cached():
    return sorted(p.name for p in (files.cache_folder() / "weights").iterdir() if not p.name.endswith(".lock"))


def test_a_file_is_downloaded_once(server):
    path = fetch(weights_at(server))
    assert path.read_bytes() == CONTENT
    assert fetch(weights_at(server)) == path == files.cache_folder() / "weights" / "lenet5-test.pth"
    assert server.ranges == [None]


def test_a_cut_connection_is_resumed_where_it_broke(server):
    server.behaviours = ["cut", "cut"]
    assert fetch(weights_at(server)).read_bytes() == CONTENT
    half = len(CONTENT) // 2
    assert server.ranges == [None, f"bytes={half}-", f"bytes={half + half // 2}-"]
    assert cached() == ["lenet5-test.pth"]


def test_a_later_call_goes_on_where_an_earlier_one_gave_up(server):
    server.behaviours = ["cut", 503, 503, 503]
    with pytest.raises(DownloadError, match="503"):
        fetch(weights_at(server))
    assert cached() == ["lenet5-test.pth.part"]
    assert fetch(weights_at(server)).read_bytes() == CONTENT
    assert server.ranges[-1] == f"bytes={len(CONTENT) // 2}-"


def test_a_server_without_ranges_sends_all_again(server):
    server.behaviours = ["cut", "no ranges"]
    assert fetch(weights_at(server)).read_bytes() == CONTENT


def test_a_whole_part_file_is_only_checked(server):
    part = files.cache_folder() / "weights" / "lenet5-test.pth.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT)
    assert fetch(weights_at(server)).read_bytes() == CONTENT


def test_a_broken_part_file_is_thrown_away(server):
    part = files.cache_folder() / "weights" / "lenet5-test.pth.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"rubbish")
    assert fetch(weights_at(server)).read_bytes() == CONTENT


def test_a_wrong_hash_is_refused_and_nothing_remains(server):
    with pytest.raises(DownloadError, match=r"SHA-256 begins with [0-9a-f]{8} where 00000000 was published"):
        fetch(weights_at(server, prefix="00000000"))
    assert cached() == []


def test_a_missing_file_is_not_asked_for_again(server):
    server.behaviours = [404]
    with pytest.raises(DownloadError, match=r"lenet5-test\.pth could not be downloaded \(.*404.*\); get it from http"):
        fetch(weights_at(server))
    assert len(server.ranges) == 1


def test_offline_the_message_says_which_file_to_put_where(server):
    server.shutdown()
    server.server_close()
    with pytest.raises(DownloadError) as caught:
        fetch(weights_at(server))
    assert f"lenet5-test.pth and put it into {files.cache_folder() / 'weights'}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_put_there_by_hand_is_used_if_it_is_what_was_published(server):
    target = files.cache_folder() / "weights" / "lenet5-test.pth"
    target.parent.mkdir(parents=True)
    target.write_bytes(CONTENT)
    assert fetch(weights_at(server)) == target
    target.write_bytes(CONTENT[:-1] + b"?")
    with pytest.raises(DamagedWeightsError, match=r"lenet5-test\.pth' is not what was published .* remove the file"):
        fetch(weights_at(server))
    assert server.ranges == []


def test_the_proxy_of_the_environment_is_asked(server, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("no_proxy", "")
    weights = weights_at(server)
    object.__setattr__(weights, "url", "http://weights.invalid/models/lenet5-test.pth")
    assert fetch(weights).read_bytes() == CONTENT


def test_eight_threads_at_once_download_once(server):
    results = []
    weights = weights_at(server)
    threads = [threading.Thread(target=lambda: results.append(fetch(weights).read_bytes())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [CONTENT] * 8
    assert server.ranges == [None]


def test_the_cache_folder_is_the_platforms_unless_the_environment_names_one(monkeypatch, tmp_path):
    monkeypatch.delenv("CONVLENS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert files.cache_folder() == tmp_path / "convlens"
    monkeypatch.setenv("CONVLENS_CACHE", str(tmp_path / "other"))
    assert files.cache_folder() == tmp_path / "other"
