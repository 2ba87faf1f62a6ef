"""A sum over all ranks by mpi4py."""
from mpi4py import MPI

world = MPI.COMM_WORLD
total = world.allreduce(world.rank + 1)
assert total == world.size * (world.size + 1) // 2, total
names = world.gather(MPI.Get_processor_name())
if world.rank == 0:
    print("mpi4py", world.size, total, ",".join(sorted(set(names))))
