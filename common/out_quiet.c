#include "common/out_quiet.h"

void
hq_quiet_id(struct hq_out *o, uint32_t id)
{
    hq_out_line(o, "%u", id);
}

void
hq_quiet_id_state(struct hq_out *o, uint32_t id, const char *state_word)
{
    hq_out_line(o, "%u %s", id, state_word);
}

void
hq_quiet_count(struct hq_out *o, const char *state_word, uint64_t count)
{
    hq_out_line(o, "%s %llu", state_word, (unsigned long long)count);
}

void
hq_quiet_text(struct hq_out *o, struct hq_str s)
{
    hq_out_str(o, s);
    hq_out_text(o, "\n");
}
