/* fence.h - allgather among the nodes of a process set, along a tree. Pure.
 *
 * Purpose    what PMIx and PMI-1 need from us between nodes: every member node gives bytes once and gets the bytes of all.
 *            Contributions go up a tree of HQ_STEP_FANOUT children over the member nodes (in the order of their index, for
 *            the set of all nodes the tree of proto/step.proto), the whole comes down: 2 * ceil(log8(n)) hops.
 *            A fence is named by the hash of its set and the number of fences on that set before it, so several may be
 *            under way and a child's bytes may come before our own ranks call.
 * Ownership  data is copied in; effects own their buffers until fence_fx_fini.
 * Errors     -EPROTO a peer's message makes no sense, -EFBIG more bytes than allowed, -ENOBUFS more fences than allowed:
 *            the task is to be ended.
 * Limits     HQ_STEP_FENCE_BYTES_MAX for one fence, FENCE_OPEN_MAX at once, FENCE_SETS_MAX sets in a task's life.
 */
#ifndef HQ_STEPD_FENCE_H
#define HQ_STEPD_FENCE_H

#include "common/err.h"
#include "common/limits.h"
#include "common/str.h"

#define FENCE_HASH_BYTES 32u
#define FENCE_OPEN_MAX 256u
#define FENCE_SETS_MAX 4096u

_Static_assert(HQ_STEP_SIGNATURE_BYTES == FENCE_HASH_BYTES + 8, "a signature is the hash of a set and a counter");

struct fences;

struct fence_part {
    uint32_t node;
    struct hq_str data;
};

enum fence_effect_kind {
    FENCE_SEND = 0, /* `records` to all of `to`, in as many messages as needed (fence_cut) */
    FENCE_DONE,     /* `data`: the bytes of all members, each node's in one piece */
};
struct fence_effect {
    enum fence_effect_kind kind;
    uint32_t to[HQ_STEP_FANOUT];
    uint32_t to_count;
    bool is_down;
    unsigned char signature[HQ_STEP_SIGNATURE_BYTES];
    struct hq_buf records;
    uint64_t token; /* of fence_begin */
    struct hq_buf data;
};
struct fence_fx { /* in order */
    struct fence_effect *v;
    size_t count, cap;
};
void fence_fx_fini(struct fence_fx *fx); /* also the cleanup form */

struct fences *fence_create(uint32_t self_node);
void fence_destroy(struct fences *f); /* NULL is fine */

/* Our own contribution. `members` are node indices, ascending, ourselves among them. */
HQ_MUST_CHECK int fence_begin(struct fences *f, const unsigned char hash[FENCE_HASH_BYTES], const uint32_t *members,
                              size_t member_count, struct hq_str data, uint64_t token, struct fence_fx *fx,
                              struct hq_err *err);

struct fence_message { /* as it came from another node */
    uint32_t from;
    struct hq_str signature;
    bool is_down, has_more;
    const struct fence_part *parts;
    size_t part_count;
};
HQ_MUST_CHECK int fence_on_message(struct fences *f, const struct fence_message *msg, struct fence_fx *fx,
                                   struct hq_err *err);
size_t fence_open_count(const struct fences *f);

struct fence_cursor { /* zeroed at the start */
    size_t at, used;
};
/* Next parts of `records` for one message: at most bytes_max of data. Returns their number; *ret_has_more. */
size_t fence_cut(const struct hq_buf *records, struct fence_cursor *c, size_t bytes_max, struct fence_part *parts,
                 size_t parts_max, bool *ret_has_more);

#endif
