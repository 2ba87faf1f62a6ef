/* What batch systems print: any bytes, as the answer of any command of Slurm and PBS. The first byte chooses which; the
 * second is the exit status. Rows that come out must keep what batch.h promises. */
#include <stdlib.h>

#include "hq-allocd/pbs.h"
#include "hq-allocd/slurm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(cond)                                                                                                     \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

static void
check_rows(struct batch_rows *rows)
{
    batch_sort_rows(rows);
    MUST(rows->count <= BATCH_ROWS_MAX);
    for (size_t i = 0; i < rows->count; i++) {
        const struct batch_row *row = &rows->v[i];
        MUST(batch_id_ok(row->id));
        MUST(row->submitted_ms >= 0 && row->started_ms >= 0 && row->ended_ms >= 0);
        MUST(row->reason.len <= 200);
        MUST(batch_find_row(rows, row->id, row->script, 0) != NULL);
        (void)batch_state_name(row->state);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct hq_arena arena;
    struct hq_buf why = HQ_BUF_INIT;
    hq_arena_init(&arena, 0);
    const struct batch *b = (data[0] & 1) != 0 ? &batch_pbs : &batch_slurm;
    struct hq_str text = hq_str_make((const char *)data + 2, size - 2);
    struct hq_str out;
    struct hq_str err = text;
    (void)hq_str_split(&err, '\x01', &out);
    struct batch_result r = {.status = data[1] << 8, .is_timed_out = (data[0] & 64) != 0, .out = out, .err = err};
    struct hq_str id = HQ_STR_NULL;
    struct batch_rows rows = {0};
    struct hq_str *ids = NULL;
    size_t count = 0;
    switch (data[0] >> 1 & 3) {
    case 0:
        if (b->submitted(&r, &arena, &id, &why) == BATCH_OK) {
            MUST(batch_id_ok(id));
        }
        break;
    case 1:
        (void)b->statuses(&r, 3600, &arena, &rows, &why);
        check_rows(&rows);
        break;
    case 2:
        (void)b->canceled(&r, &why);
        (void)b->is_permanent(text);
        (void)pbs_time(text, 0);
        break;
    default:
        (void)batch_pbs.found(&r, &arena, &ids, &count, &why);
        for (size_t i = 0; i < count; i++) {
            MUST(batch_id_ok(ids[i]));
        }
        break;
    }
    hq_buf_fini(&why);
    hq_arena_fini(&arena);
    return 0;
}
