/* test_stream.c - streams of tasks: short and long ones, full pipes, many at once, given up, left open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/crc32c.h"
#include "common/fs.h"
#include "common/streamlog.h"
#include "hq-workerd/stream.h"
#include "tests/unit/tmpdir.h"

#define TASKS_MAX 512

struct world {
    char *dir;
    struct streams *streams;
};

static int
setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct hq_err err = {0};
    assert_non_null(w);
    assert_true(sodium_init() >= 0);
    w->dir = tmpdir_make();
    assert_int_equal(0, streams_create(&w->streams, &err));
    streams_set_worker(w->streams, (hq_worker_id){7});
    *state = w;
    return 0;
}

static int
teardown(void **state)
{
    struct world *w = *state;
    streams_destroy(w->streams);
    tmpdir_remove(w->dir);
    free(w);
    return 0;
}

static struct stream *
open_task(struct world *w, uint32_t task, bool with_stderr, int fds[2])
{
    struct hq_err err = {0};
    struct stream *st = NULL;
    struct stream_open what = {.dir = w->dir, .server_uid = HQ_STR("uid"), .job = {1}, .task = task, .with_channel = {true, with_stderr}};
    assert_int_equal(0, stream_open(w->streams, &what, &st, fds, &err));
    assert_true(fds[0] >= 0);
    assert_int_equal(with_stderr, fds[1] >= 0);
    return st;
}

/* What the files of the directory hold: bytes and ends of each task, all sums right. */
struct content {
    uint64_t bytes[TASKS_MAX][2];
    uint32_t ends[TASKS_MAX];
    uint32_t files;
};

static void
read_file(const char *path, struct content *c)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    struct hq_err err = {0};
    struct hq_stream_head head;
    size_t at = 0;
    assert_int_equal(0, hq_fs_read(&text, path, 256u << 20, &err));
    assert_int_equal(0, hq_stream_head_parse(hq_buf_view(&text), &head, &at));
    assert_int_equal(7, head.worker.v);
    while (at < text.len) {
        struct hq_stream_record r;
        assert_int_equal(0, hq_stream_record_parse(hq_str_make(text.ptr + at, text.len - at), &r));
        at += HQ_STREAM_RECORD_HEAD_BYTES;
        assert_true(r.size <= text.len - at && r.task < TASKS_MAX);
        assert_int_equal(r.data_crc, hq_crc32c(0, text.ptr + at, r.size));
        at += r.size;
        c->bytes[r.task][r.channel] += r.size;
        c->ends[r.task] += r.kind == HQ_STREAM_END;
    }
}

static struct content *
read_all(const char *dir)
{
    struct content *c = calloc(1, sizeof *c);
    DIR *d = opendir(dir);
    assert_non_null(c);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (strstr(e->d_name, HQ_STREAM_SUFFIX) != NULL) {
            char path[512];
            (void)snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
            read_file(path, c);
            c->files++;
        }
    }
    closedir(d);
    return c;
}

static void
write_all(int fd, size_t count)
{
    static const char block[4096];
    for (size_t left = count; left > 0;) {
        ssize_t n = write(fd, block, left < sizeof block ? left : sizeof block);
        assert_true(n > 0);
        left -= (size_t)n;
    }
}

static void
test_short_task_is_whole_when_it_has_closed(void **state)
{
    struct world *w = *state;
    int fds[2];
    struct stream *st = open_task(w, 3, true, fds);
    write_all(fds[0], 6);
    write_all(fds[1], 2);
    close(fds[0]);
    close(fds[1]);
    assert_int_equal(0, stream_close(st));
    struct content *c = read_all(w->dir);
    assert_int_equal(1, c->files);
    assert_int_equal(6, c->bytes[3][0]);
    assert_int_equal(2, c->bytes[3][1]);
    assert_int_equal(1, c->ends[3]);
    free(c);
}

