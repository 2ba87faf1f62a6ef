/* world.h - a cluster in virtual time: one hqd (core, journal, crashes), a network that loses and repeats, workers.
 *
 * Purpose    runs the real core under seeded faults. load.c makes requests, fault.c breaks things, check.c says what must
 *            hold. Everything follows from the seed.
 * Ownership  the world owns everything in it; world_fini frees it.
 * Threads    none; no real clock.
 * Units      ms of virtual time.
 * Errors     world_fail keeps the first violation; runs end there.
 */
#ifndef HQ_TESTS_SIM_WORLD_H
#define HQ_TESTS_SIM_WORLD_H

#include "common/heap.h"
#include "common/map.h"
#include "common/mem.h"
#include "common/rng.h"
#include "hqd/core/core.h"
#include "hqd/core/query.h"

struct node; /* a simulated worker: node.h */
struct world;

/* Kinds of faults, as bits; a shrunk run names those it needs. */
enum fault_kind {
    FAULT_LOSS = 1 << 0,   /* messages lost, late, twice */
    FAULT_WORKER = 1 << 1, /* worker processes die, connections break */
    FAULT_KILL = 1 << 2,   /* hqd is killed and started again */
    FAULT_HOST = 1 << 3,   /* hqd's host loses power */
    FAULT_DISK = 1 << 4,   /* the journal can't be written for a while */
    FAULT_STOP = 1 << 5,   /* hqd ends orderly and is started again */
    LOAD_RICH = 1 << 6,    /* no fault: variants, time requests, workers with a time limit, submits in parts */
    LOAD_NODES = 1 << 7,   /* no fault: many tasks of several nodes, most of them with ranks */
};
#define FAULT_ALL 255u

typedef void (*world_fn)(struct world *w, void *ctx, uint64_t arg);

struct world_event {
    struct hq_heap_node heap;
    world_fn fn;
    void *ctx;
    uint64_t arg;
};

struct sim_record {
    uint64_t seq;
    size_t at;
    size_t len;
};

/* An effect that waits for the disk, already in the form that travels. */
struct parcel {
    struct parcel *next;
    enum effect_when when;
    uint64_t after_seq;
    uint64_t handle;
    struct reply *reply;
};

/* Who waits for a handle. */
struct asker {
    struct node *node; /* NULL = the client */
    uint64_t turn_seq; /* 0 = registration */
    uint64_t request;  /* of the client */
};

/* A copy of what hqd answered. */
struct reply_command {
    enum command_kind kind;
    uint32_t job;
    uint32_t desc_id;
    uint32_t instance;
    uint32_t variant;
    struct hq_ranges ids; /* heap */
    char *entries;        /* all in one, heap */
    size_t entry_bytes;
    size_t entry_count;
    uint32_t cpus_x10000[2]; /* of the body, by variant */
    bool has_ranks;          /* the body's tasks */
    uint32_t node_count;
    uint32_t task; /* join, leave */
    uint32_t node_ix;
    enum lost_reason stop;
};

struct reply {
    uint32_t refs;
    int code;
    bool is_registered;
    uint32_t worker;
    uint64_t next_command_seq;
    bool is_member;
    uint32_t member[3]; /* job, task, instance */
    uint64_t command_seq;
    uint64_t ack_turn_seq;
    struct reply_command *commands; /* of a turn; drops of a registration */
    size_t command_count;
    enum answer_kind answer;
    uint32_t job;
};
void reply_free(struct reply *r);

struct world {
    uint64_t seed;
    struct hq_rng rng;
    uint32_t faults; /* fault_kind bits that are on */
    hq_ms now_ms;
    hq_wall_ms wall_offset_ms;
    struct hq_heap events;
    uint64_t event_tie;
    struct hq_buf failure; /* empty = all is well */
    bool is_verbose;
    bool is_healing; /* the end of a run: no new faults, no losses */
    /* hqd */
    struct core *core; /* NULL = down */
    struct core_conf conf;
    uint32_t life; /* counts starts of hqd */
    uint32_t boot;
    struct effects fx;
    uint64_t written_seq;
    uint64_t committed_seq;
    bool is_committing;
    hq_ms disk_bad_until_ms;
    bool is_turn_end_due;
    hq_ms timer_at_ms; /* event set for it; INT64_MAX = none */
    struct parcel *parcels;
    struct parcel **parcels_tail;
    uint64_t next_handle;
    struct hq_map askers; /* handle -> struct asker */
    struct hq_buf journal;
    struct sim_record *records;
    size_t record_count;
    size_t record_cap;
    /* the rest of the cluster */
    struct node **nodes;
    size_t node_count;
    size_t node_cap;
    struct load *load;
    struct check *check;
    uint64_t step_count;
    uint64_t check_count;
};

void world_init(struct world *w, uint64_t seed, uint32_t faults);
void world_fini(struct world *w);
void world_fail(struct world *w, const char *fmt, ...) HQ_PRINTF(2, 3);
static inline bool
world_failed(const struct world *w)
{
    return w->failure.len > 0;
}
void world_at(struct world *w, hq_ms at_ms, world_fn fn, void *ctx, uint64_t arg);
/* Runs events up to the time; stops at a failure. */
void world_run(struct world *w, hq_ms until_ms);
hq_wall_ms world_wall(const struct world *w);

/* ---- hqd */
void world_start_hqd(struct world *w);
void world_kill_hqd(struct world *w, bool is_power_cut);
/* An orderly end: workers are told, everything is on disk, the process is gone. */
void world_stop_hqd(struct world *w);
/* A message arrives at hqd; false: it is down. */
bool world_give(struct world *w, const struct input *in);
uint64_t world_handle(struct world *w, const struct asker *from);
bool world_disk_is_bad(const struct world *w);

/* ---- network: how long a message takes; -1 = lost. */
hq_ms world_delay(struct world *w);
bool world_is_repeated(struct world *w);
bool world_chance(struct world *w, uint32_t num, uint32_t den);

#endif
