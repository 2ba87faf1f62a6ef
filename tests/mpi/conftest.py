"""Programs of both MPI libraries, compiled once; hosts as network namespaces, where that is allowed."""
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


def wheel(name):
    """A virtual environment with one package; kept beside the benches' tools, because it comes from the network."""
    home = pathlib.Path(TOOLS).parent / f"wheel-{name}"
    if not (home / "complete").exists():
        shutil.rmtree(home, ignore_errors=True)
        subprocess.run(["/usr/bin/python3", "-m", "venv", home], check=True)
        done = subprocess.run([home / "bin" / "python", "-m", "pip", "-q", "install", "--only-binary=:all:", name],
                              stderr=subprocess.PIPE, text=True, timeout=200)
        if done.returncode != 0:
            pytest.skip(f"{name} cannot be installed: {done.stderr.strip().splitlines()[-1]}")
        (home / "complete").touch()
    return home


def alias(directory, file, name):
    """A directory in which a library has another name: programs for one MPICH run with its children."""
    directory.mkdir()
    (directory / name).symlink_to(file)
    return directory


@pytest.fixture(scope="session")
def mpi4py(tmp_path_factory):
    """A Python with mpi4py, and the options of a task that make it use a library."""
    # Its wheel is made for the library's usual name, which Debian's MPICH has not.
    mpich = next(pathlib.Path("/usr/lib").glob("*/libmpich.so.12"), "none")
    names = alias(tmp_path_factory.mktemp("mpi4py") / "lib", mpich, "libmpi.so.12")
    return wheel("mpi4py") / "bin" / "python", {"openmpi": ["--env=MPI4PY_MPIABI=openmpi"],
                                                "mpich": ["--env=MPI4PY_MPIABI=mpich", f"--env=LD_LIBRARY_PATH={names}"]}


OTHERS = {"Open MPI 5": ("openmpi", "openmpi"), "Intel MPI": ("impi-rt", "mpich")}


class Other:
    """A library that Debian has not. Programs of an older one of the same ABI run with it."""

    def __init__(self, name, directory):
        package, self.library = OTHERS[name]
        self.home = wheel(package)
        path = str(self.home / "lib")
        if self.library == "mpich":
            path = f"{alias(directory / 'lib', self.home / 'lib' / 'libmpi.so.12', 'libmpich.so.12')}:{path}"
        self.env = [f"--env=LD_LIBRARY_PATH={path}", f"--env=I_MPI_ROOT={self.home}"]
        self.programs = Programs(self.library, shutil.which(f"mpicc.{self.library}"), directory)
        self.mpirun = str(self.home / "bin" / "mpirun")


@pytest.fixture(scope="session", params=OTHERS)
def other(request, tmp_path_factory):
    return Other(request.param, tmp_path_factory.mktemp("other"))
