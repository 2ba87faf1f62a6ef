/* Envelopes and protobuf: round trips, sizes, damage, memory bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "common/wire.h"
#include "proto/client.pb-c.h"
#include "proto/common.pb-c.h"
#include "proto/journal.pb-c.h"
#include "proto/note.pb-c.h"
#include "proto/turn.pb-c.h"

static Hq__Error
error_of(int32_t code, char *text, size_t len)
{
    Hq__Error e = HQ__ERROR__INIT;
    e.code = code;
    e.text.data = (uint8_t *)text;
    e.text.len = len;
    return e;
}

static void
test_round_trip(void **state)
{
    (void)state;
    char text[] = "no such job";
    Hq__Error e = error_of(-ENOENT, text, strlen(text));
    HQ_AUTO(hq_buf_fini) struct hq_buf out = HQ_BUF_INIT;
    hq_buf_cstr(&out, "before"); /* appended, not overwritten */
    assert_int_equal(hq_wire_pack(&out, 513, UINT64_C(0x1122334455667788), &e.base, NULL), 0);
    assert_int_equal(out.ptr[out.len], '\0');
    struct hq_str msg = hq_str_sub(hq_buf_view(&out), 6, out.len);
    static const char head_want[HQ_WIRE_HEAD_BYTES] = {'H',    'Q',    1,      0,      1,      2,      0,      0,
                                                       '\x88', '\x77', '\x66', '\x55', '\x44', '\x33', '\x22', '\x11'};
    assert_memory_equal(msg.ptr, head_want, sizeof(head_want));
    struct hq_wire_head head;
    struct hq_str body;
    assert_int_equal(hq_wire_head(msg, &head, &body, NULL), 0);
    assert_int_equal(head.version, HQ_WIRE_VERSION);
    assert_int_equal(head.type, 513);
    assert_true(head.request_id == UINT64_C(0x1122334455667788));
    struct hq_arena arena;
    hq_arena_init(&arena, 1 << 16);
    ProtobufCMessage *got = NULL;
    assert_int_equal(hq_wire_unpack(body, &hq__error__descriptor, &arena, &got, NULL), 0);
    const Hq__Error *back = (const Hq__Error *)got;
    assert_int_equal(back->code, -ENOENT);
    assert_int_equal(back->text.len, strlen(text));
    assert_memory_equal(back->text.data, text, strlen(text));
    hq_arena_fini(&arena);
}

static void
test_empty_message(void **state)
{
    (void)state;
    Hq__Empty e = HQ__EMPTY__INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf out = HQ_BUF_INIT;
    assert_int_equal(hq_wire_pack(&out, 2, 0, &e.base, NULL), 0);
    assert_int_equal(out.len, HQ_WIRE_HEAD_BYTES);
    struct hq_wire_head head;
    struct hq_str body;
    assert_int_equal(hq_wire_head(hq_buf_view(&out), &head, &body, NULL), 0);
    assert_int_equal(body.len, 0);
    struct hq_arena arena;
    hq_arena_init(&arena, 4096);
    ProtobufCMessage *got = NULL;
    assert_int_equal(hq_wire_unpack(body, &hq__empty__descriptor, &arena, &got, NULL), 0);
    assert_int_equal(hq_wire_unpack(HQ_STR_NULL, &hq__error__descriptor, &arena, &got, NULL), 0);
    hq_arena_fini(&arena);
}

static void
test_bad_heads(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        unsigned char head[HQ_WIRE_HEAD_BYTES + 1];
        size_t len;
        int want;
    } cases[] = {
        {"nothing", {0}, 0, -EPROTO},
        {"cut", {'H', 'Q', 1}, HQ_WIRE_HEAD_BYTES - 1, -EPROTO},
        {"magic", {'H', 'R', 1}, HQ_WIRE_HEAD_BYTES, -EPROTO},
        {"http", {'G', 'E', 'T', ' ', '/'}, HQ_WIRE_HEAD_BYTES, -EPROTO},
        {"version 0", {'H', 'Q', 0}, HQ_WIRE_HEAD_BYTES, -EPROTONOSUPPORT},
        {"version 2", {'H', 'Q', 2, 9, 7, 0, 9, 9, 5}, HQ_WIRE_HEAD_BYTES, -EPROTONOSUPPORT},
        {"flags", {'H', 'Q', 1, 1}, HQ_WIRE_HEAD_BYTES, -EPROTO},
        {"reserved", {'H', 'Q', 1, 0, 0, 0, 0, 1}, HQ_WIRE_HEAD_BYTES, -EPROTO},
        {"good", {'H', 'Q', 1}, HQ_WIRE_HEAD_BYTES, 0},
    };
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(cases); ix++) {
        struct hq_wire_head head = {.type = 77};
        struct hq_str body = HQ_STR("untouched");
        struct hq_err err = {0};
        int rc = hq_wire_head(hq_str_make((const char *)cases[ix].head, cases[ix].len), &head, &body, &err);
        if (rc != cases[ix].want) {
            fail_msg("%s: %d", cases[ix].name, rc);
        }
        assert_int_equal(err.code, cases[ix].want);
        if (rc == -EPROTO) {
            assert_int_equal(head.type, 77);
            assert_int_equal(body.len, 9);
        }
        if (rc == -EPROTONOSUPPORT) { /* enough to answer the asker in his own words */
            assert_int_equal(head.version, cases[ix].head[2]);
            assert_int_equal(head.type, cases[ix].head[4]);
            assert_int_equal(head.request_id, cases[ix].head[8]);
        }
    }
}

