/* answers.c - an answer made by hand for the printers of hq, and where their text is collected. */
#include "tests/unit/answers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "hq/job_print.h"
#include "hq/task_print.h"

ProtobufCBinaryData
bytes_of(const char *s)
{
    return desc_bytes(hq_str_from(s));
}

void
sink_init(struct sink *s, enum hq_out_mode mode, bool with_color)
{
    hq_out_init(&s->out, mode, with_color, -1);
    hq_arena_init(&s->arena, 0);
}

void
sink_check(struct sink *s, const char *want)
{
    assert_string_equal(s->out.buf.ptr != NULL ? s->out.buf.ptr : "", want);
    hq_out_fini(&s->out);
    hq_arena_fini(&s->arena);
}

static void
info_desc(struct info *i)
{
    hq__task_desc__init(&i->desc);
    hq__request__init(&i->request);
    hq__variant__init(&i->variant);
    hq__request_entry__init(&i->entry);
    i->args[0] = bytes_of("prog");
    i->args[1] = bytes_of("-x");
    i->desc.args = i->args;
    i->desc.n_args = 2;
    hq__env_var__init(&i->env[0]);
    hq__env_var__init(&i->env[1]);
    i->env[0].key = bytes_of("Z");
    i->env[0].value = bytes_of("1");
    i->env[1].key = bytes_of("HQ_MINE");
    i->env[1].value = bytes_of("7");
    i->envs[0] = &i->env[0];
    i->envs[1] = &i->env[1];
    i->desc.env = i->envs;
    i->desc.n_env = 2;
    i->entry.name = bytes_of("cpus");
    i->entry.amount = 40000;
    i->entry.policy = HQ__POLICY__POLICY_FORCE_COMPACT;
    i->entries[0] = &i->entry;
    i->variant.entries = i->entries;
    i->variant.n_entries = 1;
    i->variant.min_time_ms = 600000;
    i->variant.weight = 25000;
    i->variants[0] = &i->variant;
    i->request.variants = i->variants;
    i->request.n_variants = 1;
    i->desc.request = &i->request;
    i->desc.time_limit_ms = 5400500;
    i->desc.pin = HQ__PIN_MODE__PIN_OMP;
    i->desc.priority = -5;
    i->desc.crash_limit = 5;
}

void
info_init(struct info *i)
{
    memset(i, 0, sizeof *i);
    info_desc(i);
    hq__job_detail_answer__init(&i->answer);
    hq__job_info__init(&i->job);
    hq__job_counts__init(&i->counts);
    hq__submit_info__init(&i->submit);
    hq__ranges__init(&i->ids);
    hq__failed_task__init(&i->failed);
    i->job.job = 14;
    i->job.name = bytes_of("prog");
    i->job.counts = &i->counts;
    i->counts.failed = 2;
    i->counts.running = 1;
    i->counts.waiting = 2;
    memcpy(i->packed, (uint32_t[]){1, 4, 3, 20, 1, 1}, sizeof i->packed);
    i->ids.packed = i->packed;
    i->ids.n_packed = 6;
    i->submit.submit_dir = bytes_of("/home/u/work");
    i->submit.ids = &i->ids;
    i->submit.task_count = 5;
    i->submit.desc_count = 1;
    i->submits[0] = &i->submit;
    i->answer.info = &i->job;
    i->answer.submits = i->submits;
    i->answer.n_submits = 1;
    i->answer.server_uid = bytes_of("aB3xYz");
    i->answer.submitted_ms = 1769860800000; /* 2026-01-31 12:00:00 */
    i->answer.now_ms = i->answer.submitted_ms + 65000;
    i->failed.task = 4;
    i->failed.worker = 1;
    i->failed.worker_host = bytes_of("node1");
    i->failed.error = bytes_of("two\nlines");
    i->faileds[0] = &i->failed;
    i->answer.failed = i->faileds;
    i->answer.n_failed = 1;
    i->hosts[0] = bytes_of("node1");
    i->hosts[1] = bytes_of("node2");
    i->answer.worker_hosts = i->hosts;
    i->answer.n_worker_hosts = 2;
    i->answer.worker_count = 3;
    i->descs[0] = &i->desc;
    i->detail = (struct job_detail){.answer = &i->answer, .descs = i->descs, .desc_count = 1};
}
