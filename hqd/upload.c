#include "hqd/upload.h"

#include <stdlib.h>

#include "common/mem.h"

static void
upload_free(struct upload *u)
{
    hq_buf_fini(&u->bytes);
    free(u->ends);
    *u = (struct upload){0};
}

void
uploads_fini(struct uploads *us)
{
    for (size_t i = 0; i < HQ_UPLOADS_PER_PEER_MAX; i++) {
        upload_free(&us->v[i]);
    }
}

static struct upload *
find(struct uploads *us, uint64_t id)
{
    for (size_t i = 0; i < HQ_UPLOADS_PER_PEER_MAX; i++) {
        if (us->v[i].id == id) {
            return &us->v[i];
        }
    }
    return NULL;
}

/* A free place, or that of the oldest upload. */
static struct upload *
make(struct uploads *us, uint64_t id)
{
    struct upload *u = find(us, 0);
    if (u == NULL) {
        u = &us->v[0];
        for (size_t i = 1; i < HQ_UPLOADS_PER_PEER_MAX; i++) {
            u = us->v[i].order < u->order ? &us->v[i] : u;
        }
        upload_free(u);
    }
    u->id = id;
    u->order = us->next_order++;
    return u;
}

int
uploads_add(struct uploads *us, uint64_t id, uint32_t number, struct hq_str part, struct hq_err *err)
{
    if (id == 0) {
        return hq_err_set(err, -EINVAL, "A part of a submit without an upload id");
    }
    struct upload *u = find(us, id);
    if (u == NULL && number == 0) {
        u = make(us, id);
    }
    if (u == NULL || number > u->count) {
        return hq_err_set(err, -EINVAL, "Part %u of a submit came out of order", number);
    }
    if (number < u->count) {
        return 0; /* sent again: the answer was lost */
    }
    if (u->bytes.len + part.len > HQ_UPLOAD_BYTES_MAX) {
        upload_free(u);
        return hq_err_set(err, -E2BIG, "A submit is over %u bytes", HQ_UPLOAD_BYTES_MAX);
    }
    int rc = hq_try_grow(&u->ends, &u->cap, u->count + 1, sizeof u->ends[0]);
    if (rc < 0) {
        upload_free(u);
        return hq_err_set(err, rc, "Out of memory for the parts of a submit");
    }
    hq_buf_str(&u->bytes, part);
    u->ends[u->count++] = u->bytes.len;
    return 0;
}

int
uploads_find(struct uploads *us, uint64_t id, uint32_t count, struct upload **ret, struct hq_err *err)
{
    struct upload *u = id == 0 ? NULL : find(us, id);
    if (u == NULL || u->count != count) {
        return hq_err_set(err, -ENOENT, "The parts of this submit are not here (any more); submit again");
    }
    *ret = u;
    return 0;
}

struct hq_str
upload_part(const struct upload *u, uint32_t number)
{
    size_t from = number == 0 ? 0 : u->ends[number - 1];
    return hq_str_make(u->bytes.ptr + from, u->ends[number] - from);
}

void
uploads_drop(struct uploads *us, uint64_t id)
{
    struct upload *u = id == 0 ? NULL : find(us, id);
    if (u != NULL) {
        upload_free(u);
    }
}
