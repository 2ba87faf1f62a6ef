/* The journal on a real file: commits, failed writes, a new file after them, readers beside the writer, prune. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dirent.h>
#include <ev.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "hqd/journal.h"

#define WAIT_MS_MAX 20000

struct world {
    struct ev_loop *loop;
    struct hq_bridge *bridge;
    struct journal *j;
    char dir[64];
    char path[128];
    uint64_t progress_count;
    bool is_foreign; /* what check_owner_thr says */
};

static void
on_progress(void *ctx)
{
    ((struct world *)ctx)->progress_count++;
}

static int
check_owner_thr(void *ctx, struct hq_err *err)
{
    struct world *w = ctx;
    return __atomic_load_n(&w->is_foreign, __ATOMIC_SEQ_CST) ? hq_err_set(err, -EPERM, "another hqd writes here") : 0;
}

static void
open_journal(struct world *w, const struct journal_resume *resume)
{
    struct journal_conf conf = {.bridge = w->bridge,
                                .path = w->path,
                                .ctx = w,
                                .on_progress = on_progress,
                                .check_owner_thr = check_owner_thr,
                                .resume = resume};
    struct hq_err err = {0};
    if (journal_create(&w->j, &conf, &err) < 0) {
        fail_msg("%s", err.text);
    }
}

static int
setup(void **state)
{
    struct world *w = test_calloc(1, sizeof *w);
    w->loop = ev_loop_new(EVFLAG_AUTO);
    snprintf(w->dir, sizeof w->dir, "%s", "/tmp/hq-test-journal-XXXXXX");
    if (mkdtemp(w->dir) == NULL || hq_bridge_create(&w->bridge, w->loop, 64, NULL, NULL) < 0) {
        return -1;
    }
    snprintf(w->path, sizeof w->path, "%s/j", w->dir);
    signal(SIGXFSZ, SIG_IGN);
    *state = w;
    return 0;
}

static int
teardown(void **state)
{
    struct world *w = *state;
    journal_destroy(w->j);
    hq_bridge_destroy(w->bridge);
    ev_loop_destroy(w->loop);
    DIR *d = opendir(w->dir);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char name[400];
        snprintf(name, sizeof name, "%s/%s", w->dir, e->d_name);
        (void)unlink(name);
    }
    (void)closedir(d);
    int rc = rmdir(w->dir);
    test_free(w);
    return rc;
}

static void
on_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)loop;
    (void)t;
    (void)revents;
}

/* Runs the loop until `done(w)`; the timer only bounds one sleep of the loop. */
static void
run_until(struct world *w, bool (*done)(struct world *w))
{
    hq_ms until_ms = hq_clock_ms() + WAIT_MS_MAX;
    ev_timer t;
    ev_timer_init(&t, on_timer, 0.02, 0.02);
    ev_timer_start(w->loop, &t);
    while (!done(w)) {
        assert_true(hq_clock_ms() < until_ms);
        ev_run(w->loop, EVRUN_ONCE);
    }
    ev_timer_stop(w->loop, &t);
}

static bool
is_committed(struct world *w)
{
    return journal_committed_seq(w->j) == journal_appended_seq(w->j);
}
static bool
is_failing(struct world *w)
{
    return journal_failing(w->j, NULL);
}

static void
append(struct world *w, uint64_t first, uint64_t count, size_t pad)
{
    char text[400];
    for (uint64_t seq = first; seq < first + count; seq++) {
        int n = snprintf(text, sizeof text, "%" PRIu64 ":%0*d", seq, (int)pad, 0);
        journal_append(w->j, seq, hq_str_make(text, (size_t)n));
    }
}

