#include "tests/sim/cluster/waiting.h"

#include "tests/sim/cluster/cluster.h"

#include <stdio.h>

#define SECOND_US 1000000
#define ROUND_TRIP_US 1000
#define SLACK_US 10000 /* loop turns, news that gathers, whole milliseconds of hqd's clock */
#define RESERVE_US (60 * SECOND_US)
#define ENDLESS 2000000u
#define WAITERS_MAX 4u

enum kind {
    KIND_GANG = 0, /* several nodes */
    KIND_ALL,      /* all cpus of a worker */
    KIND_WIDE,     /* all but one */
    KIND_MIXED,    /* some of each, at one time or another */
    KIND_URGENT,   /* a higher priority behind long tasks of a lower one */
    KINDS,
};

static const char *const kind_names[KINDS] = {"multi-node", "all cpus", "63 of 64", "several of these", "higher priority"};

struct waiter {
    uint32_t job;
    int64_t from_us;
    int64_t start_us; /* 0 = waits */
    int64_t promised_us;
};

struct world {
    struct cluster c;
    struct hq_rng rng;
    uint32_t cpus;
    int64_t longest_us; /* of the small tasks */
    struct waiter waiters[WAITERS_MAX];
    uint32_t waiter_count;
    uint32_t wide_count;
    uint32_t late_starts; /* of a lower priority, when the news of the higher one had time to travel */
    uint32_t late_now;    /* the same, at one moment that may yet turn out to be that of its own start */
    int64_t late_us;
    bool is_urgent;
};

static void
on_start(void *ctx, const struct cluster_start *s)
{
    struct world *w = ctx;
    for (uint32_t i = 0; i < w->waiter_count; i++) {
        struct waiter *k = &w->waiters[i];
        if (k->job == s->job && k->start_us == 0) {
            k->start_us = s->at_us;
            w->late_now = s->at_us == w->late_us ? 0 : w->late_now; /* beside it, not before it */
        }
        if (w->is_urgent && k->start_us == 0 && s->at_us > k->from_us + 2 * ROUND_TRIP_US + SLACK_US) {
            w->late_starts += s->at_us == w->late_us ? 0 : w->late_now;
            w->late_now = s->at_us == w->late_us ? w->late_now + 1 : 1;
            w->late_us = s->at_us;
        }
    }
}

static void
make(struct world *w, uint64_t seed, enum kind kind)
{
    uint32_t workers = 2 + (uint32_t)hq_rng_below(&w->rng, 5);
    w->cpus = kind == KIND_WIDE ? 64 : 6 + (uint32_t)hq_rng_below(&w->rng, 11); /* wider than the small ones */
    workers = kind == KIND_URGENT ? 1 : kind == KIND_WIDE ? 1 + (uint32_t)hq_rng_below(&w->rng, 2) : HQ_MAX(workers, 3u);
    cluster_init(&w->c, ROUND_TRIP_US);
    w->c.on_start = on_start;
    w->c.ctx = w;
    for (uint32_t i = 0; i < workers; i++) {
        cluster_add_worker(&w->c, (const int64_t[CLUSTER_RES]){w->cpus * 10000, 0});
    }
    uint32_t streams = kind == KIND_URGENT ? 1 : 1 + (uint32_t)hq_rng_below(&w->rng, 3);
    for (uint32_t i = 0; i < streams; i++) {
        struct cluster_job small = {.count = ENDLESS, .amount = {(1 + i) * 10000, 0}};
        small.length_us = 100000 * (1 + (int64_t)hq_rng_below(&w->rng, (seed + i) % 3 == 0 ? 100 : 10));
        w->longest_us = HQ_MAX(w->longest_us, small.length_us);
        (void)cluster_submit(&w->c, &small);
    }
}

