#include "hqd/replay.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "hqd/record_pb.h"

int
replay_probe(const char *path, bool *ret_is_there, struct hq_err *err)
{
    struct stat st;
    if (stat(path, &st) == 0) {
        *ret_is_there = true;
        return 0;
    }
    if (errno != ENOENT) {
        return hq_err_sys(err, -errno, "Cannot open event log file at `%s`", path);
    }
    /* On filesystems without hard links a crash may fall between the two renames that replace a file (journal_writer.c):
     * then the older files are there, and the new one under its other name. */
    *ret_is_there = false;
    struct hq_buf name = HQ_BUF_INIT;
    hq_buf_printf(&name, "%s.new", path);
    HQ_AUTO(hq_mem_freep) char *newer = hq_buf_take(&name);
    hq_buf_printf(&name, "%s.0", path);
    HQ_AUTO(hq_mem_freep) char *oldest = hq_buf_take(&name);
    if (stat(newer, &st) == 0 && stat(oldest, &st) == 0) {
        if (rename(newer, path) < 0) {
            return hq_err_sys(err, -errno, "Cannot rename `%s`", newer);
        }
        *ret_is_there = true;
    }
    return 0;
}

static int
open_error(int rc, struct hq_err *err)
{
    if (err != NULL && (rc == -ENODATA || rc == -EBADMSG || rc == -EPROTONOSUPPORT)) {
        return hq_err_prefix(err, "Error");
    }
    return rc;
}

static int
damaged(int rc, struct hq_err *err)
{
    if (rc != -EBADMSG && rc != -EINVAL && rc != -EPROTO) {
        return rc;
    }
    struct hq_err why = *err;
    return hq_err_set(err,
                      -EBADMSG,
                      "Deserialization error: Journal load error: %s\nIt appears that the journal file is corrupted.",
                      why.text);
}

static int
apply_all(struct core *core, struct hq_record_reader *r, struct replay_result *ret, struct hq_err *err)
{
    struct hq_arena arena;
    hq_arena_init(&arena, 0);
    struct hq_record raw;
    int rc;
    while ((rc = hq_record_next(r, &raw, err)) == 1) {
        struct record rec;
        journal_index_add(&ret->resume.index, raw.seq - 1, raw.offset, raw.segment_ix);
        rc = record_pb_decode(raw.body, &arena, &rec, err);
        if (rc == 1) {
            rec.seq = raw.seq;
            rc = core_apply(core, &rec, err);
        }
        if (rc < 0) {
            (void)hq_err_prefix(err, "record %" PRIu64 " at offset %" PRIu64, raw.seq, raw.offset);
            break;
        }
        ret->record_count++;
        hq_arena_reset(&arena);
    }
    hq_arena_fini(&arena);
    return rc;
}

int
replay_run(struct core *core, const char *path, struct replay_result *ret, struct hq_err *err)
{
    struct hq_err own;
    err = err == NULL ? &own : err;
    struct replay_result res = {.is_there = true};
    HQ_AUTO(hq_record_reader_close) struct hq_record_reader r = {.fd = -1};
    int rc = hq_record_reader_open(&r, path, err);
    if (rc < 0) {
        return open_error(rc, err);
    }
    rc = apply_all(core, &r, &res, err);
    if (rc < 0) {
        replay_result_fini(&res);
        return damaged(rc, err);
    }
    res.resume.head = r.head;
    res.resume.end_offset = r.file_offset;
    res.resume.last_seq = r.last_seq;
    res.is_torn = r.end == HQ_RECORD_END_TORN;
    struct stat st;
    if (res.is_torn && fstat(r.fd, &st) == 0) {
        res.torn_bytes = (uint64_t)st.st_size - r.file_offset;
    }
    *ret = res;
    return 0;
}

void
replay_result_fini(struct replay_result *r)
{
    journal_index_fini(&r->resume.index);
    *r = (struct replay_result){0};
}
