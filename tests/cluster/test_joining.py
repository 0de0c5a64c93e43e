"""What is said when there is no cluster to join, and when its nodes are not alike."""

import socket
import socketserver
import sys
import threading
import time

import pytest

from convlens.cluster import joining
from convlens.cluster.joining import check_sees, joined
from convlens.cluster.paths import local_paths
from convlens.errors import ConvlensError


def refused(address, message):
    started = time.monotonic()
    with pytest.raises(ConvlensError, match=message), joined(address):
        pass
    assert time.monotonic() - started < 10


def test_a_head_node_that_does_not_answer_is_named_within_ten_seconds():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        refused(address, rf"no Ray head node answers at {address} \(.*refused\); check that ray start --head")
        taken.listen()  # takes connections and says nothing
        refused(address, "timed out")


def test_something_else_that_listens_is_no_head_node():
    class Web(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            self.request.recv(100)

    with socketserver.TCPServer(("127.0.0.1", 0), Web) as server:
        answering = threading.Thread(target=server.handle_request)
        answering.start()
        refused(f"127.0.0.1:{server.server_address[1]}", "something else than a head node listens there")
        answering.join()


@pytest.mark.parametrize("address", ["ray://head:10001", "photos/", "head"])
def test_an_address_of_another_form(address):
    refused(address, "give host:port of the head node")


def test_without_ray_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    refused("auto", r"^--ray needs Ray; run pip install 'convlens\[cluster\]'$")


def test_a_folder_of_the_same_name_with_nothing_in_it_is_not_the_data(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat").mkdir()
    named = local_paths({"data": str(tmp_path / "photos"), "runs": str(tmp_path)})
    assert joining._unseen(named) == []
    (tmp_path / "photos" / "cat").rmdir()
    assert joining._unseen(named) == [str(tmp_path / "photos")]


def test_nodes_that_are_not_alike_are_named(cluster, another_node, tmp_path, monkeypatch):
    with joined(cluster.address) as nodes:
        assert len(nodes) == 2
        there = tmp_path / "image.png"
        there.write_bytes(b"12345")
        check_sees(nodes, {str(there): 5, str(tmp_path): 0}, "the images")
        with pytest.raises(ConvlensError, match=rf"node .* does not see {there} as this machine does; put the images"):
            check_sees(nodes, {str(there): 6}, "the images")  # as if another file lay there
        facts = joining._facts_of
        monkeypatch.setattr(joining, "_facts_of", lambda packages: _Newer(facts(packages)))
        with pytest.raises(ConvlensError, match=r"node .* has torch .* and this machine has 9\.9; install the same"):
            joining._alike(nodes)


class _Newer:
    """Says of this machine that it has another version than its nodes."""

    def __init__(self, facts):
        self.facts, self.calls = facts, 0

    def __call__(self):
        return {**self.facts(), "torch": "9.9"}

    def __reduce__(self):
        import cloudpickle

        return cloudpickle.loads, (cloudpickle.dumps(self.facts),)


def test_a_node_that_was_just_lost_is_left_out(cluster):
    with joined(cluster.address) as nodes:
        gone = joining.Node("0123" * 14, "192.0.2.1")
        assert list(joining.on_each_node([gone, *nodes], int).values()) == [0] * len(nodes)
