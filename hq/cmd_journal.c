#include "hq/cmd_journal.h"

#include "common/eventjson.h"
#include "common/fs.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/record.h"
#include "common/wire.h"
#include "hq/client.h"
#include "hq/report.h"

#include "proto/client.pb-c.h"

#define FOLLOW_WAIT_MS 25000 /* hqd holds the question that long when nothing happens */

const struct hq_opt journal_export_opts[JOURNAL_EXPORT_OPTS] = {
    {.name = "JOURNAL",
     .parse = hq_opt_str,
     .at = offsetof(struct journal_export_args, path),
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED | HQ_OPT_NONEMPTY,
     .complete = HQ_COMPLETE_FILE,
     .help = "Journal file."},
};

/* The payload is no JSON document of its own: nothing follows it. */
static void
raw_output(struct hq_cli *cli)
{
    cli->out.has_document = true;
}

static int
open_journal(struct hq_record_reader *r, const char *path, struct hq_err *err)
{
    int rc = hq_record_reader_open(r, path, err);

    if (rc < 0 && rc != -EBADMSG && rc != -EPROTONOSUPPORT && rc != -ENODATA) {
        return hq_err_set(err, rc, "Cannot open event log file at `%s`: %s", path, hq_err_os(rc));
    }
    return rc;
}

static void
write_out(void *out)
{
    hq_out_flush(out);
}

static int
export_record(struct hq_eventjson *e, const struct hq_record *rec, struct hq_arena *arena, struct hq_out *out,
              uint64_t *count, struct hq_err *err)
{
    ProtobufCMessage *msg = NULL;
    int rc;

    hq_arena_reset(arena);
    rc = hq_wire_unpack(rec->body, &hq__record__descriptor, arena, &msg, err);
    if (rc == 0) {
        rc = hq_eventjson_add(e, (const Hq__Record *)(const void *)msg, &out->buf, count, err);
    }
    if (out->buf.len > HQ_PAGE_BYTES) {
        hq_out_flush(out);
    }
    return rc;
}

int
cmd_journal_export_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct journal_export_args *args = p->args;
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    HQ_AUTO(hq_record_reader_close) struct hq_record_reader reader = {0};
    HQ_AUTO(hq_eventjson_fini) struct hq_eventjson events;
    struct hq_record rec;
    uint64_t count = 0;
    int rc;

    hq_eventjson_init(&events);
    events.full = write_out;
    events.full_ctx = &cli->out;
    hq_arena_init(&arena, 16 * (size_t)HQ_RECORD_BYTES_MAX);
    reader.fd = -1;
    rc = open_journal(&reader, hq_arena_strz(&cli->arena, args->path), err);
    if (rc < 0) {
        return rc;
    }
    raw_output(cli);
    while (cli->out.write_rc == 0 && (rc = hq_record_next(&reader, &rec, err)) > 0) {
        rc = export_record(&events, &rec, &arena, &cli->out, &count, err);
        if (rc < 0) {
            break;
        }
    }
    hq_out_flush(&cli->out);
    if (rc < 0) {
        hq_log_error("Journal export stopped: %s. The file might have been incomplete.", err->text);
    }
    hq_log_info("Outputted %llu event%s", (unsigned long long)count, count == 1 ? "" : "s");
    return 0;
}

static int
print_records(struct hq_cli *cli, struct hq_eventjson *events, const Hq__FollowAnswer *a, struct hq_err *err)
{
    uint64_t count = 0;

    for (size_t i = 0; i < a->n_records; i++) {
        int rc = hq_eventjson_add(events, a->records[i], &cli->out.buf, &count, err);
        if (rc < 0) {
            return rc;
        }
    }
    hq_out_flush(&cli->out);
    return cli->out.write_rc;
}

