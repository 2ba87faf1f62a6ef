#include "tests/unit/recording.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "common/fs.h"
#include "common/num.h"

static uint64_t
header_number(struct hq_str text, const char *key)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf want = HQ_BUF_INIT;
    hq_buf_printf(&want, "\n%s: ", key);
    ptrdiff_t at = hq_str_find(text, hq_buf_view(&want));
    assert_true(at >= 0);
    struct hq_str rest = hq_str_sub(text, (size_t)at + want.len, text.len);
    struct hq_str line;
    uint64_t v = 0;
    (void)hq_str_split(&rest, '\n', &line);
    assert_int_equal(hq_num_u64(line, &v, NULL), 0);
    return v;
}

static struct hq_str
part(struct hq_str text, const char *mark, uint64_t bytes, size_t *from)
{
    struct hq_str rest = hq_str_sub(text, *from, text.len);
    ptrdiff_t at = hq_str_find(rest, hq_str_from(mark));
    assert_true(at >= 0);
    size_t begin = *from + (size_t)at + strlen(mark);
    assert_true(begin + bytes <= text.len);
    *from = begin + (size_t)bytes;
    return hq_str_sub(text, begin, begin + (size_t)bytes);
}

void
recording_load(struct recording *rec, const char *name)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf path = HQ_BUF_INIT;
    hq_buf_printf(&path, "tests/data/pbs/%s.txt", name);
    *rec = (struct recording){.bytes = HQ_BUF_INIT};
    struct hq_err err = {0};
    if (hq_fs_read(&rec->bytes, path.ptr, 4u << 20, &err) < 0) {
        fail_msg("%s", err.text);
    }
    struct hq_str text = hq_buf_view(&rec->bytes);
    size_t from = 0;
    rec->r.status = (int)(header_number(text, "exit") << 8);
    rec->r.out = part(text, "=== stdout\n", header_number(text, "stdout-bytes"), &from);
    rec->r.err = part(text, "=== stderr\n", header_number(text, "stderr-bytes"), &from);
}

void
recording_fini(struct recording *rec)
{
    hq_buf_fini(&rec->bytes);
}

struct batch_result
recording_made(int exit_code, const char *out, const char *err)
{
    return (struct batch_result){.status = exit_code << 8, .out = hq_str_from(out), .err = hq_str_from(err)};
}
