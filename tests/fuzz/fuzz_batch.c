/* What batch systems print: any bytes, as the answer of any command of Slurm and PBS. The first byte chooses which; the
 * second is the exit status. Rows that come out must keep what batch.h promises. */
#include "tests/fuzz/fuzz.h"

#include "hq-allocd/pbs.h"
#include "hq-allocd/slurm.h"

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

void
fuzz_one(struct fuzz *f)
{
    struct hq_buf why = HQ_BUF_INIT;
    uint8_t which = fuzz_byte(f);
    int status = fuzz_byte(f) << 8;
    const struct batch *b = (which & 1) != 0 ? &batch_pbs : &batch_slurm;
    struct hq_str text = f->text;
    struct hq_str out;
    struct hq_str err = text;
    (void)hq_str_split(&err, '\x01', &out);
    struct batch_result r = {.status = status, .is_timed_out = (which & 64) != 0, .out = out, .err = err};
    struct hq_str id = HQ_STR_NULL;
    struct batch_rows rows = {0};
    struct hq_str *ids = NULL;
    size_t count = 0;
    switch (which >> 1 & 3) {
    case 0:
        if (b->submitted(&r, &f->arena, &id, &why) == BATCH_OK) {
            MUST(batch_id_ok(id));
        }
        break;
    case 1:
        (void)b->statuses(&r, 3600, &f->arena, &rows, &why);
        check_rows(&rows);
        break;
    case 2:
        (void)b->canceled(&r, &why);
        (void)b->is_permanent(text);
        (void)pbs_time(text, 0);
        break;
    default:
        (void)batch_pbs.found(&r, &f->arena, &ids, &count, &why);
        for (size_t i = 0; i < count; i++) {
            MUST(batch_id_ok(ids[i]));
        }
        break;
    }
    hq_buf_fini(&why);
}
