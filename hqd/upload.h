/* upload.h - submits that come in numbered parts: bytes kept until the Submit message closes them.
 *
 * Purpose    a submit over one message goes up before in parts 0, 1, 2 ...; each was checked when it came.
 * Ownership  copies the bytes; they go when the submit is done, when the session ends, or when newer uploads push them out.
 * Errors     -ENOENT no such upload, -EINVAL number out of order (a part again is fine), -E2BIG over the bound.
 * Limits     HQ_UPLOADS_PER_PEER_MAX uploads, HQ_UPLOAD_BYTES_MAX bytes each.
 */
#ifndef HQ_HQD_UPLOAD_H
#define HQ_HQD_UPLOAD_H

#include "common/err.h"
#include "common/limits.h"
#include "common/str.h"

struct upload {
    uint64_t id;         /* 0 = free */
    uint64_t order;      /* the smallest is the oldest */
    struct hq_buf bytes; /* packed SubmitParts, one behind the other */
    size_t *ends;
    size_t count;
    size_t cap;
};
struct uploads {
    struct upload v[HQ_UPLOADS_PER_PEER_MAX];
    uint64_t next_order;
};

void uploads_fini(struct uploads *us);
HQ_MUST_CHECK int uploads_add(struct uploads *us, uint64_t id, uint32_t number, struct hq_str part, struct hq_err *err);
/* The upload with exactly that many parts. */
HQ_MUST_CHECK int uploads_find(struct uploads *us, uint64_t id, uint32_t count, struct upload **ret, struct hq_err *err);
struct hq_str upload_part(const struct upload *u, uint32_t number);
void uploads_drop(struct uploads *us, uint64_t id);

#endif
