/* Simulator: seeds, steps, shrinking of a failure, benchmark.
 *
 *   sim [--seeds N] [--first S] [--steps M]     N worlds of M requests and faults each; a failure is made smaller
 *   sim --list FILE                             worlds that once failed: lines "seed steps faults", # begins a comment
 *   sim --seed S [--steps M] [--faults BITS] [--workers N] [--verbose]   one world
 *   sim --bench [flow|pass|graph|memory]        lines "name value unit"
 *   sim --elastic                               node-hours with and without compaction
 */
#include "tests/sim/bench.h"
#include "tests/sim/check.h"
#include "tests/sim/elastic.h"
#include "tests/sim/fault.h"
#include "tests/sim/load.h"
#include "tests/sim/node.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEAL_MS_MAX 1200000 /* of virtual time until everything has ended */
#define SEEDS_DEFAULT 40
#define STEPS_DEFAULT 120
#define WORKERS_DEFAULT 3

struct run {
    uint64_t seed;
    uint32_t steps;
    uint32_t faults;
    uint32_t workers; /* at the start */
    bool is_verbose;
};

static bool
finish(struct world *w)
{
    fault_heal(w);
    hq_ms end_ms = w->now_ms + HEAL_MS_MAX;
    for (int round = 0; w->now_ms < end_ms && !world_failed(w); round++) {
        world_run(w, w->now_ms + 500);
        load_close_all(w); /* also jobs whose opening was answered only now */
        if (load_waiting(w) == 0 && check_is_done(w)) {
            return true;
        }
    }
    return false;
}

/* 0 = all is well; the reason goes to stderr when `is_told`. */
static int
run_world(const struct run *run, bool is_told)
{
    struct world w;
    world_init(&w, run->seed, run->faults);
    w.is_verbose = run->is_verbose;
    for (uint32_t i = 0; i < run->workers; i++) {
        node_add(&w, 1 + (uint32_t)hq_rng_below(&w.rng, 6), "default");
    }
    for (uint32_t i = 0; i < run->steps && !world_failed(&w); i++) {
        world_run(&w, w.now_ms + (hq_ms)hq_rng_below(&w.rng, world_chance(&w, 1, 10) ? 5000 : 200));
        load_step(&w);
        fault_step(&w);
    }
    if (!finish(&w)) {
        world_fail(&w, "%d virtual seconds after the last fault not everything has ended", HEAL_MS_MAX / 1000);
        if (is_told && run->is_verbose) {
            struct hq_buf text = HQ_BUF_INIT;
            check_print(&w, &text);
            (void)fprintf(stderr, "%s", text.ptr);
            hq_buf_fini(&text);
        }
    }
    if (!world_failed(&w)) {
        world_kill_hqd(&w, false); /* compares the replay once more */
    }
    int rc = world_failed(&w) ? 1 : 0;
    if (rc != 0 && is_told) {
        (void)fprintf(stderr, "seed=%llu steps=%u faults=%u at=%lld: %s\n", (unsigned long long)run->seed, run->steps,
                      run->faults, (long long)w.now_ms, w.failure.ptr);
    }
    world_fini(&w);
    return rc;
}

/* In a process of its own: an assertion ends that one. */
static bool
fails(const struct run *run, bool is_told)
{
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        if (!is_told && freopen("/dev/null", "w", stderr) == NULL) {
            _exit(0); /* can't be told apart from a pass, and does no harm: the run is only not made smaller */
        }
        _exit(run_world(run, is_told));
    }
    int status = 0;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return pid < 0 || status != 0;
}

/* Fewest steps (the prefix of a run is the same run) and fewest kinds of faults that still fail. */
static struct run
shrink(struct run run)
{
    for (uint32_t bit = 1; bit <= FAULT_ALL; bit *= 2) {
        struct run fewer = run;
        fewer.faults &= ~bit;
        if (fewer.faults != run.faults && fails(&fewer, false)) {
            run = fewer;
        }
    }
    for (uint32_t cut = run.steps / 2; cut > 0;) {
        struct run fewer = run;
        fewer.steps -= cut;
        if (fewer.steps > 0 && fails(&fewer, false)) {
            run = fewer;
            cut = HQ_MIN(cut, run.steps / 2);
        } else {
            cut /= 2;
        }
    }
    return run;
}

