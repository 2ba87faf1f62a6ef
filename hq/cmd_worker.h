/* cmd_worker.h - rows of the worker commands, for the table in commands.c.
 *
 * Ownership  argument structs lie in the arena of the parser.
 * Errors     as commands.h.
 */
#ifndef HQ_HQ_CMD_WORKER_H
#define HQ_HQ_CMD_WORKER_H

#include "hq/commands.h"
#include "hq/selector_wire.h"

/* worker start has hq_worker_start_opts, worker hwdetect hq_hwdetect_opts */

struct worker_list_args {
    bool all;
    int filter; /* 0 running, 1 offline */
};
#define WORKER_LIST_OPTS 2
extern const struct hq_opt worker_list_opts[WORKER_LIST_OPTS];

struct worker_select_args {
    struct hq_selector workers;
};
#define WORKER_SELECT_OPTS 1
extern const struct hq_opt worker_info_opts[WORKER_SELECT_OPTS];
extern const struct hq_opt worker_stop_opts[WORKER_SELECT_OPTS];

struct worker_address_args {
    uint32_t worker;
};
#define WORKER_ADDRESS_OPTS 1
extern const struct hq_opt worker_address_opts[WORKER_ADDRESS_OPTS];

struct worker_wait_args {
    uint32_t count;
};
#define WORKER_WAIT_OPTS 1
extern const struct hq_opt worker_wait_opts[WORKER_WAIT_OPTS];

#endif
