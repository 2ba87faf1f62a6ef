/* shell_impl.h - what the shell's own files share.
 *
 * Purpose    shell.c (loop, timers, signals), shell_effects.c (effects carried out), net_client.c and net_turn.c (requests),
 *            follow.c (long polls), snapshot.c (prune), debug.c (dump). Nobody else includes this.
 * Threads    loop thread.
 */
#ifndef HQ_HQD_SHELL_IMPL_H
#define HQ_HQD_SHELL_IMPL_H

#include <ev.h>

#include "common/arena.h"
#include "common/log.h"
#include "hqd/alloc_turn.h"
#include "hqd/follow.h"
#include "hqd/ingress.h"
#include "hqd/outbox.h"
#include "hqd/peer.h"
#include "hqd/publish.h"
#include "hqd/shell.h"
#include "hqd/supervise.h"

struct texts;

struct shell {
    struct shell_conf conf;
    struct ev_loop *loop;
    struct core *core;
    struct journal *journal;
    struct hq_net_server *net[PEER_DOORS];
    struct hq_net_pub *pub;
    char *note_ipc;
    unsigned char note_key[HQ_SECRET_BYTES];

    struct peers peers;
    struct outbox outbox;
    struct publish publish;
    struct follow follow;
    struct alloc_turn alloc_turn;
    struct supervise supervise;

    struct effects fx;
    struct hq_arena in_arena;   /* the present request, decoded */
    struct hq_arena conv_arena; /* the present request, converted; answers being built */
    struct hq_buf record_bytes; /* scratch */
    struct hq_buf answer_bytes; /* scratch */

    uint64_t written_seq;       /* marks as of the last look */
    uint64_t committed_seq;
    bool is_dirty;              /* the core had an input since the last pass */
    bool wants_commit;          /* a record of this turn is worth an fdatasync */
    bool was_failing;           /* the journal; told once */
    uint32_t reads_out;         /* answers that wait for the journal's reading thread */
    STAILQ_HEAD(, texts) texts_waiting;
    bool is_pruning;
    bool is_stopping;           /* EFFECT_STOP was seen */
    bool is_ending;             /* the loop was told to end */
    enum shell_end end;
    hq_ms stop_until_ms;        /* answers that could not leave by then are lost */

    struct ev_prepare turn_end;
    struct ev_timer core_timer;
    struct ev_timer wait_timer; /* questions, long polls, notes */
    struct ev_timer watchdog;
    struct ev_signal sigint;
    struct ev_signal sigterm;
    struct ev_signal sighup;
    struct hq_ratelimit bad_peer_log;
    struct hq_ratelimit late_log;
};

struct core_now shell_now(const struct shell *s);
/* One input: the core's step, its effects carried out. */
void shell_step(struct shell *s, const struct input *in);
void shell_carry_out(struct shell *s); /* s->fx */
/* An answer to a question: at once, or when what it shows is on disk (at most QUESTION_WAIT_MS). Takes the bytes. */
void shell_answer_question(struct shell *s, uint64_t handle, struct hq_buf *bytes);
/* At once. */
void shell_answer_now(struct shell *s, uint64_t handle, struct hq_str bytes);
void shell_refuse(struct shell *s, uint64_t handle, int code, const char *text);
void shell_arm_wait_timer(struct shell *s);
void shell_send(void *shell, uint64_t handle, struct hq_str bytes);
hq_ms shell_on_late(void *shell, uint64_t handle);
/* By the route of a turn that has just come; takes the bytes. */
void shell_send_kept(struct shell *s, struct peer *p, struct hq_buf *bytes);
void shell_begin_stop(struct shell *s);

/* Requests of both doors: peer, handle, decoded message. false: it has been answered or dropped. */
bool shell_receive(struct shell *s, enum peer_door door, const struct hq_net_peer *net, const struct hq_net_req *req,
                   struct hq_str payload, struct ingress_msg *ret, struct peer **ret_peer, uint64_t *ret_handle);

/* net_client.c, net_turn.c */
void net_client_on_request(void *shell, const struct hq_net_peer *net, const struct hq_net_req *req,
                           struct hq_str payload);
void net_client_on_gone(void *shell, uint64_t peer_id);
void net_turn_on_request(void *shell, const struct hq_net_peer *net, const struct hq_net_req *req,
                         struct hq_str payload);
void net_turn_on_gone(void *shell, uint64_t peer_id);

/* snapshot.c, debug.c, texts.c */
void snapshot_prune(struct shell *s, uint64_t handle, uint64_t request_id);
void debug_dump(struct shell *s, uint64_t handle, uint64_t request_id, struct hq_str path);
/* Answers that need error texts from the journal: page is packed but for them. */
struct texts_want {
    uint64_t seq;
    uint32_t task;
    uint32_t worker;     /* job detail */
    char host[256];      /* job detail */
};
void texts_answer(struct shell *s, uint64_t handle, struct hq_buf *page, const struct texts_want *want, size_t count,
                  bool is_detail);
void texts_progress(struct shell *s); /* the journal's marks have moved */

#define QUESTION_WAIT_MS 1000
#define STOP_WAIT_MS 5000
#define TURN_HOLD_MS 1000   /* a worker waits for the journal that long before it gets a heartbeat instead */
#define CLIENT_HOLD_MS 5000 /* a client, before it is told why it waits */

#endif
