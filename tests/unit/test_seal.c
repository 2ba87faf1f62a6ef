/* Seals: the handshake byte for byte against an independent implementation, and everything a forger may try. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/seal.h"

#define TEXTS 6

struct vector { /* hexadecimal */
    const char *psk;
    const char *prologue;
    const char *initiator; /* private ephemeral keys */
    const char *responder;
    const char *payload1;
    const char *msg1;
    const char *payload2;
    const char *msg2;
    struct {
        const char *text;
        const char *box;
    } texts[TEXTS];
};

static const struct vector vectors[] = {
#include "tests/unit/golden/noise_nnpsk0.h"
};

struct bytes {
    unsigned char p[1024];
    size_t len;
};

static unsigned char
nibble(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = strchr(digits, c);
    assert_non_null(at);
    return (unsigned char)(at - digits);
}

static struct bytes
unhex(const char *hex)
{
    struct bytes b = {.len = strlen(hex) / 2};
    assert_true(b.len <= sizeof(b.p));
    for (size_t ix = 0; ix < b.len; ix++) {
        b.p[ix] = (unsigned char)(nibble(hex[2 * ix]) << 4 | nibble(hex[2 * ix + 1]));
    }
    return b;
}

static struct hq_str
view(const struct bytes *b)
{
    return hq_str_make((const char *)b->p, b->len);
}

static void
assert_bytes(const unsigned char *got, size_t len, const struct bytes *want)
{
    assert_int_equal(len, want->len);
    assert_memory_equal(got, want->p, len);
}

static int
start(void **state)
{
    (void)state;
    return hq_seal_start(NULL);
}

static void
test_vectors(void **state)
{
    (void)state;
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(vectors); ix++) {
        const struct vector *v = &vectors[ix];
        struct bytes psk = unhex(v->psk);
        struct bytes prologue = unhex(v->prologue);
        struct bytes key_a = unhex(v->initiator);
        struct bytes key_b = unhex(v->responder);
        struct bytes payload1 = unhex(v->payload1);
        struct bytes payload2 = unhex(v->payload2);
        struct bytes msg1 = unhex(v->msg1);
        struct bytes msg2 = unhex(v->msg2);
        struct hq_seal_hs a;
        struct hq_seal_hs b;
        unsigned char out[1024];
        size_t len = 0;
        hq_seal_hs_init(&a, HQ_SEAL_INITIATOR, view(&prologue), psk.p, key_a.p);
        hq_seal_hs_init(&b, HQ_SEAL_RESPONDER, view(&prologue), psk.p, key_b.p);
        assert_int_equal(hq_seal_hs_write(&a, view(&payload1), out, sizeof(out), &len), 0);
        assert_bytes(out, len, &msg1);
        assert_int_equal(hq_seal_hs_read(&b, view(&msg1), out, sizeof(out), &len), 0);
        assert_bytes(out, len, &payload1);
        assert_int_equal(hq_seal_hs_write(&b, view(&payload2), out, sizeof(out), &len), 0);
        assert_bytes(out, len, &msg2);
        assert_int_equal(hq_seal_hs_read(&a, view(&msg2), out, sizeof(out), &len), 0);
        assert_bytes(out, len, &payload2);
        struct hq_seal sa;
        struct hq_seal sb;
        assert_int_equal(hq_seal_hs_split(&a, &sa), 0);
        assert_int_equal(hq_seal_hs_split(&b, &sb), 0);
        for (size_t n = 0; n < TEXTS; n++) {
            struct bytes text = unhex(v->texts[n].text);
            struct bytes box = unhex(v->texts[n].box);
            uint64_t counter = 99;
            assert_int_equal(hq_seal_close(n % 2 == 0 ? &sa : &sb, view(&text), out, &counter), 0);
            assert_int_equal(counter, n / 2);
            assert_bytes(out, text.len + HQ_SEAL_TAG_BYTES, &box);
            assert_int_equal(hq_seal_open(n % 2 == 0 ? &sb : &sa, counter, view(&box), out), 0);
            assert_bytes(out, text.len, &text);
        }
    }
}

/* ---- handshakes that must fail */

static const unsigned char psk_right[HQ_SEAL_KEY_BYTES] = "the right secret of 32 bytes....";
static const unsigned char psk_wrong[HQ_SEAL_KEY_BYTES] = "the right secret of 32 bytes.../";

