/* Framing of the journal: every byte a crash can end at, every byte that can be damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/limits.h"
#include "common/record.h"

#define ID 0x1122334455667788u

static char dir[64];

static int
make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "%s", "/tmp/hq-test-record-XXXXXX");
    return mkdtemp(dir) == NULL ? -1 : 0;
}

static int
remove_dir(void **state)
{
    (void)state;
    char name[128];
    static const char *const names[] = {"j", "j.0", "j.1"};
    for (size_t i = 0; i < HQ_ARRAY_LEN(names); i++) {
        snprintf(name, sizeof name, "%s/%s", dir, names[i]);
        (void)unlink(name);
    }
    return rmdir(dir);
}

static void
put_file(const char *name, struct hq_str bytes)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes.ptr, 1, bytes.len, f), bytes.len);
    assert_int_equal(fclose(f), 0);
}

static void
add_head(struct hq_buf *b, uint32_t segment_ix, uint64_t first_seq)
{
    unsigned char head[HQ_RECORD_HEAD_BYTES];
    hq_record_head_pack(head,
                        &(struct hq_record_head){.major = HQ_RECORD_MAJOR,
                                                 .minor = HQ_RECORD_MINOR,
                                                 .segment_ix = segment_ix,
                                                 .first_seq = first_seq,
                                                 .journal_id = ID});
    hq_buf_add(b, head, sizeof head);
}

static void
add_text(struct hq_buf *b, uint64_t last_seq, uint64_t seq)
{
    char text[32];
    snprintf(text, sizeof text, "record %u", (unsigned)seq);
    hq_record_add(b, last_seq, seq, hq_str_from(text));
}

/* Reads all: number of good records in *ret_count, result of the last call. Bodies must name their number. */
static int
read_all(unsigned *ret_count, enum hq_record_end *ret_end, uint64_t *ret_offset, struct hq_err *err)
{
    char path[128];
    snprintf(path, sizeof path, "%s/j", dir);
    HQ_AUTO(hq_record_reader_close) struct hq_record_reader r = {.fd = -1};
    *ret_count = 0;
    int rc = hq_record_reader_open(&r, path, err);
    struct hq_record rec;
    while (rc >= 0 && (rc = hq_record_next(&r, &rec, err)) == 1) {
        char text[32];
        snprintf(text, sizeof text, "record %u", (unsigned)rec.seq);
        assert_true(hq_str_is(rec.body, text));
        (*ret_count)++;
    }
    *ret_end = r.end;
    *ret_offset = r.file_offset;
    return rc;
}

static void
test_head_texts(void **state)
{
    (void)state;
    unsigned char head[HQ_RECORD_HEAD_BYTES];
    struct hq_record_head good = {.major = 1, .minor = 0, .segment_ix = 2, .first_seq = 7, .journal_id = ID};
    hq_record_head_pack(head, &good);
    struct hq_record_head got;
    struct hq_err err;
    struct hq_str all = hq_str_make((const char *)head, sizeof head);
    assert_int_equal(hq_record_head_parse(&got, all, &err), 0);
    assert_memory_equal(&got, &good, sizeof good);
    for (size_t n = 0; n < sizeof head; n++) {
        assert_int_equal(hq_record_head_parse(&got, hq_str_sub(all, 0, n), &err), -ENODATA);
        assert_string_equal(err.text, "failed to fill whole buffer");
    }
    assert_int_equal(hq_record_head_parse(&got, HQ_STR("hello, this is no journal\n"), &err), -EBADMSG);
    assert_string_equal(err.text, "Invalid journal format");
    for (size_t i = 0; i < 36; i++) { /* no damaged byte goes unseen */
        head[i] ^= 0x10;
        assert_true(hq_record_head_parse(&got, all, &err) < 0);
        head[i] ^= 0x10;
    }
    hq_record_head_pack(head, &(struct hq_record_head){.major = 9, .minor = 3, .first_seq = 1});
    assert_int_equal(hq_record_head_parse(&got, all, &err), -EPROTONOSUPPORT);
    assert_string_equal(err.text, "Cannot load newer journal file; journal file: 9.3, current HQ supports: 1.0");
    hq_record_head_pack(head, &(struct hq_record_head){.major = 0, .minor = 3, .first_seq = 1});
    assert_int_equal(hq_record_head_parse(&got, all, &err), -EPROTONOSUPPORT);
    assert_string_equal(err.text, "Journal version mismatch; journal file: 0.3, current HQ supports: 1.0");
}

