#include "hq/stream_index.h"

#include "common/crc32c.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADS_BYTES 65536u /* read at once while looking for heads: short records come together */

HQ_DEFINE_CLEANUP(struct stream_index, stream_index_destroy)

void
stream_index_destroy(struct stream_index *ix)
{
    if (ix == NULL) {
        return;
    }
    for (size_t i = 0; i < ix->file_count; i++) {
        (void)close(ix->files[i].fd); /* read only */
        free(ix->files[i].path);
        free(ix->files[i].server_uid);
    }
    free(ix->files);
    free(ix->streams);
    free(ix->chunks);
    hq_map_fini(&ix->live);
    free(ix);
}

/* ---- streams */
static struct stream *
new_stream(struct stream_index *ix, const struct hq_stream_record *r)
{
    hq_xgrow(&ix->streams, &ix->stream_cap, ix->stream_count + 1, sizeof(*ix->streams));
    struct stream *s = &ix->streams[ix->stream_count++];
    *s = (struct stream){.job = r->job,
                         .task = r->task,
                         .instance = r->instance,
                         .first = STREAM_NO_CHUNK,
                         .last = STREAM_NO_CHUNK};
    return s;
}

/* The streams of one file by job and task; the newest instance there. Older instances in one file are rare: linear. */
static uint32_t
stream_of(struct stream_index *ix, struct hq_map *in_file, size_t first_of_file, const struct hq_stream_record *r)
{
    uint64_t key = hq_map_key2(r->job.v, r->task);
    uint64_t at = hq_map_get(in_file, key, 0);

    if (at != 0 && ix->streams[at - 1].instance == r->instance) {
        return (uint32_t)(at - 1);
    }
    if (at != 0 && ix->streams[at - 1].instance > r->instance) {
        for (size_t i = first_of_file; i < ix->stream_count; i++) {
            const struct stream *s = &ix->streams[i];
            if (s->job.v == r->job.v && s->task == r->task && s->instance == r->instance) {
                return (uint32_t)i;
            }
        }
        (void)new_stream(ix, r);
        return (uint32_t)(ix->stream_count - 1);
    }
    (void)new_stream(ix, r);
    hq_map_set(in_file, key, ix->stream_count);
    return (uint32_t)(ix->stream_count - 1);
}

static void
add_chunk(struct stream_index *ix, uint32_t stream_ix, const struct hq_stream_record *r, uint64_t offset)
{
    struct stream *s = &ix->streams[stream_ix];
    uint32_t at = (uint32_t)ix->chunk_count;

    hq_xgrow(&ix->chunks, &ix->chunk_cap, ix->chunk_count + 1, sizeof(*ix->chunks));
    ix->chunks[ix->chunk_count++] = (struct stream_chunk){.offset = offset,
                                                          .at_ms = r->at_ms,
                                                          .file_ix = (uint32_t)(ix->file_count - 1),
                                                          .size = r->size,
                                                          .data_crc = r->data_crc,
                                                          .stream_ix = stream_ix,
                                                          .next = STREAM_NO_CHUNK,
                                                          .channel = r->channel,
                                                          .rank1 = r->rank1,
                                                          .is_end = r->kind == HQ_STREAM_END};
    if (s->last == STREAM_NO_CHUNK) {
        s->first = at;
    } else {
        ix->chunks[s->last].next = at;
    }
    s->last = at;
    s->bytes[r->channel] += r->size;
    s->is_finished = s->is_finished || r->kind == HQ_STREAM_END;
}

/* ---- files */
static int
read_at(int fd, uint64_t offset, char *p, size_t len, size_t *ret_len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = pread(fd, p + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -errno;
        }
        if (n == 0) {
            break;
        }
        done += (size_t)n;
    }
    *ret_len = done;
    return 0;
}

