#include "hq/submit_send.h"

#include "common/limits.h"
#include "hq/selector_wire.h"

#include <sys/random.h>

/* Order of the parts: descriptions of a graph, ids of an array, entries with their ids, stdin data. Each list of the
 * message goes on where the part before left it, so a part need not be full of one thing. */

/* ids: three numbers a range, five bytes each; a length: three bytes at most (HQ_ENTRY_BYTES_MAX). */
#define RANGE_BYTES 15u
#define LEN_BYTES 3u

Hq__SubmitPart *
submit_part_new(struct submit_split_state *s)
{
    Hq__SubmitPart *p = hq_arena_alloc(s->arena, sizeof *p);
    hq__submit_part__init(p);
    p->upload_id = s->upload_id;
    p->number = s->number;
    return p;
}

int
submit_part_send(struct submit_split_state *s, const Hq__SubmitPart *p)
{
    int rc = s->fn(s->ctx, p, s->err);
    s->number++;
    hq_arena_reset(s->arena);
    return rc;
}

/* ---- entries */

struct cursor { /* where in the entries we are */
    size_t ix;
    size_t byte;
    size_t range_ix; /* in entries->ids */
    uint32_t range_k;
};

/* The ids of the next `count` entries. */
static void
take_ids(struct hq_ranges *out, const struct hq_ranges *ids, struct cursor *c, size_t count)
{
    while (count > 0) {
        const struct hq_range *r = &ids->v[c->range_ix];
        uint32_t n = (uint32_t)HQ_MIN((size_t)(r->count - c->range_k), count);
        hq_ranges_add(out, r->first + c->range_k * r->step, n, n > 1 ? r->step : 1);
        count -= n;
        c->range_k += n;
        if (c->range_k == r->count) {
            c->range_ix++;
            c->range_k = 0;
        }
    }
}

/* Number of entries from the cursor on that fit into `bytes`. */
static size_t
fit_entries(const struct entries *e, const struct cursor *c, size_t bytes)
{
    size_t used = 0;
    size_t ix = c->ix;
    size_t each = LEN_BYTES + (e->has_ids ? RANGE_BYTES : 0);
    while (ix < e->count && used + e->lens[ix] + each <= bytes) {
        used += e->lens[ix] + each;
        ix++;
    }
    return ix - c->ix;
}

static void
fill_entries(Hq__SubmitPart *p, const struct entries *e, struct cursor *c, size_t count, struct hq_arena *arena)
{
    Hq__Entries *w = hq_arena_alloc(arena, sizeof *w);
    hq__entries__init(w);
    w->n_lens = count;
    w->lens = e->lens + c->ix;
    size_t bytes = 0;
    for (size_t ix = 0; ix < count; ix++) {
        bytes += w->lens[ix];
    }
    w->data = (ProtobufCBinaryData){.len = bytes, .data = (uint8_t *)e->data.ptr + c->byte};
    p->entries = w;
    if (e->has_ids) {
        struct hq_ranges ids = HQ_RANGES_INIT;
        take_ids(&ids, &e->ids, c, count);
        p->ids = selector_ranges_wire(&ids, arena);
        hq_ranges_fini(&ids);
    }
    c->ix += count;
    c->byte += bytes;
}

/* Sends all entries but those that fit into `left` bytes; these go into the last part. */
static int
split_entries(struct submit_split_state *s, Hq__SubmitPart *last, struct hq_arena *head_arena, size_t *left)
{
    const struct entries *e = s->load->entries;
    struct cursor c = {0};
    while (e->count - c.ix > 0 && fit_entries(e, &c, *left) < e->count - c.ix) {
        size_t count = fit_entries(e, &c, HQ_PART_BYTES);
        HQ_ASSERT(count > 0);
        Hq__SubmitPart *p = submit_part_new(s);
        fill_entries(p, e, &c, count, s->arena);
        int rc = submit_part_send(s, p);
        if (rc < 0) {
            return rc;
        }
    }
    size_t begin = c.byte;
    size_t count = e->count - c.ix;
    fill_entries(last, e, &c, count, head_arena); /* also when there are none: an empty list says that there is one */
    *left -= HQ_MIN(*left, c.byte - begin + count * (LEN_BYTES + RANGE_BYTES));
    return 0;
}
_Static_assert(HQ_ENTRY_BYTES_MAX + LEN_BYTES + RANGE_BYTES <= HQ_PART_BYTES, "any entry fits a part");
_Static_assert(HQ_PART_BYTES + 65536u <= HQ_MSG_BYTES_MAX, "a part fits a message");

/* ---- ids of an array, stdin */

