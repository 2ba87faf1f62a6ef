"""Programs of both MPI libraries, compiled once; hosts as network namespaces, where that is allowed."""
import pathlib
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import BIN  # noqa: E402

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
