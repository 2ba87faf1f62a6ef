/* stepdesc.h - what hqd told us of the nodes of one task: hosts, addresses, ranks, keys for the pairs.
 *
 * Purpose    the decoded form of the wire's Step, free of protobuf; never changed once it is made.
 * Ownership  counted: batches of the task and its membership hold one reference each. Texts lie in `arena`. Keys are wiped
 *            with the last reference.
 * Threads    constant; references may be taken and dropped on any thread.
 */
#ifndef HQ_WORKERD_CORE_STEPDESC_H
#define HQ_WORKERD_CORE_STEPDESC_H

#include <stdatomic.h>

#include "common/arena.h"

#define STEP_KEY_BYTES 32

struct step_node {
    struct hq_str host; /* full name, NUL-terminated */
    struct hq_str *addresses; /* numeric, NUL-terminated */
    size_t address_count;
    uint16_t port;
    uint32_t ranks; /* 0 = no task of several ranks */
};

struct step_desc {
    atomic_uint refs;
    struct hq_arena arena;
    struct step_node *nodes; /* root first */
    uint32_t node_count;
    uint32_t node_ix; /* we */
    unsigned char (*keys)[STEP_KEY_BYTES]; /* by node; the own one is zero */
};

HQ_MUST_CHECK struct step_desc *step_desc_create(uint32_t node_count, uint32_t node_ix); /* one reference; NULL without memory */
struct step_desc *step_desc_ref(struct step_desc *d);
void step_desc_unref(struct step_desc *d); /* NULL is fine */
HQ_DEFINE_CLEANUP(struct step_desc, step_desc_unref)

#endif
