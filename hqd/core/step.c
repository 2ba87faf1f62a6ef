#include "hqd/core/step.h"

#include "common/num.h"
#include "common/seal.h"
#include "hqd/core/job.h"

_Static_assert(STEP_KEY_BYTES == HQ_SEAL_KEY_BYTES, "pairs of nodes seal with these keys");

#define NODE_BYTES 64u    /* of one node in a Step, without its texts */
#define ADDRESS_BYTES 48u /* of a numeric address */

static void
put_u32(unsigned char *at, uint32_t v)
{
    for (uint32_t i = 0; i < sizeof(v); i++) {
        at[i] = (unsigned char)(v >> (8 * i));
    }
}

void
step_key(const struct core *core, const struct gang *gang, hq_job_id job, hq_task_ix task, uint32_t i, uint32_t j,
         unsigned char ret[STEP_KEY_BYTES])
{
    const uint32_t words[] = {job.v, task, gang->instance, HQ_MIN(i, j), HQ_MAX(i, j)};
    unsigned char text[sizeof(words)];
    for (size_t k = 0; k < HQ_ARRAY_LEN(words); k++) {
        put_u32(text + k * sizeof(uint32_t), words[k]);
    }
    hq_seal_derive(ret, core->step_key, hq_str_make((const char *)text, sizeof(text)));
}

uint32_t
step_node_ix(const struct gang *gang, hq_worker_id worker)
{
    uint32_t i = 0;
    while (i < gang->node_count && gang->nodes[i] != worker.v) {
        i++;
    }
    return i;
}

/* "host:port"; the host may be an IPv6 address. */
static uint32_t
port_of(struct hq_str listen_address)
{
    size_t at = listen_address.len;
    uint32_t port = 0;
    while (at > 0 && listen_address.ptr[at - 1] != ':') {
        at--;
    }
    struct hq_str digits = hq_str_sub(listen_address, at, listen_address.len);
    return at > 0 && hq_num_u32(digits, &port, NULL) == 0 && port <= UINT16_MAX ? port : 0;
}

/* Whole cpus that the worker has. */
static uint32_t
cpus_of(const struct core *core, const struct worker *w)
{
    for (uint32_t r = 0; r < w->res_count; r++) {
        if (hq_str_is(HQ_STR("cpus"), core->res[r])) {
            return (uint32_t)HQ_MIN((uint64_t)HQ_MAX(w->total[r], 0) / HQ_AMOUNT_ONE, (uint64_t)UINT32_MAX);
        }
    }
    return 0;
}

static void
fill_node(struct step_node *n, const struct worker *w)
{
    n->host = w->config.hostname;
    n->addresses = w->config.addresses;
    n->address_count = w->config.address_count;
    n->port = port_of(w->config.listen_address);
}

const struct step *
step_of_gang(const struct core *core, const struct job *job, const struct gang *gang, uint32_t node_ix,
             struct hq_arena *arena)
{
    const struct task_desc *desc = job_desc(job, gang->pos);
    hq_task_ix task = job_task_id(job, gang->pos);
    struct step_node *nodes = hq_arena_array(arena, gang->node_count, sizeof(*nodes));
    unsigned char(*keys)[STEP_KEY_BYTES] = hq_arena_array(arena, gang->node_count, sizeof(*keys));
    for (uint32_t i = 0; i < gang->node_count; i++) {
        const struct worker *w = core_worker(core, gang->nodes[i]);
        if (w != NULL) {
            fill_node(&nodes[i], w);
            nodes[i].ranks = desc->mpi.is_on ? hq_mpi_ranks(&desc->mpi, gang->node_count, cpus_of(core, w)) : 0;
        }
        if (i != node_ix) {
            step_key(core, gang, job->id, task, node_ix, i, keys[i]);
        }
    }
    struct step *s = hq_arena_alloc(arena, sizeof(*s));
    s->nodes = nodes;
    s->node_count = gang->node_count;
    s->node_ix = node_ix;
    s->keys = (const unsigned char(*)[STEP_KEY_BYTES])keys;
    return s;
}

/* Whole cpus that a task of this variant gets there. */
static uint32_t
granted_cpus(const struct core *core, const struct task_desc *desc, uint32_t variant, const struct worker *w)
{
    const struct hq_variant *v = variant < desc->request.variant_count ? &desc->request.variants[variant] : NULL;
    for (size_t i = 0; v != NULL && i < v->entry_count; i++) {
        const struct hq_request_entry *e = &v->entries[i];
        if (hq_str_is(e->name, "cpus")) {
            return e->policy == HQ_POLICY_ALL ? cpus_of(core, w) : (uint32_t)(e->amount / HQ_AMOUNT_ONE);
        }
    }
    return 0;
}

const struct step *
step_of_one(const struct core *core, const struct task_desc *desc, uint32_t variant, const struct worker *w,
            struct hq_arena *arena)
{
    if (!desc->mpi.is_on) {
        return NULL;
    }
    struct step_node *node = hq_arena_alloc(arena, sizeof(*node));
    *node = (struct step_node){.ranks = hq_mpi_ranks(&desc->mpi, 1, granted_cpus(core, desc, variant, w))};
    fill_node(node, w);
    struct step *s = hq_arena_alloc(arena, sizeof(*s));
    *s = (struct step){.nodes = node, .node_count = 1};
    s->keys = hq_arena_array(arena, 1, STEP_KEY_BYTES);
    return s;
}

uint64_t
step_bytes(const struct core *core, const struct gang *gang)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < gang->node_count; i++) {
        const struct worker *w = core_worker(core, gang->nodes[i]);
        n += NODE_BYTES + (w == NULL ? 0 : w->config.hostname.len + w->config.address_count * ADDRESS_BYTES);
    }
    return n;
}
