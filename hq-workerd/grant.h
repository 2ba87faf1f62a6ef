/* grant.h - what a slot's resources look like to its tasks: variables and the cpu set, made once per slot.
 *
 * Purpose    tasks that follow each other in one slot share allocation and so all texts made of it.
 * Ownership  grant_create allocates, grant_free releases everything in it.
 * Threads    constant after grant_create.
 * Errors     -ENOMEM.
 */
#ifndef HQ_WORKERD_GRANT_H
#define HQ_WORKERD_GRANT_H

#include "common/err.h"
#include "common/id.h"
#include "common/str.h"

#include <sched.h>

struct grant_values { /* one indexed resource of the allocation */
    struct hq_str name;
    hq_amount amount;
    const struct hq_str *values; /* partial value last */
    size_t count;
};

struct grant {
    char **envs; /* "NAME=value" */
    size_t env_count;
    const char *omp_threads; /* "OMP_NUM_THREADS=4"; NULL without whole cpus */
    const char *omp_places;  /* "OMP_PLACES={0,1}"; NULL without cpus */
    const char *cpu_list;    /* "0,1"; NULL without cpus */
    cpu_set_t *cpus;         /* NULL without cpus, or when a value is no cpu number */
    size_t cpus_bytes;
};

HQ_MUST_CHECK int grant_create(struct grant **ret, const struct grant_values *resources, size_t count);
void grant_free(struct grant *g); /* NULL is fine */
/* Appends the name with everything outside [A-Za-z0-9] as "_". */
void grant_print_name(struct hq_buf *out, struct hq_str name);

#endif