static int
run_seeds(uint64_t first, uint32_t count, uint32_t steps)
{
    int failed = 0;
    for (uint64_t seed = first; seed < first + count; seed++) {
        /* Each seed breaks other things, some nothing at all. */
        struct run run = {.seed = seed,
                          .steps = steps,
                          .workers = WORKERS_DEFAULT,
                          .faults = (uint32_t)(seed * 2654435761u >> 7) & FAULT_ALL};
        if (!fails(&run, true)) {
            continue;
        }
        failed++;
        struct run small = shrink(run);
        (void)printf("FAILED seed=%llu steps=%u faults=%u\n", (unsigned long long)small.seed, small.steps,
                     small.faults);
        (void)fails(&small, true);
    }
    (void)printf("sim: seeds=%llu..%llu steps=%u failed=%d\n", (unsigned long long)first,
                 (unsigned long long)(first + count - 1), steps, failed);
    return failed == 0 ? 0 : 1;
}

/* One line without its end; false at the end of the file. */
static bool
read_line(char *line, size_t size, FILE *f)
{
    size_t n = 0;
    int c = fgetc(f);
    if (c == EOF) {
        return false;
    }
    for (; c != EOF && c != '\n'; c = fgetc(f)) {
        if (n + 1 < size) {
            line[n++] = (char)c;
        }
    }
    line[n] = '\0';
    return true;
}

static int
run_list(const char *path)
{
    FILE *f = fopen(path, "r");
    char line[256];
    int failed = 0;
    int count = 0;
    if (f == NULL) {
        (void)fprintf(stderr, "%s: %s\n", path, hq_err_os(-errno));
        return 2;
    }
    while (read_line(line, sizeof(line), f)) {
        char *at = line;
        struct run run = {.seed = strtoull(at, &at, 10), .workers = WORKERS_DEFAULT};
        if (at == line) {
            continue; /* a comment */
        }
        run.steps = (uint32_t)strtoull(at, &at, 10);
        run.faults = (uint32_t)strtoull(at, &at, 10);
        failed += fails(&run, true);
        count++;
    }
    (void)fclose(f);
    (void)printf("sim: list=%d failed=%d\n", count, failed);
    return failed == 0 && count > 0 ? 0 : 1;
}

static uint64_t
number(int argc, char **argv, int *i)
{
    if (*i + 1 >= argc) {
        (void)fprintf(stderr, "%s needs a number\n", argv[*i]);
        exit(2);
    }
    return strtoull(argv[++*i], NULL, 10);
}

int
main(int argc, char **argv)
{
    struct run one = {.steps = STEPS_DEFAULT, .faults = FAULT_ALL, .workers = WORKERS_DEFAULT};
    uint64_t first = 1;
    uint32_t seeds = SEEDS_DEFAULT;
    bool is_one = false;
    for (int i = 1; i < argc; i++) {
        struct hq_str arg = hq_str_from(argv[i]);
        if (hq_str_is(arg, "--bench")) {
            return bench_run(i + 1 < argc ? argv[i + 1] : NULL);
        } else if (hq_str_is(arg, "--elastic")) {
            return elastic_run();
        } else if (hq_str_is(arg, "--list") && i + 1 < argc) {
            return run_list(argv[i + 1]);
        } else if (hq_str_is(arg, "--verbose")) {
            one.is_verbose = true;
        } else if (hq_str_is(arg, "--seeds")) {
            seeds = (uint32_t)number(argc, argv, &i);
        } else if (hq_str_is(arg, "--first")) {
            first = number(argc, argv, &i);
        } else if (hq_str_is(arg, "--steps")) {
            one.steps = (uint32_t)number(argc, argv, &i);
        } else if (hq_str_is(arg, "--workers")) {
            one.workers = (uint32_t)number(argc, argv, &i);
        } else if (hq_str_is(arg, "--faults")) {
            one.faults = (uint32_t)number(argc, argv, &i);
        } else if (hq_str_is(arg, "--seed")) {
            one.seed = number(argc, argv, &i);
            is_one = true;
        } else {
            (void)fprintf(stderr, "unknown option %s\n", argv[i]);
            return 2;
        }
    }
    return is_one ? run_world(&one, true) : run_seeds(first, seeds, one.steps);
}
