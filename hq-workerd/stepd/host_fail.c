/* host_fail.c - what went wrong first, and its text. */
#include "hq-workerd/stepd/host_impl.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fs.h"

#define ERROR_FILE_BYTES 2048u
#define ECHO_MS 1000 /* an end this much later may be what an MPI library gave up for */

/* The first failure in time, but an echo comes behind what it may be the echo of. */
static bool
is_earlier(const struct host_failure *a, const struct host_failure *b)
{
    hq_wall_ms apart_ms = a->at_ms < b->at_ms ? b->at_ms - a->at_ms : a->at_ms - b->at_ms;

    if (a->is_echo != b->is_echo && apart_ms < ECHO_MS) {
        return b->is_echo;
    }
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->rank < b->rank;
}

static void
keep_failure(struct host *h, const struct host_failure *why)
{
    bool is_lost = h->first.is_node_lost || why->is_node_lost;

    if (!h->first.is_set || is_earlier(why, &h->first)) {
        hq_buf_fini(&h->first.text);
        h->first = *why;
        h->first.text = HQ_BUF_INIT;
        hq_buf_str(&h->first.text, hq_buf_view(&why->text));
    }
    h->first.is_node_lost = is_lost; /* a loss also makes ranks of other nodes fail */
}

void
host_tell_neighbours(struct host *h, uint32_t told_by)
{
    if (!host_is_root(h) && host_parent(h) != told_by) {
        host_send_abort(h, host_parent(h));
    }
    for (uint32_t i = 0; i < h->child_count; i++) {
        if (h->children[i].node != told_by && !h->children[i].has_ended) {
            host_send_abort(h, h->children[i].node);
        }
    }
}

void
host_fail(struct host *h, const struct host_failure *why, uint32_t told_by)
{
    bool is_news = !h->is_ending;

    keep_failure(h, why);
    if (is_news) {
        host_end_all(h, SIGTERM);
        host_tell_neighbours(h, told_by);
    }
}

void
host_fail_node(struct host *h, const char *text)
{
    struct host_failure why = {
        .is_set = true,
        .at_ms = hq_clock_wall_ms(),
        .rank = HOST_NO_RANK,
        .node = h->self,
        .exit_code = 1,
    };

    hq_buf_cstr(&why.text, text);
    host_fail(h, &why, h->self);
    hq_buf_fini(&why.text);
}

/* What the rank left for us in the error file of this node. */
static bool
read_error_file(struct hq_buf *ret)
{
    const char *path = getenv("HQ_ERROR_FILENAME");

    if (path == NULL || access(path, F_OK) < 0) {
        return false;
    }
    return hq_fs_read(ret, path, ERROR_FILE_BYTES, NULL) == 0 && ret->len > 0;
}

static const char *
signal_name(int sig)
{
    const char *name = sigabbrev_np(sig);

    return name == NULL || sig == 16 || sig > 19 ? NULL : name; /* those that texts of tasks name */
}

void
host_fail_rank(struct host *h, uint32_t rank, int exit_code, int sig, const char *text)
{
    struct host_failure why = {
        .is_set = true,
        .is_echo = exit_code > UINT8_MAX,
        .at_ms = hq_clock_wall_ms(),
        .rank = rank,
        .node = h->self,
        .exit_code = exit_code & UINT8_MAX,
        .signal = (uint32_t)sig,
    };

    if (text != NULL) {
        hq_buf_cstr(&why.text, text);
    } else if (sig != 0) {
        const char *name = signal_name(sig);
        hq_buf_printf(&why.text, "Program terminated with exit code -1. Received signal %d (%s%s).", sig,
                      name == NULL ? "" : "SIG", name == NULL ? "unknown" : name);
    } else if (!read_error_file(&why.text)) {
        hq_buf_printf(&why.text, "Program terminated with exit code %d.", exit_code);
    }
    host_fail(h, &why, h->self);
    hq_buf_fini(&why.text);
}

/* "rank 3 on n2: Program terminated with exit code 7." */
static void
print_failure(const struct host *h, struct hq_buf *out)
{
    const struct host_failure *f = &h->first;
    const char *host = f->node < h->node_count ? h->hosts[f->node] : "?";

    if (f->rank != HOST_NO_RANK) {
        hq_buf_printf(out, "rank %u on %s: ", f->rank, host);
    } else if (h->has_start) {
        hq_buf_printf(out, "node %s: ", host);
    }
    hq_buf_str(out, hq_buf_view(&f->text));
}

/* The worker reads the text of the task there. A rank's own text of this node is in the failure already. */
void
host_write_error(const struct host *h)
{
    const char *path = getenv("HQ_ERROR_FILENAME");
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;

    print_failure(h, &text);
    if (path == NULL || hq_fs_replace(path, hq_buf_view(&text), 0644, NULL) < 0) {
        hq_buf_byte(&text, '\n');
        (void)!hq_fs_write_all(STDERR_FILENO, text.ptr, text.len); /* nowhere else to say it */
    }
}
