/* host_fence.c - what ranks ask for: fences of PMIx and PMI-1, comings and goings. */
#include "hq-workerd/stepd/host_impl.h"

#include <sodium.h>
#include <stdlib.h>

#include "common/mem.h"

#define PARTS_MAX 1024u                        /* in one message */
#define PART_HEAD_BYTES 16u                    /* of each, at most, beside its data */
#define FENCE_DATA_BYTES (HQ_STEP_MSG_BYTES_MAX - 1024u - PARTS_MAX * PART_HEAD_BYTES)

static void
send_fence_message(struct host *h, const struct fence_effect *e, const struct fence_part *parts, size_t count,
                   bool has_more)
{
    ProtobufCBinaryData data[PARTS_MAX];
    uint32_t nodes[PARTS_MAX];
    Hq__StepFence fence = HQ__STEP_FENCE__INIT;
    unsigned char signature[HQ_STEP_SIGNATURE_BYTES];

    memcpy(signature, e->signature, sizeof signature);
    for (size_t i = 0; i < count; i++) {
        const void *p = parts[i].data.ptr;
        data[i] = (ProtobufCBinaryData){.len = parts[i].data.len, .data = (uint8_t *)(uintptr_t)p}; /* only read */
        nodes[i] = parts[i].node;
    }
    fence.signature = (ProtobufCBinaryData){.len = sizeof signature, .data = signature};
    fence.is_down = e->is_down;
    fence.n_parts = count;
    fence.parts = data;
    fence.n_part_nodes = count;
    fence.part_nodes = nodes;
    fence.has_more = has_more;
    for (uint32_t i = 0; i < e->to_count; i++) {
        Hq__StepMsg msg = HQ__STEP_MSG__INIT;
        msg.what_case = HQ__STEP_MSG__WHAT_FENCE;
        msg.fence = &fence;
        host_send(h, e->to[i], &msg);
    }
}

static void
fence_out(struct host *h, const struct fence_effect *e)
{
    struct fence_part parts[PARTS_MAX];
    struct fence_cursor at = {0};
    bool has_more = true;

    while (has_more) {
        size_t count = fence_cut(&e->records, &at, FENCE_DATA_BYTES, parts, PARTS_MAX, &has_more);
        send_fence_message(h, e, parts, count, has_more);
    }
}

static void
fence_done(struct host *h, const struct fence_effect *e)
{
    struct hq_err err = {0};

    if (e->token != HOST_PMI1_TOKEN) {
        pmix_host_fence_done(h->pmix, e->token, hq_buf_view(&e->data));
    } else if (pmi1_host_barrier_done(h->pmi1, hq_buf_view(&e->data), &err) < 0) {
        host_fail_node(h, err.text);
    }
}

static void
fence_result(struct host *h, int rc, struct fence_fx *fx, const struct hq_err *err)
{
    for (size_t i = 0; i < fx->count; i++) {
        if (fx->v[i].kind == FENCE_SEND) {
            fence_out(h, &fx->v[i]);
        } else {
            fence_done(h, &fx->v[i]);
        }
    }
    fence_fx_fini(fx);
    if (rc < 0) {
        host_fail_node(h, err->text);
        host_look(h);
    }
}

void
host_on_fence(struct host *h, uint32_t from, const Hq__StepFence *fence)
{
    struct fence_fx fx = {0};
    struct hq_err err = {0};
    const void *signature = fence->signature.data;

    if (h->is_ending || h->fences == NULL) {
        return; /* nobody waits for it any more */
    }
    if (fence->n_parts != fence->n_part_nodes) {
        host_fail_node(h, "A fence of another node is damaged");
        host_look(h);
        return;
    }
    HQ_AUTO(hq_mem_freep) struct fence_part *parts = hq_xcalloc(HQ_MAX(fence->n_parts, (size_t)1), sizeof(*parts));
    for (size_t i = 0; i < fence->n_parts; i++) {
        const void *p = fence->parts[i].data;
        parts[i] = (struct fence_part){.node = fence->part_nodes[i], .data = hq_str_make(p, fence->parts[i].len)};
    }
    struct fence_message msg = {
        .from = from,
        .signature = hq_str_make(signature, fence->signature.len),
        .is_down = fence->is_down,
        .has_more = fence->has_more,
        .parts = parts,
        .part_count = fence->n_parts,
    };
    int rc = fence_on_message(h->fences, &msg, &fx, &err);
    fence_result(h, rc, &fx, &err);
}

/* ---- from the ranks of this node */

