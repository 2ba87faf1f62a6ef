/* What ranks write on their PMI-1 sockets, a session of many lines, and the keys that another node sends. */
#include "tests/fuzz/fuzz.h"

#include "hq-workerd/stepd/pmi1.h"

static void
try_session(struct hq_str text)
{
    struct pmi1 *p = pmi1_create(4, HQ_STR("space"), HQ_STR("(vector,(0,1,4))"));
    struct pmi1_peer peer = {.state = PMI1_NEW};
    struct hq_buf answer = HQ_BUF_INIT, puts = HQ_BUF_INIT;
    struct hq_str line;
    bool more = true;

    while (more) {
        enum pmi1_event event = PMI1_NOTHING;
        int32_t code = 0;
        struct hq_err err = {0};
        more = hq_str_split(&text, '\n', &line);
        hq_buf_clear(&answer);
        int rc = pmi1_line(p, &peer, line, &answer, &event, &code, &err);
        MUST_TELL(rc, err);
        if (rc < 0) {
            break; /* its host ends it */
        }
        MUST(answer.len == 0 || answer.ptr[answer.len - 1] == '\n');
        MUST(hq_str_find_byte(hq_str_sub(hq_buf_view(&answer), 0, answer.len > 0 ? answer.len - 1 : 0), '\n') < 0);
        MUST(event != PMI1_BARRIER || peer.state == PMI1_IN_BARRIER);
        pmi1_barrier_out(&peer, &answer);
    }
    pmi1_take_puts(p, &puts);
    struct pmi1 *other = pmi1_create(4, HQ_STR("space"), HQ_STR("(vector,(0,1,4))"));
    MUST(pmi1_add_puts(other, hq_buf_view(&puts), NULL) == 0); /* what we send, we understand */
    pmi1_destroy(other);
    hq_buf_fini(&answer);
    hq_buf_fini(&puts);
    pmi1_destroy(p);
}

static void
try_puts(struct hq_str text)
{
    struct pmi1 *p = pmi1_create(4, HQ_STR("space"), HQ_STR("(vector,(0,1,4))"));
    struct hq_err err = {0};
    int rc = pmi1_add_puts(p, text, &err);

    MUST_TELL(rc, err);
    pmi1_destroy(p);
}

void
fuzz_one(struct fuzz *f)
{
    if (fuzz_byte(f) % 4 == 0) {
        try_puts(f->text);
    } else {
        try_session(f->text);
    }
}
