import resource
import sys

import pytest
import torch

from convlens.training.speed.freed_memory import keeping_freed_memory


def faults_of_a_step():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [torch.zeros(1_000_000) for _ in range(40)]
    assert len(blocks) == 40
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(sys.platform != "linux", reason="the GNU C library's allocator")
def test_a_second_step_does_not_ask_the_system_for_its_memory_again():
    with keeping_freed_memory():
        first = faults_of_a_step()
        assert faults_of_a_step() < max(100, first / 10)
