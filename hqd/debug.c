#include "hqd/shell_impl.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/fs.h"
#include "common/mem.h"
#include "common/out_json.h"
#include "hqd/core/query.h"
#include "hqd/egress.h"

/* The dump is made in the loop and written by a thread of its own: the path may lie on a filesystem that hangs. */

struct dump {
    struct shell *s;
    struct hq_bridge *bridge;
    uint64_t handle;
    uint64_t request_id;
    char *path;
    struct hq_buf text;
    int rc;
    struct hq_err err;
};

static void
dump_done(void *ctx, void *item)
{
    struct shell *s = ctx;
    struct dump *d = item;
    s->reads_out--;
    if (d->rc < 0) {
        shell_refuse(s, d->handle, d->rc, d->err.text);
    } else {
        hq_buf_clear(&s->answer_bytes);
        egress_done(&s->answer_bytes, d->request_id);
        shell_answer_now(s, d->handle, hq_buf_view(&s->answer_bytes));
    }
    hq_buf_fini(&d->text);
    free(d->path);
    free(d);
}

static void *
dump_main(void *arg)
{
    struct dump *d = arg;
    int fd = hq_fs_open(d->path, O_WRONLY | O_CREAT | O_TRUNC, 0666, &d->err);
    d->rc = fd;
    if (fd >= 0) {
        d->rc = hq_fs_write_all(fd, d->text.ptr, d->text.len);
        hq_fs_closep(&fd);
        if (d->rc < 0) {
            (void)hq_err_set(&d->err, d->rc, "%s", hq_err_os(d->rc));
        }
    }
    if (d->rc < 0) {
        (void)hq_err_prefix(&d->err, "Could not write debug dump");
    }
    hq_bridge_post_must_thr(d->bridge, dump_done, d->s, d);
    return NULL;
}

/* {"tako": {...}}: the name of the outer key is the reference's. The lines of the core are its canonical text. */
static void
make_text(struct shell *s, struct hq_buf *out)
{
    struct query_server server;
    query_server(s->core, &server);
    HQ_AUTO(hq_buf_fini) struct hq_buf lines = HQ_BUF_INIT;
    query_dump(s->core, false, &lines);
    struct hq_json j;
    hq_json_init(&j, out, true);
    hq_json_object(&j);
    hq_json_key(&j, "tako");
    hq_json_object(&j);
    hq_json_put_u64(&j, "committed_record", s->committed_seq);
    hq_json_put_u64(&j, "jobs", server.job_count);
    hq_json_put_u64(&j, "journal_bytes", journal_bytes(s->journal));
    hq_json_put_u64(&j, "newest_record", server.newest_seq);
    hq_json_key(&j, "state");
    hq_json_array(&j);
    struct hq_str rest = hq_buf_view(&lines);
    struct hq_str line;
    while (rest.len > 0) {
        (void)hq_str_split(&rest, '\n', &line);
        hq_json_str(&j, line);
    }
    hq_json_array_end(&j);
    hq_json_put_u64(&j, "workers", server.worker_count);
    hq_json_put_u64(&j, "written_record", s->written_seq);
    hq_json_object_end(&j);
    hq_json_object_end(&j);
    hq_buf_byte(out, '\n');
}

void
debug_dump(struct shell *s, uint64_t handle, uint64_t request_id, struct hq_str path)
{
    struct dump *d = hq_xalloc(sizeof *d);
    d->s = s;
    d->bridge = s->conf.bridge;
    d->handle = handle;
    d->request_id = request_id;
    d->path = hq_str_dupz(path);
    make_text(s, &d->text);
    pthread_t t;
    int rc = pthread_create(&t, NULL, dump_main, d);
    s->reads_out++;
    if (rc != 0) {
        d->rc = hq_err_sys(&d->err, -rc, "Could not write debug dump");
        dump_done(s, d);
        return;
    }
    (void)pthread_detach(t); /* the end of hqd waits for reads_out */
}
