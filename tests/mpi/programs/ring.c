/* A token goes round; each rank adds its number. */
#include <mpi.h>
#include <stdio.h>

int
main(int argc, char **argv)
{
    int rank, size;
    long token = 0;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (rank == 0) {
        MPI_Send(&token, 1, MPI_LONG, 1 % size, 0, MPI_COMM_WORLD);
    }
    MPI_Recv(&token, 1, MPI_LONG, (rank + size - 1) % size, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    token += rank;
    if (rank != 0) {
        MPI_Send(&token, 1, MPI_LONG, (rank + 1) % size, 0, MPI_COMM_WORLD);
    } else {
        printf("ring of %d ranks: %ld\n", size, token);
    }
    MPI_Finalize();
    return token == (long)size * (size - 1) / 2 || rank != 0 ? 0 : 1;
}
