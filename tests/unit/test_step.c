/* Multi-node tasks and tasks of ranks, as hqd leads them: who joins and leaves, keys, lost nodes, restarts. */
#include "tests/unit/build.h"

#include "hqd/core/state.h"
#include "hqd/core/step.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void
add_nodes(struct rig *r, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct query_server q;
        rig_worker(r, "cpus=4", NULL);
        query_server(r->core, &q);
        rig_turn(r, q.last_worker.v, "");
    }
    rig_schedule(r);
    rig_clear(r);
}

/* A task of two ranks on each of n nodes, or a plain one; its nodes know of it. */
static void
start_task(struct rig *r, uint32_t n, struct rig_job job, bool has_ranks)
{
    job.mpi = (struct hq_mpi){.is_on = has_ranks, .ranks_per_node = has_ranks ? 2 : 0};
    rig_init(r);
    add_nodes(r, n + 1);
    job.request = rig_nodes(r, n);
    rig_array(r, &job);
    rig_schedule(r);
}

static void
nodes_join_and_leave(void **state)
{
    (void)state;
    static const struct {
        bool has_ranks;
        const char *ranks; /* behind hosts or the number of the node */
    } kinds[] = {{false, ""}, {true, " ranks=2,2,2"}};
    static const struct {
        const char *news; /* of the root; NULL = canceled */
        const char *root; /* what is said to the root besides */
    } ends[] = {{"finish 1@0", NULL}, {"fail 1@0", NULL}, {NULL, "[cancel job=1 ids=0]"}};
    for (size_t k = 0; k < HQ_ARRAY_LEN(kinds); k++) {
        for (size_t i = 0; i < HQ_ARRAY_LEN(ends); i++) {
            struct rig r;
            char want[160];
            start_task(&r, 3, (struct rig_job){.entries = "line"}, kinds[k].has_ranks);
            (void)snprintf(want, sizeof(want), "hosts=node1,node2,node3%s]", kinds[k].ranks);
            assert_true(rig_saw(&r, want));
            for (int node = 1; node < 3; node++) {
                (void)snprintf(want, sizeof(want),
                               "worker=%d ack=1 command=1 [body job=1 desc=0] "
                               "[join job=1 desc=0 task=0 instance=0 node=%d/3 entry=\"line\"%s]\n",
                               node + 1, node, kinds[k].ranks);
                assert_true(rig_saw(&r, want));
            }
            assert_false(rig_saw(&r, "worker=4 ack"));
            for (uint32_t w = 1; w <= 3; w++) {
                rig_turn(&r, w, w == 1 ? "start 1@0" : "");
            }
            rig_schedule(&r);
            rig_clear(&r);
            if (ends[i].news == NULL) {
                rig_cancel(&r, "1", NULL);
            } else {
                rig_turn(&r, 1, ends[i].news);
            }
            rig_schedule(&r);
            assert_true(ends[i].root == NULL || rig_saw(&r, ends[i].root));
            assert_true(rig_saw(&r, "worker=2 ack=2 command=2 [leave job=1 task=0 instance=0]\n"));
            assert_true(rig_saw(&r, "worker=3 ack=2 command=2 [leave job=1 task=0 instance=0]\n"));
            assert_false(rig_saw(&r, "worker=1 ack=3 command=2 [leave"));
            rig_check_replay(&r);
            rig_fini(&r);
        }
    }
}

static const struct command *
find_command(const struct rig *r, uint32_t worker, enum command_kind kind)
{
    for (size_t i = 0; i < r->fx.count; i++) {
        const struct turn_answer *t = &r->fx.v[i].u.turn;
        for (size_t k = 0; r->fx.v[i].kind == EFFECT_TURN && t->worker.v == worker && k < t->command_count; k++) {
            if (t->commands[k].kind == kind) {
                return &t->commands[k];
            }
        }
    }
    return NULL;
}

