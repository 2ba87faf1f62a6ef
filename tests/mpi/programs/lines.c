/* Each rank writes many lines in small pieces to both outputs; rank 0 repeats its stdin first. */
#include <mpi.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void
write_pieces(int fd, const char *text)
{
    while (*text != '\0') {
        size_t len = strlen(text) < 3 ? strlen(text) : 3;
        if (write(fd, text, len) < 0) {
            return;
        }
        text += len;
    }
}

int
main(int argc, char **argv)
{
    char line[128];
    int rank;
    ssize_t got;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    while ((got = read(STDIN_FILENO, line, sizeof line)) > 0) {
        fwrite(line, 1, (size_t)got, stdout);
    }
    fflush(stdout);
    MPI_Barrier(MPI_COMM_WORLD);
    for (int i = 0; i < 200; i++) {
        (void)snprintf(line, sizeof line, "rank %d line %d of many\n", rank, i);
        write_pieces(STDOUT_FILENO, line);
        (void)snprintf(line, sizeof line, "rank %d complains %d\n", rank, i);
        write_pieces(STDERR_FILENO, line);
    }
    write_pieces(STDOUT_FILENO, "open end");
    MPI_Finalize();
    return 0;
}