/* Hash of domain and ranks (NULL: all), and the nodes they are on, ascending. Returns the number of nodes. */
static size_t
describe_set(const struct host *h, unsigned char domain, const uint32_t *ranks, size_t rank_count,
             unsigned char hash[FENCE_HASH_BYTES], uint32_t *nodes)
{
    size_t count = 0;
    crypto_generichash_state state;

    (void)crypto_generichash_init(&state, NULL, 0, FENCE_HASH_BYTES); /* fails on bad sizes only */
    (void)crypto_generichash_update(&state, &domain, 1);
    if (ranks == NULL) {
        for (uint32_t n = 0; n < h->node_count; n++) {
            nodes[count++] = n;
        }
    }
    for (size_t i = 0; ranks != NULL && i < rank_count; i++) {
        uint32_t rank = ranks[i], node = host_node_of(h, rank);
        unsigned char bytes[4] = {(unsigned char)rank, (unsigned char)(rank >> 8), (unsigned char)(rank >> 16),
                                  (unsigned char)(rank >> 24)};
        (void)crypto_generichash_update(&state, bytes, sizeof bytes);
        if (count == 0 || nodes[count - 1] != node) {
            nodes[count++] = node;
        }
    }
    (void)crypto_generichash_final(&state, hash, FENCE_HASH_BYTES);
    return count;
}

static void
begin_fence(struct host *h, unsigned char domain, const uint32_t *ranks, size_t rank_count, struct hq_str data,
            uint64_t token)
{
    unsigned char hash[FENCE_HASH_BYTES];
    struct fence_fx fx = {0};
    struct hq_err err = {0};

    if (h->is_ending) {
        return; /* the ranks are being ended; a fence that never returns does them no more harm */
    }
    HQ_AUTO(hq_mem_freep) uint32_t *nodes = hq_xcalloc(h->node_count, sizeof(*nodes));
    size_t count = describe_set(h, domain, ranks, rank_count, hash, nodes);
    int rc = fence_begin(h->fences, hash, nodes, count, data, token, &fx, &err);
    fence_result(h, rc, &fx, &err);
}

static struct host_rank *
local_rank(struct host *h, uint32_t rank)
{
    HQ_ASSERT(rank >= h->first_rank && rank - h->first_rank < h->local_count);
    return &h->local[rank - h->first_rank];
}

static bool
is_local(const struct host *h, uint32_t rank)
{
    return rank >= h->first_rank && rank - h->first_rank < h->local_count;
}

static void
on_wired(void *ctx, uint32_t rank)
{
    struct host *h = ctx;

    if (is_local(h, rank)) {
        local_rank(h, rank)->is_wired = true;
        local_rank(h, rank)->is_finalized = false;
    }
}

static void
on_finalized(void *ctx, uint32_t rank)
{
    struct host *h = ctx;

    if (is_local(h, rank)) {
        local_rank(h, rank)->is_finalized = true;
    }
}

static void
on_abort(struct host *h, uint32_t rank, int status)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    hq_buf_printf(&text, "MPI_Abort was called with error code %d.", status);
    /* An abort is never a success. Beyond a byte: an error of the library, not a user's status. */
    host_fail_rank(h, rank, (status & UINT8_MAX) == 0 ? status + 1 : status, 0, text.ptr);
    host_look(h);
}

/* Open MPI 4.1 gives the error to one rank, and the others wait for it for ever. */
static void
on_spawn(void *ctx, uint32_t rank)
{
    struct host *h = ctx;

    if (h->rank_count > 1) {
        host_fail_rank(h, rank, 1, 0, "MPI_Comm_spawn is not supported: all ranks are started with the task.");
        host_look(h);
    }
}

static void
on_pmix_abort(void *ctx, uint32_t rank, int status, const char *text)
{
    (void)text; /* the library has said it on stderr */
    on_abort(ctx, rank, status);
}

static void
on_pmi1_abort(void *ctx, uint32_t rank, int status)
{
    on_abort(ctx, rank, status);
}

static void
on_pmix_fence(void *ctx, const struct pmix_fence *fence)
{
    begin_fence(ctx, (unsigned char)fence->kind, fence->ranks, fence->rank_count, fence->data, fence->token);
}

#define DOMAIN_PMI1 0xffu

static void
on_barrier(void *ctx, struct hq_str puts)
{
    begin_fence(ctx, DOMAIN_PMI1, NULL, 0, puts, HOST_PMI1_TOKEN);
}

static void
on_bad(void *ctx, uint32_t rank, const char *text)
{
    host_fail_rank(ctx, rank, 1, 0, text);
    host_look(ctx);
}

static void
on_closed(void *ctx, uint32_t rank)
{
    struct host *h = ctx;

    if (is_local(h, rank) && !local_rank(h, rank)->is_finalized) {
        local_rank(h, rank)->is_closed = true;
        ev_timer_again(h->loop, &h->closed_check); /* most often its end is what closed it */
    }
}

const struct pmix_ops host_pmix_ops = {
    .on_wired = on_wired,
    .on_finalized = on_finalized,
    .on_closed = on_closed,
    .on_spawn = on_spawn,
    .on_abort = on_pmix_abort,
    .on_fence = on_pmix_fence,
};
const struct pmi1_ops host_pmi1_ops = {
    .on_wired = on_wired,
    .on_finalized = on_finalized,
    .on_abort = on_pmi1_abort,
    .on_barrier = on_barrier,
    .on_bad = on_bad,
    .on_closed = on_closed,
};
