/* Tasks of several ranks or nodes: Mpi both ways, Step out. */
#include "hqd/convert.h"

#define NEW(arena, Type, init)                                                                                         \
    Type *m = hq_arena_alloc((arena), sizeof *m);                                                                      \
    init(m)

int
conv_in_mpi(const Hq__Mpi *m, struct hq_mpi *ret, struct hq_err *err)
{
    *ret = (struct hq_mpi){0};
    if (m == NULL) {
        return 0;
    }
    if ((uint32_t)m->wire_up > HQ_MPI_PMI1) {
        return hq_err_set(err, -EINVAL, "Unknown way to start ranks %d", (int)m->wire_up);
    }
    *ret = (struct hq_mpi){.is_on = true,
                           .ranks_per_node = m->ranks_per_node,
                           .ranks = m->ranks,
                           .cpus_per_rank = m->cpus_per_rank,
                           .oversubscribe = m->oversubscribe != 0,
                           .tag_output = m->tag_output != 0,
                           .wire_up = (enum hq_mpi_wire_up)m->wire_up};
    return 0;
}

Hq__Mpi *
conv_out_mpi(const struct hq_mpi *d, struct hq_arena *arena)
{
    if (!d->is_on) {
        return NULL;
    }
    NEW(arena, Hq__Mpi, hq__mpi__init);
    m->ranks_per_node = d->ranks_per_node;
    m->ranks = d->ranks;
    m->cpus_per_rank = d->cpus_per_rank;
    m->oversubscribe = d->oversubscribe;
    m->tag_output = d->tag_output;
    m->wire_up = (Hq__MpiWireUp)d->wire_up;
    return m;
}
_Static_assert((int)HQ_MPI_PMIX == HQ__MPI_WIRE_UP__MPI_WIRE_UP_PMIX &&
                   (int)HQ_MPI_PMI1 == HQ__MPI_WIRE_UP__MPI_WIRE_UP_PMI1,
               "ways to start have the numbers of the wire");

static Hq__StepNode *
out_node(const struct step_node *n, struct hq_arena *arena)
{
    NEW(arena, Hq__StepNode, hq__step_node__init);
    m->host = conv_bytes(n->host);
    m->n_addresses = n->address_count;
    m->addresses = conv_out_strs(n->addresses, n->address_count, arena);
    m->port = n->port;
    m->ranks = n->ranks;
    return m;
}

Hq__Step *
conv_out_step(const struct step *s, struct hq_arena *arena)
{
    if (s == NULL) {
        return NULL;
    }
    NEW(arena, Hq__Step, hq__step__init);
    m->node_index = s->node_ix;
    m->n_nodes = m->n_keys = s->node_count;
    m->nodes = hq_arena_array(arena, s->node_count, sizeof m->nodes[0]);
    m->keys = hq_arena_array(arena, s->node_count, sizeof m->keys[0]);
    for (uint32_t i = 0; i < s->node_count; i++) {
        m->nodes[i] = out_node(&s->nodes[i], arena);
        if (i != s->node_ix) {
            m->keys[i] = conv_bytes(hq_str_make((const char *)s->keys[i], STEP_KEY_BYTES));
        }
    }
    return m;
}