static void
add_waiter(struct world *w, enum kind kind)
{
    struct cluster_job job = {.count = 1, .length_us = SECOND_US};
    int64_t after_us = 0; /* until its reservation begins */
    switch (kind) {
    case KIND_GANG:
        job.nodes = 2 + (uint32_t)hq_rng_below(&w->rng, w->c.node_count - 1);
        break;
    case KIND_ALL:
        job.amount[0] = CLUSTER_ALL;
        break;
    case KIND_URGENT:
        job.priority = 1;
        job.amount[0] = hq_rng_below(&w->rng, 2) == 0 ? 10000 : 10000 * (int64_t)w->cpus;
        break;
    default:
        job.amount[0] = 10000 * ((int64_t)w->cpus - 1);
        w->wide_count++; /* of one class: each reservation begins when the class has waited anew */
        after_us = w->wide_count * HQ_MAX((int64_t)RESERVE_US, 10 * w->longest_us);
        break;
    }
    struct waiter *k = &w->waiters[w->waiter_count];
    *k = (struct waiter){.from_us = w->c.now_us};
    /* One reservation at a time: those before it may each need as long and run for a second, and what they were kept
     * free for is followed by small tasks again, which must end before the next one starts there. */
    int64_t turn_us = w->longest_us + 2 * ROUND_TRIP_US + SLACK_US;
    k->promised_us = after_us + turn_us + w->waiter_count * (2 * turn_us + SECOND_US);
    k->job = cluster_submit(&w->c, &job);
    w->waiter_count++;
}

/* Waited at most, in shares of what was promised; more than 1 is a failure. */
static double
play(uint64_t seed, enum kind kind, double *ret_longest_s)
{
    static struct world w;
    w = (struct world){.is_urgent = kind == KIND_URGENT};
    double worst = 0;
    hq_rng_init(&w.rng, seed * KINDS + kind);
    make(&w, seed, kind);
    cluster_run(&w.c, 2 * SECOND_US + (int64_t)hq_rng_below(&w.rng, SECOND_US), 0);
    uint32_t n = kind == KIND_MIXED ? WAITERS_MAX : 1;
    int64_t end_us = 0;
    for (uint32_t i = 0; i < n; i++) {
        add_waiter(&w, kind == KIND_MIXED ? (enum kind)hq_rng_below(&w.rng, KIND_MIXED) : kind);
        end_us = HQ_MAX(end_us, w.c.now_us + w.waiters[i].promised_us);
        cluster_run(&w.c, w.c.now_us + (int64_t)hq_rng_below(&w.rng, 3 * SECOND_US), 0);
    }
    cluster_run(&w.c, HQ_MAX(end_us, w.c.now_us), 0);
    for (uint32_t i = 0; i < n; i++) {
        const struct waiter *k = &w.waiters[i];
        int64_t waited_us = (k->start_us == 0 ? w.c.now_us + SECOND_US : k->start_us) - k->from_us;
        *ret_longest_s = HQ_MAX(*ret_longest_s, (double)waited_us / SECOND_US);
        worst = HQ_MAX(worst, (double)waited_us / (double)k->promised_us);
    }
    w.late_starts += w.late_now;
    if (w.late_starts > 0) {
        (void)printf("seed %llu: %u tasks of a lower priority started while a higher one waited\n",
                     (unsigned long long)seed, w.late_starts);
        worst = HQ_MAX(worst, 2.0);
    }
    cluster_fini(&w.c);
    return worst;
}

uint32_t
waiting_run(uint64_t first_seed, uint32_t seeds)
{
    uint32_t failed = 0;
    (void)printf("| who waits | worlds | longest wait | of what is promised |\n|---|---:|---:|---:|\n");
    for (int kind = 0; kind < KINDS; kind++) {
        double longest_s = 0;
        double worst = 0;
        for (uint64_t s = first_seed; s < first_seed + seeds; s++) {
            double share = play(s, (enum kind)kind, &longest_s);
            if (share > 1) {
                (void)printf("seed %llu: %s waits too long\n", (unsigned long long)s, kind_names[kind]);
                failed++;
            }
            worst = HQ_MAX(worst, share);
        }
        (void)printf("| %s | %u | %.2f s | %.0f %% |\n", kind_names[kind], seeds, longest_s, 100 * worst);
        (void)fflush(stdout);
    }
    return failed;
}
