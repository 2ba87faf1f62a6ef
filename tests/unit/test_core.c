/* One task's way through the core, records, answers and commands as text. */
#include "tests/unit/build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void
runs_an_array(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r);
    rig_array(&r, &(struct rig_job){.ids = "0-9"});
    rig_schedule(&r);
    rig_expect(&r, "record job-submitted job=1 uid=1000 new name=\"job\" ids=0-9\n"
                   "answer(commit) #1 submitted job=1\n");
    rig_worker(&r, "cpus=4", NULL);
    rig_turn(&r, 1, "");
    rig_expect(&r, "record worker-connected worker=1 host=\"node1\"\n"
                   "registered(commit) #2 worker=1 command=1\n");
    rig_schedule(&r);
    rig_expect(
        &r, "record tasks-assigned worker=1 job=1 instance=0 ids=0-7\n"
            "turn(write) #3 worker=1 ack=1 command=1 [body job=1 desc=0] [assign job=1 desc=0 instance=0 ids=0-7]\n");
    rig_turn(&r, 1, "start 1@0-3");
    rig_schedule(&r);
    rig_expect_counts(&r, 1, "6/4/0/0/0/0");
    rig_expect(&r, "record tasks-started worker=1 job=1 instance=0 ids=0-3 at=999990,999990,999990,999990\n");
    rig_turn(&r, 1, "finish 1@0-3 start 1@4-7");
    rig_schedule(&r);
    rig_expect_counts(&r, 1, "2/4/4/0/0/0");
    rig_turn(&r, 1, "finish 1@4-9");
    rig_clear(&r);
    rig_schedule(&r);
    rig_expect_counts(&r, 1, "0/0/10/0/0/0");
    rig_check_replay(&r);
    rig_fini(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_an_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
