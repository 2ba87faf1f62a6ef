/* Streamed output: heads and records as bytes, torn and foreign ones refused. */
#include "common/streamlog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void
test_head(void **state)
{
    (void)state;
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    struct hq_stream_head head = {.server_uid = HQ_STR("aB3xYz"), .worker = {7}};
    struct hq_stream_head got = {0};
    size_t len = 0;

    hq_stream_head_pack(&head, &b);
    hq_buf_cstr(&b, "record");
    assert_int_equal(hq_stream_head_parse(hq_buf_view(&b), &got, &len), 0);
    assert_int_equal(len, HQ_STREAM_HEAD_BYTES + 6);
    assert_true(hq_str_is(got.server_uid, "aB3xYz"));
    assert_int_equal(got.worker.v, 7);
    for (size_t cut = 0; cut < len; cut++) {
        assert_int_equal(hq_stream_head_parse(hq_str_make(b.ptr, cut), &got, &len), -ENODATA);
    }
    for (size_t at = 0; at < HQ_STREAM_HEAD_BYTES + 6; at++) {
        b.ptr[at] ^= 1;
        assert_int_not_equal(hq_stream_head_parse(hq_buf_view(&b), &got, &len), 0);
        b.ptr[at] ^= 1;
    }
}

static void
test_record(void **state)
{
    (void)state;
    unsigned char b[HQ_STREAM_RECORD_HEAD_BYTES];
    struct hq_stream_record rec = {.job = {1}, .task = 2, .instance = 3, .channel = 1, .at_ms = 1769860800123, .size = 5};
    struct hq_stream_record got = {0};
    struct hq_str view = hq_str_make((const char *)b, sizeof(b));

    hq_stream_record_pack(&rec, "hello", b);
    assert_int_equal(hq_stream_record_parse(view, &got), 0);
    assert_int_equal(got.job.v, 1);
    assert_int_equal(got.task, 2);
    assert_int_equal(got.instance, 3);
    assert_int_equal(got.channel, 1);
    assert_int_equal(got.kind, HQ_STREAM_DATA);
    assert_true(got.at_ms == rec.at_ms);
    assert_int_equal(got.size, 5);
    assert_int_equal(got.data_crc, 0x9a71bb4c); /* CRC32C of "hello" */
    for (size_t at = 0; at < sizeof(b); at++) {
        b[at] ^= 0x40;
        assert_int_equal(hq_stream_record_parse(view, &got), -EBADMSG);
        b[at] ^= 0x40;
    }
    for (size_t cut = 0; cut < sizeof(b); cut++) {
        assert_int_equal(hq_stream_record_parse(hq_str_make(view.ptr, cut), &got), -ENODATA);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
