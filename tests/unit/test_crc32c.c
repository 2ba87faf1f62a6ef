/* CRC32C: known values, both forms agree, sums can be continued. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "common/crc32c.h"
#include "common/rng.h"

static void
test_known(void **state)
{
    (void)state;
    unsigned char bytes[32];
    assert_int_equal(hq_crc32c(0, "123456789", 9), 0xe3069283u);
    assert_int_equal(hq_crc32c(0, "", 0), 0);
    /* RFC 3720, B.4 */
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(hq_crc32c(0, bytes, sizeof bytes), 0x8a9136aau);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(hq_crc32c(0, bytes, sizeof bytes), 0x62a8ab43u);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (unsigned char)i;
    }
    assert_int_equal(hq_crc32c(0, bytes, sizeof bytes), 0x46dd794eu);
}

static void
test_forms_agree(void **state)
{
    (void)state;
    unsigned char bytes[300];
    struct hq_rng rng;
    hq_rng_init(&rng, 5);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (unsigned char)hq_rng_u64(&rng);
    }
    for (size_t from = 0; from < 9; from++) { /* any alignment */
        for (size_t len = 0; from + len <= sizeof bytes; len++) {
            uint32_t seed = (uint32_t)hq_rng_u64(&rng);
            assert_int_equal(hq_crc32c(seed, bytes + from, len), hq_crc32c_table(seed, bytes + from, len));
        }
    }
    uint32_t whole = hq_crc32c(0, bytes, sizeof bytes);
    for (size_t cut = 0; cut <= sizeof bytes; cut++) {
        assert_int_equal(hq_crc32c(hq_crc32c(0, bytes, cut), bytes + cut, sizeof bytes - cut), whole);
    }
    bytes[100] ^= 4;
    assert_true(hq_crc32c(0, bytes, sizeof bytes) != whole);
}

/* Long enough for every number of lanes that are summed beside each other, with all that may be left over. */
static void
test_long(void **state)
{
    (void)state;
    static unsigned char bytes[5 * 3072 + 64];
    struct hq_rng rng;
    hq_rng_init(&rng, 6);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (unsigned char)hq_rng_u64(&rng);
    }
    for (size_t len = 2048; len + 7 <= sizeof bytes; len += len % 3072 < 3040 ? 31 : 1) {
        uint32_t seed = (uint32_t)hq_rng_u64(&rng);
        const unsigned char *from = bytes + len % 8;
        assert_int_equal(hq_crc32c(seed, from, len), hq_crc32c_table(seed, from, len));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_known), cmocka_unit_test(test_forms_agree), cmocka_unit_test(test_long)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
