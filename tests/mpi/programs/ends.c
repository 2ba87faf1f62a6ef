/* One rank does what it should not; the others wait for it in a barrier. Usage: ends WHAT [RANK] */
#include <mpi.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool
is(const char *what, const char *name)
{
    return strcmp(what, name) == 0;
}

/* Its time is when it went wrong. */
static void
mark(void)
{
    FILE *f = fopen("went-wrong", "we");

    if (f != NULL) {
        fclose(f);
    }
}

static void
say_goodbye(int number)
{
    static const char text[] = "goodbye\n";

    (void)number;
    _exit(write(STDOUT_FILENO, text, sizeof text - 1) < 0);
}

static void
wait_for_ever(void)
{
    printf("waiting\n");
    fflush(stdout);
    for (;;) {
        pause();
    }
}

/* To the port of the PMIx server, from somebody who is no rank; then all goes on as it should. */
static void
shout_at_server(void)
{
    const char *uri = getenv("PMIX_SERVER_URI41"), *port = uri == NULL ? NULL : strrchr(uri, ':');
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char garbage[4096];
    unsigned number = 0;

    for (port = port == NULL ? "" : port + 1; *port >= '0' && *port <= '9'; port++) {
        number = number * 10 + (unsigned)(*port - '0');
    }
    to.sin_port = htons((unsigned short)number);
    memset(garbage, 0xee, sizeof garbage);
    for (int i = 0; i < 8; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (const struct sockaddr *)&to, sizeof to) < 0 || write(fd, garbage, sizeof garbage) < 0) {
            exit(98);
        }
        close(fd);
    }
}

/* Before MPI_Init. */
static void
misbehave_early(const char *what)
{
    const char *fd = getenv("PMI_FD");
    static const char garbage[] = "\x01\x02 this is no sentence of PMI-1\ncmd=\n";

    if (is(what, "early-exit")) {
        exit(0);
    } else if (is(what, "early-exit-5")) {
        exit(5);
    } else if (is(what, "early-shout")) {
        shout_at_server();
    } else if (is(what, "early-hang")) {
        wait_for_ever();
    } else if (is(what, "garbage") && fd != NULL) {
        if (write(fd[0] - '0', garbage, sizeof garbage) < 0) {
            exit(99);
        }
        wait_for_ever();
    }
}

/* Between MPI_Init and the barrier. */
static void
misbehave(const char *what)
{
    if (is(what, "exit-7")) {
        _exit(7);
    } else if (is(what, "exit-0")) {
        _exit(0);
    } else if (is(what, "abort")) {
        MPI_Abort(MPI_COMM_WORLD, 42);
    } else if (is(what, "segv")) {
        raise(SIGSEGV);
    } else if (is(what, "kill")) {
        raise(SIGKILL);
    } else if (is(what, "hang")) {
        wait_for_ever();
    } else if (is(what, "polite")) {
        signal(SIGINT, say_goodbye);
        wait_for_ever();
    } else if (is(what, "deaf")) {
        signal(SIGTERM, SIG_IGN);
        signal(SIGINT, SIG_IGN);
        wait_for_ever();
    } else if (is(what, "close")) {
        for (int fd = 3; fd < 256; fd++) {
            close(fd);
        }
        wait_for_ever();
    } else if (is(what, "twice")) {
        MPI_Init(NULL, NULL);
    } else if (is(what, "error-file")) {
        FILE *f = fopen(getenv("HQ_ERROR_FILENAME"), "we");
        if (f != NULL) {
            fprintf(f, "no water in the tank");
            fclose(f);
        }
        _exit(9);
    }
}

/* A grandchild that leaves its session and group. */
static void
leave_behind(void)
{
    if (fork() == 0) {
        setsid();
        if (fork() == 0) {
            signal(SIGTERM, SIG_IGN);
            execlp("sleep", "sleep", "1234", (char *)NULL);
        }
        _exit(0);
    }
}

int
main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "nothing", *me = getenv("HQ_RANK");
    const char *who = argc > 2 ? argv[2] : "1";
    bool is_mine = me != NULL && (is(me, who) || is(who, "all"));
    int rank;

    if (is(what, "never")) {
        printf("no MPI here\n");
        return 0;
    }
    if (is_mine && (strncmp(what, "early", 5) == 0 || is(what, "garbage"))) {
        mark();
        misbehave_early(what);
    }
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (is_mine && is(what, "leave-behind")) {
        leave_behind();
    }
    if (is_mine) {
        mark();
        misbehave(what);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Finalize();
    if (is_mine) {
        mark();
    }
    return is_mine && is(what, "late-exit") ? 11 : 0;
}
