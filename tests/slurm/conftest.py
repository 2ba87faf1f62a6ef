"""Automatic allocation on a real Slurm: private, of four nodes, made once for all tests of this directory."""
import sys
import pathlib

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import World, wait_until  # noqa: E402
from slurm import Slurm  # noqa: E402

KNOBS = {"HQ_AUTOALLOC_REFRESH_INTERVAL_MS": "500", "HQ_AUTOALLOC_LOOKUP_GAP_MS": "1500"}


@pytest.fixture(scope="session")
def slurm_cluster():
    made = Slurm().start()
    yield made
    made.stop()


@pytest.fixture
def slurm(slurm_cluster):
    """The cluster, empty."""
    yield slurm_cluster
    slurm_cluster.continue_controller()
    slurm_cluster.run("scancel", "--user=root", "--signal=KILL", "--full")
    slurm_cluster.run("scancel", "--user=root")
    wait_until(lambda: not slurm_cluster.jobs("live"), "an empty Slurm", 40)


class AllocWorld(World):
    """A world whose server finds a batch system."""

    def queues(self):
        return {queue["id"]: queue for queue in self.json("alloc", "list")}

    def allocs(self, queue=1):
        return {alloc["id"]: alloc for alloc in self.json("alloc", "info", queue)}

    def status(self, *queue):
        return self.json("alloc", "status", *queue)

    def comms(self, *names):
        """Pids of this world's processes with one of these names."""
        found = []
        for pid in self.leftovers():
            try:
                if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() in names:
                    found.append(pid)
            except FileNotFoundError:
                continue
        return found

    def allocd_pid(self):
        return self.status()["daemon"]["pid"]


@pytest.fixture
def alloc_world(slurm):
    made = AllocWorld()
    made.env.update(slurm.env)
    made.env.update(KNOBS)
    made.server = made.start_server("--host=127.0.0.1")
    yield made
    made.close()