static void
test_frame_costs_six_bytes(void **state)
{
    (void)state;
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    hq_record_add(&b, 99, 100, hq_str_make("0123456789012345678901234567890123456789", 40));
    assert_int_equal(b.len, 40 + 2 + 4);
    hq_buf_clear(&b);
    hq_record_add(&b, 0, 1, HQ_STR("short"));
    assert_int_equal(b.len, 5 + 1 + 4);
}

static void
test_torn_at_every_byte(void **state)
{
    (void)state;
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    size_t ends[11];
    add_head(&b, 0, 1);
    ends[0] = b.len;
    for (unsigned i = 1; i <= 10; i++) {
        add_text(&b, i == 6 ? 4 : i - 1, i); /* number 6 is written in its long form */
        ends[i] = b.len;
        if (i == 3) {
            hq_record_add_mark(&b, ID, b.len);
        }
    }
    for (size_t n = HQ_RECORD_HEAD_BYTES; n <= b.len; n++) {
        put_file("j", hq_str_make(b.ptr, n));
        unsigned want = 0;
        while (want < 10 && ends[want + 1] <= n) {
            want++;
        }
        unsigned count;
        enum hq_record_end end;
        uint64_t offset;
        struct hq_err err = {0};
        assert_int_equal(read_all(&count, &end, &offset, &err), 0);
        assert_int_equal(count, want);
        bool is_whole = offset == n;
        assert_int_equal(end, is_whole ? HQ_RECORD_END_CLEAN : HQ_RECORD_END_TORN);
        assert_true(offset <= n);
        assert_true(offset >= ends[want]);
    }
}

static void
test_damage_is_told_from_torn(void **state)
{
    (void)state;
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    add_head(&b, 0, 1);
    for (unsigned i = 1; i <= 5; i++) {
        add_text(&b, i - 1, i);
    }
    size_t committed = b.len;
    hq_record_add_mark(&b, ID, committed);
    for (unsigned i = 6; i <= 8; i++) {
        add_text(&b, i - 1, i);
    }
    for (size_t at = HQ_RECORD_HEAD_BYTES; at < b.len; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            b.ptr[at] = (char)(b.ptr[at] ^ (1 << bit));
            put_file("j", hq_buf_view(&b));
            unsigned count;
            enum hq_record_end end = HQ_RECORD_END_CLEAN;
            uint64_t offset;
            struct hq_err err = {0};
            int rc = read_all(&count, &end, &offset, &err);
            if (at < committed) {
                assert_int_equal(rc, -EBADMSG);
                assert_true(count < 5);
                assert_non_null(strstr(err.text, "at offset "));
            } else {
                assert_int_equal(rc, 0);
                assert_int_equal(end, HQ_RECORD_END_TORN);
                assert_true(count >= 5);
                assert_true(count < 8);
            }
            b.ptr[at] = (char)(b.ptr[at] ^ (1 << bit));
        }
    }
}

static void
test_zero_pages_behind_the_end(void **state)
{
    (void)state;
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    add_head(&b, 0, 1);
    add_text(&b, 0, 1);
    size_t good = b.len;
    hq_buf_rep(&b, '\0', 5000); /* what a power cut may leave of a write that was not committed */
    put_file("j", hq_buf_view(&b));
    unsigned count;
    enum hq_record_end end;
    uint64_t offset;
    assert_int_equal(read_all(&count, &end, &offset, NULL), 0);
    assert_int_equal(count, 1);
    assert_int_equal(end, HQ_RECORD_END_TORN);
    assert_int_equal(offset, good);
}