static void
make_pair(struct hq_seal *sa, struct hq_seal *sb)
{
    struct hq_seal_hs a;
    struct hq_seal_hs b;
    unsigned char msg[256];
    unsigned char text[64];
    size_t len = 0;
    hq_seal_hs_init(&a, HQ_SEAL_INITIATOR, HQ_STR("p"), psk_right, NULL);
    hq_seal_hs_init(&b, HQ_SEAL_RESPONDER, HQ_STR("p"), psk_right, NULL);
    assert_int_equal(hq_seal_hs_write(&a, HQ_STR_NULL, msg, sizeof(msg), &len), 0);
    assert_int_equal(len, HQ_SEAL_HELLO_BYTES);
    assert_int_equal(hq_seal_hs_read(&b, hq_str_make((char *)msg, len), NULL, 0, &len), 0);
    assert_int_equal(hq_seal_hs_write(&b, HQ_STR("id"), msg, sizeof(msg), &len), 0);
    assert_int_equal(hq_seal_hs_read(&a, hq_str_make((char *)msg, len), text, sizeof(text), &len), 0);
    assert_int_equal(hq_seal_hs_split(&a, sa), 0);
    assert_int_equal(hq_seal_hs_split(&b, sb), 0);
}

static void
test_wrong_secret_and_role(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const unsigned char *psk;
        const char *prologue;
        int want;
    } cases[] = {
        {"same", psk_right, "role 1", 0},
        {"secret", psk_wrong, "role 1", -EACCES},
        {"role", psk_right, "role 2", -EACCES},
        {"no prologue", psk_right, "", -EACCES},
    };
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(cases); ix++) {
        struct hq_seal_hs a;
        struct hq_seal_hs b;
        struct hq_seal s;
        unsigned char msg[128];
        size_t len = 0;
        hq_seal_hs_init(&a, HQ_SEAL_INITIATOR, HQ_STR("role 1"), psk_right, NULL);
        hq_seal_hs_init(&b, HQ_SEAL_RESPONDER, hq_str_from(cases[ix].prologue), cases[ix].psk, NULL);
        assert_int_equal(hq_seal_hs_write(&a, HQ_STR_NULL, msg, sizeof(msg), &len), 0);
        assert_int_equal(hq_seal_hs_read(&b, hq_str_make((char *)msg, len), NULL, 0, &len), cases[ix].want);
        if (cases[ix].want < 0) { /* and nothing can be got out of it any more */
            assert_int_equal(hq_seal_hs_write(&b, HQ_STR_NULL, msg, sizeof(msg), &len), -EPROTO);
            assert_int_equal(hq_seal_hs_split(&b, &s), -EPROTO);
        }
    }
}

/* A false server that read the hello but lacks the secret cannot make the second message. */
static void
test_false_server(void **state)
{
    (void)state;
    struct hq_seal_hs a;
    struct hq_seal_hs b;
    unsigned char msg1[128];
    unsigned char msg2[128];
    unsigned char id[8];
    size_t len = 0;
    hq_seal_hs_init(&a, HQ_SEAL_INITIATOR, HQ_STR("p"), psk_right, NULL);
    hq_seal_hs_init(&b, HQ_SEAL_RESPONDER, HQ_STR("p"), psk_wrong, NULL);
    assert_int_equal(hq_seal_hs_write(&a, HQ_STR_NULL, msg1, sizeof(msg1), &len), 0);
    b.next_ix = 1; /* as if its read had succeeded */
    memcpy(b.remote, msg1, sizeof(b.remote));
    assert_int_equal(hq_seal_hs_write(&b, HQ_STR("12345678"), msg2, sizeof(msg2), &len), 0);
    assert_int_equal(hq_seal_hs_read(&a, hq_str_make((char *)msg2, len), id, sizeof(id), &len), -EACCES);
}

