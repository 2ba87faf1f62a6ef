/* fence.c - bytes travel as records: node (4 bytes), length (4 bytes), data; both numbers as the host has them. */
#include "hq-workerd/stepd/fence.h"

#include <stdlib.h>

#include "common/mem.h"

#define RECORD_HEAD_BYTES 8u

struct source { /* a child of ours in the tree of one fence */
    uint32_t node;
    bool is_done;
    struct hq_buf records;
};

struct fence {
    unsigned char signature[HQ_STEP_SIGNATURE_BYTES];
    bool has_own, is_up; /* our ranks called; the subtree's bytes went to the parent */
    uint64_t token;
    uint32_t parent;                       /* valid with has_own, unless we are the root */
    uint32_t children[HQ_STEP_FANOUT];     /* the same */
    uint32_t child_count;
    bool is_root;
    struct source sources[HQ_STEP_FANOUT]; /* in the order of arrival */
    uint32_t source_count;
    struct hq_buf own;                     /* records */
    struct hq_buf down;                    /* records of the whole, as the parent sends them */
    size_t bytes;
};

struct set {
    unsigned char hash[FENCE_HASH_BYTES];
    uint64_t next;
};

struct fences {
    uint32_t self;
    struct fence **open;
    size_t open_count, open_cap;
    struct set *sets;
    size_t set_count, set_cap;
};

static void
fence_free(struct fence *x)
{
    for (uint32_t i = 0; i < x->source_count; i++) {
        hq_buf_fini(&x->sources[i].records);
    }
    hq_buf_fini(&x->own);
    hq_buf_fini(&x->down);
    free(x);
}

struct fences *
fence_create(uint32_t self_node)
{
    struct fences *f = hq_xalloc(sizeof(*f));

    f->self = self_node;
    return f;
}

void
fence_destroy(struct fences *f)
{
    if (f == NULL) {
        return;
    }
    for (size_t i = 0; i < f->open_count; i++) {
        fence_free(f->open[i]);
    }
    free(f->open);
    free(f->sets);
    free(f);
}

void
fence_fx_fini(struct fence_fx *fx)
{
    for (size_t i = 0; i < fx->count; i++) {
        hq_buf_fini(&fx->v[i].records);
        hq_buf_fini(&fx->v[i].data);
    }
    free(fx->v);
    *fx = (struct fence_fx){0};
}

static struct fence_effect *
fx_add(struct fence_fx *fx, enum fence_effect_kind kind, const struct fence *x)
{
    hq_xgrow(&fx->v, &fx->cap, fx->count + 1, sizeof(*fx->v));
    struct fence_effect *e = &fx->v[fx->count++];
    *e = (struct fence_effect){.kind = kind, .token = x->token};
    memcpy(e->signature, x->signature, sizeof e->signature);
    return e;
}

static struct fence *
fence_find(const struct fences *f, const unsigned char *signature)
{
    for (size_t i = 0; i < f->open_count; i++) {
        if (memcmp(f->open[i]->signature, signature, HQ_STEP_SIGNATURE_BYTES) == 0) {
            return f->open[i];
        }
    }
    return NULL;
}

static int
fence_need(struct fences *f, const unsigned char *signature, struct fence **ret, struct hq_err *err)
{
    *ret = fence_find(f, signature);
    if (*ret != NULL) {
        return 0;
    }
    if (f->open_count == FENCE_OPEN_MAX) {
        return hq_err_set(err, -ENOBUFS, "More than %u fences at once", FENCE_OPEN_MAX);
    }
    hq_xgrow(&f->open, &f->open_cap, f->open_count + 1, sizeof(*f->open));
    struct fence *x = hq_xalloc(sizeof(*x));
    memcpy(x->signature, signature, sizeof x->signature);
    f->open[f->open_count++] = x;
    *ret = x;
    return 0;
}

static void
fence_close(struct fences *f, struct fence *x)
{
    size_t i = 0;

    while (f->open[i] != x) {
        i++;
    }
    f->open[i] = f->open[--f->open_count];
    fence_free(x);
}

static int
fence_add(struct fence *x, struct hq_buf *records, uint32_t node, struct hq_str data, struct hq_err *err)
{
    uint32_t head[2] = {node, (uint32_t)data.len};

    if (data.len > HQ_STEP_FENCE_BYTES_MAX - x->bytes) {
        return hq_err_set(err, -EFBIG, "A fence carries more than %u bytes", HQ_STEP_FENCE_BYTES_MAX);
    }
    if (data.len > 0) {
        x->bytes += data.len;
        hq_buf_add(records, head, sizeof head);
        hq_buf_add(records, data.ptr, data.len);
    }
    return 0;
}

