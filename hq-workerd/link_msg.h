/* link_msg.h - between protobuf messages of turns and the worker's own structs. The only file here that knows both.
 *
 * Purpose    packs Register and Turn, decodes Registered and TurnAnswer; what comes from hqd is checked here and nowhere
 *            behind.
 * Ownership  packed messages go into the caller's buffer. Decoded commands own bodies and batches until they are taken;
 *            views lie in the arena given.
 * Errors     -EPROTO with the reason.
 */
#ifndef HQ_WORKERD_LINK_MSG_H
#define HQ_WORKERD_LINK_MSG_H

#include "common/arena.h"
#include "common/start_opts.h"
#include "hq-workerd/core/agent.h"
#include "hq-workerd/core/lifetime.h"

#define LINK_ID_BYTES 16 /* incarnations */

struct link_worker { /* what a worker says of itself; borrowed */
    struct hq_str hostname, group, work_dir, listen_address, manager_job_id, boot_id;
    int64_t heartbeat_ms, idle_timeout_ms, time_limit_ms, overview_ms, retract_check_ms;
    bool is_idle_timeout_set;
    uint32_t min_utilization_x10000;
    enum hq_on_server_lost on_server_lost;
    int manager; /* HQ_MANAGER_NONE, _PBS, _SLURM */
    int64_t manager_time_limit_ms;
    uint64_t manager_memory_mb;
    uint32_t pid;
    const struct hq_pools *pools;
    const char *const *gpu_families; /* NULL-terminated */
    const struct hq_str *addresses;  /* numeric, best first */
    size_t address_count;
    hq_wall_ms started_ms;
    unsigned char incarnation[LINK_ID_BYTES];
};

struct link_held { /* one group of tasks of a Register */
    uint32_t job_id, instance, variant;
    bool is_running;
    struct hq_ranges ids;  /* ascending */
    hq_wall_ms *started_ms; /* running ones: one per id */
};
struct link_held_list {
    struct link_held *v; /* heap */
    size_t count, cap;
};
void link_held_list_fini(struct link_held_list *l); /* also the cleanup form */

struct link_drop {
    uint32_t job_id, instance;
    struct hq_ranges ids; /* in the arena */
};
struct link_registered {
    uint32_t worker_id;
    struct hq_str server_uid;
    unsigned char hqd_incarnation[LINK_ID_BYTES];
    uint64_t next_command_seq;
    const struct link_drop *drop;
    size_t drop_count;
    bool has_member; /* goes on; all other memberships are over */
    uint32_t member_job, member_task, member_instance;
    int64_t heartbeat_ms;
};

enum link_command_kind {
    LINK_BODY = 1,
    LINK_ASSIGN,
    LINK_RETRACT,
    LINK_CANCEL,
    LINK_FORGET_JOB,
    LINK_STOP,
    LINK_OVERVIEW,
    LINK_STDIN_PART,
    LINK_JOIN,
    LINK_LEAVE,
};
enum link_reason { /* the same numbers as in proto/common.proto */
    LINK_REASON_NONE = 0,
    LINK_REASON_STOPPED = 1,
    LINK_REASON_CONNECTION = 2,
    LINK_REASON_HEARTBEAT = 3,
    LINK_REASON_IDLE = 4,
    LINK_REASON_TIME_LIMIT = 5,
};
struct link_command {
    enum link_command_kind kind;
    uint32_t job_id;
    uint32_t instance;      /* RETRACT, JOIN, LEAVE */
    uint32_t task_id;       /* JOIN, LEAVE */
    struct hq_ranges ids;   /* RETRACT, CANCEL; in the arena */
    struct body *body;      /* BODY: a new one; ASSIGN: none, see desc_id */
    uint64_t stdin_bytes;   /* BODY */
    uint32_t desc_id;       /* ASSIGN */
    uint32_t variant;       /* ASSIGN */
    struct hq_str *entries; /* ASSIGN: one per id, or NULL; in the arena */
    struct hq_str *hosts;   /* ASSIGN: multi-node */
    size_t host_count;
    struct step_desc *step; /* ASSIGN, JOIN: owned until taken; NULL = one process on one node */
    enum link_reason reason; /* STOP */
    int64_t overview_ms;
    uint32_t submit;         /* STDIN_PART */
    uint64_t offset;
    struct hq_str data;     /* JOIN: the entry; empty = none */
};
struct link_answer {
    uint64_t command_seq;
    uint64_t ack_turn_seq;
    struct link_command *commands; /* in the arena */
    size_t command_count;
};

struct link_overview { /* one sample, as columns of the message */
    hq_wall_ms at_ms;
    const float *cpu_percent;
    size_t cpu_count;
    uint64_t memory_total, memory_free;
    const struct link_gpu *gpus;
    size_t gpu_count;
    uint64_t network[6];
};
struct link_gpu {
    const char *family;
    struct hq_str id;
    float processor_percent, memory_percent;
};

struct link_turn_head {
    uint32_t worker_id;
    const unsigned char *hqd_incarnation;
    uint64_t turn_seq;
    uint64_t ack_command_seq;
    enum link_reason leaving;
    uint32_t round_trip_us;
    bool is_unsettled;
};

/* Appends envelope and message. */
HQ_MUST_CHECK int link_pack_register(struct hq_buf *out, uint64_t request_id, const struct link_worker *w,
                                     uint32_t worker_id, uint64_t next_turn_seq, const struct link_held_list *held,
                                     struct hq_err *err);
/* News of a turn without its head: kept until hqd has them, sent again as they are. Appends protobuf bytes only. */
void link_pack_news(struct hq_buf *out, const struct turn_news *news, const struct link_overview *overview,
                    struct hq_arena *arena);
/* Envelope, head, then the news packed before. */
HQ_MUST_CHECK int link_pack_turn(struct hq_buf *out, uint64_t request_id, const struct link_turn_head *head,
                                 struct hq_str news, struct hq_err *err);

HQ_MUST_CHECK int link_read_registered(struct hq_str body, struct hq_arena *arena, struct link_registered *ret,
                                       struct hq_err *err);
HQ_MUST_CHECK int link_read_answer(struct hq_str body, struct hq_arena *arena, struct link_answer *ret,
                                   struct hq_err *err);
void link_answer_fini(struct link_answer *a); /* bodies and steps that nobody took */
/* Reads TYPE_ERROR: its code, and its text into err. */
int link_read_error(struct hq_str body, struct hq_arena *arena, struct hq_err *err);
/* A batch out of an ASSIGN, with copies of entries and hosts; it shares the step. NULL without memory. */
HQ_MUST_CHECK struct batch *link_make_batch(const struct link_command *c, struct body *body);

#endif
