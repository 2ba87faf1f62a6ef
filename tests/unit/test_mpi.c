/* Shapes of tasks of several ranks: how many, where, on how many cpus, and which are impossible. */
#include "common/mpi.h"

#include "common/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define ON .is_on = true
#define CPUS(n) ((hq_amount)((n) * (double)HQ_AMOUNT_ONE))

static struct hq_variant
variant(struct hq_request_entry *cpus, uint32_t nodes)
{
    return (struct hq_variant){.entries = cpus, .entry_count = 1, .n_nodes = nodes, .weight_x10000 = 10000};
}

static void
ranks_of_a_node(void **state)
{
    (void)state;
    static const struct {
        struct hq_mpi mpi;
        uint32_t nodes;
        uint32_t cpus;
        uint32_t ranks;
        uint32_t needs; /* cpus of a node */
    } cases[] = {
        {{ON}, 1, 8, 8, 1},
        {{ON}, 0, 8, 8, 1}, /* a task on one node that is not taken whole */
        {{ON, .cpus_per_rank = 3}, 2, 8, 2, 3},
        {{ON, .cpus_per_rank = 16}, 2, 8, 1, 16},
        {{ON, .ranks_per_node = 4}, 2, 8, 4, 4},
        {{ON, .ranks_per_node = 4, .cpus_per_rank = 2}, 2, 8, 4, 8},
        {{ON, .ranks_per_node = 64, .oversubscribe = true}, 2, 8, 64, 0},
        {{ON, .ranks = 12}, 3, 8, 4, 4},
        {{ON, .ranks = 12}, 0, 12, 12, 12},
        {{ON, .oversubscribe = true}, 1, 0, 1, 0},
        {{ON, .ranks_per_node = 65536, .cpus_per_rank = UINT32_MAX}, 1, 8, 65536, UINT32_MAX},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        assert_int_equal(hq_mpi_ranks(&cases[i].mpi, cases[i].nodes, cases[i].cpus), cases[i].ranks);
        assert_int_equal(hq_mpi_cpus(&cases[i].mpi, cases[i].nodes), cases[i].needs);
    }
}