static void
test_output_is_in_the_file_while_the_task_runs(void **state)
{
    struct world *w = *state;
    int fds[2];
    uint64_t seen = 0;
    struct stream *st = open_task(w, 1, false, fds);
    write_all(fds[0], 10);
    for (hq_ms end = hq_clock_ms() + 20000; seen < 10 && hq_clock_ms() < end;) {
        struct content *c = read_all(w->dir);
        seen = c->bytes[1][0];
        assert_int_equal(0, c->ends[1]);
        free(c);
    }
    assert_int_equal(10, seen);
    close(fds[0]);
    assert_int_equal(0, stream_close(st));
}

/* More than any pipe holds, from several tasks at once: nobody may hang, though nobody closes a stream meanwhile. */
struct writer {
    pthread_t thread;
    int fd;
    size_t count;
};

static void *
writer_thr(void *arg)
{
    struct writer *wr = arg;
    write_all(wr->fd, wr->count);
    close(wr->fd);
    return NULL;
}

static void
large_round(struct world *w, uint32_t first)
{
    struct writer writers[8];
    struct stream *st[8];
    for (uint32_t i = 0; i < 8; i++) {
        int fds[2];
        st[i] = open_task(w, first + i, false, fds);
        writers[i] = (struct writer){.fd = fds[0], .count = (3u << 20) + i};
        assert_int_equal(0, pthread_create(&writers[i].thread, NULL, writer_thr, &writers[i]));
    }
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(0, pthread_join(writers[i].thread, NULL));
        assert_int_equal(0, stream_close(st[i]));
    }
}

static void
test_full_pipes(void **state)
{
    struct world *w = *state;
    large_round(w, 0);
    large_round(w, 8); /* from here on new ones are watched at once */
    int fds[2];
    struct stream *st = open_task(w, 16, false, fds);
    close(fds[0]);
    assert_int_equal(0, stream_close(st));
    struct content *c = read_all(w->dir);
    for (uint32_t i = 0; i < 16; i++) {
        assert_int_equal((3u << 20) + i % 8, c->bytes[i][0]);
        assert_int_equal(1, c->ends[i]);
    }
    assert_int_equal(1, c->ends[16]);
    free(c);
}

static void
test_many_open_at_once(void **state)
{
    struct world *w = *state;
    struct stream *st[300];
    int fds[300][2];
    for (uint32_t i = 0; i < 300; i++) {
        st[i] = open_task(w, i, i % 2 == 0, fds[i]);
    }
    for (uint32_t k = 0; k < 300; k++) {
        uint32_t i = (k * 7) % 300; /* in another order than they were opened: watched and fresh ones */
        write_all(fds[i][0], i + 1);
        close(fds[i][0]);
        if (fds[i][1] >= 0) {
            close(fds[i][1]);
        }
        assert_int_equal(0, stream_close(st[i]));
    }
    struct content *c = read_all(w->dir);
    for (uint32_t i = 0; i < 300; i++) {
        assert_int_equal(i + 1, c->bytes[i][0]);
        assert_int_equal(1, c->ends[i]);
    }
    free(c);
}

static void
test_given_up_and_left_open(void **state)
{
    struct world *w = *state;
    int fds[2], more[2];
    struct stream *st = open_task(w, 1, true, fds);
    stream_abandon(st);
    assert_int_equal(-1, write(fds[0], "x", 1)); /* SIGPIPE is ignored in main */
    close(fds[0]);
    close(fds[1]);
    (void)open_task(w, 2, false, more); /* its task outlives the worker: teardown frees it */
    close(more[0]);
    struct content *c = read_all(w->dir);
    assert_int_equal(0, c->ends[1] + c->ends[2]);
    assert_int_equal(0, c->bytes[1][0]);
    free(c);
}

static void
test_directory_that_cannot_be_made(void **state)
{
    struct world *w = *state;
    struct hq_err err = {0};
    struct stream *st = NULL;
    int fds[2];
    char path[512];
    (void)snprintf(path, sizeof path, "%s/file", w->dir);
    assert_int_equal(0, hq_fs_create(path, HQ_STR("x"), 0600, &err));
    struct stream_open what = {.dir = path, .server_uid = HQ_STR("uid"), .job = {1}, .task = 1, .with_channel = {true, true}};
    assert_true(stream_open(w->streams, &what, &st, fds, &err) < 0);
    assert_non_null(strstr(err.text, "Cannot create stream directory"));
    assert_null(st);
}

