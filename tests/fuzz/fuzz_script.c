/* Scripts, lines and documents that a submit reads: #HQ directives, lists of entries by line and as JSON, the command of
 * --on-notify. The first byte chooses which; the second whether only some of the entries are taken. */
#include "tests/fuzz/fuzz.h"

#include "hq/directive.h"
#include "hq/entries.h"
#include "hq/notify.h"

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

void
fuzz_one(struct fuzz *f)
{
    struct hq_err err = {0};
    struct directives dir = {0};
    struct hq_strv words = {0};
    uint8_t which = fuzz_byte(f);
    uint8_t first = fuzz_byte(f);
    struct hq_range two[] = {{.first = first, .count = 3, .step = 2}, {.first = 0, .count = 1, .step = 1}};
    struct hq_ranges only = {.v = two, .count = (first & 1) != 0 ? 2 : 1};
    switch (which & 3) {
    case 0:
        MUST(directive_scan(&dir, f->text, &f->arena, &err) == 0 || err.text[0] != '\0');
        break;
    case 1:
        read_entries(f->text, false, (which & 4) != 0 ? &only : NULL, &err);
        break;
    case 2:
        read_entries(f->text, true, (which & 4) != 0 ? &only : NULL, &err);
        break;
    default:
        notify_split(&words, f->text, &f->arena);
        break;
    }
}