static void
test_older_files(void **state)
{
    (void)state;
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    add_head(&b, 0, 1);
    add_text(&b, 0, 1);
    add_text(&b, 1, 2);
    hq_record_add(&b, 2, 3, HQ_STR("void: its commit failed"));
    hq_buf_cstr(&b, "half a rec");
    put_file("j.0", hq_buf_view(&b));
    hq_buf_clear(&b);
    add_head(&b, 1, 3);
    hq_buf_cstr(&b, "x"); /* nothing of this file was ever committed */
    put_file("j.1", hq_buf_view(&b));
    hq_buf_clear(&b);
    add_head(&b, 2, 3);
    add_text(&b, 2, 3);
    add_text(&b, 3, 4);
    put_file("j", hq_buf_view(&b));
    unsigned count;
    enum hq_record_end end;
    uint64_t offset;
    struct hq_err err = {0};
    assert_int_equal(read_all(&count, &end, &offset, &err), 0);
    assert_int_equal(count, 4);
    assert_int_equal(end, HQ_RECORD_END_CLEAN);

    /* Records that the next file relies on are missing. */
    hq_buf_clear(&b);
    add_head(&b, 0, 1);
    add_text(&b, 0, 1);
    put_file("j.0", hq_buf_view(&b));
    assert_int_equal(read_all(&count, &end, &offset, &err), -EBADMSG);
    assert_non_null(strstr(err.text, "j.0"));
}

static void
test_bounds(void **state)
{
    (void)state;
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    struct hq_record_frame f;
    /* a length over the bound is refused before anything is read or allocated */
    static const unsigned char huge[] = {0xfc, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0};
    assert_int_equal(hq_record_frame(&f, hq_str_make((const char *)huge, sizeof huge), 0, ID), -EBADMSG);
    static const unsigned char endless[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    assert_int_equal(hq_record_frame(&f, hq_str_make((const char *)endless, sizeof endless), 0, ID), -EBADMSG);
    /* a number that goes back */
    hq_record_add(&b, 5, 9, HQ_STR("x"));
    assert_int_equal(hq_record_frame(&f, hq_buf_view(&b), 5, ID), 1);
    assert_int_equal(f.seq, 9);
    assert_int_equal(hq_record_frame(&f, hq_buf_view(&b), 9, ID), -EBADMSG);
    /* a mark of another journal */
    hq_buf_clear(&b);
    hq_record_add_mark(&b, ID + 1, 77);
    assert_int_equal(hq_record_frame(&f, hq_buf_view(&b), 0, ID), -EBADMSG);
    assert_int_equal(hq_record_frame(&f, hq_buf_view(&b), 0, ID + 1), 1);
    assert_int_equal(f.synced_bytes, 77);
    /* the largest body */
    hq_buf_clear(&b);
    char *big = test_malloc(HQ_RECORD_BYTES_MAX);
    memset(big, 'b', HQ_RECORD_BYTES_MAX);
    add_head(&b, 0, 1);
    hq_record_add(&b, 0, 1, hq_str_make(big, HQ_RECORD_BYTES_MAX));
    put_file("j", hq_buf_view(&b));
    test_free(big);
    char path[128];
    snprintf(path, sizeof path, "%s/j", dir);
    HQ_AUTO(hq_record_reader_close) struct hq_record_reader r = {.fd = -1};
    struct hq_record rec;
    assert_int_equal(hq_record_reader_open(&r, path, NULL), 0);
    assert_int_equal(hq_record_next(&r, &rec, NULL), 1);
    assert_int_equal(rec.body.len, HQ_RECORD_BYTES_MAX);
    assert_int_equal(hq_record_next(&r, &rec, NULL), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head_texts),
        cmocka_unit_test(test_frame_costs_six_bytes),
        cmocka_unit_test_setup_teardown(test_torn_at_every_byte, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_damage_is_told_from_torn, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_zero_pages_behind_the_end, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_older_files, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_bounds, make_dir, remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
