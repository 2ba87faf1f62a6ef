/* step_impl.h - state shared by step.c (table), step_ranks.c (hq-stepd's runs), step_conn.c (local connections), step_call.c
 * (callers of remote commands), step_run.c (remote commands that run here) and step_route.c (frames between nodes). */
#ifndef HQ_WORKERD_STEP_IMPL_H
#define HQ_WORKERD_STEP_IMPL_H

#include <ev.h>

#include "common/log.h"
#include "common/map.h"
#include "common/seal.h"
#include "hq-workerd/framed.h"
#include "hq-workerd/hidden.h"
#include "hq-workerd/peer.h"
#include "hq-workerd/step.h"
#include "hq-workerd/step_msg.h"

#define STEP_QUEUE_BYTES ((size_t)4 << 20) /* for a hq-stepd that does not read; beyond, nodes are not read from */
#define STEP_ARENA_BYTES ((size_t)4 << 20)
#define STEP_EXIT_LOST 255 /* of a remote command whose end is unknown, as ssh has it */

struct step_link { /* to one other node */
    struct step *step;
    uint32_t node;
    struct peer *peer;
};

enum conn_state {
    CONN_HELLO = 1, /* has not shown a token */
    CONN_RANKS,     /* hq-stepd */
    CONN_CALLER,    /* wants to start a remote command */
    CONN_CALLING,   /* it was sent to the node */
    CONN_OVER,      /* its end was told */
};

struct step_conn {
    struct step_conn *next, **at; /* of all */
    struct steps *steps;
    struct step *step; /* NULL: CONN_HELLO */
    struct framed *framed;
    enum conn_state state;
    hq_ms since_ms;
    /* callers */
    uint32_t node, stream;
    size_t sent;  /* of stdin, and not passed on yet by the other side */
    size_t taken; /* of output, and the other side does not know yet that it was passed on */
};

struct step_run { /* a remote command */
    struct step_run *next, **at; /* of the step */
    struct step *step;
    uint32_t node, stream; /* who wants it */
    uint64_t hidden_id;
    int fds[3]; /* our ends; -1 = closed */
    ev_io io[3];
    struct hq_buf in; /* not taken by its stdin yet */
    size_t in_at;
    size_t taken; /* as above, of stdin */
    bool is_in_ended;
    size_t sent; /* as above, of output */
    bool is_over;
    int exit_code;
};

struct step {
    struct step *next_same;  /* instances of the same task */
    struct step *next, **at; /* of all */
    struct steps *steps;
    struct body *body;
    struct step_desc *desc;
    uint32_t job, task, instance;
    char secret[RUN_SECRET_BYTES];
    bool is_root;
    bool is_node_lost;     /* root: the task is to be started again */
    struct step_link *links; /* by node; NULL until the first one is needed */
    struct step_conn *ranks; /* the local hq-stepd */
    uint64_t ranks_run;      /* its hidden run; 0 at the root */
    bool has_ranks_said;   /* it told of its end, or of a reason to end all */
    bool has_ranks_left;   /* its connection has ended */
    bool is_ranks_over;    /* its run has ended */
    int ranks_exit_code;
    char *ranks_error;
    struct hq_buf early;   /* for it, before it was there: frames behind their lengths */
    struct step_run *runs;
    uint32_t next_stream;
};

struct self_frame { /* to ourselves: delivered from the loop, as if it had come from another node */
    struct self_frame *next;
    struct step *step;
    struct hq_buf frame;
};

struct steps {
    struct steps_conf conf;
    struct peers *peers;
    struct hq_map by_task; /* job, task -> first instance */
    struct step *first;
    uint32_t count;
    struct step_conn *conns;
    uint32_t conn_count;
    uint32_t stream_count; /* callers and remote commands */
    uint64_t next_hidden_id;
    struct hq_ratelimit nonsense_log;
    struct scratch scratch;
    struct self_frame *selves, **selves_tail;
    ev_timer self_timer;
};

/* ---- step.c */
struct step *steps_find(const struct steps *s, uint32_t job, uint32_t task, uint32_t instance);
HQ_MUST_CHECK int steps_add(struct steps *s, struct body *body, uint32_t task, uint32_t instance, struct step_desc *desc,
                            struct step **ret);

/* ---- step_ranks.c */
/* A batch for a hidden run of the step's task; it takes `hidden` unless it fails. */
HQ_MUST_CHECK struct batch *step_make_batch(struct step *st, struct body *body, struct hidden *hidden);
HQ_MUST_CHECK int step_start_ranks(struct step *st, struct hq_str entry); /* our hq-stepd, as the root's worker starts the root's */
void step_on_ranks_end(struct step *st, int exit_code, struct hq_str error); /* its run; -1: there was none */
/* The local hq-stepd is gone, run and connection: if it had not said why, the other nodes are told. */
void step_check_ranks(struct step *st);

/* ---- step_conn.c */
void conns_on_time(struct steps *s, hq_ms now_ms);
hq_ms conns_next_ms(const struct steps *s);
void conn_destroy(struct step_conn *c);
void step_to_ranks(struct step *st, struct hq_str frame);   /* to the local hq-stepd, now or when it comes */
void conn_send(struct step_conn *c, struct hq_str frame);
void step_resume_ranks(struct step *st); /* links have room again */

/* ---- step_call.c */
HQ_MUST_CHECK int caller_begin(struct step_conn *c, struct step *st); /* NULL: it knows no secret of ours */
HQ_MUST_CHECK int caller_on_frame(struct step_conn *c, struct hq_str frame);
void caller_on_drained(struct step_conn *c);
void conns_on_rexec(struct step *st, uint32_t node, const struct step_rexec *r); /* from the command's node */
void conns_on_lost(struct step *st, uint32_t node, struct hq_str why);

/* ---- step_route.c */
void step_send(struct step *st, uint32_t to, struct hq_str frame); /* never calls back */
void step_send_rexec(struct step *st, uint32_t to, const struct step_rexec *r);
bool step_is_full(const struct step *st, uint32_t to);
void step_pause_links(struct step *st, bool is_paused);
void step_close_links(struct step *st);
struct peer *steps_on_call(void *ctx, const struct peer_name *name);
void steps_on_selves(struct ev_loop *loop, ev_timer *w, int revents);
void steps_drop_selves(struct step *st);

/* ---- step_run.c */
void runs_on_rexec(struct step *st, uint32_t node, const struct step_rexec *r); /* from the caller's node */
bool runs_on_ended(struct step *st, uint64_t hidden_id, int exit_code, struct hq_str error); /* false: it is none */
void runs_on_lost(struct step *st, uint32_t node);
void step_run_destroy(struct step_run *r); /* ends nothing */

#endif