/* Reads the whole journal as a restart would; checks bodies and that numbers go from `first` to `last` without a gap. */
static struct journal_resume
reread(struct world *w, uint64_t first, uint64_t last)
{
    struct hq_record_reader r = {.fd = -1};
    struct hq_err err = {0};
    struct journal_resume got = {0};
    if (hq_record_reader_open(&r, w->path, &err) < 0) {
        fail_msg("%s", err.text);
    }
    struct hq_record rec;
    uint64_t next = first;
    int rc;
    while ((rc = hq_record_next(&r, &rec, &err)) == 1) {
        assert_int_equal(rec.seq, next);
        next++;
        char text[32];
        int n = snprintf(text, sizeof text, "%" PRIu64 ":", rec.seq);
        assert_true(hq_str_starts(rec.body, hq_str_make(text, (size_t)n)));
        journal_index_add(&got.index, rec.seq - 1, rec.offset, rec.segment_ix);
    }
    if (rc < 0) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(next, last + 1);
    got.fd = journal_lock(w->path, &err);
    assert_true(got.fd >= 0);
    got.head = r.head;
    got.end_offset = r.file_offset;
    got.last_seq = r.last_seq;
    hq_record_reader_close(&r);
    return got;
}

static void
drop(struct journal_resume *resume)
{
    (void)close(resume->fd);
    journal_index_fini(&resume->index);
}

static void
test_commit_and_resume(void **state)
{
    struct world *w = *state;
    open_journal(w, NULL);
    assert_int_equal(journal_committed_seq(w->j), 0);
    append(w, 1, 3, 10);
    journal_submit(w->j, true, false);
    run_until(w, is_committed);
    assert_int_equal(journal_committed_seq(w->j), 3);
    assert_true(w->progress_count > 0);
    append(w, 4, 1000, 200);
    struct hq_err err = {0};
    assert_int_equal(journal_finish(w->j, WAIT_MS_MAX, &err), 0);
    journal_destroy(w->j);
    w->j = NULL;
    struct journal_resume resume = reread(w, 1, 1003);
    open_journal(w, &resume);
    append(w, 1004, 5, 0);
    assert_int_equal(journal_finish(w->j, WAIT_MS_MAX, &err), 0);
    journal_destroy(w->j);
    w->j = NULL;
    resume = reread(w, 1, 1008);
    drop(&resume);
    struct stat st;
    assert_int_equal(stat(w->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void
test_one_owner(void **state)
{
    struct world *w = *state;
    open_journal(w, NULL);
    struct hq_err err = {0};
    assert_int_equal(journal_lock(w->path, &err), -EBUSY);
    assert_non_null(strstr(err.text, "is in use by another server"));
    struct journal *second = NULL;
    struct journal_conf conf = {.bridge = w->bridge, .path = w->path, .ctx = w, .on_progress = on_progress};
    assert_int_equal(journal_create(&second, &conf, &err), -EEXIST);
}

static void
test_torn_tail_is_cut(void **state)
{
    struct world *w = *state;
    open_journal(w, NULL);
    append(w, 1, 10, 0);
    assert_int_equal(journal_finish(w->j, WAIT_MS_MAX, NULL), 0);
    append(w, 11, 1, 100);
    journal_submit(w->j, true, false);
    run_until(w, is_committed);
    journal_destroy(w->j);
    w->j = NULL;
    struct stat st;
    assert_int_equal(stat(w->path, &st), 0);
    for (off_t cut = 1; cut < 110; cut++) {
        assert_int_equal(truncate(w->path, st.st_size - cut), 0);
        struct journal_resume resume = reread(w, 1, 10);
        open_journal(w, &resume);
        append(w, 11, 1, 100);
        assert_int_equal(journal_finish(w->j, WAIT_MS_MAX, NULL), 0);
        journal_destroy(w->j);
        w->j = NULL;
        resume = reread(w, 1, 11);
        drop(&resume);
        /* back to a file that ends with record 11 */
        assert_int_equal(stat(w->path, &st), 0);
        assert_int_equal(truncate(w->path, st.st_size - 13), 0); /* the last mark */
        st.st_size -= 13;
    }
}

static void
set_file_limit(rlim_t bytes)
{
    struct rlimit lim;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &lim), 0);
    lim.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &lim), 0);
}

