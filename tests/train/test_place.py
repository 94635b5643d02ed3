import pytest

from foldformer.errors import SpecError
from foldformer.train.place import Place, check_asked, node_of, place_of

TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "none",
    "TORCHELASTIC_USE_AGENT_STORE": "True",
    "TORCHELASTIC_RESTART_COUNT": "1",
    "RANK": "5",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "4",
    "GROUP_RANK": "1",
    "MASTER_ADDR": "host-0",
    "MASTER_PORT": "29400",
}
SLURM = {
    "SLURM_JOB_ID": "1234567",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_NODELIST": "gpu[07-08]",
}


def test_torchrun_gives_a_place() -> None:
    assert place_of(TORCHRUN) == Place(
        rank=5,
        size=8,
        local_rank=1,
        nodes=2,
        node=1,
        address="host-0",
        port=29400,
        hosted=True,
        attempt="1",
    )


def test_slurm_gives_a_place() -> None:
    place = place_of(SLURM)
    assert place == Place(
        rank=5, size=8, local_rank=1, nodes=2, node=1, address="gpu07", port=19567
    )
    assert place is not None
    assert place.devices == 4
    elsewhere = place_of({**SLURM, "MASTER_ADDR": "login", "MASTER_PORT": "7"})
    assert elsewhere is not None
    assert (elsewhere.address, elsewhere.port) == ("login", 7)
    with pytest.raises(SpecError, match="Slurm runs 7 tasks on 2 nodes; expected equally many"):
        place_of({**SLURM, "SLURM_STEP_NUM_TASKS": "7"})


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"SLURM_NTASKS": "8", "SLURM_PROCID": "0"},  # the script of sbatch, without srun
        {**SLURM, "SLURM_STEP_NUM_TASKS": "1"},  # a shell on a node
    ],
)
def test_otherwise_there_is_none(environ: dict[str, str]) -> None:
    assert place_of(environ) is None


def test_numbers_given_twice_must_be_the_same() -> None:
    place = place_of(TORCHRUN)
    assert place is not None
    check_asked(place, None, None)
    check_asked(place, 4, 2)
    with pytest.raises(SpecError, match=r"--devices: 8 asked for, .* for 4; leave --devices out"):
        check_asked(place, 8, None)
    with pytest.raises(SpecError, match=r"--nodes: 1 asked for, .* for 2"):
        check_asked(place, None, 1)


def test_the_environment_tells_machines_apart() -> None:
    assert node_of(1, {}) == (0, "127.0.0.1", 0)
    assert node_of(2, {"NODE_RANK": "1", "MASTER_ADDR": "a"}) == (1, "a", 29500)
    environ = {"NODE_RANK": "0", "MASTER_ADDR": "a", "MASTER_PORT": "1234"}
    assert node_of(3, environ) == (0, "a", 1234)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "--nodes 2: NODE_RANK and MASTER_ADDR not set in the environment; start the command"),
        ({"NODE_RANK": "0"}, "--nodes 2: MASTER_ADDR not set"),
        ({"NODE_RANK": "2", "MASTER_ADDR": "a"}, "NODE_RANK: expected 0 to 1 .*, got '2'"),
        ({"NODE_RANK": "x", "MASTER_ADDR": "a"}, "NODE_RANK: expected 0 to 1 .*, got 'x'"),
        (
            {"NODE_RANK": "1", "MASTER_ADDR": "a", "MASTER_PORT": "b"},
            "MASTER_PORT: expected a number, got 'b'",
        ),
    ],
)
def test_a_wrong_environment_is_an_error(environ: dict[str, str], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        node_of(2, environ)