static void
test_sizes(void **state)
{
    (void)state;
    char *text = calloc(1, HQ_MSG_BYTES_MAX + 1);
    assert_non_null(text);
    HQ_AUTO(hq_buf_fini) struct hq_buf out = HQ_BUF_INIT;
    hq_buf_cstr(&out, "kept");
    struct hq_err err = {0};
    Hq__Error e = error_of(0, text, HQ_MSG_BYTES_MAX - HQ_WIRE_HEAD_BYTES);
    assert_int_equal(hq_wire_pack(&out, 1, 1, &e.base, &err), -EMSGSIZE); /* tag and length come on top */
    assert_int_equal(err.code, -EMSGSIZE);
    assert_string_equal(out.ptr, "kept");
    assert_int_equal(out.len, 4);
    e.text.len -= 4; /* one tag, three bytes of length: exactly the bound */
    assert_int_equal(hq_wire_pack(&out, 1, 1, &e.base, NULL), 0);
    assert_int_equal(out.len - 4, HQ_MSG_BYTES_MAX);
    struct hq_wire_head head;
    struct hq_str body;
    struct hq_str msg = hq_str_sub(hq_buf_view(&out), 4, out.len);
    assert_int_equal(hq_wire_head(msg, &head, &body, NULL), 0);
    hq_buf_byte(&out, 'x');
    msg = hq_str_sub(hq_buf_view(&out), 4, out.len);
    assert_int_equal(hq_wire_head(msg, &head, &body, NULL), -EMSGSIZE);
    e.text.len = 100;
    hq_buf_clear(&out);
    assert_int_equal(hq_wire_pack_bare(&out, &e.base, 101, NULL), -EMSGSIZE);
    assert_int_equal(out.len, 0);
    assert_int_equal(hq_wire_pack_bare(&out, &e.base, 102, NULL), 0);
    assert_int_equal(out.len, 102);
    free(text);
}

/* Every cut and every damaged byte of a message: an error or another message, never more. The sanitizers watch. */
static void
test_damage(void **state)
{
    (void)state;
    Hq__RequestEntry cpu = HQ__REQUEST_ENTRY__INIT;
    cpu.name = (ProtobufCBinaryData){.data = (uint8_t[]){'c', 'p', 'u', 's'}, .len = 4};
    cpu.amount = 40000;
    Hq__RequestEntry *entries[] = {&cpu, &cpu};
    Hq__Variant variant = HQ__VARIANT__INIT;
    variant.n_entries = 2;
    variant.entries = entries;
    variant.min_time_ms = UINT64_C(1) << 40;
    Hq__Variant *variants[] = {&variant, &variant};
    Hq__Request request = HQ__REQUEST__INIT;
    request.n_variants = 2;
    request.variants = variants;
    HQ_AUTO(hq_buf_fini) struct hq_buf out = HQ_BUF_INIT;
    assert_int_equal(hq_wire_pack_bare(&out, &request.base, 4096, NULL), 0);
    struct hq_arena arena;
    hq_arena_init(&arena, 1 << 16);
    ProtobufCMessage *got = NULL;
    size_t refused = 0;
    for (size_t cut = 1; cut < out.len; cut++) {
        int rc = hq_wire_unpack(hq_str_make(out.ptr, cut), &hq__request__descriptor, &arena, &got, NULL);
        assert_true(rc == 0 || rc == -EPROTO);
        refused += rc != 0;
        hq_arena_reset(&arena);
    }
    assert_true(refused > out.len / 2);
    for (size_t at = 0; at < out.len; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            out.ptr[at] = (char)(out.ptr[at] ^ (1 << bit));
            int rc = hq_wire_unpack(hq_buf_view(&out), &hq__request__descriptor, &arena, &got, NULL);
            assert_true(rc == 0 || rc == -EPROTO || rc == -ENOMEM);
            out.ptr[at] = (char)(out.ptr[at] ^ (1 << bit));
            hq_arena_reset(&arena);
        }
    }
    assert_int_equal(hq_wire_unpack(hq_buf_view(&out), &hq__request__descriptor, &arena, &got, NULL), 0);
    assert_int_equal(((const Hq__Request *)got)->n_variants, 2);
    hq_arena_fini(&arena);
}