static struct fence_part
record_at(const struct hq_buf *records, size_t at)
{
    uint32_t head[2];

    memcpy(head, records->ptr + at, sizeof head);
    HQ_ASSERT(head[1] <= records->len - at - RECORD_HEAD_BYTES);
    return (struct fence_part){.node = head[0], .data = hq_str_make(records->ptr + at + RECORD_HEAD_BYTES, head[1])};
}

size_t
fence_cut(const struct hq_buf *records, struct fence_cursor *c, size_t bytes_max, struct fence_part *parts,
          size_t parts_max, bool *ret_has_more)
{
    size_t count = 0;

    while (c->at < records->len && count < parts_max && bytes_max > 0) {
        struct fence_part whole = record_at(records, c->at);
        size_t left = whole.data.len - c->used, take = HQ_MIN(left, bytes_max);
        parts[count++] = (struct fence_part){
            .node = whole.node,
            .data = hq_str_sub(whole.data, c->used, c->used + take),
        };
        bytes_max -= take;
        c->used += take;
        if (c->used == whole.data.len) {
            c->at += RECORD_HEAD_BYTES + whole.data.len;
            c->used = 0;
        }
    }
    *ret_has_more = c->at < records->len;
    return count;
}

/* The whole is here: to the children, and to our ranks. */
static void
fence_complete(struct fences *f, struct fence *x, struct hq_buf *whole, struct fence_fx *fx)
{
    struct hq_buf data = HQ_BUF_INIT;

    for (size_t at = 0; at < whole->len;) {
        struct fence_part p = record_at(whole, at);
        hq_buf_add(&data, p.data.ptr, p.data.len);
        at += RECORD_HEAD_BYTES + p.data.len;
    }
    if (x->child_count > 0) {
        struct fence_effect *e = fx_add(fx, FENCE_SEND, x);
        e->is_down = true;
        e->to_count = x->child_count;
        memcpy(e->to, x->children, x->child_count * sizeof(e->to[0]));
        e->records = *whole;
        *whole = HQ_BUF_INIT;
    }
    struct fence_effect *done = fx_add(fx, FENCE_DONE, x);
    done->data = data;
    fence_close(f, x);
}

/* Once our ranks have called and all children have sent: one step up, or the end at the root. */
static int
fence_look(struct fences *f, struct fence *x, struct fence_fx *fx, struct hq_err *err)
{
    if (!x->has_own || x->is_up) {
        return 0;
    }
    for (uint32_t i = 0; i < x->source_count; i++) {
        bool is_child = false;
        for (uint32_t k = 0; k < x->child_count; k++) {
            is_child = is_child || x->children[k] == x->sources[i].node;
        }
        if (!is_child) {
            return hq_err_set(err, -EPROTO, "Node %u sent to a fence of which it is no child of ours",
                              x->sources[i].node);
        }
        if (!x->sources[i].is_done) {
            return 0;
        }
    }
    if (x->source_count < x->child_count) {
        return 0;
    }
    for (uint32_t i = 0; i < x->source_count; i++) {
        hq_buf_add(&x->own, x->sources[i].records.ptr, x->sources[i].records.len);
        hq_buf_fini(&x->sources[i].records);
    }
    x->is_up = true;
    if (x->is_root) {
        fence_complete(f, x, &x->own, fx);
        return 0;
    }
    struct fence_effect *e = fx_add(fx, FENCE_SEND, x);
    e->to[0] = x->parent;
    e->to_count = 1;
    e->records = x->own;
    x->own = HQ_BUF_INIT;
    return 0;
}

static int
set_next(struct fences *f, const unsigned char *hash, uint64_t *ret, struct hq_err *err)
{
    for (size_t i = 0; i < f->set_count; i++) {
        if (memcmp(f->sets[i].hash, hash, FENCE_HASH_BYTES) == 0) {
            *ret = f->sets[i].next++;
            return 0;
        }
    }
    if (f->set_count == FENCE_SETS_MAX) {
        return hq_err_set(err, -ENOBUFS, "Fences on more than %u process sets", FENCE_SETS_MAX);
    }
    hq_xgrow(&f->sets, &f->set_cap, f->set_count + 1, sizeof(*f->sets));
    struct set *s = &f->sets[f->set_count++];
    memcpy(s->hash, hash, FENCE_HASH_BYTES);
    s->next = 1;
    *ret = 0;
    return 0;
}

