/* stdin.h - data that a submit gives to the stdin of each of its tasks.
 *
 * Purpose    one sealed memory file per submit; each task reads it through a description of its own, from the start.
 * Ownership  the store belongs to the loop; bodies hold its fd.
 * Threads    stdin_open on launcher threads, the rest on the loop's thread.
 * Errors     negative errno.
 * Limits     HQ_STDIN_BYTES_MAX per submit.
 */
#ifndef HQ_WORKERD_STDIN_H
#define HQ_WORKERD_STDIN_H

#include "common/str.h"
#include "hq-workerd/core/body.h"

struct stdin_store;

HQ_MUST_CHECK struct stdin_store *stdin_store_create(void);
void stdin_store_destroy(struct stdin_store *s);
/* One part of the data; parts of a submit come in order. -EPROTO for gaps, -EFBIG. */
HQ_MUST_CHECK int stdin_store_add(struct stdin_store *s, uint32_t job_id, uint32_t submit, uint64_t offset,
                                  struct hq_str data);
/* The body gets the data that came last for its job. -ENOENT when there is none of that size. */
HQ_MUST_CHECK int stdin_store_attach(struct stdin_store *s, struct body *body, uint64_t bytes);
void stdin_store_forget(struct stdin_store *s, uint32_t job_id);
/* A new read-only description of the body's data, CLOEXEC. */
HQ_MUST_CHECK int stdin_open(const struct body *body);

#endif