/* Two bytes on the wire become a struct in memory: the arena's limit holds, whatever the ratio. */
static void
test_memory_bound(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    char *bytes = malloc(2 * COUNT);
    assert_non_null(bytes);
    for (size_t ix = 0; ix < COUNT; ix++) { /* field 1, length 0: an empty variant each */
        bytes[2 * ix] = 0x0a;
        bytes[2 * ix + 1] = 0;
    }
    struct hq_arena arena;
    hq_arena_init(&arena, 1 << 20);
    ProtobufCMessage *got = NULL;
    struct hq_err err = {0};
    assert_int_equal(hq_wire_unpack(hq_str_make(bytes, 2 * COUNT), &hq__request__descriptor, &arena, &got, &err),
                     -ENOMEM);
    assert_int_equal(err.code, -ENOMEM);
    assert_null(got);
    hq_arena_fini(&arena);
    hq_arena_init(&arena, 64 << 20); /* the same bytes with room for them */
    assert_int_equal(hq_wire_unpack(hq_str_make(bytes, 2 * COUNT), &hq__request__descriptor, &arena, &got, NULL), 0);
    assert_int_equal(((const Hq__Request *)got)->n_variants, COUNT);
    hq_arena_fini(&arena);
    free(bytes);
    struct hq_str endless = {.ptr = "", .len = (size_t)HQ_RECORD_BYTES_MAX + 1}; /* refused before it is looked at */
    assert_int_equal(hq_wire_unpack(endless, &hq__request__descriptor, &arena, &got, NULL), -EMSGSIZE);
}

/* protobuf-c decodes by recursion: a type that contained itself would let a message choose the depth of our stack. */
static void
walk(const ProtobufCMessageDescriptor *d, unsigned depth)
{
    if (depth > 16) {
        fail_msg("%s is nested too deep, or in itself", d->name);
    }
    for (unsigned ix = 0; ix < d->n_fields; ix++) {
        if (d->fields[ix].type == PROTOBUF_C_TYPE_MESSAGE) {
            walk(d->fields[ix].descriptor, depth + 1);
        }
    }
}

static void
test_no_recursion(void **state)
{
    (void)state;
    static const ProtobufCMessageDescriptor *const roots[] = {
        &hq__error__descriptor,
        &hq__follow__descriptor,
        &hq__follow_answer__descriptor,
        &hq__job_cancel__descriptor,
        &hq__job_detail_answer__descriptor,
        &hq__job_detail_request__descriptor,
        &hq__job_forget__descriptor,
        &hq__job_forgotten__descriptor,
        &hq__job_list__descriptor,
        &hq__job_list_answer__descriptor,
        &hq__job_open__descriptor,
        &hq__job_results__descriptor,
        &hq__job_select__descriptor,
        &hq__job_watch__descriptor,
        &hq__job_watch_answer__descriptor,
        &hq__note__descriptor,
        &hq__record__descriptor,
        &hq__register__descriptor,
        &hq__registered__descriptor,
        &hq__server_info_answer__descriptor,
        &hq__submit__descriptor,
        &hq__submitted__descriptor,
        &hq__task_explain_answer__descriptor,
        &hq__task_page_answer__descriptor,
        &hq__task_page_request__descriptor,
        &hq__turn__descriptor,
        &hq__turn_answer__descriptor,
        &hq__worker_list_answer__descriptor,
        &hq__worker_results__descriptor,
        &hq__worker_select__descriptor,
    };
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(roots); ix++) {
        walk(roots[ix], 0);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_empty_message), cmocka_unit_test(test_bad_heads),
        cmocka_unit_test(test_sizes),        cmocka_unit_test(test_damage),        cmocka_unit_test(test_memory_bound),
        cmocka_unit_test(test_no_recursion),
    };
    return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
