"""Where a process of a training stands: which of how many, on which machine."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from foldformer.errors import SpecError

PORT = 29500
"""Where the processes of several machines meet, unless MASTER_PORT says so."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """One process of a training on several devices; each has one device."""

    rank: int
    """Of all processes, from 0."""
    size: int
    """Number of all processes."""
    local_rank: int
    """On its machine, and so its device."""
    nodes: int = 1
    """Number of machines; each has equally many processes."""
    node: int = 0
    """Which of them this is."""
    address: str = "127.0.0.1"
    """The machine where the processes meet."""
    port: int = PORT
    """On it."""
    hosted: bool = False
    """Whether another process than that of rank 0 lets them meet there."""
    attempt: str = "0"
    """Tells this start from an earlier one that met in the same place."""

    @property
    def devices(self) -> int:
        """Processes on each machine."""
        return self.size // self.nodes


def place_of(environ: Mapping[str, str] = os.environ) -> Place | None:
    """The place that torchrun or Slurm's srun gave this process; None if neither started it.

    Raises:
        SpecError: the machines of a Slurm job do not have equally many processes.
    """
    if "TORCHELASTIC_RUN_ID" in environ:
        return _of_torchrun(environ)
    # Inside of `sbatch` without `srun` there are no variables of a step.
    if int(environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1 and "SLURM_PROCID" in environ:
        return _of_slurm(environ)
    return None


def _of_torchrun(environ: Mapping[str, str]) -> Place:
    size, local_size = int(environ["WORLD_SIZE"]), int(environ["LOCAL_WORLD_SIZE"])
    return Place(
        rank=int(environ["RANK"]),
        size=size,
        local_rank=int(environ["LOCAL_RANK"]),
        nodes=size // local_size,
        node=int(environ["GROUP_RANK"]),
        address=environ["MASTER_ADDR"],
        port=int(environ["MASTER_PORT"]),
        hosted=environ.get("TORCHELASTIC_USE_AGENT_STORE") == str(True),
        attempt=environ.get("TORCHELASTIC_RESTART_COUNT", "0"),
    )


def _of_slurm(environ: Mapping[str, str]) -> Place:
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

    size, nodes = int(environ["SLURM_STEP_NUM_TASKS"]), int(environ["SLURM_STEP_NUM_NODES"])
    if size % nodes:
        raise SpecError(
            f"Slurm runs {size} tasks on {nodes} nodes; expected equally many on each: "
            "set --nodes and --ntasks-per-node"
        )
    job = int(environ.get("SLURM_JOB_ID", 0))
    nodelist = environ["SLURM_STEP_NODELIST"]
    return Place(
        rank=int(environ["SLURM_PROCID"]),
        size=size,
        local_rank=int(environ["SLURM_LOCALID"]),
        nodes=nodes,
        node=int(environ["SLURM_NODEID"]),
        address=environ.get("MASTER_ADDR")
        or str(SLURMEnvironment.resolve_root_node_address(nodelist)),
        # Two jobs of a machine should not meet each other.
        port=_port(environ, 15000 + job % 10000),
        attempt=environ.get("SLURM_RESTART_COUNT", "0"),
    )


def check_asked(place: Place, devices: int | None, nodes: int | None) -> None:
    """Refuse numbers that are not those of torchrun or Slurm, which need not be given again.

    Raises:
        SpecError: they are not.
    """
    for name, asked, given in (("devices", devices, place.devices), ("nodes", nodes, place.nodes)):
        if asked not in (None, given):
            raise SpecError(
                f"--{name}: {asked} asked for, but torchrun or srun has started the processes for "
                f"{given}; leave --{name} out"
            )


def node_of(nodes: int, environ: Mapping[str, str] = os.environ) -> tuple[int, str, int]:
    """Which of several machines this is, and the address and port of the first one.

    Raises:
        SpecError: the environment does not say it.
    """
    if nodes == 1:
        return 0, "127.0.0.1", 0  # any free port
    missing = [name for name in ("NODE_RANK", "MASTER_ADDR") if not environ.get(name)]
    if missing:
        raise SpecError(
            f"--nodes {nodes}: {' and '.join(missing)} not set in the environment; start the "
            "command on each machine with NODE_RANK=0, 1, ... and MASTER_ADDR=<the first machine>, "
            "or with torchrun or srun"
        )
    node = environ["NODE_RANK"]
    if node not in map(str, range(nodes)):
        raise SpecError(f"NODE_RANK: expected 0 to {nodes - 1} with --nodes {nodes}, got {node!r}")
    return int(node), environ["MASTER_ADDR"], _port(environ, PORT)


def _port(environ: Mapping[str, str], default: int) -> int:
    port = environ.get("MASTER_PORT", str(default))
    if not port.isdecimal():
        raise SpecError(f"MASTER_PORT: expected a number, got {port!r}")
    return int(port)
