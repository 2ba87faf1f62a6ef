/* main.c - hq-stepd: hosts one step on one node, or starts a command on another node of the task.
 *
 *   hq-stepd ranks PROGRAM [ARGS...]     run by hq-workerd as the process of an --mpi task
 *   hq-stepd [rexec] HOST COMMAND...     run by mpirun in place of ssh
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include <signal.h>

#include "hq-workerd/stepd/host.h"
#include "hq-workerd/stepd/rexec.h"

#define EXIT_USAGE 2

static int
usage(void)
{
    (void)fprintf(stderr, "Usage: hq-stepd ranks PROGRAM [ARGS...]\n"
                          "       hq-stepd rexec HOST COMMAND...\n"
                          "It is started by hq-workerd, and inside tasks by mpirun.\n");
    return EXIT_USAGE;
}

int
main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        (void)printf("hq-stepd %s\n", HQ_VERSION);
        return 0;
    }
    if (sodium_init() < 0) {
        (void)fprintf(stderr, "hq-stepd: libsodium cannot be used\n");
        return 1;
    }
    (void)signal(SIGPIPE, SIG_IGN); /* closed outputs are seen by write */
    if (argc >= 3 && strcmp(argv[1], "ranks") == 0) {
        return host_run(argv + 2);
    }
    if (argc >= 4 && strcmp(argv[1], "rexec") == 0) {
        return rexec_run(argv + 2);
    }
    if (argc >= 3 && strcmp(argv[1], "ranks") != 0) {
        return rexec_run(argv + 1); /* Hydra's HYDRA_LAUNCHER_EXEC is one word: there is no place for the verb */
    }
    return usage();
}