/* All records whose data is complete; ends at the first that is not. */
static int
read_records(struct stream_index *ix, const struct stream_file *f, uint64_t offset, uint64_t file_bytes)
{
    HQ_AUTO(hq_map_fini) struct hq_map in_file;
    HQ_AUTO(hq_mem_freep) char *buf = hq_xalloc(HEADS_BYTES);
    size_t first_of_file = ix->stream_count;
    uint64_t buf_at = 0; /* offset of buf[0] */
    size_t buf_len = 0;

    hq_map_init(&in_file, 0);
    while (offset + HQ_STREAM_RECORD_HEAD_BYTES <= file_bytes) {
        struct hq_stream_record r;
        if (offset < buf_at || offset + HQ_STREAM_RECORD_HEAD_BYTES > buf_at + buf_len) {
            int rc = read_at(f->fd, offset, buf, HEADS_BYTES, &buf_len);
            if (rc < 0) {
                return rc;
            }
            buf_at = offset;
        }
        int rc = hq_stream_record_parse(hq_str_make(buf + (offset - buf_at), buf_len - (size_t)(offset - buf_at)), &r);
        if (rc == -EBADMSG) {
            hq_log_warn("Stream file is damaged, the rest of it is left out file=%s offset=%llu", f->path,
                        (unsigned long long)offset);
        }
        if (rc < 0 || offset + HQ_STREAM_RECORD_HEAD_BYTES + r.size > file_bytes) {
            break;
        }
        add_chunk(ix, stream_of(ix, &in_file, first_of_file, &r), &r, offset + HQ_STREAM_RECORD_HEAD_BYTES);
        offset += HQ_STREAM_RECORD_HEAD_BYTES + r.size;
    }
    return 0;
}

/* A file without a readable head, or of another server, is no file of ours. */
static int
read_file(struct stream_index *ix, const char *path, struct hq_str server_uid, struct hq_err *err)
{
    char head_bytes[HQ_STREAM_HEAD_BYTES + HQ_STREAM_UID_BYTES_MAX];
    struct hq_stream_head head;
    size_t head_len = 0;
    struct stat st;
    size_t len = 0;
    int fd = hq_fs_open(path, O_RDONLY, 0, err);

    if (fd < 0) {
        return fd;
    }
    int rc = fstat(fd, &st) < 0 ? -errno : read_at(fd, 0, head_bytes, sizeof(head_bytes), &len);
    if (rc < 0) {
        (void)close(fd); /* read only */
        return hq_err_set(err, rc, "%s", hq_err_os(rc));
    }
    if (!S_ISREG(st.st_mode) || hq_stream_head_parse(hq_str_make(head_bytes, len), &head, &head_len) < 0 ||
        (server_uid.len > 0 && !hq_str_eq(server_uid, head.server_uid))) {
        (void)close(fd); /* read only */
        return 0;
    }
    hq_xgrow(&ix->files, &ix->file_cap, ix->file_count + 1, sizeof(*ix->files));
    ix->files[ix->file_count++] =
        (struct stream_file){.fd = fd, .path = hq_xstrdup(path), .server_uid = hq_str_dupz(head.server_uid)};
    rc = read_records(ix, &ix->files[ix->file_count - 1], head_len, (uint64_t)st.st_size);
    return rc < 0 ? hq_err_set(err, rc, "%s", hq_err_os(rc)) : 0;
}

static int
name_filter(const struct dirent *e)
{
    struct hq_str name = hq_str_from(e->d_name);

    return hq_str_ends(name, HQ_STR(HQ_STREAM_SUFFIX)) && e->d_name[0] != '.';
}

static int
read_dir(struct stream_index *ix, const char *path, struct hq_str server_uid, struct hq_err *err)
{
    struct dirent **names = NULL;
    int count = scandir(path, &names, name_filter, alphasort);
    int rc = 0;

    if (count < 0) {
        return hq_err_set(err, -errno, "%s", hq_err_os(errno));
    }
    for (int i = 0; i < count; i++) {
        HQ_AUTO(hq_buf_fini) struct hq_buf file = HQ_BUF_INIT;
        hq_buf_printf(&file, "%s/%s", path, names[i]->d_name);
        rc = rc < 0 ? rc : read_file(ix, file.ptr, server_uid, err);
        free(names[i]);
    }
    free(names);
    if (rc == 0 && count == 0) {
        return hq_err_set(err, -ENOENT, "Error: No log files found");
    }
    return rc;
}

/* ---- after reading */
static int
check_one_server(const struct stream_index *ix, struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    bool is_one = true;

    for (size_t i = 0; i < ix->file_count; i++) {
        bool is_seen = false;
        for (size_t k = 0; k < i && !is_seen; k++) {
            is_seen = strcmp(ix->files[i].server_uid, ix->files[k].server_uid) == 0;
        }
        if (!is_seen) {
            is_one = is_one && text.len == 0;
            hq_buf_printf(&text, "%s\n", ix->files[i].server_uid);
        }
    }
    if (is_one) {
        return 0;
    }
    return hq_err_set(err, -EEXIST,
                      "Error: Found streams from multiple server instances:\n%sUse --server-uid=... to specify server uid",
                      text.ptr);
}

