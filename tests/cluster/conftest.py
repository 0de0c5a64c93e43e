"""One cluster for all tests of the room: a head node, and more nodes as a test adds them, all on this machine."""

import importlib.util
import os
import warnings
from pathlib import Path

import pytest

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

HERE = Path(__file__).parent
SMALL = {"num_cpus": 1, "object_store_memory": 150_000_000}


def pytest_collection_modifyitems(items):
    """Ray leaves files and sockets for the interpreter to close, and warns of its own future."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.filterwarnings("ignore"))
            if importlib.util.find_spec("ray") is None:
                item.add_marker(pytest.mark.skip(reason="Ray is not installed; pip install 'convlens[cluster]'"))


@pytest.fixture(scope="session")
def cluster():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ray.cluster_utils import Cluster

        quick = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 3}
        started = Cluster(
            initialize_head=True,
            head_node_args=SMALL | {"include_dashboard": False, "_system_config": quick},
        )
        yield started
        started.shutdown()


@pytest.fixture
def another_node(cluster):
    """A node that a test may kill."""
    node = cluster.add_node(**SMALL)
    yield node
    if node in cluster.list_all_nodes():
        cluster.remove_node(node, allow_graceful=False)
