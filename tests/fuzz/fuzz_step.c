/* What hq-workerd reads of other nodes, of local processes that speak in frames, and of hqd. */
#include "tests/fuzz/fuzz.h"

#include "common/wire.h"
#include "hq-workerd/link_msg.h"
#include "hq-workerd/step_msg.h"

#include "proto/step.pb-c.h"

/* Frames are passed on by what peek says: what decodes must say the same. */
static void
try_frame(struct fuzz *f)
{
    struct step_head head;
    struct step_hello hello;
    struct step_rexec r;
    bool is_lost;
    ProtobufCMessage *base = NULL;
    int rc = step_msg_peek(f->text, &head);

    if (rc == 0 && hq_wire_unpack(f->text, &hq__step_msg__descriptor, &f->arena, &base, NULL) == 0) {
        const Hq__StepMsg *m = (const Hq__StepMsg *)(const void *)base;
        MUST(m->from == head.from && m->to == head.to && (uint32_t)m->what_case == head.what);
    }
    if (step_msg_hello(f->text, &f->arena, &hello) == 0) {
        MUST(hello.token.len <= f->text.len);
    }
    (void)step_msg_abort_is_lost(f->text, &f->arena, &is_lost);
    if (step_msg_rexec(f->text, &f->arena, &r) == 0) {
        struct hq_buf out = HQ_BUF_INIT;
        struct step_rexec again;
        MUST(r.what != STEP_MSG_REXEC_DATA || r.channel <= 2);
        step_msg_pack_rexec(&out, 1, 2, &r);
        MUST(step_msg_peek(hq_buf_view(&out), &head) == 0 && head.from == 1 && head.to == 2 && head.what == r.what);
        MUST(step_msg_rexec(hq_buf_view(&out), &f->arena, &again) == 0 && again.stream == r.stream);
        MUST(hq_str_eq(again.data, r.data) && hq_str_eq(again.command, r.command) && again.is_for_run == r.is_for_run);
        hq_buf_fini(&out);
    }
}

static void
try_answer(struct fuzz *f)
{
    struct link_answer a;
    struct hq_err err = {0};
    int rc = link_read_answer(f->text, &f->arena, &a, &err);

    MUST_TELL(rc, err);
    if (rc < 0) {
        return;
    }
    for (size_t i = 0; i < a.command_count; i++) {
        const struct link_command *c = &a.commands[i];
        MUST((c->kind == LINK_BODY) == (c->body != NULL));
        MUST(c->kind != LINK_JOIN || c->step != NULL);
        MUST(c->step == NULL || c->step->node_ix < c->step->node_count);
    }
    link_answer_fini(&a);
}

void
fuzz_one(struct fuzz *f)
{
    struct link_registered r;
    struct hq_err err = {0};

    switch (fuzz_byte(f) % 3) {
    case 0:
        try_frame(f);
        break;
    case 1:
        try_answer(f);
        break;
    default: {
        int rc = link_read_registered(f->text, &f->arena, &r, &err);
        MUST_TELL(rc, err);
        break;
    }
    }
}
