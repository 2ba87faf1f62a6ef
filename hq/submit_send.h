/* submit_send.h - a submit on its way to hqd: what fits no message goes up before, in numbered parts.
 *
 * Ownership  nothing is kept; `entries` is read only.
 * Errors     those of client_call; hqd's refusals come without a prefix.
 * Limits     HQ_PART_BYTES per part, HQ_UPLOAD_BYTES_MAX together.
 */
#ifndef HQ_HQ_SUBMIT_SEND_H
#define HQ_HQ_SUBMIT_SEND_H

#include "hq/client.h"
#include "hq/entries.h"

#include "proto/client.pb-c.h"

struct submit_load {
    Hq__Submit *head;             /* as built; its part is the last one */
    const struct entries *entries; /* NULL = none */
    struct hq_str stdin_data;
};

/* Gets the next part; `last` true for the one inside Submit. Returns a negative errno to stop. */
typedef int (*submit_part_fn)(void *ctx, const Hq__SubmitPart *part, struct hq_err *err);

/* Cuts everything that does not fit beside the head into parts and hands them out; what is left is put into
 * head->part. Pure but for `fn`. `arena` is reset after each part. */
HQ_MUST_CHECK int submit_split(const struct submit_load *load, uint64_t upload_id, submit_part_fn fn, void *ctx,
                               struct hq_arena *arena, struct hq_err *err);
HQ_MUST_CHECK int submit_send(struct hq_cli *cli, const struct submit_load *load, uint32_t *ret_job, struct hq_err *err);

#endif