static void
find_live(struct stream_index *ix)
{
    for (size_t i = 0; i < ix->stream_count; i++) {
        struct stream *s = &ix->streams[i];
        uint64_t key = hq_map_key2(s->job.v, s->task);
        uint64_t at = hq_map_get(&ix->live, key, 0);
        if (at != 0 && ix->streams[at - 1].instance >= s->instance) {
            continue;
        }
        if (at != 0) {
            ix->streams[at - 1].is_live = false;
        }
        s->is_live = true;
        hq_map_set(&ix->live, key, i + 1);
    }
}

int
stream_index_create(struct stream_index **ret, const char *path, struct hq_str server_uid, struct hq_err *err)
{
    HQ_AUTO(stream_index_destroyp) struct stream_index *ix = hq_xalloc(sizeof(*ix));
    struct hq_str name = hq_str_from(path);
    int rc;

    hq_map_init(&ix->live, 0);
    if (hq_str_ends(name, HQ_STR(HQ_STREAM_SUFFIX)) && !hq_fs_is_dir(path)) {
        rc = read_file(ix, path, server_uid, err);
    } else {
        rc = read_dir(ix, path, server_uid, err);
    }
    if (rc == 0) {
        rc = check_one_server(ix, err);
    }
    if (rc < 0) {
        return rc;
    }
    find_live(ix);
    *ret = ix;
    ix = NULL;
    return 0;
}

static int
cmp_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

void
stream_index_summary(const struct stream_index *ix, struct stream_summary *ret)
{
    HQ_AUTO(hq_mem_freep) uint32_t *jobs = hq_xcalloc(ix->stream_count + 1, sizeof(*jobs));

    *ret = (struct stream_summary){.file_count = ix->file_count,
                                   .task_count = ix->live.count,
                                   .stream_count = ix->stream_count,
                                   .superseded_count = ix->stream_count - ix->live.count};
    for (size_t i = 0; i < ix->stream_count; i++) {
        const struct stream *s = &ix->streams[i];
        uint64_t *bytes = s->is_live ? ret->bytes : ret->superseded_bytes;
        bytes[0] += s->bytes[0];
        bytes[1] += s->bytes[1];
        ret->opened_count += s->is_live && !s->is_finished;
        jobs[i] = s->job.v;
    }
    qsort(jobs, ix->stream_count, sizeof(*jobs), cmp_u32);
    for (size_t i = 0; i < ix->stream_count; i++) {
        ret->job_count += i == 0 || jobs[i] != jobs[i - 1];
    }
}

static int
cmp_stream(const void *a, const void *b, void *ctx)
{
    const struct stream_index *ix = ctx;
    const struct stream *x = &ix->streams[*(const uint32_t *)a];
    const struct stream *y = &ix->streams[*(const uint32_t *)b];

    if (x->job.v != y->job.v) {
        return x->job.v < y->job.v ? -1 : 1;
    }
    return x->task < y->task ? -1 : x->task > y->task;
}

size_t
stream_index_live(const struct stream_index *ix, hq_job_id job, uint32_t **ret)
{
    uint32_t *v = hq_xcalloc(ix->stream_count + 1, sizeof(*v));
    struct stream_index view = *ix; /* the comparison wants no const */
    size_t n = 0;

    for (size_t i = 0; i < ix->stream_count; i++) {
        if (ix->streams[i].is_live && (job.v == 0 || ix->streams[i].job.v == job.v)) {
            v[n++] = (uint32_t)i;
        }
    }
    qsort_r(v, n, sizeof(*v), cmp_stream, &view);
    *ret = v;
    return n;
}

const struct stream *
stream_index_find(const struct stream_index *ix, hq_job_id job, hq_task_ix task)
{
    uint64_t at = hq_map_get(&ix->live, hq_map_key2(job.v, task), 0);

    return at == 0 ? NULL : &ix->streams[at - 1];
}

int
stream_index_read(const struct stream_index *ix, const struct stream_chunk *c, struct hq_buf *out, struct hq_err *err)
{
    const struct stream_file *f = &ix->files[c->file_ix];
    size_t len = 0;

    hq_buf_reserve(out, c->size);
    int rc = read_at(f->fd, c->offset, out->ptr + out->len, c->size, &len);
    if (rc < 0) {
        return hq_err_set(err, rc, "Cannot read %s: %s", f->path, hq_err_os(rc));
    }
    if (len != c->size || hq_crc32c(0, out->ptr + out->len, len) != c->data_crc) {
        return hq_err_set(err, -EBADMSG, "Stream file %s is damaged at offset %llu", f->path,
                          (unsigned long long)c->offset);
    }
    out->len += len;
    out->ptr[out->len] = '\0';
    return 0;
}