static void
test_tampered_handshake(void **state)
{
    (void)state;
    for (size_t at = 0; at < HQ_SEAL_HELLO_BYTES; at++) { /* first message, every byte, one bit */
        struct hq_seal_hs a;
        struct hq_seal_hs b;
        unsigned char msg[128];
        size_t len = 0;
        hq_seal_hs_init(&a, HQ_SEAL_INITIATOR, HQ_STR("p"), psk_right, NULL);
        hq_seal_hs_init(&b, HQ_SEAL_RESPONDER, HQ_STR("p"), psk_right, NULL);
        assert_int_equal(hq_seal_hs_write(&a, HQ_STR_NULL, msg, sizeof(msg), &len), 0);
        msg[at] ^= (unsigned char)(1u << (at % 8));
        assert_int_equal(hq_seal_hs_read(&b, hq_str_make((char *)msg, len), NULL, 0, &len), -EACCES);
    }
    for (size_t at = 0; at < HQ_SEAL_HELLO_BYTES + 8; at++) { /* second message */
        struct hq_seal_hs a;
        struct hq_seal_hs b;
        unsigned char msg[128];
        unsigned char id[8];
        size_t len = 0;
        hq_seal_hs_init(&a, HQ_SEAL_INITIATOR, HQ_STR("p"), psk_right, NULL);
        hq_seal_hs_init(&b, HQ_SEAL_RESPONDER, HQ_STR("p"), psk_right, NULL);
        assert_int_equal(hq_seal_hs_write(&a, HQ_STR_NULL, msg, sizeof(msg), &len), 0);
        assert_int_equal(hq_seal_hs_read(&b, hq_str_make((char *)msg, len), NULL, 0, &len), 0);
        assert_int_equal(hq_seal_hs_write(&b, HQ_STR("12345678"), msg, sizeof(msg), &len), 0);
        msg[at] ^= 0x80;
        assert_int_equal(hq_seal_hs_read(&a, hq_str_make((char *)msg, len), id, sizeof(id), &len), -EACCES);
    }
}

static void
test_handshake_sizes_and_order(void **state)
{
    (void)state;
    unsigned char good[128];
    unsigned char out[128];
    size_t good_len = 0;
    size_t len = 0;
    struct hq_seal s;
    struct hq_seal_hs a;
    hq_seal_hs_init(&a, HQ_SEAL_INITIATOR, HQ_STR("p"), psk_right, NULL);
    assert_int_equal(hq_seal_hs_write(&a, HQ_STR_NULL, good, sizeof(good), &good_len), 0);
    for (size_t cut = 0; cut < good_len; cut++) {
        struct hq_seal_hs b;
        hq_seal_hs_init(&b, HQ_SEAL_RESPONDER, HQ_STR("p"), psk_right, NULL);
        assert_int_equal(hq_seal_hs_read(&b, hq_str_make((char *)good, cut), out, sizeof(out), &len), -EPROTO);
    }
    struct hq_seal_hs b;
    hq_seal_hs_init(&b, HQ_SEAL_RESPONDER, HQ_STR("p"), psk_right, NULL);
    assert_int_equal(hq_seal_hs_write(&b, HQ_STR_NULL, out, sizeof(out), &len), -EPROTO); /* not its turn */
    assert_int_equal(hq_seal_hs_read(&b, hq_str_make((char *)good, good_len), out, sizeof(out), &len), -EPROTO);
    hq_seal_hs_init(&b, HQ_SEAL_RESPONDER, HQ_STR("p"), psk_right, NULL);
    assert_int_equal(hq_seal_hs_split(&b, &s), -EPROTO); /* too early */
    assert_int_equal(hq_seal_hs_read(&b, hq_str_make((char *)good, good_len), out, sizeof(out), &len), 0);
    assert_int_equal(hq_seal_hs_split(&b, &s), -EPROTO);
    memset(b.remote, 0, sizeof(b.remote)); /* a point of small order: the shared secret would be known to all */
    assert_int_equal(hq_seal_hs_write(&b, HQ_STR_NULL, out, sizeof(out), &len), -EACCES);
    hq_seal_hs_init(&a, HQ_SEAL_INITIATOR, HQ_STR("p"), psk_right, NULL); /* no room for the message */
    assert_int_equal(hq_seal_hs_write(&a, HQ_STR_NULL, out, HQ_SEAL_HELLO_BYTES - 1, &len), -EPROTO);
    hq_seal_hs_init(&a, HQ_SEAL_INITIATOR, HQ_STR("p"), psk_right, NULL); /* reflected to its sender */
    assert_int_equal(hq_seal_hs_write(&a, HQ_STR_NULL, out, sizeof(out), &len), 0);
    assert_int_equal(hq_seal_hs_read(&a, hq_str_make((char *)out, len), out, sizeof(out), &len), -EACCES);
}

