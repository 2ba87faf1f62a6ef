/* How good are the scheduler's plans? Random mixes against an exact solver, first-fit beside them.
 *
 *   quality [--seeds N] [--first S] [--family NAME] [--limit MS] [--verbose]
 *
 * Exit 1 when a family misses its bounds, or when first-fit does too well in it: such mixes prove nothing. */
#include "tests/sim/quality/mix.h"

#include "common/str.h"

#include <stdio.h>
#include <stdlib.h>

#define SEEDS_DEFAULT 100u /* of each family */
#define LARGE_SEEDS_MIN 30u /* fewer say little about a mean */
#define LIMIT_MS_DEFAULT 1000
#define MEAN_PERCENT_MAX 2.0
#define WORST_PERCENT_MAX 10.0
#define FIRST_FIT_PERCENT_MIN 5.0

struct conf {
    uint64_t first;
    uint32_t seeds;
    int limit_ms;
    int only; /* family; -1 = all */
    bool is_verbose;
};

struct gaps {
    uint32_t count;
    double sum;
    double worst;
    uint64_t worst_seed;
};

struct row {
    struct gaps hq;
    struct gaps first_fit;
    uint32_t inexact; /* the bound of the solver stands for the optimum */
    uint32_t skipped; /* nothing can run, or the upper level can't be placed whole */
    uint32_t wrong;
    double pass_us_sum;
    double pass_us_max;
};

static void
note(struct gaps *g, double percent, uint64_t seed)
{
    if (g->count == 0 || percent > g->worst) {
        g->worst = percent;
        g->worst_seed = seed;
    }
    g->sum += percent;
    g->count++;
}

/* Of two levels the upper one can be placed whole. */
static double
value_above(const struct mix *m)
{
    double sum = 0;
    for (uint32_t c = 0; c < m->class_count; c++) {
        sum += m->classes[c].priority > 0 ? m->classes[c].count * mix_value(m, 0, &m->classes[c].variants[0]) : 0;
    }
    return sum;
}

/* In percent of the best of both levels; who doesn't place the upper one whole is judged by that alone. */
static double
gap(const struct mix *m, const struct mix_plan *p, double best)
{
    double above = value_above(m);
    double lost = above > 0 ? 1 - mix_plan_value(m, p, 1) / above : 0;
    if (lost > 1e-9) {
        return 100 * lost;
    }
    return 100 * (1 - (above + mix_plan_value(m, p, 0)) / (above + best));
}

static void
print_mix(const struct mix *m, const struct mix_plan *p)
{
    for (uint32_t c = 0; c < m->class_count; c++) {
        (void)printf("  class %u: %u tasks, priority %d", c, m->classes[c].count, m->classes[c].priority);
        for (uint32_t v = 0; v < m->classes[c].variant_count; v++) {
            const struct mix_variant *k = &m->classes[c].variants[v];
            (void)printf(" [%g %g %g w%g t%lld]", (double)k->amount[0] / 10000, (double)k->amount[1] / 10000,
                         (double)k->amount[2] / 10000, (double)k->weight / 10000, (long long)k->min_time_ms);
        }
        (void)printf("\n");
    }
    for (uint32_t w = 0; w < m->worker_count; w++) {
        const struct mix_worker *k = &m->workers[w];
        (void)printf("  worker %u: free %g %g %g of %g %g %g life %lld:", w, (double)k->free[0] / 10000,
                     (double)k->free[1] / 10000, (double)k->free[2] / 10000, (double)k->total[0] / 10000,
                     (double)k->total[1] / 10000, (double)k->total[2] / 10000, (long long)k->life_ms);
        for (uint32_t c = 0; c < m->class_count; c++) {
            for (uint32_t v = 0; v < m->classes[c].variant_count; v++) {
                if (p->n[w][c][v] > 0) {
                    (void)printf(" %ux%u.%u", p->n[w][c][v], c, v);
                }
            }
        }
        (void)printf("\n");
    }
}

static void
try_seed(const struct conf *conf, enum mix_family family, uint64_t seed, struct row *row)
{
    static struct mix m;
    static struct mix_plan ours;
    static struct mix_plan simple;
    bool is_levels = family == MIX_LEVELS;
    double best = 0;
    mix_make(&m, family, seed);
    bool is_exact = mix_solve_exact(&m, 0, is_levels, family == MIX_LARGE ? 4 * conf->limit_ms : conf->limit_ms, &best);
    if (best <= 1e-9) {
        row->skipped++;
        return;
    }
    row->inexact += !is_exact;
    double spent_us = mix_solve_hq(&m, &ours);
    row->pass_us_sum += spent_us;
    row->pass_us_max = HQ_MAX(row->pass_us_max, spent_us);
    mix_solve_first_fit(&m, &simple);
    const char *wrong = mix_plan_check(&m, &ours);
    if (wrong != NULL) {
        (void)printf("%s seed %llu: %s\n", mix_family_name(family), (unsigned long long)seed, wrong);
        row->wrong++;
    }
    double percent = gap(&m, &ours, best);
    if (is_exact && percent < -0.02) {
        (void)printf("%s seed %llu: better than the best\n", mix_family_name(family), (unsigned long long)seed);
        row->wrong++;
    }
    note(&row->hq, HQ_MAX(percent, 0.0), seed);
    note(&row->first_fit, gap(&m, &simple, best), seed);
    if (conf->is_verbose) {
        (void)printf("%s seed %llu: workers=%u classes=%u best=%.4f%s hq=-%.2f%% first-fit=-%.2f%%\n",
                     mix_family_name(family), (unsigned long long)seed, m.worker_count, m.class_count, best,
                     is_exact ? "" : " (bound)", percent, gap(&m, &simple, best));
        print_mix(&m, &ours);
    }
}

