/* test_rankenv.c - what a rank finds in its environment, and what it no longer finds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "hq-workerd/stepd/rankenv.h"

static const char *
value_of(char *const *env, const char *name, size_t *ret_count)
{
    const char *found = NULL;
    size_t len = strlen(name);

    *ret_count = 0;
    for (size_t i = 0; env[i] != NULL; i++) {
        if (strncmp(env[i], name, len) == 0 && env[i][len] == '=') {
            found = env[i] + len + 1;
            (*ret_count)++;
        }
    }
    return found;
}

static void
expect(char *const *env, const char *name, const char *want)
{
    size_t count;
    const char *got = value_of(env, name, &count);

    if (want == NULL) {
        assert_null(got);
        return;
    }
    assert_int_equal(1, count);
    assert_string_equal(want, got);
}

static void
test_both(void **state)
{
    static char *const base[] = {
        "PATH=/bin", "PMI_FD=9", "PMI_RANK=7", "PMIX_NAMESPACE=outer", "PMIX_RANK=7", "PMIX_MCA_gds=hash",
        "OMPI_COMM_WORLD_SIZE=2", "MPI_LOCALRANKID=1", "HQ_RANK=3", "HQ_TASK_DIR=/t", "OMPI_MCA_schizo=mine", NULL,
    };
    static char *const pmix[] = {"PMIX_NAMESPACE=inner", "PMIX_RANK=5", NULL};
    struct rankenv e = {
        .base = base,
        .pmix = pmix,
        .has_pmi1 = true,
        .pmi_fd = 3,
        .rank = 5,
        .rank_count = 8,
        .local = 1,
        .local_count = 4,
        .threads = 2,
    };
    struct hq_arena arena;

    (void)state;
    hq_arena_init(&arena, 0);
    char **env = rankenv_make(&e, &arena);
    expect(env, "PATH", "/bin");
    expect(env, "HQ_TASK_DIR", "/t");
    expect(env, "PMIX_NAMESPACE", "inner");
    expect(env, "PMIX_RANK", "5");
    expect(env, "PMIX_MCA_gds", "hash");
    expect(env, "PMI_FD", "3");
    expect(env, "PMI_RANK", "5");
    expect(env, "PMI_SIZE", "8");
    expect(env, "MPI_LOCALRANKID", "1");
    expect(env, "MPI_LOCALNRANKS", "4");
    expect(env, "OMPI_COMM_WORLD_SIZE", NULL);
    expect(env, "OMPI_MCA_schizo", "mine");
    expect(env, "OMPI_MCA_orte_externally_bound", "1");
    expect(env, "OMPI_MCA_mpi_yield_when_idle", NULL);
    expect(env, "OMP_NUM_THREADS", "2");
    expect(env, "HQ_RANK", "5");
    expect(env, "HQ_NUM_RANKS", "8");
    expect(env, "HQ_LOCAL_RANK", "1");
    expect(env, "HQ_LOCAL_RANKS", "4");
    hq_arena_fini(&arena);
}

static void
test_one_only(void **state)
{
    static char *const base[] = {"OMP_NUM_THREADS=6", NULL};
    static char *const pmix[] = {"PMIX_RANK=0", NULL};
    struct rankenv e = {.base = base, .has_pmi1 = true, .pmi_fd = 3, .rank_count = 1, .local_count = 1, .threads = 1};
    struct hq_arena arena;

    (void)state;
    hq_arena_init(&arena, 0);
    char **env = rankenv_make(&e, &arena);
    expect(env, "OMP_NUM_THREADS", "6");
    expect(env, "PMI_RANK", "0");
    expect(env, "OMPI_MCA_schizo", NULL);
    e.has_pmi1 = false;
    e.pmix = pmix;
    e.is_shared = true;
    env = rankenv_make(&e, &arena);
    expect(env, "PMI_FD", NULL);
    expect(env, "PMIX_RANK", "0");
    expect(env, "OMPI_MCA_schizo", "^orte,slurm");
    expect(env, "OMPI_MCA_hwloc_base_binding_policy", "none");
    expect(env, "OMPI_MCA_mpi_yield_when_idle", "1");
    hq_arena_fini(&arena);
}

/* Ranks read the topology that was found once, unless the user has views of his own. */
static void
test_topology(void **state)
{
    static char *const plain[] = {"A=1", NULL};
    static char *const own[] = {"HWLOC_COMPONENTS=-gl", NULL};
    struct rankenv e = {.base = plain, .rank_count = 1, .local_count = 1, .threads = 1, .topology_path = "/t/topology.xml"};
    struct hq_arena arena;

    (void)state;
    hq_arena_init(&arena, 0);
    char **env = rankenv_make(&e, &arena);
    expect(env, "HWLOC_XMLFILE", "/t/topology.xml");
    expect(env, "HWLOC_THISSYSTEM", "1");
    expect(env, "HWLOC_THISSYSTEM_ALLOWED_RESOURCES", "1");
    e.base = own;
    env = rankenv_make(&e, &arena);
    expect(env, "HWLOC_XMLFILE", NULL);
    expect(env, "HWLOC_THISSYSTEM", NULL);
    e.base = plain;
    e.topology_path = NULL;
    env = rankenv_make(&e, &arena);
    expect(env, "HWLOC_XMLFILE", NULL);
    hq_arena_fini(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both),
        cmocka_unit_test(test_one_only),
        cmocka_unit_test(test_topology),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
