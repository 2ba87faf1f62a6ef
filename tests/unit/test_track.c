/* What a batch system's word about an allocation means: stories of looks, the last one gives the verdict. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "hq-allocd/core/track.h"

static const struct track_conf conf = {.miss_gap_ms = 60000, .look_min_ms = 1000, .look_max_ms = 8000};

/* A look a step: w waiting, r running, k ended well, f failed, u unknown word, a absent, s silence; a digit waits that
 * many times 10 s. */
static enum track_verdict
tell(struct track *t, const char *story)
{
    enum track_verdict v = TRACK_NOTHING;
    hq_ms now_ms = 1000000;
    for (const char *p = story; *p != '\0'; p++) {
        switch (*p) {
        case 'w':
            v = track_on_row(t, &conf, TRACK_SEEN_WAITING, now_ms);
            break;
        case 'r':
            v = track_on_row(t, &conf, TRACK_SEEN_RUNNING, now_ms);
            break;
        case 'k':
            v = track_on_row(t, &conf, TRACK_SEEN_OK, now_ms);
            break;
        case 'f':
            v = track_on_row(t, &conf, TRACK_SEEN_FAILED, now_ms);
            break;
        case 'u':
            v = track_on_row(t, &conf, TRACK_SEEN_UNKNOWN, now_ms);
            break;
        case 'a':
            v = track_on_absent(t, &conf, now_ms);
            break;
        case 's':
            track_on_silence(t, &conf, now_ms);
            break;
        default:
            now_ms += (*p - '0') * 10000;
            break;
        }
    }
    return v;
}

static void
test_stories(void **state)
{
    (void)state;
    static const struct {
        const char *story;
        enum track_verdict want;
    } cases[] = {
        {"w", TRACK_NOTHING},
        {"wr", TRACK_STARTED},
        {"wrr", TRACK_NOTHING},
        {"wrk", TRACK_FINISHED},
        {"wk", TRACK_FINISHED},
        {"wrf", TRACK_FAILED},
        {"f", TRACK_FAILED},
        {"wrw", TRACK_REQUEUED},
        {"uuuuuuuuuuuuuu", TRACK_NOTHING},
        {"a", TRACK_NOTHING},
        {"aaaaaaaa", TRACK_NOTHING}, /* often, but not for long */
        {"a9a", TRACK_NOTHING},      /* long, but not often */
        {"a3a3a", TRACK_VANISHED},
        {"a3a3wa", TRACK_NOTHING}, /* seen again: the count begins anew */
        {"a3a3wa3a3a", TRACK_VANISHED},
        {"ra3s3s3s", TRACK_NOTHING}, /* silence is no absence: the verdict stays that of the last look */
        {"sssss", TRACK_NOTHING},
        {"s9s9s9r", TRACK_STARTED},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct track t = {0};
        enum track_verdict got = tell(&t, cases[i].story);
        if (got != cases[i].want) {
            fail_msg("%s: verdict %d, not %d", cases[i].story, (int)got, (int)cases[i].want);
        }
    }
}

static void
test_looks(void **state)
{
    (void)state;
    struct track t = {0};
    static const hq_ms waits[] = {1000, 2000, 4000, 8000, 8000};
    for (size_t i = 0; i < HQ_ARRAY_LEN(waits); i++) {
        (void)track_on_row(&t, &conf, TRACK_SEEN_WAITING, 100);
        assert_int_equal(t.next_look_ms, 100 + waits[i]);
    }
    track_hint(&t, 200, 50);
    assert_int_equal(t.next_look_ms, 250);
    track_hint(&t, 210, 5000);
    assert_int_equal(t.next_look_ms, 250); /* a hint brings a look nearer, never away */
    (void)track_on_row(&t, &conf, TRACK_SEEN_WAITING, 300);
    assert_int_equal(t.next_look_ms, 1300);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_stories), cmocka_unit_test(test_looks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