static void
possible_shapes(void **state)
{
    (void)state;
    static const struct {
        struct hq_mpi mpi;
        hq_amount cpus;
        enum hq_policy policy;
        uint32_t nodes;
        const char *error; /* NULL = fine */
    } cases[] = {
        {{0}, CPUS(0.5), HQ_POLICY_COMPACT, 0, NULL},
        {{ON}, CPUS(1), HQ_POLICY_COMPACT, 0, NULL},
        {{ON, .ranks = 8}, CPUS(8), HQ_POLICY_TIGHT, 0, NULL},
        {{ON, .ranks = 8}, 0, HQ_POLICY_ALL, 0, NULL}, /* the node will say */
        {{ON, .ranks = 8, .oversubscribe = true}, CPUS(1), HQ_POLICY_COMPACT, 0, NULL},
        {{ON, .ranks = 8}, CPUS(1), HQ_POLICY_COMPACT, 4, NULL}, /* whole nodes */
        {{ON, .ranks = 65536}, 0, HQ_POLICY_ALL, 1024, NULL},
        {{ON, .ranks = 8, .ranks_per_node = 2}, CPUS(8), HQ_POLICY_COMPACT, 0,
         "Ranks are given in total or per node, not both"},
        {{ON, .ranks = 8}, CPUS(8), HQ_POLICY_COMPACT, 3, "8 ranks cannot be spread evenly over 3 nodes"},
        {{ON, .ranks = 2}, CPUS(8), HQ_POLICY_COMPACT, 4, "2 ranks cannot be spread evenly over 4 nodes"},
        {{ON, .ranks = 65537}, 0, HQ_POLICY_ALL, 0, "An MPI task has at most 65536 ranks, not 65537"},
        {{ON, .ranks_per_node = UINT32_MAX}, 0, HQ_POLICY_ALL, 1024,
         "An MPI task has at most 65536 ranks, not 4398046510080"},
        {{ON}, CPUS(1), HQ_POLICY_COMPACT, 1025, "An MPI task has at most 1024 nodes, not 1025"},
        {{ON, .ranks = 8}, CPUS(7.5), HQ_POLICY_COMPACT, 0,
         "8 ranks of 1 cpu need more than the 7.5 cpus of the task (oversubscribe allows it)"},
        {{ON, .ranks_per_node = 3, .cpus_per_rank = 2}, CPUS(4), HQ_POLICY_SCATTER, 0,
         "3 ranks of 2 cpus need more than the 4 cpus of the task (oversubscribe allows it)"},
        {{ON}, CPUS(0.5), HQ_POLICY_COMPACT, 0,
         "1 rank of 1 cpu needs more than the 0.5 cpus of the task (oversubscribe allows it)"},
        {{ON, .cpus_per_rank = 4}, CPUS(3), HQ_POLICY_COMPACT, 0,
         "1 rank of 4 cpus needs more than the 3 cpus of the task (oversubscribe allows it)"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct hq_request_entry cpus = {.name = HQ_STR("cpus"), .amount = cases[i].cpus, .policy = cases[i].policy};
        struct hq_variant v = variant(&cpus, cases[i].nodes);
        struct hq_err err = {0};
        int rc = hq_mpi_check(&cases[i].mpi, &v, &err);
        assert_int_equal(rc, cases[i].error == NULL ? 0 : -EINVAL);
        if (cases[i].error != NULL) {
            assert_string_equal(err.text, cases[i].error);
        }
    }
    struct hq_request_entry gpus = {.name = HQ_STR("gpus"), .amount = CPUS(1)};
    struct hq_variant v = variant(&gpus, 0);
    struct hq_err err = {0};
    assert_int_equal(hq_mpi_check(&(struct hq_mpi){ON}, &v, &err), -EINVAL);
    assert_string_equal(err.text, "An MPI task needs cpus");
}

/* What whole nodes must have: "name=amount" in order. */
static void
demand_of_nodes(void **state)
{
    (void)state;
    static const struct {
        struct hq_mpi mpi;
        const char *had; /* names, one amount each of 2 */
        uint32_t nodes;
        const char *want;
    } cases[] = {
        {{ON, .ranks_per_node = 4}, "", 2, "cpus=4"},
        {{ON, .ranks_per_node = 4}, "cpus", 2, "cpus=4"},
        {{ON, .ranks = 4}, "cpus", 2, "cpus=2"}, /* had enough */
        {{ON, .ranks_per_node = 4}, "apes gpus", 2, "apes=2 cpus=4 gpus=2"},
        {{ON, .ranks_per_node = 4}, "gpus", 2, "cpus=4 gpus=2"},
        {{ON, .ranks_per_node = 4}, "apes", 2, "apes=2 cpus=4"},
        {{ON, .ranks_per_node = 4}, "apes cpus gpus", 2, "apes=2 cpus=4 gpus=2"},
        {{ON, .ranks_per_node = 4}, "cpus", 0, "cpus=2"}, /* one node: as the user said */
        {{ON, .ranks_per_node = 4, .oversubscribe = true}, "cpus", 2, "cpus=2"},
        {{0}, "cpus", 2, "cpus=2"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct hq_arena arena;
        struct hq_request_entry had[4];
        struct hq_variant v = {.entries = had, .n_nodes = cases[i].nodes, .weight_x10000 = 10000};
        struct hq_str rest = hq_str_from(cases[i].had);
        HQ_AUTO(hq_buf_fini) struct hq_buf out = HQ_BUF_INIT;
        hq_arena_init(&arena, 0);
        for (struct hq_str name; rest.len > 0;) {
            (void)hq_str_split(&rest, ' ', &name);
            had[v.entry_count++] = (struct hq_request_entry){.name = name, .amount = CPUS(2)};
        }
        for (int again = 0; again < 2; again++) { /* a journal says what was made of it: nothing changes then */
            hq_mpi_demand(&cases[i].mpi, &v, &arena);
            hq_buf_clear(&out);
            for (size_t k = 0; k < v.entry_count; k++) {
                hq_buf_printf(&out, "%s%.*s=", k == 0 ? "" : " ", HQ_STR_FMT(v.entries[k].name));
                hq_amount_print(v.entries[k].amount, &out);
            }
            assert_string_equal(out.ptr, cases[i].want);
            struct hq_request r = {.variants = &v, .variant_count = 1};
            assert_int_equal(hq_request_check(&r, NULL), 0);
        }
        hq_arena_fini(&arena);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_of_a_node),
        cmocka_unit_test(possible_shapes),
        cmocka_unit_test(demand_of_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
