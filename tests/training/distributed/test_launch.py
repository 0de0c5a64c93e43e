"""Which process of how many this is, from the variables that launchers set."""

import pytest

from convlens.errors import ConvlensError
from convlens.training.distributed.launch import Place, launched

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29400"}
SLURM = {
    "SLURM_JOB_ID": "70001",
    "SLURM_STEP_ID": "0",
    "SLURM_PROCID": "5",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_NODELIST": "gpu[003-004,9],login1",
}


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        (TORCHRUN, Place(rank=3, size=4, local_rank=1, address="10.0.0.1", port=29400)),
        (SLURM, Place(rank=5, size=8, local_rank=1, address="gpu003", port=30001)),
        (
            SLURM | {"MASTER_ADDR": "head", "MASTER_PORT": "5"},
            Place(rank=5, size=8, local_rank=1, address="head", port=5),
        ),
        (SLURM | TORCHRUN, Place(rank=3, size=4, local_rank=1, address="10.0.0.1", port=29400)),  # torchrun by srun
        (SLURM | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}, None),
        ({name: value for name, value in SLURM.items() if name != "SLURM_STEP_ID"}, None),  # sbatch itself, not a step
    ],
)
def test_the_place_that_a_launcher_gives(environment, place):
    assert launched(environment) == place


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        (SLURM | {"SLURM_PROCID": "first"}, "SLURM_PROCID is 'first', which a launcher"),
        (SLURM | {"SLURM_PROCID": "8"}, "SLURM_PROCID is 8 of 8 processes; use 0 to 7"),
        (
            {name: value for name, value in TORCHRUN.items() if name != "MASTER_ADDR"},
            "RANK is 3 and MASTER_ADDR is not",
        ),
    ],
)
def test_variables_that_are_not_whole_are_named(environment, said):
    with pytest.raises(ConvlensError, match=said):
        launched(environment)
