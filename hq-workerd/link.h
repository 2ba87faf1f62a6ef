/* link.h - the worker's side of the talk with hqd: registration, turns, re-sending, coming back.
 *
 * Purpose    keeps one turn parked at hqd (its answer brings commands) and sends a second one when there is news; keeps
 *            each turn until hqd's journal has it; carries on after a lost connection or a restart of hqd with nothing
 *            lost and nothing told twice.
 * Ownership  borrows worker, report and callbacks' context until destroy.
 * Threads    loop thread. A helper thread reads the access file: it may lie on a filesystem that hangs.
 * Units      ms.
 * Errors     link_create as below; later ones through on_refused.
 * Limits     two turns out; HQ_UNACKED_TURNS_MAX turns kept, then news wait in the report.
 */
#ifndef HQ_WORKERD_LINK_H
#define HQ_WORKERD_LINK_H

#include "common/access.h"
#include "hq-workerd/link_msg.h"

struct ev_loop;
struct link;

/* Called on the loop's thread; they may call link functions but not link_destroy. */
struct link_calls {
    void *ctx;
    /* `is_new`: another id than before, everything held has to go. Before the first command. */
    void (*on_registered)(void *ctx, const struct link_registered *r, bool is_new);
    /* Fills in what the worker holds now; called before a Register that names an id. */
    int (*list_held)(void *ctx, struct link_held_list *ret);
    /* Commands of one answer in order. Bodies that are taken are set to NULL. */
    void (*on_commands)(void *ctx, struct link_command *commands, size_t count);
    /* Nothing came for two heartbeats, or the connection broke: link goes on trying. on_back: hqd has answered again. */
    void (*on_lost)(void *ctx);
    void (*on_back)(void *ctx);
    void (*on_refused)(void *ctx, const struct hq_err *err); /* final: wrong key, other version, refused */
    void (*on_left)(void *ctx);                              /* hqd has the news that we leave */
    /* A sample for this turn, if one is due; else false. Memory of the worker until the next call. */
    bool (*take_overview)(void *ctx, struct link_overview *ret);
};

struct link_conf {
    struct ev_loop *loop;
    const char *server_dir;
    const struct link_worker *worker;
    struct report *report;
    struct link_calls calls;
};

/* `access` as read at the start; later attempts read it again. */
HQ_MUST_CHECK int link_create(struct link **ret, const struct link_conf *conf, const struct hq_access *access,
                              struct hq_err *err);
void link_destroy(struct link *l); /* NULL is fine */
/* The report may have got something: it leaves at the latest linger_ms after what left before, so that under load many
 * tasks travel together; LINK_URGENT_MS when nothing is left to run, or somebody waits. hqd is told of the lingering as
 * part of the round trip, for it makes the queues here deep enough by that. */
#define LINK_URGENT_MS 1
#define LINK_LINGER_MS_MAX 25
void link_news(struct link *l, hq_ms linger_ms);
void link_nudge(struct link *l); /* a turn now, also without events: a sample is due */
void link_leave(struct link *l, enum link_reason reason); /* the next turn says so; on_left when hqd has it */
uint32_t link_worker_id(const struct link *l);            /* 0 = not registered yet */

#endif