static bool
print_row(const char *name, const struct row *r)
{
    double mean = r->hq.count == 0 ? 0 : r->hq.sum / r->hq.count;
    double first_fit = r->hq.count == 0 ? 0 : r->first_fit.sum / r->first_fit.count;
    bool is_good = r->wrong == 0 && r->hq.count > 0 && mean <= MEAN_PERCENT_MAX && r->hq.worst <= WORST_PERCENT_MAX &&
                   first_fit >= FIRST_FIT_PERCENT_MIN;
    (void)printf("| %s | %u | %.2f %% | %.2f %% | %llu | %.2f %% | %.2f %% | %u | %.0f us | %.0f us | %s |\n", name, r->hq.count, mean,
                 r->hq.worst, (unsigned long long)r->hq.worst_seed, first_fit, r->first_fit.worst, r->inexact,
                 r->hq.count == 0 ? 0 : r->pass_us_sum / r->hq.count, r->pass_us_max,
                 is_good ? "yes" : "NO");
    return is_good;
}

static void
add_row(struct row *sum, const struct row *r)
{
    if (r->hq.worst > sum->hq.worst) {
        sum->hq.worst = r->hq.worst;
        sum->hq.worst_seed = r->hq.worst_seed;
    }
    sum->first_fit.worst = HQ_MAX(sum->first_fit.worst, r->first_fit.worst);
    sum->hq.sum += r->hq.sum;
    sum->hq.count += r->hq.count;
    sum->first_fit.sum += r->first_fit.sum;
    sum->first_fit.count += r->first_fit.count;
    sum->inexact += r->inexact;
    sum->wrong += r->wrong;
    sum->pass_us_sum += r->pass_us_sum;
    sum->pass_us_max = HQ_MAX(sum->pass_us_max, r->pass_us_max);
}

static int
run(const struct conf *conf)
{
    struct row all = {0};
    bool is_good = true;
    (void)printf("# Quality of plans\n\nBelow the exact optimum of the objective, in percent; seeds %llu to %llu of each "
                 "family.\n\n",
                 (unsigned long long)conf->first, (unsigned long long)(conf->first + conf->seeds - 1));
    (void)printf("| mixes | number | mean | worst | its seed | first-fit: mean | worst | bound for optimum | pass: mean | longest | met |\n"
                 "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|\n");
    for (int f = 0; f < MIX_FAMILIES; f++) {
        struct row row = {0};
        uint32_t seeds = f == MIX_LARGE ? HQ_MAX(conf->seeds / 10, LARGE_SEEDS_MIN) : conf->seeds;
        for (uint64_t s = 0; (conf->only < 0 || conf->only == f) && s < seeds; s++) {
            try_seed(conf, (enum mix_family)f, conf->first + s, &row);
        }
        if (conf->only < 0 || conf->only == f) {
            is_good = print_row(mix_family_name((enum mix_family)f), &row) && is_good;
            (void)fflush(stdout);
        }
        add_row(&all, &row);
    }
    is_good = print_row("all", &all) && is_good;
    (void)printf("\nGoals: mean <= %g %%, worst <= %g %%, first-fit at least %g %% worse in the mean.\n", MEAN_PERCENT_MAX,
                 WORST_PERCENT_MAX, FIRST_FIT_PERCENT_MIN);
    return is_good ? 0 : 1;
}

static int
family_of(const char *name)
{
    for (int f = 0; f < MIX_FAMILIES; f++) {
        if (hq_str_is(hq_str_from(name), mix_family_name((enum mix_family)f))) {
            return f;
        }
    }
    return MIX_FAMILIES;
}

int
main(int argc, char **argv)
{
    struct conf conf = {.first = 1, .seeds = SEEDS_DEFAULT, .limit_ms = LIMIT_MS_DEFAULT, .only = -1};
    for (int i = 1; i < argc; i++) {
        struct hq_str arg = hq_str_from(argv[i]);
        bool has_value = i + 1 < argc;
        if (hq_str_is(arg, "--verbose")) {
            conf.is_verbose = true;
        } else if (hq_str_is(arg, "--seeds") && has_value) {
            conf.seeds = (uint32_t)strtoull(argv[++i], NULL, 10);
        } else if (hq_str_is(arg, "--first") && has_value) {
            conf.first = strtoull(argv[++i], NULL, 10);
        } else if (hq_str_is(arg, "--limit") && has_value) {
            conf.limit_ms = (int)strtoull(argv[++i], NULL, 10);
        } else if (hq_str_is(arg, "--family") && has_value && family_of(argv[i + 1]) < MIX_FAMILIES) {
            conf.only = family_of(argv[++i]);
        } else {
            (void)fprintf(stderr, "unknown option or value: %s\n", argv[i]);
            return 2;
        }
    }
    return run(&conf);
}
