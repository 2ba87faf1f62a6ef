/* Scripts, lines and documents that a submit reads: #HQ directives, lists of entries by line and as JSON, the command of
 * --on-notify. The first byte chooses which; the second whether only some of the entries are taken. */
#include "hq/directive.h"
#include "hq/entries.h"
#include "hq/notify.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(cond)                                                                                                     \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

static void
check_entries(const struct entries *e, const struct hq_ranges *only)
{
    size_t bytes = 0;
    for (size_t i = 0; i < e->count; i++) {
        bytes += e->lens[i];
    }
    MUST(bytes == e->data.len);
    MUST(!e->has_ids || hq_ranges_size(&e->ids) == e->count);
    MUST(only == NULL || e->count <= hq_ranges_size(only));
}

static void
read_entries(struct hq_str text, bool is_json, const struct hq_ranges *only, struct hq_err *err)
{
    struct entries e = {0};
    struct hq_buf lines = HQ_BUF_INIT;
    int rc;
    if (is_json) {
        rc = entries_from_json(&e, text, "x.json", only, err);
    } else {
        hq_buf_str(&lines, text);
        rc = entries_from_lines(&e, &lines, only, err);
    }
    if (rc == 0) {
        check_entries(&e, only);
    } else {
        MUST(err->text[0] != '\0');
    }
    entries_fini(&e);
    hq_buf_fini(&lines);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct hq_arena arena;
    struct hq_err err = {0};
    struct directives dir = {0};
    struct hq_strv words = {0};
    struct hq_range two[] = {{.first = data[1], .count = 3, .step = 2}, {.first = 0, .count = 1, .step = 1}};
    struct hq_ranges only = {.v = two, .count = (data[1] & 1) != 0 ? 2 : 1};
    hq_arena_init(&arena, 0);
    struct hq_str text = hq_str_make((const char *)data + 2, size - 2);
    switch (data[0] & 3) {
    case 0:
        MUST(directive_scan(&dir, text, &arena, &err) == 0 || err.text[0] != '\0');
        break;
    case 1:
        read_entries(text, false, (data[0] & 4) != 0 ? &only : NULL, &err);
        break;
    case 2:
        read_entries(text, true, (data[0] & 4) != 0 ? &only : NULL, &err);
        break;
    default:
        notify_split(&words, text, &arena);
        break;
    }
    hq_arena_fini(&arena);
    return 0;
}
