/* The heap against a plain array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/heap.h"
#include "common/rng.h"

#define NODES 300

struct timer {
    int id;
    int64_t key;
    uint64_t tie;
    struct hq_heap_node node;
};

static void
test_model(void **state)
{
    (void)state;
    static struct timer timers[NODES];
    struct hq_heap h = HQ_HEAP_INIT;
    struct hq_rng rng;
    hq_rng_init(&rng, 3);
    for (int i = 0; i < NODES; i++) {
        timers[i] = (struct timer){.id = i};
    }
    for (int step = 0; step < 50000; step++) {
        struct timer *t = &timers[hq_rng_below(&rng, NODES)];
        switch (hq_rng_below(&rng, 4)) {
        case 0:
        case 1:
            t->key = hq_rng_between(&rng, -50, 50);
            t->tie = hq_rng_below(&rng, 3);
            hq_heap_set(&h, &t->node, t->key, t->tie);
            break;
        case 2:
            hq_heap_remove(&h, &t->node);
            break;
        default: {
            struct hq_heap_node *top = hq_heap_pop(&h);
            if (top != NULL) {
                assert_false(hq_heap_has(top));
            }
        }
        }
        size_t inside = 0;
        const struct timer *least = NULL;
        for (int i = 0; i < NODES; i++) {
            if (hq_heap_has(&timers[i].node)) {
                inside++;
                assert_true(hq_heap_key(&h, &timers[i].node) == timers[i].key);
                if (least == NULL || timers[i].key < least->key ||
                    (timers[i].key == least->key && timers[i].tie < least->tie)) {
                    least = &timers[i];
                }
            }
        }
        assert_int_equal(h.count, inside);
        if (inside > 0) {
            const struct timer *top = HQ_CONTAINER(hq_heap_top(&h), struct timer, node);
            assert_true(top->key == least->key && top->tie == least->tie);
            assert_true(hq_heap_top_key(&h, 999) == least->key);
        } else {
            assert_null(hq_heap_top(&h));
            assert_true(hq_heap_top_key(&h, 999) == 999);
        }
    }
    hq_heap_fini(&h);
    for (int i = 0; i < NODES; i++) {
        assert_false(hq_heap_has(&timers[i].node)); /* the heap let go of them */
    }
}

static void
test_sorted(void **state)
{
    (void)state;
    static struct timer timers[5000];
    struct hq_heap h = HQ_HEAP_INIT;
    struct hq_rng rng;
    hq_rng_init(&rng, 4);
    for (size_t i = 0; i < HQ_ARRAY_LEN(timers); i++) {
        hq_heap_set(&h, &timers[i].node, hq_rng_between(&rng, INT64_MIN, INT64_MAX), 0);
    }
    int64_t last = INT64_MIN;
    for (size_t i = 0; i < HQ_ARRAY_LEN(timers); i++) {
        int64_t key = hq_heap_top_key(&h, 0);
        assert_true(key >= last);
        last = key;
        assert_non_null(hq_heap_pop(&h));
    }
    assert_null(hq_heap_pop(&h));
    hq_heap_fini(&h);
    hq_heap_fini(&h);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_model), cmocka_unit_test(test_sorted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