/* ---- messages */

static void
test_messages(void **state)
{
    (void)state;
    struct hq_seal a;
    struct hq_seal b;
    make_pair(&a, &b);
    unsigned char box[64];
    unsigned char out[64];
    unsigned char copy[64];
    uint64_t counter = 0;
    memcpy(box, "in place", 8);
    assert_int_equal(hq_seal_close(&a, hq_str_make((char *)box, 8), box, &counter), 0);
    memcpy(copy, box, sizeof(copy));
    struct hq_str whole = hq_str_make((char *)copy, 8 + HQ_SEAL_TAG_BYTES);
    for (size_t at = 0; at < 8 + HQ_SEAL_TAG_BYTES; at++) {
        copy[at] ^= 1;
        assert_int_equal(hq_seal_open(&b, counter, whole, out), -EBADMSG);
        copy[at] ^= 1;
    }
    for (size_t cut = 0; cut < 8 + HQ_SEAL_TAG_BYTES; cut++) {
        int want = cut < HQ_SEAL_TAG_BYTES ? -EPROTO : -EBADMSG;
        assert_int_equal(hq_seal_open(&b, counter, hq_str_make((char *)copy, cut), out), want);
    }
    assert_int_equal(hq_seal_open(&b, counter + 1, whole, out), -EBADMSG);       /* another counter */
    assert_int_equal(hq_seal_open(&b, counter + 1000000, whole, out), -EBADMSG); /* must not move the window */
    assert_int_equal(hq_seal_open(&a, counter, whole, out), -EBADMSG);           /* reflected to its sender */
    assert_int_equal(hq_seal_open(&b, HQ_SEAL_MSGS_MAX, whole, out), -EALREADY); /* beyond all counters */
    assert_int_equal(hq_seal_open(&b, counter, whole, copy), 0);                 /* in place, and still fresh */
    assert_memory_equal(copy, "in place", 8);
    assert_int_equal(hq_seal_open(&b, counter, hq_str_make((char *)box, whole.len), out), -EALREADY);
    struct hq_seal c;
    struct hq_seal d;
    make_pair(&c, &d);
    assert_int_equal(hq_seal_open(&d, counter, hq_str_make((char *)box, whole.len), out), -EBADMSG); /* other session */
    a.send_counter = HQ_SEAL_MSGS_MAX;
    assert_int_equal(hq_seal_close(&a, HQ_STR("x"), box, &counter), -EOVERFLOW);
    hq_seal_fini(&a);
    assert_true(a.send_key[0] == 0 && a.send_key[31] == 0 && a.recv_key[0] == 0);
}

static void
test_window_table(void **state)
{
    (void)state;
    static const struct {
        uint64_t counter;
        int want;
    } steps[] = {
        {0, 0},
        {0, -EALREADY},
        {2, 0},
        {1, 0},
        {1, -EALREADY},
        {2, -EALREADY},
        {63, 0},
        {64, 0},
        {62, 0},
        {447, 0},
        {3, 0},
        {0, -EALREADY},
        {448, 0},
        {4, 0},
        {449, 0},
        {1, -EALREADY},
        {5, 0},
        {5, -EALREADY},
        {1000, 0},
        {552, -EALREADY}, /* 1000 - 448 */
        {553, 0},
        {553, -EALREADY},
        {999, 0},
        {100000, 0},
        {1000, -EALREADY},
        {99553, 0},
        {HQ_SEAL_MSGS_MAX - 1, 0},
        {HQ_SEAL_MSGS_MAX, -EALREADY},
        {UINT64_MAX, -EALREADY},
        {HQ_SEAL_MSGS_MAX - 1, -EALREADY},
    };
    struct hq_seal_window w = {0};
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(steps); ix++) {
        int rc = hq_seal_window_check(&w, steps[ix].counter);
        if (rc != steps[ix].want) {
            fail_msg("step %zu: counter %llu gives %d", ix, (unsigned long long)steps[ix].counter, rc);
        }
        if (rc == 0) {
            hq_seal_window_mark(&w, steps[ix].counter);
        }
    }
}