static int
follow(struct hq_cli *cli, bool is_live, struct hq_err *err)
{
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    HQ_AUTO(hq_eventjson_fini) struct hq_eventjson events;
    Hq__Follow ask = HQ__FOLLOW__INIT;
    unsigned char incarnation[64];

    hq_eventjson_init(&events);
    events.full = write_out;
    events.full_ctx = &cli->out;
    hq_arena_init(&arena, 0);
    raw_output(cli);
    for (;;) {
        ProtobufCMessage *msg = NULL;
        const struct client_query q = {.type = HQ__MESSAGE_TYPE__TYPE_FOLLOW,
                                       .request = &ask.base,
                                       .answer_type = HQ__MESSAGE_TYPE__TYPE_FOLLOW_ANSWER,
                                       .answer = &hq__follow_answer__descriptor,
                                       .wait_ms = ask.wait_ms,
                                       .arena = &arena};
        int rc = client_call(cli, &q, &msg, err);
        if (rc < 0) {
            return rc;
        }
        const Hq__FollowAnswer *a = (const Hq__FollowAnswer *)(const void *)msg;
        rc = print_records(cli, &events, a, err);
        if (rc < 0) {
            return rc;
        }
        if (!a->has_more && (a->is_stopping || !is_live)) {
            return 0;
        }
        ask.after_seq = a->last_seq;
        ask.wait_ms = a->has_more ? 0 : FOLLOW_WAIT_MS;
        ask.hqd_incarnation.len = HQ_MIN(a->hqd_incarnation.len, sizeof(incarnation));
        if (ask.hqd_incarnation.len > 0) {
            memcpy(incarnation, a->hqd_incarnation.data, ask.hqd_incarnation.len);
        }
        ask.hqd_incarnation.data = incarnation;
        hq_arena_reset(&arena);
    }
}

int
cmd_journal_replay_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    (void)p; /* no options */
    return follow(cli, false, err);
}

int
cmd_journal_stream_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    (void)p; /* no options */
    return follow(cli, true, err);
}

static int
simple_call(struct hq_cli *cli, uint16_t type, struct hq_err *err)
{
    const struct client_query q = {.type = type, .answer_type = HQ__MESSAGE_TYPE__TYPE_DONE};

    return client_call(cli, &q, NULL, err);
}

int
cmd_journal_flush_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    (void)p; /* no options */
    return simple_call(cli, HQ__MESSAGE_TYPE__TYPE_JOURNAL_FLUSH, err);
}

/* ---- report */

const struct hq_opt journal_report_opts[JOURNAL_REPORT_OPTS] = {
    {.name = "JOURNAL",
     .parse = hq_opt_str,
     .at = offsetof(struct journal_report_args, path),
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED | HQ_OPT_NONEMPTY,
     .complete = HQ_COMPLETE_FILE,
     .help = "Journal file."},
    {.name = "OUTPUT",
     .parse = hq_opt_str,
     .at = offsetof(struct journal_report_args, out_path),
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED | HQ_OPT_NONEMPTY,
     .complete = HQ_COMPLETE_FILE,
     .help = "Page to write (HTML); an older one is replaced."},
    {.name = "start-time",
     .parse = hq_opt_span,
     .at = offsetof(struct journal_report_args, start_ms),
     .help = "Shows what came that long after the first event."},
    {.name = "end-time",
     .parse = hq_opt_span,
     .at = offsetof(struct journal_report_args, end_ms),
     .help = "Shows what came until that long after the first event."},
};

typedef int (*report_fn)(struct report *r, const Hq__Record *rec, struct hq_err *err);

static int
read_all(struct report *r, const char *path, report_fn take, struct hq_err *err)
{
    HQ_AUTO(hq_arena_fini) struct hq_arena arena;
    HQ_AUTO(hq_record_reader_close) struct hq_record_reader reader = {.fd = -1};
    struct hq_record rec;

    hq_arena_init(&arena, 16 * (size_t)HQ_RECORD_BYTES_MAX);
    int rc = open_journal(&reader, path, err);
    while (rc == 0 && (rc = hq_record_next(&reader, &rec, err)) == 1) {
        ProtobufCMessage *msg = NULL;
        hq_arena_reset(&arena);
        rc = hq_wire_unpack(rec.body, &hq__record__descriptor, &arena, &msg, err);
        rc = rc < 0 ? rc : take(r, (const Hq__Record *)(const void *)msg, err);
    }
    return rc;
}

int
cmd_journal_report_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct journal_report_args *args = p->args;
    const char *path = hq_arena_strz(&cli->arena, args->path);
    HQ_AUTO(hq_buf_fini) struct hq_buf page = HQ_BUF_INIT;
    HQ_AUTO(report_fini) struct report r;

    report_init(&r);
    int rc = read_all(&r, path, report_scan, err);
    rc = rc < 0 ? rc
                : report_begin(&r, hq_parsed_given(p, "start-time") ? args->start_ms : -1,
                               hq_parsed_given(p, "end-time") ? args->end_ms : -1, err);
    rc = rc < 0 ? rc : read_all(&r, path, report_add, err);
    if (rc < 0) {
        return rc;
    }
    report_finish(&r);
    report_print(&r, &page);
    return hq_fs_replace(hq_arena_strz(&cli->arena, args->out_path), hq_buf_view(&page), 0644, err);
}

int
cmd_journal_prune_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    (void)p; /* no options */
    return simple_call(cli, HQ__MESSAGE_TYPE__TYPE_JOURNAL_PRUNE, err);
}
