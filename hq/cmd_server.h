/* cmd_server.h - rows of the server commands, for the table in commands.c.
 *
 * Ownership  argument structs lie in the arena of the parser.
 * Errors     as commands.h.
 */
#ifndef HQ_HQ_CMD_SERVER_H
#define HQ_HQ_CMD_SERVER_H

#include "hq/commands.h"

/* server start has hq_server_start_opts */

#define SERVER_INFO_OPTS 1
extern const struct hq_opt server_info_opts[SERVER_INFO_OPTS]; /* no target but the flag of old scripts */
struct server_info_args {
    bool stats; /* accepted, no effect */
};

struct server_wait_args {
    int64_t timeout_ms;
};
#define SERVER_WAIT_OPTS 1
extern const struct hq_opt server_wait_opts[SERVER_WAIT_OPTS];

struct server_access_args {
    uint16_t client_port;
    uint16_t worker_port;
    struct hq_str host;
    struct hq_str client_host;
    struct hq_str worker_host;
    struct hq_str client_file;
    struct hq_str worker_file;
    struct hq_str file;
};
#define SERVER_ACCESS_OPTS 8
extern const struct hq_opt server_access_opts[SERVER_ACCESS_OPTS];

struct server_dump_args {
    struct hq_str path;
};
#define SERVER_DUMP_OPTS 1
extern const struct hq_opt server_dump_opts[SERVER_DUMP_OPTS];

#endif