/* Against a plain list of all counters ever accepted: nothing twice, nothing fresh inside the window refused. */
static void
test_window_model(void **state)
{
    (void)state;
    enum { SPAN = 1 << 16 };
    static bool was_seen[SPAN];
    memset(was_seen, 0, sizeof(was_seen));
    struct hq_seal_window w = {0};
    uint64_t seed = 20250611;
    uint64_t top = 0; /* highest accepted + 1 */
    uint32_t accepted = 0;
    for (int step = 0; step < 20000; step++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint64_t jump = (seed >> 33) % 610;
        uint64_t base = top > 600 ? top - 600 : 0;
        uint64_t counter = base + jump;
        if (counter >= SPAN) {
            break;
        }
        bool is_old = counter + HQ_SEAL_WINDOW < top;
        int want = is_old || was_seen[counter] ? -EALREADY : 0;
        assert_int_equal(hq_seal_window_check(&w, counter), want);
        if (want == 0) {
            hq_seal_window_mark(&w, counter);
            was_seen[counter] = true;
            top = HQ_MAX(top, counter + 1);
            accepted++;
        }
    }
    assert_true(accepted > 1000);
}

/* ---- notes */

static void
test_notes(void **state)
{
    (void)state;
    struct hq_seal_note_pub pub;
    struct hq_seal_note_pub other;
    struct hq_seal_note_sub sub;
    struct hq_seal_note_sub stranger;
    hq_seal_note_pub_init(&pub, psk_right);
    hq_seal_note_pub_init(&other, psk_right);
    hq_seal_note_sub_init(&sub, psk_right);
    hq_seal_note_sub_init(&stranger, psk_wrong);
    unsigned char box[3][64];
    unsigned char out[64];
    size_t len = 0;
    const size_t whole = HQ_SEAL_NOTE_HEAD_BYTES + 4 + HQ_SEAL_TAG_BYTES;
    hq_seal_note_close(&pub, HQ_STR("one."), box[0]);
    hq_seal_note_close(&pub, HQ_STR("two."), box[1]);
    hq_seal_note_close(&other, HQ_STR("new."), box[2]);
    assert_memory_not_equal(box[0] + HQ_SEAL_NOTE_HEAD_BYTES, box[1] + HQ_SEAL_NOTE_HEAD_BYTES, 4);
    struct hq_str one = hq_str_make((char *)box[0], whole);
    struct hq_str two = hq_str_make((char *)box[1], whole);
    struct hq_str new = hq_str_make((char *)box[2], whole);
    assert_int_equal(hq_seal_note_open(&stranger, one, out, sizeof(out), &len), -EBADMSG);
    for (size_t at = 0; at < whole; at++) {
        box[0][at] ^= 4;
        assert_int_equal(hq_seal_note_open(&sub, one, out, sizeof(out), &len), -EBADMSG);
        box[0][at] ^= 4;
    }
    for (size_t cut = 0; cut < whole; cut++) {
        assert_int_not_equal(hq_seal_note_open(&sub, hq_str_sub(one, 0, cut), out, sizeof(out), &len), 0);
    }
    assert_int_equal(hq_seal_note_open(&sub, one, out, 3, &len), -EPROTO); /* no room */
    assert_int_equal(hq_seal_note_open(&sub, one, out, sizeof(out), &len), 0);
    assert_int_equal(len, 4);
    assert_memory_equal(out, "one.", 4);
    assert_int_equal(hq_seal_note_open(&sub, one, out, sizeof(out), &len), -EALREADY);
    assert_int_equal(hq_seal_note_open(&sub, two, out, sizeof(out), &len), 0);
    assert_int_equal(hq_seal_note_open(&sub, one, out, sizeof(out), &len), -EALREADY); /* late is as good as lost */
    assert_int_equal(hq_seal_note_open(&sub, new, out, sizeof(out), &len), 0);         /* a new publisher counts anew */
    assert_int_equal(hq_seal_note_open(&sub, new, out, sizeof(out), &len), -EALREADY);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_wrong_secret_and_role),
        cmocka_unit_test(test_false_server),
        cmocka_unit_test(test_tampered_handshake),
        cmocka_unit_test(test_handshake_sizes_and_order),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_window_table),
        cmocka_unit_test(test_window_model),
        cmocka_unit_test(test_notes),
    };
    return cmocka_run_group_tests_name("seal", tests, start, NULL);
}
