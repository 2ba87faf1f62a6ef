/* desc_print.h - the description that tasks share, as cells and as JSON.
 *
 * Purpose    rows Resources to Crash limit of job info and task info; element D of submits (spec section 2.2.6).
 * Ownership  appends to the caller's buffer or writer.
 * Threads    pure.
 */
#ifndef HQ_HQ_DESC_PRINT_H
#define HQ_HQ_DESC_PRINT_H

#include "common/out_json.h"
#include "common/out_table.h"
#include "hq/paths.h"

#include "proto/client.pb-c.h"

static inline struct hq_str
desc_str(ProtobufCBinaryData b)
{
    return hq_str_make((const char *)b.data, b.len);
}

/* protobuf-c has no const bytes; packing does not write to them. */
static inline ProtobufCBinaryData
desc_bytes(struct hq_str s)
{
    return (ProtobufCBinaryData){.len = s.len, .data = (uint8_t *)(uintptr_t)s.ptr};
}

void desc_fmt_resources(struct hq_buf *b, const Hq__TaskDesc *d);
void desc_fmt_command(struct hq_buf *b, const Hq__TaskDesc *d);
void desc_fmt_env(struct hq_buf *b, const Hq__TaskDesc *d);        /* without HQ_...; sorted */
void desc_fmt_time_limit(struct hq_buf *b, const Hq__TaskDesc *d); /* "None" */
void desc_fmt_crash_limit(struct hq_buf *b, const Hq__TaskDesc *d);
/* One row of a vertical table, by one of the functions above. */
void desc_row(struct hq_table *t, const char *label, void (*fmt)(struct hq_buf *, const Hq__TaskDesc *),
              const Hq__TaskDesc *d);
/* Row "Ranks" of a task that has several; nothing for others. */
void desc_row_ranks(struct hq_table *t, const Hq__TaskDesc *d);
const char *desc_pin_word(const Hq__TaskDesc *d); /* "none", "taskset", "omp" */

/* D. is_graph: paths as they were written. */
void desc_json(struct hq_json *j, const Hq__TaskDesc *d, const struct paths *paths, bool is_graph);

#endif
