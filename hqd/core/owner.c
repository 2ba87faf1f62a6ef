#include "hqd/core/owner.h"

bool
owner_may_change(const struct job *job, uint32_t uid)
{
    return uid == 0 || uid == job->owner_uid;
}

struct hq_str
owner_refusal(const struct job *job, struct hq_arena *arena)
{
    return hq_str_from(hq_arena_printf(arena, "job belongs to user %u", job->owner_uid));
}