static void
test_failed_write_goes_to_a_new_file(void **state)
{
    struct world *w = *state;
    open_journal(w, NULL);
    append(w, 1, 100, 0);
    journal_submit(w->j, true, false);
    run_until(w, is_committed);
    uint64_t bytes = journal_bytes(w->j);

    /* No room for anything: not even a new file's head. */
    set_file_limit(16);
    append(w, 101, 50, 100);
    journal_submit(w->j, true, false);
    run_until(w, is_failing);
    struct hq_err why = {0};
    assert_true(journal_refuses(w->j, 0, &why));
    assert_int_equal(why.code, -EFBIG);
    assert_non_null(strstr(why.text, "Journal cannot be written"));
    assert_int_equal(journal_committed_seq(w->j), 100);
    append(w, 151, 10, 0); /* what timers say meanwhile waits as well */
    journal_submit(w->j, true, false);
    struct hq_err err = {0};
    assert_true(journal_finish(w->j, 100, &err) < 0);

    set_file_limit(RLIM_INFINITY);
    run_until(w, is_committed);
    assert_false(journal_failing(w->j, NULL));
    assert_false(journal_refuses(w->j, 0, NULL));
    assert_int_equal(journal_committed_seq(w->j), 160);

    /* Room for some: the file that hit the limit is left, the next one takes over at once. */
    set_file_limit((rlim_t)bytes + 2000);
    for (uint64_t i = 0; i < 20; i++) {
        append(w, 161 + i * 10, 10, 50);
        journal_submit(w->j, true, false);
        run_until(w, is_committed);
    }
    set_file_limit(RLIM_INFINITY);
    assert_int_equal(journal_finish(w->j, WAIT_MS_MAX, &err), 0);
    journal_destroy(w->j);
    w->j = NULL;
    struct journal_resume resume = reread(w, 1, 360);
    assert_true(resume.head.segment_ix >= 3);
    open_journal(w, &resume);
    append(w, 361, 1, 0);
    assert_int_equal(journal_finish(w->j, WAIT_MS_MAX, &err), 0);
    journal_destroy(w->j);
    w->j = NULL;
    resume = reread(w, 1, 361);
    drop(&resume);
}

/* ---- reading */
struct my_read {
    struct journal_read rd;
    struct world *w;
    bool is_done;
    uint64_t count;
};

static void
take_thr(struct journal_read *rd, uint64_t seq, struct hq_str body)
{
    ((struct my_read *)rd)->count++;
    hq_buf_printf(&rd->out, "%" PRIu64 "=%.*s;", seq, (int)hq_str_find_byte(body, ':'), body.ptr);
}

static void
read_done(struct journal_read *rd)
{
    struct my_read *m = (struct my_read *)rd;
    m->is_done = true;
}

static struct my_read *present;
static bool
read_is_done(struct world *w)
{
    (void)w;
    return present->is_done;
}

static void
do_read(struct world *w, struct my_read *m)
{
    m->rd.take_thr = take_thr;
    m->rd.done = read_done;
    m->is_done = false;
    m->count = 0;
    present = m;
    journal_read_start(w->j, &m->rd);
    run_until(w, read_is_done);
    if (m->rd.rc < 0) {
        fail_msg("%s", m->rd.err.text);
    }
}

