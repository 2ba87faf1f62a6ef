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

struct submit_graph { /* tasks of a job file */
    Hq__TaskDesc **descs;
    size_t desc_count;
    uint32_t *ids;
    uint32_t *desc; /* index of each task's description */
    uint32_t *dep_count;
    uint32_t *deps; /* of all tasks, one behind the other */
    size_t count;
};

struct submit_load {
    Hq__Submit *head;                 /* as built; its part is the last one */
    const struct entries *entries;    /* NULL = none */
    const struct submit_graph *graph; /* NULL = an array */
    struct hq_str stdin_data;
};

/* Gets the next part; `last` true for the one inside Submit. Returns a negative errno to stop. */
typedef int (*submit_part_fn)(void *ctx, const Hq__SubmitPart *part, struct hq_err *err);

/* Cuts everything that does not fit beside the head into parts and hands them out; what is left is put into
 * head->part. Pure but for `fn`. `arena` is reset after each part. */
HQ_MUST_CHECK int submit_split(const struct submit_load *load, uint64_t upload_id, submit_part_fn fn, void *ctx,
                               struct hq_arena *arena, struct hq_err *err);
HQ_MUST_CHECK int submit_send(struct hq_cli *cli, const struct submit_load *load, uint32_t *ret_job,
                              struct hq_err *err);

/* ---- used between the files of this module */
struct submit_split_state {
    const struct submit_load *load;
    uint64_t upload_id;
    uint32_t number;
    submit_part_fn fn;
    void *ctx;
    struct hq_arena *arena; /* of the part being made */
    struct hq_err *err;
};
Hq__SubmitPart *submit_part_new(struct submit_split_state *s);
HQ_MUST_CHECK int submit_part_send(struct submit_split_state *s, const Hq__SubmitPart *p);
/* Hands out all tasks but those that fit into *left bytes beside the head. */
HQ_MUST_CHECK int submit_split_graph(struct submit_split_state *s, Hq__SubmitPart *last, struct hq_arena *head_arena,
                                     size_t *left);

#endif
