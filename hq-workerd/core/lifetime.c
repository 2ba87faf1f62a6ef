/* lifetime.c - end of a worker. */
#include "hq-workerd/core/lifetime.h"

void
lifetime_init(struct lifetime *l, enum lifetime_policy policy, hq_ms started_ms, hq_ms time_limit_ms,
              hq_ms idle_timeout_ms)
{
    *l = (struct lifetime){.policy = policy, .limit_at_ms = INT64_MAX, .idle_timeout_ms = idle_timeout_ms};
    if (time_limit_ms > 0 && __builtin_add_overflow(started_ms, time_limit_ms, &l->limit_at_ms)) {
        l->limit_at_ms = INT64_MAX;
    }
}

void
lifetime_on_lost(struct lifetime *l, hq_ms now_ms)
{
    if (l->lost_at_ms == 0) {
        l->lost_at_ms = now_ms;
        l->nothing_since_ms = 0;
    }
}

void
lifetime_on_server_end(struct lifetime *l, hq_ms now_ms)
{
    lifetime_on_lost(l, now_ms);
    l->is_lost_for_good = true;
}

void
lifetime_on_back(struct lifetime *l)
{
    l->lost_at_ms = 0;
    l->nothing_since_ms = 0;
    l->has_dropped = false;
}

void
lifetime_on_end(struct lifetime *l, enum lifetime_end end)
{
    if (l->end == LIFETIME_GOES_ON) {
        l->end = end;
    }
}

static hq_ms
lifetime_patience_ms(const struct lifetime *l)
{
    return l->idle_timeout_ms > 0 ? l->idle_timeout_ms : LIFETIME_RECONNECT_MS;
}

static enum lifetime_act
lifetime_say_end(struct lifetime *l, enum lifetime_end end)
{
    l->end = end;
    l->is_end_said = true;
    return LIFETIME_END;
}

/* hqd has been away for longer than the grace time, or has ended. */
static enum lifetime_act
lifetime_look_lost(struct lifetime *l, hq_ms now_ms, uint32_t running)
{
    enum lifetime_policy policy =
        l->policy == LIFETIME_RECONNECT && l->is_lost_for_good ? LIFETIME_STOP : l->policy;

    switch (policy) {
    case LIFETIME_STOP:
        return lifetime_say_end(l, running > 0 ? LIFETIME_END_SERVER_LOST : LIFETIME_END_FINISHED);
    case LIFETIME_FINISH_RUNNING:
        if (running == 0) {
            return lifetime_say_end(l, LIFETIME_END_FINISHED);
        }
        if (!l->has_dropped) {
            l->has_dropped = true;
            return LIFETIME_DROP_WAITING;
        }
        return LIFETIME_NOTHING;
    case LIFETIME_RECONNECT:
        if (running > 0) {
            l->nothing_since_ms = 0;
        } else if (l->nothing_since_ms == 0) {
            l->nothing_since_ms = now_ms;
        } else if (now_ms - l->nothing_since_ms >= lifetime_patience_ms(l)) {
            return lifetime_say_end(l, LIFETIME_END_FINISHED);
        }
        return LIFETIME_NOTHING;
    }
    return LIFETIME_NOTHING;
}

enum lifetime_act
lifetime_look(struct lifetime *l, hq_ms now_ms, uint32_t running)
{
    if (l->end != LIFETIME_GOES_ON) {
        bool was_said = l->is_end_said;
        l->is_end_said = true;
        return was_said ? LIFETIME_NOTHING : LIFETIME_END;
    }
    if (now_ms >= l->limit_at_ms) {
        return lifetime_say_end(l, LIFETIME_END_LIMIT);
    }
    if (l->lost_at_ms != 0 && (l->is_lost_for_good || now_ms - l->lost_at_ms >= LIFETIME_GRACE_MS)) {
        return lifetime_look_lost(l, now_ms, running);
    }
    return LIFETIME_NOTHING;
}

hq_ms
lifetime_next_ms(const struct lifetime *l, hq_ms now_ms, uint32_t running)
{
    hq_ms next = l->limit_at_ms;

    if (l->end != LIFETIME_GOES_ON) {
        return l->is_end_said ? INT64_MAX : now_ms;
    }
    if (l->lost_at_ms == 0) {
        return next;
    }
    if (!l->is_lost_for_good && now_ms - l->lost_at_ms < LIFETIME_GRACE_MS) {
        return HQ_MIN(next, l->lost_at_ms + LIFETIME_GRACE_MS);
    }
    if (l->policy == LIFETIME_RECONNECT && running == 0) {
        hq_ms since = l->nothing_since_ms == 0 ? now_ms : l->nothing_since_ms;
        next = HQ_MIN(next, since + lifetime_patience_ms(l));
    }
    return next;
}

int
lifetime_exit_status(enum lifetime_end end)
{
    return end == LIFETIME_END_SERVER_LOST || end == LIFETIME_END_FINISHED ? 1 : 0;
}
