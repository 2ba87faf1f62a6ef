/* entries.h - HQ_ENTRY of many tasks: lines of a file, elements of a JSON array.
 *
 * Purpose    text to entries, all or those whose numbers (from 0) a set names.
 * Ownership  entries_fini frees everything. entries_from_lines takes the file's bytes over and packs them in place.
 * Threads    pure.
 * Errors     -EINVAL with the sentence for the user; -E2BIG an entry that fits no message.
 * Limits     HQ_TASKS_PER_SUBMIT_MAX entries of HQ_ENTRY_BYTES_MAX.
 */
#ifndef HQ_HQ_ENTRIES_H
#define HQ_HQ_ENTRIES_H

#include "common/err.h"
#include "common/ranges.h"
#include "common/str.h"

struct entries {
    struct hq_buf data; /* one behind the other */
    uint32_t *lens;
    size_t count;
    size_t cap;
    bool has_ids;         /* `ids` names the task of each entry; else hqd numbers them */
    struct hq_ranges ids; /* ascending */
};

void entries_fini(struct entries *e); /* also the cleanup form */
/* Lines end with "\n" only; the last one may lack it. `text` is emptied. only: NULL = all. */
HQ_MUST_CHECK int entries_from_lines(struct entries *ret, struct hq_buf *text, const struct hq_ranges *only,
                                     struct hq_err *err);
/* Elements of the top array, each printed compactly with sorted keys. `path` is for messages. */
HQ_MUST_CHECK int entries_from_json(struct entries *ret, struct hq_str text, const char *path,
                                    const struct hq_ranges *only, struct hq_err *err);
/* Appends one entry (job files). */
HQ_MUST_CHECK int entries_add(struct entries *e, struct hq_str entry, struct hq_err *err);

#endif
