/* Answers of hqd on their way: copies of effects that travel and arrive. */
#include "tests/sim/world_impl.h"

#include "hqd/core/idlist.h"
#include "tests/sim/load.h"
#include "tests/sim/node.h"

#include <stdlib.h>

void
reply_free(struct reply *r)
{
    if (r == NULL || --r->refs > 0) {
        return;
    }
    for (size_t i = 0; i < r->command_count; i++) {
        hq_ranges_fini(&r->commands[i].ids);
        free(r->commands[i].entries);
    }
    free(r->commands);
    free(r);
}

static void
copy_command(struct reply_command *to, const struct command *c)
{
    to->kind = c->kind;
    switch (c->kind) {
    case COMMAND_BODY:
        to->job = c->u.body.job.v;
        to->desc_id = c->u.body.desc_id;
        to->has_ranks = c->u.body.desc->mpi.is_on;
        for (size_t v = 0; v < c->u.body.desc->request.variant_count && v < HQ_ARRAY_LEN(to->cpus_x10000); v++) {
            const struct hq_variant *from = &c->u.body.desc->request.variants[v];
            to->cpus_x10000[v] = from->entry_count == 0 ? 0 : (uint32_t)from->entries[0].amount;
        }
        return;
    case COMMAND_ASSIGN:
        to->job = c->u.assign.job.v;
        to->desc_id = c->u.assign.desc_id;
        to->instance = c->u.assign.instance;
        to->variant = c->u.assign.variant;
        to->ids = idlist_dup(&c->u.assign.ids);
        to->entry_count = c->u.assign.entries.count;
        to->entry_bytes = c->u.assign.entries.data.len;
        to->entries = hq_str_dupz(c->u.assign.entries.data);
        to->node_count = (uint32_t)c->u.assign.node_count;
        return;
    case COMMAND_JOIN:
        to->job = c->u.join.job.v;
        to->desc_id = c->u.join.desc_id;
        to->instance = c->u.join.instance;
        to->task = c->u.join.task;
        to->node_count = c->u.join.step->node_count;
        to->node_ix = c->u.join.step->node_ix;
        return;
    case COMMAND_LEAVE:
        to->job = c->u.leave.job.v;
        to->instance = c->u.leave.instance;
        to->task = c->u.leave.task;
        return;
    case COMMAND_RETRACT:
    case COMMAND_CANCEL:
        to->job = c->u.tasks.job.v;
        to->instance = c->u.tasks.instance;
        to->ids = idlist_dup(&c->u.tasks.ids);
        return;
    case COMMAND_STOP:
        to->stop = c->u.stop;
        return;
    case COMMAND_FORGET_JOB:
    case COMMAND_OVERVIEW:
    case COMMAND_STDIN_PART:
        return;
    }
}

struct reply *
reply_copy_turn(const struct turn_answer *t)
{
    struct reply *r = hq_xalloc(sizeof(*r));
    *r = (struct reply){.refs = 1, .code = t->code, .command_seq = t->command_seq, .ack_turn_seq = t->ack_turn_seq};
    r->commands = hq_xcalloc(t->command_count + 1, sizeof(*r->commands));
    r->command_count = t->command_count;
    for (size_t i = 0; i < t->command_count; i++) {
        copy_command(&r->commands[i], &t->commands[i]);
    }
    return r;
}

struct reply *
reply_copy_registered(const struct registered *g)
{
    struct reply *r = hq_xalloc(sizeof(*r));
    *r = (struct reply){.refs = 1, .code = g->code, .is_registered = true, .worker = g->worker.v};
    r->next_command_seq = g->next_command_seq;
    r->is_member = g->is_member;
    r->member[0] = g->member.job.v;
    r->member[1] = g->member.task;
    r->member[2] = g->member.instance;
    r->commands = hq_xcalloc(g->drop_count + 1, sizeof(*r->commands));
    r->command_count = g->drop_count;
    for (size_t i = 0; i < g->drop_count; i++) {
        r->commands[i] = (struct reply_command){.kind = COMMAND_CANCEL, .job = g->drop[i].job.v};
        r->commands[i].ids = idlist_dup(&g->drop[i].ids);
    }
    return r;
}

struct reply *
reply_copy_answer(const struct answer *a)
{
    struct reply *r = hq_xalloc(sizeof(*r));
    *r = (struct reply){.refs = 1, .code = a->code, .answer = a->kind, .job = a->job.v};
    return r;
}

void
reply_deliver(struct world *w, void *ctx, uint64_t handle)
{
    struct reply *r = ctx;
    struct asker *a = hq_map_get_ptr(&w->askers, handle);
    if (a != NULL && a->node != NULL && r->is_registered) {
        node_on_registered(a->node, a->request, r);
    } else if (a != NULL && a->node != NULL) {
        node_on_reply(a->node, a->turn_seq, r);
    } else if (a != NULL) {
        load_on_reply(w, a->request, r);
    }
    reply_free(r);
}

void
reply_send(struct world *w, uint64_t handle, struct reply *r)
{
    hq_ms delay_ms = world_delay(w);
    if (delay_ms >= 0) {
        r->refs++;
        world_at(w, w->now_ms + delay_ms, reply_deliver, r, handle);
    }
    reply_free(r);
}