/* Pipes of hq-stepd: frames cut at any place become records of their ranks; what is no frame is kept, of no rank. */
static void
test_ranks(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *expect; /* "RANK1:TEXT " of each rank's bytes in a row */
    } rows[] = {
        {"HQrk\2\0\0\0\3\0\0\0abcHQrk\0\0\0\0\0\0\0\0HQrk\xfe\xff\0\0\1\0\0\0x", 40, "3:abc 65535:x "},
        {"HQrk\xff\xff\0\0\1\0\0\0x", 13, "0:x "}, /* a rank too large for the record */
        {"HQrk\1\0\0\0\5\0\0\0ab", 14, "2:ab "},     /* it was killed */
        {"HQrk\1\0\0\0\1\0\0\0aoh dear, no frame", 30, "2:a 0:oh dear, no frame "},
        {"HQrk\1\0\0\0\1\0\0\0ashort", 18, "2:a 0:short "},
        {"err\n", 4, "0:err\n "},
        {"", 0, ""},
    };
    struct world *w = *state;

    for (uint32_t i = 0; i < HQ_ARRAY_LEN(rows); i++) {
        for (size_t step = 1; step <= 41; step += 8) {
            struct hq_err err = {0};
            struct hq_buf text = HQ_BUF_INIT, got = HQ_BUF_INIT, path = HQ_BUF_INIT;
            struct hq_stream_head head;
            struct stream *st = NULL;
            size_t at = 0;
            int fds[2], last = -1;
            hq_buf_printf(&path, "%s/%u-%zu", w->dir, i, step);
            struct stream_open what = {.dir = path.ptr, .server_uid = HQ_STR("uid"), .job = {1}, .task = i,
                                       .with_channel = {true, false}, .is_ranked = true};
            assert_int_equal(0, stream_open(w->streams, &what, &st, fds, &err));
            for (size_t k = 0; k < rows[i].len; k += step) {
                size_t n = rows[i].len - k < step ? rows[i].len - k : step;
                assert_int_equal((ssize_t)n, write(fds[0], rows[i].bytes + k, n));
            }
            close(fds[0]);
            assert_int_equal(0, stream_close(st));
            DIR *d = opendir(path.ptr);
            assert_non_null(d);
            for (struct dirent *e; (e = readdir(d)) != NULL;) {
                if (strstr(e->d_name, HQ_STREAM_SUFFIX) != NULL) {
                    hq_buf_printf(&path, "/%s", e->d_name);
                }
            }
            closedir(d);
            assert_int_equal(0, hq_fs_read(&text, path.ptr, 1u << 20, &err));
            assert_int_equal(0, hq_stream_head_parse(hq_buf_view(&text), &head, &at));
            while (at < text.len) {
                struct hq_stream_record r;
                assert_int_equal(0, hq_stream_record_parse(hq_str_make(text.ptr + at, text.len - at), &r));
                at += HQ_STREAM_RECORD_HEAD_BYTES;
                assert_int_equal(r.data_crc, hq_crc32c(0, text.ptr + at, r.size));
                if (r.kind == HQ_STREAM_DATA) {
                    if (r.rank1 != last) {
                        hq_buf_printf(&got, last < 0 ? "%u:" : " %u:", r.rank1);
                        last = r.rank1;
                    }
                    hq_buf_add(&got, text.ptr + at, r.size);
                }
                at += r.size;
            }
            hq_buf_cstr(&got, last < 0 ? "" : " ");
            assert_string_equal(rows[i].expect, got.ptr == NULL ? "" : got.ptr);
            hq_buf_fini(&text);
            hq_buf_fini(&got);
            hq_buf_fini(&path);
        }
    }
}

int
main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_short_task_is_whole_when_it_has_closed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_output_is_in_the_file_while_the_task_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_pipes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_open_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_given_up_and_left_open, setup, teardown),
        cmocka_unit_test_setup_teardown(test_directory_that_cannot_be_made, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ranks, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
