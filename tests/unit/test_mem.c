/* Memory with checked sizes, and arenas. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/arena.h"
#include "common/mem.h"

/* Under the address sanitizer an allocation that is too large shall fail like any other. */
const char *__asan_default_options(void);
const char *
__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void
test_sizes(void **state)
{
    (void)state;
    size_t v = 7;
    assert_true(hq_add_size(1, 2, &v));
    assert_int_equal(v, 3);
    assert_false(hq_add_size(SIZE_MAX, 1, &v));
    assert_true(hq_mul_size(SIZE_MAX / 2, 2, &v));
    assert_false(hq_mul_size(SIZE_MAX / 2, 3, &v));
    /* volatile: the compiler must not see that these sizes are absurd */
    volatile size_t huge = SIZE_MAX / 2;
    assert_null(hq_try_calloc(huge, 3));
    assert_null(hq_try_realloc(NULL, huge, 3));
    assert_null(hq_try_alloc(huge));
    void *p = hq_try_alloc(0);
    assert_non_null(p);
    free(p);
    p = hq_try_calloc(0, 8);
    assert_non_null(p);
    free(p);
    p = hq_try_realloc(NULL, 0, 8);
    assert_non_null(p);
    free(p);
}

static void
test_zeroed(void **state)
{
    (void)state;
    static const unsigned char zero[64];
    HQ_AUTO(hq_mem_freep) unsigned char *p = hq_xcalloc(4, 16);
    assert_memory_equal(p, zero, 64);
    HQ_AUTO(hq_mem_freep) char *copy = hq_xmemdup("ab\0c", 4);
    assert_memory_equal(copy, "ab\0c\0", 5);
    HQ_AUTO(hq_mem_freep) char *empty = hq_xmemdup(NULL, 0);
    assert_string_equal(empty, "");
    errno = EBUSY;
    hq_mem_freep(&p);
    assert_null(p);
    assert_int_equal(errno, EBUSY);
    hq_mem_freep(&p);
}

static void
test_grow(void **state)
{
    (void)state;
    uint32_t *v = NULL;
    size_t cap = 0;
    size_t changes = 0;
    for (uint32_t i = 0; i < 10000; i++) {
        size_t before = cap;
        hq_xgrow(&v, &cap, (size_t)i + 1, sizeof *v);
        changes += cap != before;
        v[i] = i;
    }
    assert_true(cap >= 10000 && cap <= 20000);
    assert_true(changes < 20);
    for (uint32_t i = 0; i < 10000; i++) {
        assert_int_equal(v[i], i);
    }
    volatile size_t huge = SIZE_MAX / 2;
    size_t kept = cap;
    assert_int_equal(hq_try_grow(&v, &cap, huge, sizeof *v), -ENOMEM);
    assert_int_equal(cap, kept);
    assert_int_equal(v[77], 77); /* the old block is still there */
    free(v);
}

static void
test_arena(void **state)
{
    (void)state;
    struct hq_arena a;
    hq_arena_init(&a, 0);
    unsigned char *blocks[2000];
    for (size_t i = 0; i < HQ_ARRAY_LEN(blocks); i++) {
        blocks[i] = hq_arena_alloc(&a, i);
        assert_int_equal((uintptr_t)blocks[i] % 16, 0);
        for (size_t k = 0; k < i; k++) {
            assert_int_equal(blocks[i][k], 0);
        }
        memset(blocks[i], (int)(i & 0xff), i);
    }
    for (size_t i = 0; i < HQ_ARRAY_LEN(blocks); i++) { /* nothing overlaps */
        for (size_t k = 0; k < i; k++) {
            assert_int_equal(blocks[i][k], i & 0xff);
        }
    }
    size_t total = a.total_bytes;
    assert_true(total < 8000000);
    hq_arena_reset(&a);
    assert_true(a.total_bytes > 0 && a.total_bytes <= 262144);
    unsigned char *again = hq_arena_alloc(&a, 1000); /* zeroed although the block was used before */
    for (size_t k = 0; k < 1000; k++) {
        assert_int_equal(again[k], 0);
    }
    struct hq_str s = hq_arena_str(&a, hq_str_make("x\0y", 3));
    assert_memory_equal(s.ptr, "x\0y\0", 4);
    assert_int_equal(s.len, 3);
    assert_string_equal(hq_arena_strz(&a, HQ_STR_NULL), "");
    assert_string_equal(hq_arena_printf(&a, "%d-%s", 5, "z"), "5-z");
    hq_arena_fini(&a);
    hq_arena_fini(&a);
    assert_int_equal(a.total_bytes, 0);
}

static void
test_arena_limit(void **state)
{
    (void)state;
    struct hq_arena a;
    volatile size_t huge = SIZE_MAX - 3;
    hq_arena_init(&a, 100000);
    assert_null(hq_arena_try(&a, 100001));
    assert_null(hq_arena_try(&a, huge));
    assert_non_null(hq_arena_try(&a, 90000));
    assert_non_null(hq_arena_try(&a, 5000));
    size_t count = 0;
    while (hq_arena_try(&a, 16) != NULL && count < 100000) {
        count++;
    }
    assert_true(a.total_bytes <= 100000);
    assert_true(count > 250 && count < 400);
    hq_arena_reset(&a);
    assert_non_null(hq_arena_try(&a, 90000));
    hq_arena_fini(&a);
}

/* A large object does not waste the block that small ones are taken from. */
static void
test_arena_large(void **state)
{
    (void)state;
    struct hq_arena a;
    hq_arena_init(&a, 0);
    char *first = hq_arena_alloc(&a, 16);
    (void)hq_arena_alloc(&a, 5000000);
    char *second = hq_arena_alloc(&a, 16);
    assert_ptr_equal(second, first + 16);
    hq_arena_fini(&a);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes), cmocka_unit_test(test_zeroed),      cmocka_unit_test(test_grow),
        cmocka_unit_test(test_arena), cmocka_unit_test(test_arena_limit), cmocka_unit_test(test_arena_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
