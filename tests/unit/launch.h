/* launch.h - a launcher in a temporary directory, for tests that start real processes. */
#ifndef HQ_TESTS_UNIT_LAUNCH_H
#define HQ_TESTS_UNIT_LAUNCH_H

#include <signal.h>
#include <sys/types.h>

#include "hq-workerd/launcher.h"

#define LAUNCH_DEADLINE_MS 20000

struct launch {
    struct launcher *l;
    struct launcher_conf conf;
    sigset_t none;
    char dir[64];
    uint32_t started, finished, failed, idle;
    char *error; /* of the last one that failed */
    uint32_t order[64];
    hq_wall_ms last_started_ms;
};

void launch_init(struct launch *f, uint32_t threads, uint32_t runs_max);
void launch_fini(struct launch *f);
/* Bodies without output files, in the directory of the fixture. */
struct body *launch_make_body(struct launch *f, const char *const *args);
struct body *launch_make_shell(struct launch *f, const char *script);
void launch_push(struct launch *f, struct body *body, uint32_t first, uint32_t count, uint32_t instance);
void launch_open_slots(struct launch *f, uint32_t count);
void launch_wait_for(struct launch *f, uint32_t ended, uint32_t idle); /* so many tasks have ended, slots been idle */
void launch_wait_started(struct launch *f, uint32_t started);
/* Runs one task of the body in slot 0 to its end; takes the reference. */
void launch_run_one(struct launch *f, struct body *body, uint32_t instance);
void launch_expect_file(struct launch *f, const char *name, const char *text); /* NULL: not there */
void launch_make_file(struct launch *f, const char *name, const char *text, mode_t mode);

#endif