/* Where we stand in the tree over the members. */
static int
fence_place(const struct fences *f, struct fence *x, const uint32_t *members, size_t count, struct hq_err *err)
{
    size_t pos = 0;

    while (pos < count && members[pos] != f->self) {
        pos++;
    }
    if (pos == count) {
        return hq_err_set(err, -EINVAL, "A fence without ranks of this node");
    }
    x->is_root = pos == 0;
    x->parent = pos == 0 ? 0 : members[(pos - 1) / HQ_STEP_FANOUT];
    for (size_t child = pos * HQ_STEP_FANOUT + 1; child <= (pos + 1) * HQ_STEP_FANOUT && child < count; child++) {
        x->children[x->child_count++] = members[child];
    }
    return 0;
}

int
fence_begin(struct fences *f, const unsigned char hash[FENCE_HASH_BYTES], const uint32_t *members, size_t member_count,
            struct hq_str data, uint64_t token, struct fence_fx *fx, struct hq_err *err)
{
    unsigned char signature[HQ_STEP_SIGNATURE_BYTES];
    struct fence *x = NULL;
    uint64_t number = 0;

    int rc = set_next(f, hash, &number, err);
    if (rc == 0) {
        memcpy(signature, hash, FENCE_HASH_BYTES);
        for (unsigned i = 0; i < 8; i++) {
            signature[FENCE_HASH_BYTES + i] = (unsigned char)(number >> (8 * i));
        }
        rc = fence_need(f, signature, &x, err);
    }
    if (rc == 0) {
        HQ_ASSERT(!x->has_own); /* the number is new */
        x->has_own = true;
        x->token = token;
        rc = fence_place(f, x, members, member_count, err);
    }
    if (rc == 0) {
        rc = fence_add(x, &x->own, f->self, data, err);
    }
    return rc < 0 ? rc : fence_look(f, x, fx, err);
}

static int
fence_take(struct fence *x, struct hq_buf *records, const struct fence_message *msg, struct hq_err *err)
{
    int rc = 0;

    for (size_t i = 0; i < msg->part_count && rc == 0; i++) {
        rc = fence_add(x, records, msg->parts[i].node, msg->parts[i].data, err);
    }
    return rc;
}

static int
fence_on_down(struct fences *f, struct fence *x, const struct fence_message *msg, struct fence_fx *fx,
              struct hq_err *err)
{
    if (!x->has_own || !x->is_up || x->is_root || x->parent != msg->from) {
        return hq_err_set(err, -EPROTO, "Node %u sent the end of a fence that it does not lead", msg->from);
    }
    if (x->down.len == 0) {
        x->bytes = 0; /* ours are in the whole again */
    }
    int rc = fence_take(x, &x->down, msg, err);
    if (rc == 0 && !msg->has_more) {
        fence_complete(f, x, &x->down, fx);
    }
    return rc;
}

static int
fence_on_up(struct fences *f, struct fence *x, const struct fence_message *msg, struct fence_fx *fx,
            struct hq_err *err)
{
    struct source *s = x->sources, *end = x->sources + x->source_count;

    while (s < end && s->node != msg->from) {
        s++;
    }
    if (s == end) {
        if (x->source_count == HQ_STEP_FANOUT) {
            return hq_err_set(err, -EPROTO, "A fence has more than %u children", HQ_STEP_FANOUT);
        }
        *s = (struct source){.node = msg->from};
        x->source_count++;
    }
    if (s->is_done) {
        return hq_err_set(err, -EPROTO, "Node %u sent twice to one fence", msg->from);
    }
    int rc = fence_take(x, &s->records, msg, err);
    s->is_done = !msg->has_more;
    return rc < 0 ? rc : fence_look(f, x, fx, err);
}

int
fence_on_message(struct fences *f, const struct fence_message *msg, struct fence_fx *fx, struct hq_err *err)
{
    struct fence *x;

    if (msg->signature.len != HQ_STEP_SIGNATURE_BYTES) {
        return hq_err_set(err, -EPROTO, "Node %u sent a fence without a name", msg->from);
    }
    const void *signature = msg->signature.ptr;
    if (msg->is_down && fence_find(f, signature) == NULL) {
        return hq_err_set(err, -EPROTO, "Node %u sent the end of an unknown fence", msg->from);
    }
    int rc = fence_need(f, signature, &x, err);
    if (rc < 0) {
        return rc;
    }
    return msg->is_down ? fence_on_down(f, x, msg, fx, err) : fence_on_up(f, x, msg, fx, err);
}

size_t
fence_open_count(const struct fences *f)
{
    return f->open_count;
}
