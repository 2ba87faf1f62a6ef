/* step_ranks.c - runs of hq-stepd on nodes that are not the root, and what their end means for the others. */
#include "hq-workerd/step_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/mem.h"

/* The variant that asks for several nodes. */
static uint32_t
body_variant(const struct body *b)
{
    for (size_t i = 0; i < b->request.variant_count; i++) {
        if (b->request.variants[i].n_nodes > 0) {
            return (uint32_t)i;
        }
    }
    return 0;
}

struct batch *
step_make_batch(struct step *st, struct body *body, struct hidden *hidden)
{
    HQ_AUTO(batch_unrefp) struct batch *b = batch_create(body);
    const struct step_desc *d = st->desc;

    if (b == NULL) {
        return NULL;
    }
    b->hosts = hq_try_calloc(d->node_count, sizeof(*b->hosts));
    if (b->hosts == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < d->node_count; i++) {
        b->hosts[i] = d->nodes[i].host; /* live as long as the description */
    }
    b->host_count = d->node_count;
    b->step = step_desc_ref(st->desc);
    b->instance = st->instance;
    b->variant = body_variant(body);
    hq_ranges_add(&b->ids, st->task, 1, 1);
    b->hidden_id = st->steps->next_hidden_id++;
    b->hidden = hidden;
    b->drop_hidden = hidden_destroy;
    struct batch *ret = b;
    b = NULL;
    return ret;
}

static int
batch_add_entry(struct batch *b, struct hq_str entry)
{
    if (entry.len == 0) {
        return 0;
    }
    b->data = hq_try_alloc(entry.len);
    b->entries = hq_try_calloc(1, sizeof(*b->entries));
    if (b->data == NULL || b->entries == NULL) {
        return -ENOMEM;
    }
    memcpy(b->data, entry.ptr, entry.len);
    b->entries[0] = hq_str_make(b->data, entry.len);
    return 0;
}

int
step_start_ranks(struct step *st, struct hq_str entry)
{
    struct hidden *hidden = hidden_create();
    HQ_AUTO(batch_unrefp) struct batch *b = hidden == NULL ? NULL : step_make_batch(st, st->body, hidden);

    if (b == NULL) {
        hidden_destroy(hidden);
        return -ENOMEM;
    }
    int rc = batch_add_entry(b, entry);
    if (rc == 0) {
        struct batch *given = b;
        st->ranks_run = b->hidden_id;
        b = NULL;
        rc = st->steps->conf.launch(st->steps->conf.ctx, given);
    }
    return rc;
}

/* Why our hq-stepd is gone, for the task's error text. */
static void
print_ranks_end(const struct step *st, struct hq_buf *out)
{
    const struct step_node *n = &st->desc->nodes[st->desc->node_ix];

    hq_buf_printf(out, "hq-stepd on %.*s ", HQ_STR_FMT(n->host));
    if (st->ranks_exit_code < 0) {
        hq_buf_printf(out, "could not be started: %s", st->ranks_error == NULL ? "out of memory" : st->ranks_error);
    } else if (st->ranks_exit_code > 128) {
        int sig = st->ranks_exit_code - 128;
        hq_buf_printf(out, "was killed by signal %d (%s)", sig, run_signal_name(sig));
    } else {
        hq_buf_printf(out, "has ended with exit code %d before its ranks", st->ranks_exit_code);
    }
}

void
step_check_ranks(struct step *st)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT, frame = HQ_BUF_INIT;
    const struct step_desc *d = st->desc;
    uint32_t own = d->node_ix;

    if (!st->is_ranks_over || st->ranks != NULL || st->has_ranks_said || st->is_root) {
        return;
    }
    st->has_ranks_said = true;
    print_ranks_end(st, &text);
    hq_log_warn("%s job=%u task=%u", text.ptr, st->job, st->task);
    const struct step_failure why = {.at_ms = hq_clock_wall_ms(),
                                     .node = own,
                                     .exit_code = HQ_MAX(st->ranks_exit_code, 1),
                                     .signal = (uint32_t)HQ_MAX(st->ranks_exit_code - 128, 0),
                                     .text = hq_buf_view(&text)};
    for (uint32_t i = 0; i <= HQ_STEP_FANOUT; i++) { /* parent, then children: the others hear of it from them */
        uint32_t to = i == 0 ? (own - 1) / HQ_STEP_FANOUT : own * HQ_STEP_FANOUT + i;
        if (to < d->node_count) {
            hq_buf_clear(&frame);
            step_msg_pack_abort(&frame, own, to, &why);
            step_send(st, to, hq_buf_view(&frame));
        }
    }
}

void
step_on_ranks_end(struct step *st, int exit_code, struct hq_str error)
{
    st->is_ranks_over = true;
    st->ranks_exit_code = exit_code;
    free(st->ranks_error);
    st->ranks_error = strndup(error.ptr == NULL ? "" : error.ptr, error.len);
    step_check_ranks(st);
}
