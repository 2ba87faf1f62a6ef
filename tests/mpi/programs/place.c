/* Where each rank may run, and how many threads it is told to use. */
#include <mpi.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

int
main(int argc, char **argv)
{
    cpu_set_t set;
    int rank;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        printf("rank %d cpus", rank);
        for (int i = 0; i < CPU_SETSIZE; i++) {
            if (CPU_ISSET(i, &set)) {
                printf(" %d", i);
            }
        }
        printf(" threads %s\n", getenv("OMP_NUM_THREADS"));
    }
    MPI_Finalize();
    return 0;
}
