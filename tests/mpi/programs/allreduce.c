/* A sum over all ranks, checked by each; argument: how often. */
#include <mpi.h>
#include <stdio.h>

static int
number(const char *text)
{
    int n = 0;

    for (; *text >= '0' && *text <= '9'; text++) {
        n = n * 10 + (*text - '0');
    }
    return n;
}

int
main(int argc, char **argv)
{
    int rank, size, rounds = argc > 1 ? number(argv[1]) : 1;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    for (int i = 0; i < rounds; i++) {
        long mine = rank + 1 + i, sum = 0, want = (long)size * (size + 1) / 2 + (long)size * i;
        MPI_Allreduce(&mine, &sum, 1, MPI_LONG, MPI_SUM, MPI_COMM_WORLD);
        if (sum != want) {
            fprintf(stderr, "rank %d: sum %ld, not %ld\n", rank, sum, want);
            MPI_Abort(MPI_COMM_WORLD, 3);
        }
    }
    if (rank == 0) {
        printf("allreduce of %d ranks: %ld\n", size, (long)size * (size + 1) / 2);
    }
    MPI_Finalize();
    return 0;
}
