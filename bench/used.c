/* used.c - runs one program and writes what it needed: used FILE PROGRAM ARGS...
 *
 * FILE gets "SECONDS CPU_SECONDS PEAK_KB\n". The kernel counts a process's peak from before its exec on: started from an
 * interpreter, a small program would look as large as that. Ends with the program's status. */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static double
now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double
seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

int
main(int argc, char **argv)
{
    struct rusage usage;
    int status;
    pid_t pid;

    if (argc < 3) {
        fputs("usage: used FILE PROGRAM ARGS...\n", stderr);
        return 2;
    }
    double begin = now();
    int rc = posix_spawn(&pid, argv[2], NULL, NULL, &argv[2], environ);
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", argv[2], strerror(rc));
        return 127;
    }
    if (wait4(pid, &status, 0, &usage) < 0) {
        perror("wait4");
        return 127;
    }
    double end = now();
    FILE *file = fopen(argv[1], "we");
    if (file == NULL) {
        perror(argv[1]);
        return 127;
    }
    fprintf(file, "%.6f %.6f %ld\n", end - begin, seconds(usage.ru_utime) + seconds(usage.ru_stime), usage.ru_maxrss);
    if (fclose(file) != 0) {
        perror(argv[1]);
        return 127;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
