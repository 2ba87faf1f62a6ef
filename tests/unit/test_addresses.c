/* test_addresses.c - which addresses of a host are told to others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include "hq-workerd/addresses.h"

struct row {
    const char *text; /* NULL: an interface without an address */
    unsigned flags;
};

static size_t
choose(const struct row *rows, size_t count, struct hq_str ret[ADDRESSES_MAX], struct hq_arena *arena)
{
    struct ifaddrs list[16] = {0};
    struct sockaddr_in6 sa[16] = {0};

    assert_true(count <= HQ_ARRAY_LEN(list));
    for (size_t i = 0; i < count; i++) {
        struct sockaddr_in *in = (struct sockaddr_in *)(void *)&sa[i];
        list[i].ifa_flags = rows[i].flags;
        list[i].ifa_next = i + 1 < count ? &list[i + 1] : NULL;
        if (rows[i].text == NULL) {
            continue;
        }
        list[i].ifa_addr = (struct sockaddr *)&sa[i];
        if (inet_pton(AF_INET, rows[i].text, &in->sin_addr) == 1) {
            in->sin_family = AF_INET;
        } else {
            assert_int_equal(1, inet_pton(AF_INET6, rows[i].text, &sa[i].sin6_addr));
            sa[i].sin6_family = AF_INET6;
        }
    }
    return addresses_choose(list, ret, arena);
}

static void
test_order(void **state)
{
    static const struct row rows[] = {
        {"127.0.0.1", IFF_UP | IFF_LOOPBACK}, {"::1", IFF_UP | IFF_LOOPBACK}, {NULL, IFF_UP},  {"fe80::1", IFF_UP},
        {"2001:db8::7", IFF_UP},              {"10.0.0.9", 0},                {"10.0.0.7", IFF_UP},
    };
    static const char *const expect[] = {"10.0.0.7", "2001:db8::7", "127.0.0.1", "::1"};
    struct hq_str got[ADDRESSES_MAX];
    struct hq_arena arena;

    (void)state;
    hq_arena_init(&arena, 0);
    assert_int_equal(HQ_ARRAY_LEN(expect), choose(rows, HQ_ARRAY_LEN(rows), got, &arena));
    for (size_t i = 0; i < HQ_ARRAY_LEN(expect); i++) {
        assert_string_equal(expect[i], got[i].ptr);
    }
    hq_arena_fini(&arena);
}

static void
test_bound(void **state)
{
    struct row rows[16];
    struct hq_str got[ADDRESSES_MAX];
    struct hq_arena arena;

    (void)state;
    hq_arena_init(&arena, 0);
    for (size_t i = 0; i < HQ_ARRAY_LEN(rows); i++) {
        rows[i] = (struct row){"192.0.2.1", IFF_UP};
    }
    assert_int_equal(ADDRESSES_MAX, choose(rows, HQ_ARRAY_LEN(rows), got, &arena));
    assert_int_equal(0, addresses_choose(NULL, got, &arena));
    assert_true(addresses_find(got, &arena) <= ADDRESSES_MAX);
    hq_arena_fini(&arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