/* Both ends of a pair have the same key, no two pairs of one task nor of two tasks share one. */
static void
keys_by_pair(void **state)
{
    (void)state;
    struct rig r;
    enum { NODES = 4 };
    unsigned char seen[2 * NODES * NODES][STEP_KEY_BYTES];
    size_t n = 0;
    rig_init(&r);
    add_nodes(&r, 2 * NODES);
    rig_array(&r, &(struct rig_job){.count = 2, .request = rig_nodes(&r, NODES)});
    rig_schedule(&r);
    for (uint32_t task = 0; task < 2; task++) {
        const struct step *s[NODES];
        for (uint32_t i = 0; i < NODES; i++) {
            uint32_t worker = task * NODES + i + 1;
            const struct command *c = find_command(&r, worker, i == 0 ? COMMAND_ASSIGN : COMMAND_JOIN);
            assert_non_null(c);
            s[i] = i == 0 ? c->u.assign.step : c->u.join.step;
            assert_int_equal(s[i]->node_count, NODES);
            assert_int_equal(s[i]->node_ix, i);
            const struct step_node *own = &s[i]->nodes[i];
            char want[16];
            (void)snprintf(want, sizeof(want), "10.0.0.%u", worker);
            assert_int_equal(own->port, 41000 + worker);
            assert_true(own->address_count == 1 && hq_str_is(own->addresses[0], want));
            assert_int_equal(own->ranks, 0);
        }
        for (uint32_t i = 0; i < NODES; i++) {
            for (uint32_t j = i + 1; j < NODES; j++) {
                assert_memory_equal(s[i]->keys[j], s[j]->keys[i], STEP_KEY_BYTES);
                for (size_t k = 0; k < n; k++) {
                    assert_memory_not_equal(seen[k], s[i]->keys[j], STEP_KEY_BYTES);
                }
                memcpy(seen[n++], s[i]->keys[j], STEP_KEY_BYTES);
            }
        }
    }
    rig_fini(&r);
}

/* Another instance, another secret: other keys. */
static void
keys_of_instances(void **state)
{
    (void)state;
    struct core *core;
    unsigned char a[STEP_KEY_BYTES];
    unsigned char b[STEP_KEY_BYTES];
    assert_int_equal(core_create(&core, &(struct core_conf){.seed = 1}, NULL), 0);
    struct gang gang = {.instance = 0};
    step_key(core, &gang, (hq_job_id){1}, 2, 0, 1, a);
    step_key(core, &gang, (hq_job_id){1}, 2, 1, 0, b);
    assert_memory_equal(a, b, sizeof(a));
    gang.instance = 1;
    step_key(core, &gang, (hq_job_id){1}, 2, 0, 1, b);
    assert_memory_not_equal(a, b, sizeof(a));
    gang.instance = 0;
    step_key(core, &gang, (hq_job_id){2}, 1, 0, 1, b); /* not job and task in one number */
    assert_memory_not_equal(a, b, sizeof(a));
    core->step_key[31] ^= 1;
    step_key(core, &gang, (hq_job_id){1}, 2, 0, 1, b);
    assert_memory_not_equal(a, b, sizeof(a));
    core_destroy(core);
}