static void
test_reading_beside_the_writer(void **state)
{
    struct world *w = *state;
    open_journal(w, NULL);
    struct my_read m = {0};
    uint64_t seen = 0;
    for (uint64_t i = 0; i < 300; i++) {
        append(w, 1 + i * 20, 20, 300);
        journal_submit(w->j, i % 3 == 0, true);
        if (i % 10 == 9) {
            m.rd.after_seq = seen;
            m.rd.until_seq = journal_written_seq(w->j);
            m.rd.bytes_max = 500;
            do_read(w, &m);
            assert_true(m.rd.last_seq >= seen);
            assert_true(m.rd.out.len <= 500);
            assert_int_equal(m.rd.has_more, m.rd.last_seq < m.rd.until_seq);
            seen = m.rd.last_seq;
        }
    }
    journal_submit(w->j, true, false);
    run_until(w, is_committed);
    m.rd.bytes_max = 1 << 20;
    m.rd.after_seq = 5990;
    m.rd.until_seq = 6000;
    do_read(w, &m);
    assert_true(hq_str_is(hq_buf_view(&m.rd.out),
                          "5991=5991;5992=5992;5993=5993;5994=5994;5995=5995;5996=5996;5997=5997;5998=5998;5999=5999;"
                          "6000=6000;"));
    static const uint64_t wanted[] = {7, 700, 3000, 5999};
    m.rd.after_seq = 0;
    m.rd.wanted = wanted;
    m.rd.wanted_count = HQ_ARRAY_LEN(wanted);
    do_read(w, &m);
    assert_true(hq_str_is(hq_buf_view(&m.rd.out), "7=7;700=700;3000=3000;5999=5999;"));
    hq_buf_fini(&m.rd.out);
}

/* ---- prune */
struct my_prune {
    struct journal_prune p;
    bool is_done;
    int rc;
};

static void
scan_thr(void *ctx, struct hq_str body)
{
    (void)body;
    (*(uint64_t *)ctx)++;
}
/* Keeps every hundredth, and 57. */
static bool
keep_thr(void *ctx, uint64_t seq, struct hq_str body)
{
    (void)ctx;
    ptrdiff_t colon = hq_str_find_byte(body, ':');
    return seq == 57 || (colon >= 3 && body.ptr[colon - 1] == '0' && body.ptr[colon - 2] == '0');
}
static void
prune_done(struct journal_prune *p, int rc, const struct hq_err *err)
{
    struct my_prune *m = (struct my_prune *)p;
    m->is_done = true;
    m->rc = rc;
    if (rc < 0) {
        print_message("prune: %s\n", err->text);
    }
}
static struct my_prune *present_prune;
static bool
prune_is_done(struct world *w)
{
    (void)w;
    return present_prune->is_done;
}

static void
test_prune_while_writing(void **state)
{
    struct world *w = *state;
    open_journal(w, NULL);
    set_file_limit(4000); /* several files before the prune */
    for (uint64_t i = 0; i < 10; i++) {
        append(w, 1 + i * 10, 10, 200);
        journal_submit(w->j, true, false);
        run_until(w, is_committed);
    }
    set_file_limit(RLIM_INFINITY);
    append(w, 101, 900, 200);
    journal_submit(w->j, true, false);
    run_until(w, is_committed);
    uint64_t scanned = 0;
    struct my_prune m = {
        .p = {.ctx = &scanned, .scan_thr = scan_thr, .keep_thr = keep_thr, .until_seq = 1000, .done = prune_done}};
    present_prune = &m;
    struct hq_err err = {0};
    assert_int_equal(journal_prune_start(w->j, &m.p, &err), 0);
    struct my_prune second = m;
    assert_int_equal(journal_prune_start(w->j, &second.p, &err), -EBUSY);
    append(w, 1001, 500, 100);
    journal_submit(w->j, true, false);
    run_until(w, prune_is_done);
    assert_int_equal(m.rc, 0);
    assert_int_equal(scanned, 1000);
    append(w, 1501, 500, 100);
    journal_submit(w->j, true, false);
    run_until(w, is_committed);

    struct my_read rd = {0};
    rd.rd.until_seq = 2000;
    rd.rd.bytes_max = 1 << 20;
    do_read(w, &rd);
    assert_int_equal(rd.count, 11 + 1000);
    assert_true(hq_str_starts(hq_buf_view(&rd.rd.out), HQ_STR("57=57;100=100;200=200;300=300;")));
    hq_buf_fini(&rd.rd.out);

    assert_int_equal(journal_finish(w->j, WAIT_MS_MAX, &err), 0);
    journal_destroy(w->j);
    w->j = NULL;
    char name[160];
    snprintf(name, sizeof name, "%s.0", w->path);
    assert_int_equal(access(name, F_OK), -1);
    snprintf(name, sizeof name, "%s.tmp", w->path);
    assert_int_equal(access(name, F_OK), -1);
    struct hq_record_reader r = {.fd = -1};
    struct hq_record rec;
    uint64_t count = 0;
    assert_int_equal(hq_record_reader_open(&r, w->path, &err), 0);
    assert_int_equal(r.head.segment_ix, 0);
    while (hq_record_next(&r, &rec, &err) == 1) {
        count++;
    }
    assert_int_equal(r.end, HQ_RECORD_END_CLEAN);
    assert_int_equal(r.last_seq, 2000);
    assert_int_equal(count, 1011);
    hq_record_reader_close(&r);
}