static int
split_ids(struct submit_split_state *s, Hq__SubmitPart *last, size_t *left)
{
    Hq__Ranges *ids = last->ids;
    size_t done = 0;
    while ((ids->n_packed - done) / 3 * RANGE_BYTES > *left) {
        size_t count = HQ_MIN((ids->n_packed - done) / 3, HQ_PART_BYTES / RANGE_BYTES) * 3;
        Hq__Ranges *w = hq_arena_alloc(s->arena, sizeof *w);
        hq__ranges__init(w);
        w->packed = ids->packed + done;
        w->n_packed = count;
        done += count;
        Hq__SubmitPart *p = submit_part_new(s);
        p->ids = w;
        int rc = submit_part_send(s, p);
        if (rc < 0) {
            return rc;
        }
    }
    ids->packed += done;
    ids->n_packed -= done;
    *left -= ids->n_packed / 3 * RANGE_BYTES;
    return 0;
}

static int
split_stdin(struct submit_split_state *s, Hq__SubmitPart *last, size_t left)
{
    struct hq_str data = s->load->stdin_data;
    while (data.len > left) {
        size_t count = HQ_MIN(data.len, HQ_PART_BYTES);
        Hq__SubmitPart *p = submit_part_new(s);
        p->stdin = (ProtobufCBinaryData){.len = count, .data = (uint8_t *)(uintptr_t)data.ptr};
        data = hq_str_sub(data, count, data.len);
        int rc = submit_part_send(s, p);
        if (rc < 0) {
            return rc;
        }
    }
    last->stdin = (ProtobufCBinaryData){.len = data.len, .data = (uint8_t *)(uintptr_t)data.ptr};
    return 0;
}

/* Bytes that are free in the last part beside everything that must stay there. */
static size_t
room_beside(Hq__Submit *head)
{
    Hq__Ranges *ids = head->part->ids;
    head->part->ids = NULL;
    size_t used = hq__submit__get_packed_size(head);
    head->part->ids = ids;
    return used < HQ_PART_BYTES ? HQ_PART_BYTES - used : 0;
}

int
submit_split(const struct submit_load *load, uint64_t upload_id, submit_part_fn fn, void *ctx, struct hq_arena *arena,
             struct hq_err *err)
{
    struct submit_split_state s = {.load = load, .upload_id = upload_id, .fn = fn, .ctx = ctx, .err = err};
    struct hq_arena part_arena;
    hq_arena_init(&part_arena, 0);
    s.arena = &part_arena;
    Hq__SubmitPart *last = load->head->part;
    size_t left = room_beside(load->head);
    int rc = 0;
    if (load->graph != NULL) {
        rc = submit_split_graph(&s, last, arena, &left);
    } else if (last->ids != NULL) {
        rc = split_ids(&s, last, &left);
    }
    if (rc == 0 && load->entries != NULL) {
        rc = split_entries(&s, last, arena, &left);
    }
    if (rc == 0 && load->stdin_data.len > 0) {
        rc = split_stdin(&s, last, left);
    }
    if (s.number > 0) {
        load->head->upload_id = upload_id;
        load->head->part_count = s.number;
        last->upload_id = upload_id;
        last->number = s.number;
    }
    hq_arena_fini(&part_arena);
    return rc;
}

/* ---- to hqd */

static int
upload(void *ctx, const Hq__SubmitPart *part, struct hq_err *err)
{
    return client_call(ctx,
                       &(struct client_query){.type = HQ__MESSAGE_TYPE__TYPE_SUBMIT_PART,
                                              .request = &part->base,
                                              .answer_type = HQ__MESSAGE_TYPE__TYPE_DONE,
                                              .is_plain_error = true},
                       NULL, err);
}

int
submit_send(struct hq_cli *cli, const struct submit_load *load, uint32_t *ret_job, struct hq_err *err)
{
    uint64_t upload_id = 0;
    if (getrandom(&upload_id, sizeof upload_id, 0) != (ssize_t)sizeof upload_id) {
        return hq_err_sys(err, -EIO, "Cannot get a random number");
    }
    int rc = submit_split(load, upload_id | 1, upload, cli, &cli->arena, err); /* 0 would mean: no upload */
    if (rc < 0) {
        return rc;
    }
    ProtobufCMessage *answer = NULL;
    rc = client_call(cli,
                     &(struct client_query){.type = HQ__MESSAGE_TYPE__TYPE_SUBMIT,
                                            .request = &load->head->base,
                                            .answer_type = HQ__MESSAGE_TYPE__TYPE_SUBMITTED,
                                            .answer = &hq__submitted__descriptor,
                                            .is_plain_error = true},
                     &answer, err);
    if (rc == 0) {
        *ret_job = ((const Hq__Submitted *)(const void *)answer)->job;
    }
    return rc;
}
