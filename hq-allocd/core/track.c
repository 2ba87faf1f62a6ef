#include "hq-allocd/core/track.h"

static void
next_look(struct track *t, const struct track_conf *conf, hq_ms now_ms)
{
    hq_ms wait_ms = conf->look_min_ms;
    for (uint32_t i = 0; i < t->looks && wait_ms < conf->look_max_ms; i++) {
        wait_ms *= 2;
    }
    t->next_look_ms = now_ms + HQ_MIN(wait_ms, conf->look_max_ms);
    t->looks++;
}

enum track_verdict
track_on_row(struct track *t, const struct track_conf *conf, enum track_seen seen, hq_ms now_ms)
{
    t->misses = 0;
    bool had_run = t->has_run;
    switch (seen) {
    case TRACK_SEEN_OK:
        return TRACK_FINISHED;
    case TRACK_SEEN_FAILED:
        return TRACK_FAILED;
    case TRACK_SEEN_RUNNING:
        t->looks = had_run ? t->looks : 0;
        t->has_run = true;
        next_look(t, conf, now_ms);
        return had_run ? TRACK_NOTHING : TRACK_STARTED;
    case TRACK_SEEN_WAITING:
        next_look(t, conf, now_ms);
        return had_run ? TRACK_REQUEUED : TRACK_NOTHING;
    case TRACK_SEEN_UNKNOWN:
        break;
    }
    next_look(t, conf, now_ms);
    return TRACK_NOTHING;
}

enum track_verdict
track_on_absent(struct track *t, const struct track_conf *conf, hq_ms now_ms)
{
    if (t->misses++ == 0) {
        t->first_miss_ms = now_ms;
    }
    t->next_look_ms = now_ms + HQ_MAX(conf->miss_gap_ms / (hq_ms)(TRACK_MISSES_MAX - 1), (hq_ms)1);
    bool is_long = now_ms - t->first_miss_ms >= conf->miss_gap_ms;
    return t->misses >= TRACK_MISSES_MAX && is_long ? TRACK_VANISHED : TRACK_NOTHING;
}

void
track_on_silence(struct track *t, const struct track_conf *conf, hq_ms now_ms)
{
    next_look(t, conf, now_ms);
}

void
track_hint(struct track *t, hq_ms now_ms, hq_ms wait_ms)
{
    t->looks = 0;
    if (t->next_look_ms > now_ms + wait_ms) {
        t->next_look_ms = now_ms + wait_ms;
    }
}