/* The loss of a node that is not the root: plain tasks go on, ranks start again or fail, as the limit says. */
static void
lost_node_of_a_task(void **state)
{
    (void)state;
    static const struct {
        bool has_ranks;
        bool has_started;
        bool is_stopped; /* orderly: no crash */
        bool never;
        uint32_t limit;
        const char *record;
        const char *counts;
    } cases[] = {
        {false, true, false, false, 1, NULL, "0/1/0/0/0/0"},
        {true, true, false, false, 2, "record tasks-restarted job=1 ids=0 crash\n", "1/0/0/0/0/0"},
        {true, false, false, false, 1, "record tasks-restarted job=1 ids=0\n", "1/0/0/0/0/0"},
        {true, true, true, false, 1, "record tasks-restarted job=1 ids=0\n", "1/0/0/0/0/0"},
        {true, true, false, false, 1, "the task has occurred 1 times in this situation and limit was reached.",
         "0/0/0/1/0/0"},
        {true, true, true, true, 0, "Task was running on a lost worker while never restart flag was set.",
         "0/0/0/1/0/0"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct rig r;
        start_task(&r, 3, (struct rig_job){.crash_limit = cases[i].limit, .never_restart = cases[i].never},
                   cases[i].has_ranks);
        rig_turn(&r, 1, cases[i].has_started ? "start 1@0" : "");
        rig_turn(&r, 2, "");
        rig_turn(&r, 3, "");
        rig_schedule(&r);
        rig_clear(&r);
        if (cases[i].is_stopped) {
            rig_turn(&r, 2, "leave");
        } else {
            rig_gone(&r, 2);
            rig_wait(&r, 2000);
        }
        rig_expect_counts(&r, 1, cases[i].counts);
        bool is_over = cases[i].record != NULL;
        assert_true(!is_over || rig_saw(&r, cases[i].record));
        assert_int_equal(rig_saw(&r, "record task-failed worker=1"), is_over && cases[i].counts[0] == '0');
        rig_schedule(&r);
        assert_int_equal(rig_saw(&r, "[cancel job=1 ids=0]"), is_over);
        assert_int_equal(rig_saw(&r, "[leave job=1 task=0 instance=0]"), is_over);
        rig_clear(&r);
        rig_schedule(&r);
        rig_check_replay(&r);
        rig_fini(&r);
    }
}

/* Restarted on the nodes that are left and a new one; the old root gets the cancel before its new part. */
static void
restarts_elsewhere(void **state)
{
    (void)state;
    struct rig r;
    start_task(&r, 3, (struct rig_job){0}, true);
    rig_turn(&r, 1, "start 1@0");
    rig_turn(&r, 2, "");
    rig_turn(&r, 3, "");
    rig_schedule(&r);
    rig_clear(&r);
    rig_gone(&r, 2);
    rig_wait(&r, 2000);
    rig_schedule(&r);
    assert_true(rig_saw(&r, "tasks-assigned worker=1 job=1 instance=1 ids=0 nodes=1,3,4\n"));
    assert_true(rig_saw(&r, "[cancel job=1 ids=0] [assign job=1 desc=0 instance=1 ids=0 hosts=node1,node3,node4"));
    assert_true(rig_saw(&r, "[leave job=1 task=0 instance=0] [join job=1 desc=0 task=0 instance=1 node=1/3"));
    rig_check_replay(&r);
    rig_fini(&r);
}

/* The root's own word that a node is gone. */
static void
root_says_node_lost(void **state)
{
    (void)state;
    for (int has_started = 0; has_started < 2; has_started++) {
        struct rig r;
        start_task(&r, 3, (struct rig_job){.crash_limit = 2}, true);
        for (uint32_t w = 1; w <= 3; w++) {
            rig_turn(&r, w, w == 1 && has_started ? "start 1@0" : "");
        }
        rig_schedule(&r);
        rig_clear(&r);
        rig_turn(&r, 1, "node-lost 1@0");
        assert_true(rig_saw(&r, "record tasks-restarted job=1 ids=0 crash\n")); /* it ran, told or not */
        rig_schedule(&r);
        assert_false(rig_saw(&r, "tasks-assigned")); /* which node? 2 and 3 must speak first */
        rig_turn(&r, 2, "");
        rig_turn(&r, 3, "");
        rig_schedule(&r);
        assert_true(rig_saw(&r, "tasks-assigned worker=1 job=1 instance=1 ids=0 nodes=1,2,3\n"));
        rig_turn(&r, 1, "node-lost 1@0"); /* old news of instance 0 */
        rig_expect_counts(&r, 1, "1/0/0/0/0/0");
        rig_clear(&r);
        rig_turn(&r, 1, "start 1@0#1 node-lost 1@0#1");
        assert_true(rig_saw(&r, "has occurred 2 times in this situation and limit was reached."));
        rig_expect_counts(&r, 1, "0/0/0/1/0/0");
        rig_check_replay(&r);
        rig_fini(&r);
    }
}

/* A node that does not answer, or whose connection has just ended, is not taken again. */
static void
silent_node_is_left_out(void **state)
{
    (void)state;
    for (int is_gone = 0; is_gone < 2; is_gone++) {
        struct rig r;
        start_task(&r, 3, (struct rig_job){0}, true); /* on 1, 2, 3; 4 is idle */
        for (uint32_t w = 1; w <= 3; w++) {
            rig_turn(&r, w, w == 1 ? "start 1@0" : "");
        }
        rig_schedule(&r);
        if (is_gone) {
            rig_gone(&r, 2);
        }
        rig_turn(&r, 1, "node-lost 1@0");
        rig_schedule(&r);
        rig_turn(&r, 3, "");
        rig_clear(&r);
        rig_schedule(&r);
        assert_true(rig_saw(&r, "tasks-assigned worker=1 job=1 instance=1 ids=0 nodes=1,3,4\n"));
        rig_check_replay(&r);
        rig_fini(&r);
    }
}

/* A node that registers again is told what it still works for; so is one that comes back to another hqd. */
static void
member_comes_back(void **state)
{
    (void)state;
    for (int restart = 0; restart < 2; restart++) {
        struct rig r;
        struct held_tasks none = {0};
        start_task(&r, 3, (struct rig_job){0}, true);
        rig_turn(&r, 1, "start 1@0");
        const unsigned char *before = r.core->step_key;
        unsigned char key[STEP_KEY_BYTES];
        memcpy(key, before, sizeof(key));
        if (restart) {
            rig_restart(&r, "boot1");
        }
        assert_memory_equal(r.core->step_key, key, sizeof(key));
        rig_clear(&r);
        rig_worker_again(&r, 3, &none, 0);
        assert_true(rig_saw(&r, "member=1@0#0"));
        rig_turn(&r, 3, "");
        rig_schedule(&r);
        assert_true(rig_saw(&r, "[body job=1 desc=0] [join job=1 desc=0 task=0 instance=0 node=2/3"));
        rig_clear(&r);
        rig_worker_again(&r, 4, &none, 0);
        assert_false(rig_saw(&r, "member="));
        /* The root is back without it: the others leave. */
        rig_worker_again(&r, 1, &none, 0);
        assert_false(rig_saw(&r, "member="));
        rig_turn(&r, 3, "");
        rig_turn(&r, 1, "");
        rig_schedule(&r);
        assert_true(rig_saw(&r, "record tasks-restarted job=1 ids=0\n"));
        assert_true(rig_saw(&r, "[leave job=1 task=0 instance=0]"));
        rig_check_replay(&r);
        rig_fini(&r);
    }
}

/* hqd ends between the records of a loss: the next one ends the task. */
static void
loss_cut_in_half(void **state)
{
    (void)state;
    struct rig r;
    start_task(&r, 3, (struct rig_job){0}, true);
    rig_turn(&r, 1, "start 1@0");
    rig_turn(&r, 3, "");
    rig_schedule(&r);
    rig_gone(&r, 2);
    rig_clear(&r);
    rig_wait(&r, 2000);
    assert_true(rig_saw(&r, "record worker-lost worker=2 reason=connection\n"
                            "record tasks-restarted job=1 ids=0 crash\n"));
    r.record_count -= rig_saw(&r, "tasks-assigned"); /* the pass behind it gave it again */
    r.record_count--;
    core_destroy(r.core);
    assert_int_equal(core_create(&r.core, &r.conf, NULL), 0);
    rig_clear(&r);
    rig_reload(&r, "boot1");
    assert_true(rig_saw(&r, "record tasks-restarted job=1 ids=0 crash\n"));
    rig_expect_counts(&r, 1, "1/0/0/0/0/0");
    rig_check_replay(&r);
    rig_fini(&r);
}

/* Commands that wait for a turn are worth nothing when their instance has ended. */
static void
late_commands_are_dropped(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    add_nodes(&r, 3);
    rig_array(&r, &(struct rig_job){.request = rig_nodes(&r, 3), .mpi = {.is_on = true}});
    rig_schedule(&r); /* takes the open turns: what follows waits */
    rig_cancel(&r, "1", NULL);
    rig_array(&r, &(struct rig_job){.request = rig_nodes(&r, 3), .mpi = {.is_on = true}});
    rig_schedule(&r);
    rig_cancel(&r, "2", NULL);
    rig_clear(&r);
    for (uint32_t w = 1; w <= 3; w++) {
        rig_turn(&r, w, "");
    }
    rig_schedule(&r);
    assert_false(rig_saw(&r, "[join job=2"));
    assert_false(rig_saw(&r, "[assign job=2"));
    assert_true(rig_saw(&r, "[leave job=1 task=0 instance=0]"));
    assert_true(rig_saw(&r, "[leave job=2 task=0 instance=0]"));
    rig_fini(&r);
}

/* On one node, beside others: ranks come with the assignment, nobody joins. */
static void
ranks_on_one_node(void **state)
{
    (void)state;
    static const struct {
        struct hq_mpi mpi;
        double cpus;
        const char *want;
    } cases[] = {
        {{.is_on = true, .ranks = 2}, 2, "ids=0-1 ranks=2]"},
        {{.is_on = true}, 2, "ids=0-1 ranks=2]"},
        {{.is_on = true, .cpus_per_rank = 2}, 2, "ids=0-1 ranks=1]"},
        {{.is_on = true, .ranks_per_node = 5, .oversubscribe = true}, 1, "ids=0-1 ranks=5]"},
        {{0}, 2, "ids=0-1]"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct rig r;
        rig_init(&r);
        add_nodes(&r, 1);
        rig_array(&r, &(struct rig_job){.count = 2, .cpus = cases[i].cpus, .mpi = cases[i].mpi});
        rig_schedule(&r);
        assert_true(rig_saw(&r, cases[i].want));
        assert_false(rig_saw(&r, "[join"));
        rig_check_replay(&r);
        rig_fini(&r);
    }
}

/* Nodes that lack what the task asks for are passed over. */
static void
nodes_must_have_it(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_worker(&r, "cpus=2", NULL);
    rig_worker(&r, "cpus=8", NULL);
    rig_worker(&r, "cpus=8 gpus=1", NULL);
    for (uint32_t w = 1; w <= 3; w++) {
        rig_turn(&r, w, "");
    }
    struct hq_request *eight = rig_cpus(&r, 8);
    eight->variants[0].n_nodes = 2;
    rig_array(&r, &(struct rig_job){.request = eight, .mpi = {.is_on = true, .ranks_per_node = 8}});
    rig_schedule(&r);
    assert_true(rig_saw(&r, "tasks-assigned worker=2 job=1 instance=0 ids=0 nodes=2,3\n"));
    rig_turn(&r, 2, "finish 1@0");
    struct hq_request *gpu = rig_two(&r, "cpus", 1, "gpus", 1);
    gpu->variants[0].n_nodes = 2; /* there is but one such node */
    rig_array(&r, &(struct rig_job){.request = gpu});
    rig_clear(&r);
    rig_schedule(&r);
    assert_false(rig_saw(&r, "tasks-assigned"));
    rig_worker(&r, "cpus=8 gpus=1", NULL);
    rig_turn(&r, 4, "");
    rig_clear(&r);
    rig_schedule(&r);
    assert_true(rig_saw(&r, "tasks-assigned worker=3 job=2 instance=0 ids=0 nodes=3,4\n"));
    rig_check_replay(&r);
    rig_fini(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_join_and_leave), cmocka_unit_test(keys_by_pair),
        cmocka_unit_test(keys_of_instances),    cmocka_unit_test(lost_node_of_a_task),
        cmocka_unit_test(restarts_elsewhere),   cmocka_unit_test(root_says_node_lost),
        cmocka_unit_test(silent_node_is_left_out), cmocka_unit_test(member_comes_back),    cmocka_unit_test(loss_cut_in_half),
        cmocka_unit_test(late_commands_are_dropped),
        cmocka_unit_test(ranks_on_one_node),    cmocka_unit_test(nodes_must_have_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
