/* step_msg.h - StepMsg to and from plain structs. The only file of the worker that knows its protobuf form.
 *
 * Purpose    most frames are passed on unread: step_msg_peek finds whom they are for and what they are without decoding.
 * Ownership  views point into the frame or the arena; packed messages are appended to the caller's buffer.
 * Errors     -EPROTO.
 */
#ifndef HQ_WORKERD_STEP_MSG_H
#define HQ_WORKERD_STEP_MSG_H

#include "common/arena.h"
#include "common/err.h"
#include "hq-workerd/core/body.h"
#include "hq-workerd/core/stepdesc.h"

enum step_what { /* field numbers of StepMsg.what */
    STEP_MSG_HELLO = 3,
    STEP_MSG_ENDED = 9,
    STEP_MSG_ABORT = 10,
    STEP_MSG_REXEC_OPEN = 12,
    STEP_MSG_REXEC_DATA = 13,
    STEP_MSG_REXEC_END = 14,
    STEP_MSG_REXEC_ACK = 15,
};

struct step_head {
    uint32_t from, to;
    uint32_t what; /* 0 = nothing that this version knows */
};
/* The fields of the message itself; those inside `what` are not looked at. */
HQ_MUST_CHECK int step_msg_peek(struct hq_str frame, struct step_head *ret);

struct step_hello {
    struct hq_str token;
    bool is_rexec; /* else ranks */
};
HQ_MUST_CHECK int step_msg_hello(struct hq_str frame, struct hq_arena *arena, struct step_hello *ret);
HQ_MUST_CHECK int step_msg_abort_is_lost(struct hq_str frame, struct hq_arena *arena, bool *ret);

struct step_rexec { /* the REXEC messages */
    enum step_what what;
    uint32_t stream;
    struct hq_str host, command, cwd; /* OPEN */
    uint32_t channel;                 /* DATA */
    struct hq_str data;
    int32_t exit_code; /* END */
    struct hq_str error;
    bool is_gone;   /* END */
    uint32_t bytes; /* ACK */
    bool is_stdin;  /* ACK */
    bool is_for_run; /* decoded: from the caller's node to the command's; else back */
};
HQ_MUST_CHECK int step_msg_rexec(struct hq_str frame, struct hq_arena *arena, struct step_rexec *ret);
void step_msg_pack_rexec(struct hq_buf *out, uint32_t from, uint32_t to, const struct step_rexec *r);

struct step_start {
    uint32_t job, task, instance;
    const struct step_desc *desc;
    const struct hq_mpi *mpi;
    const uint32_t *cpus;
    size_t cpu_count;
    struct hq_str out_path, err_path, server_uid;
    bool is_out_framed, is_err_framed; /* streamed: the pipes carry frames (stream_file.h) */
};
void step_msg_pack_start(struct hq_buf *out, const struct step_start *s);

struct step_failure {
    hq_wall_ms at_ms;
    uint32_t node;
    int32_t exit_code;
    uint32_t signal;
    struct hq_str text;
};
void step_msg_pack_abort(struct hq_buf *out, uint32_t from, uint32_t to, const struct step_failure *why);
void step_msg_pack_node_lost(struct hq_buf *out, uint32_t to, uint32_t node, struct hq_str text);

#endif