static bool
keep_last_thr(void *ctx, uint64_t seq, struct hq_str body)
{
    (void)body;
    return seq == *(uint64_t *)ctx;
}

/* Asked before the writer has written what is to be pruned; each time all but the last record goes. */
static void
test_prune_ahead_of_the_writer(void **state)
{
    struct world *w = *state;
    open_journal(w, NULL);
    uint64_t last = 0;
    for (int round = 0; round < 100; round++) {
        append(w, last + 1, 3, 20);
        last += 3;
        journal_submit(w->j, true, false);
        struct my_prune m = {
            .p = {.ctx = &last, .keep_thr = keep_last_thr, .until_seq = last, .done = prune_done}};
        present_prune = &m;
        struct hq_err err = {0};
        assert_int_equal(journal_prune_start(w->j, &m.p, &err), 0);
        run_until(w, prune_is_done);
        assert_int_equal(m.rc, 0);
    }
    struct my_read rd = {0};
    rd.rd.until_seq = last;
    rd.rd.bytes_max = 1 << 20;
    do_read(w, &rd);
    assert_true(hq_str_is(hq_buf_view(&rd.rd.out), "300=300;"));
    hq_buf_fini(&rd.rd.out);
}

static bool
is_lost(struct world *w)
{
    return journal_lost(w->j, NULL);
}

static void
test_taken_over(void **state)
{
    struct world *w = *state;
    open_journal(w, NULL); /* nothing was written for longer than JOURNAL_QUIET_MS: the owner is asked */
    __atomic_store_n(&w->is_foreign, true, __ATOMIC_SEQ_CST);
    append(w, 1, 1, 0);
    journal_submit(w->j, true, false);
    run_until(w, is_lost);
    struct hq_err why = {0};
    assert_true(journal_lost(w->j, &why));
    assert_string_equal(why.text, "another hqd writes here");
    assert_int_equal(journal_committed_seq(w->j), 0);
    journal_destroy(w->j);
    w->j = NULL;
    struct journal_resume resume = reread(w, 1, 0);
    drop(&resume);
}

static void
test_create_errors(void **state)
{
    struct world *w = *state;
    struct hq_err err = {0};
    struct journal_conf conf = {.bridge = w->bridge, .path = "/nonexistent/j.bin", .ctx = w, .on_progress = on_progress};
    assert_int_equal(journal_create(&w->j, &conf, &err), -ENOENT);
    assert_string_equal(err.text,
                        "Cannot create event log file at `/nonexistent/j.bin`: No such file or directory (os error 2)");
    w->j = NULL;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_commit_and_resume, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_owner, setup, teardown),
        cmocka_unit_test_setup_teardown(test_torn_tail_is_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failed_write_goes_to_a_new_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reading_beside_the_writer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_prune_while_writing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_prune_ahead_of_the_writer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_taken_over, setup, teardown),
        cmocka_unit_test_setup_teardown(test_create_errors, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
