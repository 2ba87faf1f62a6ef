/* What clients and allocators send (envelope, message, the input made of it), and what hq gets as answers. */
#include "tests/fuzz/fuzz.h"

#include "hqd/ingress.h"

#include "proto/alloc.pb-c.h"
#include "proto/client.pb-c.h"

static const ProtobufCMessageDescriptor *const answers[] = {
    &hq__error__descriptor,
    &hq__server_info_answer__descriptor,
    &hq__submitted__descriptor,
    &hq__job_results__descriptor,
    &hq__job_forgotten__descriptor,
    &hq__job_list_answer__descriptor,
    &hq__job_detail_answer__descriptor,
    &hq__task_page_answer__descriptor,
    &hq__job_watch_answer__descriptor,
    &hq__worker_list_answer__descriptor,
    &hq__worker_results__descriptor,
    &hq__task_explain_answer__descriptor,
    &hq__follow_answer__descriptor,
    &hq__alloc_list_answer__descriptor,
    &hq__alloc_turn_answer__descriptor,
};

static int
try_request(struct fuzz *f, enum peer_door door, struct hq_str payload, struct hq_err *err)
{
    struct uploads uploads = {0};
    struct ingress_msg m;
    struct input in;
    int rc = ingress_open(door, payload, &f->arena, &m, err);
    if (rc == 0 && m.row->input != 0) {
        rc = ingress_input(&m, &uploads, HQ_STR("0123456789abcdef"), &f->arena, &in, err);
        MUST(rc < 0 || in.kind == m.row->input);
    } else if (rc == 0 && m.head.type == HQ__MESSAGE_TYPE__TYPE_SUBMIT_PART) {
        rc = ingress_check_part(m.msg, &f->arena, err);
    }
    uploads_fini(&uploads);
    return rc;
}

static int
try_answer(struct fuzz *f, struct hq_err *err)
{
    const ProtobufCMessageDescriptor *desc = answers[fuzz_byte(f) % HQ_ARRAY_LEN(answers)];
    ProtobufCMessage *msg = NULL;
    int rc = hq_wire_unpack(f->text, desc, &f->arena, &msg, err);
    MUST(rc < 0 || protobuf_c_message_check(msg));
    return rc;
}

void
fuzz_one(struct fuzz *f)
{
    struct hq_err err = {0};
    struct hq_buf payload = HQ_BUF_INIT;
    uint8_t which = fuzz_byte(f);
    int rc;
    if (which % 4 == 0) {
        rc = try_answer(f, &err);
    } else if (which % 4 == 1) { /* any bytes, envelope included */
        rc = try_request(f, PEER_CLIENTS, f->text, &err);
    } else { /* a good envelope of the type that the next byte says */
        const unsigned char head[HQ_WIRE_HEAD_BYTES] = {'H', 'Q', HQ_WIRE_VERSION, 0, fuzz_byte(f)};
        hq_buf_add(&payload, head, sizeof head);
        hq_buf_str(&payload, f->text);
        rc = try_request(f, PEER_CLIENTS, hq_buf_view(&payload), &err);
    }
    MUST_TELL(rc, err);
    hq_buf_fini(&payload);
}
