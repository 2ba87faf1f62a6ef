"""Programs of both MPI libraries, compiled once; hosts as network namespaces, where that is allowed."""
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import BIN, TOOLS  # noqa: E402
from hosts import Hosts, HostsWorld, refusal  # noqa: E402

LIBRARIES = ("openmpi", "mpich")
SOURCES = pathlib.Path(__file__).parent / "programs"


@pytest.fixture(scope="session", params=LIBRARIES)
def mpi(request, tmp_path_factory):
    """The programs of one library: mpi / "hello". Name: mpi.library."""
    compiler = shutil.which(f"mpicc.{request.param}")
    if compiler is None:
        pytest.skip(f"no mpicc.{request.param}: make deps installs it")
    return Programs(request.param, compiler, tmp_path_factory.mktemp(request.param))


class Programs:
    def __init__(self, library, compiler, directory):
        self.library, self.directory = library, directory
        self.mpirun = shutil.which(f"mpirun.{library}")
        for source in sorted(SOURCES.glob("*.c")):
            subprocess.run([compiler, "-D_GNU_SOURCE", "-O1", "-Wall", "-o", directory / source.stem, source], check=True)

    def __truediv__(self, name):
        return str(self.directory / name)


@pytest.fixture
def stepd():
    return str(BIN / "hq-stepd")


@pytest.fixture(scope="session")
def hosts():
    reason = refusal()
    if reason is not None:
        pytest.skip(reason)
    made = Hosts()
    yield made
    made.close()


@pytest.fixture(scope="session")
def shared_cluster(hosts):
    """A server on login and a worker of four cpus on each of n1 to n4."""
    made = HostsWorld(hosts).start()
    yield made
    made.close()


@pytest.fixture
def cluster4(shared_cluster):
    """The cluster with all its workers, and nothing to do."""
    shared_cluster.make_whole()
    yield shared_cluster
    shared_cluster.hq("job", "cancel", "all")


@pytest.fixture(scope="session")
def mpi4py(tmp_path_factory):
    """A Python with mpi4py; kept beside the benches' tools, because it comes from the network."""
    home = pathlib.Path(TOOLS).parent / "mpi4py"
    python = home / "bin" / "python"
    if not (home / "complete").exists():
        shutil.rmtree(home, ignore_errors=True)
        subprocess.run(["/usr/bin/python3", "-m", "venv", home], check=True)
        done = subprocess.run([python, "-m", "pip", "-q", "install", "--only-binary=:all:", "mpi4py"], stderr=subprocess.PIPE,
                              text=True, timeout=50)
        if done.returncode != 0:
            pytest.skip(f"mpi4py cannot be installed: {done.stderr.strip().splitlines()[-1]}")
        (home / "complete").touch()
    # Its wheel is made for the library's usual name, which Debian's MPICH has not.
    alias = tmp_path_factory.mktemp("alias")
    for library in pathlib.Path("/usr/lib").glob("*/libmpich.so.12"):
        os.symlink(library, alias / "libmpi.so.12")
    return python, {"openmpi": ["--env=MPI4PY_MPIABI=openmpi"],
                    "mpich": ["--env=MPI4PY_MPIABI=mpich", f"--env=LD_LIBRARY_PATH={alias}"]}
