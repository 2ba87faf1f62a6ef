/* Asks for what hq refuses: more processes. The error comes back to the program. */
#include <mpi.h>
#include <stdio.h>

int
main(int argc, char **argv)
{
    MPI_Comm children = MPI_COMM_NULL;
    int rank;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    int rc = MPI_Comm_spawn(argv[0], MPI_ARGV_NULL, 2, MPI_INFO_NULL, 0, MPI_COMM_WORLD, &children, MPI_ERRCODES_IGNORE);
    printf("rank %d: spawn %s\n", rank, rc == MPI_SUCCESS ? "worked" : "refused");
    MPI_Finalize();
    return rc == MPI_SUCCESS;
}
