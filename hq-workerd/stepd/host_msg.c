/* host_msg.c - StepMsg in and out. */
#include "hq-workerd/stepd/host_impl.h"

#include <signal.h>

#include "common/clock.h"
#include "common/mem.h"

static ProtobufCBinaryData
bytes_of(struct hq_str s)
{
    const void *p = s.ptr;

    return (ProtobufCBinaryData){.len = s.len, .data = (uint8_t *)(uintptr_t)p}; /* packing only reads */
}

static struct hq_str
str_of(const ProtobufCBinaryData *b)
{
    const void *p = b->data;

    return hq_str_make(p, b->len);
}

void
host_send(struct host *h, uint32_t to, Hq__StepMsg *msg)
{
    msg->from = h->self;
    msg->to = to;
    int rc = uplink_send(h->link, msg);
    HQ_ASSERT(rc != -EMSGSIZE); /* what may be long was cut; a link that is gone is noticed by its reader */
}

void
host_send_up(struct host *h)
{
    Hq__StepUp up = HQ__STEP_UP__INIT;
    Hq__StepMsg msg = HQ__STEP_MSG__INIT;

    up.nodes = 1;
    msg.what_case = HQ__STEP_MSG__WHAT_UP;
    msg.up = &up;
    host_send(h, host_parent(h), &msg);
}

void
host_send_go(struct host *h)
{
    Hq__StepGo go = HQ__STEP_GO__INIT;

    for (uint32_t i = 0; i < h->child_count; i++) {
        Hq__StepMsg msg = HQ__STEP_MSG__INIT;
        msg.what_case = HQ__STEP_MSG__WHAT_GO;
        msg.go = &go;
        host_send(h, h->children[i].node, &msg);
    }
}

static Hq__StepFailure
failure_out(const struct host_failure *f)
{
    Hq__StepFailure out = HQ__STEP_FAILURE__INIT;

    out.at_ms = (uint64_t)f->at_ms;
    out.rank = f->rank;
    out.node = f->node;
    out.exit_code = f->exit_code;
    out.signal = f->signal;
    out.is_echo = f->is_echo;
    out.text = bytes_of(hq_buf_view(&f->text));
    return out;
}

bool
host_read_failure(const Hq__StepFailure *f, struct host_failure *ret)
{
    if (f == NULL) {
        return false;
    }
    *ret = (struct host_failure){
        .is_set = true,
        .at_ms = (hq_wall_ms)f->at_ms,
        .rank = f->rank,
        .node = f->node,
        .exit_code = f->exit_code,
        .signal = f->signal,
        .is_echo = f->is_echo,
    };
    hq_buf_str(&ret->text, hq_str_sub(str_of(&f->text), 0, HQ_ERROR_TEXT_BYTES_MAX));
    return true;
}

void
host_send_ended(struct host *h)
{
    Hq__StepFailure first = failure_out(&h->first);
    Hq__StepEnded ended = HQ__STEP_ENDED__INIT;
    Hq__StepMsg msg = HQ__STEP_MSG__INIT;

    ended.first = h->first.is_set ? &first : NULL;
    msg.what_case = HQ__STEP_MSG__WHAT_ENDED;
    msg.ended = &ended;
    host_send(h, host_parent(h), &msg);
}

void
host_send_abort(struct host *h, uint32_t to)
{
    Hq__StepFailure why = failure_out(&h->first);
    Hq__StepAbort abort = HQ__STEP_ABORT__INIT;
    Hq__StepMsg msg = HQ__STEP_MSG__INIT;

    abort.why = h->first.is_set ? &why : NULL;
    abort.is_node_lost = h->first.is_node_lost;
    msg.what_case = HQ__STEP_MSG__WHAT_ABORT;
    msg.abort = &abort;
    host_send(h, to, &msg);
}

void
host_send_output(struct host *h, uint32_t rank, uint32_t channel, struct hq_str data, uint32_t to)
{
    const size_t most = HQ_STEP_MSG_BYTES_MAX / 2;

    while (data.len > 0) {
        Hq__StepOutput output = HQ__STEP_OUTPUT__INIT;
        Hq__StepMsg msg = HQ__STEP_MSG__INIT;
        output.rank = rank;
        output.channel = channel;
        output.data = bytes_of(hq_str_sub(data, 0, most));
        msg.what_case = HQ__STEP_MSG__WHAT_OUTPUT;
        msg.output = &output;
        host_send(h, to, &msg);
        data = hq_str_sub(data, most, data.len);
    }
}

static struct host_child *
find_child(struct host *h, uint32_t node)
{
    for (uint32_t i = 0; i < h->child_count; i++) {
        if (h->children[i].node == node) {
            return &h->children[i];
        }
    }
    return NULL;
}

static void
on_output(struct host *h, const Hq__StepOutput *output)
{
    struct hq_str data = str_of(&output->data);

    if (!host_is_root(h)) {
        host_send_output(h, output->rank, output->channel, data, host_parent(h));
    } else if (output->channel == 1 || output->channel == 2) {
        sink_write(&h->sinks[output->channel - 1], output->rank, data);
    }
}

static void
on_ended(struct host *h, uint32_t from, const Hq__StepEnded *ended)
{
    struct host_child *child = find_child(h, from);
    struct host_failure why;

    if (child == NULL) {
        return;
    }
    child->has_ended = true;
    if (host_read_failure(ended->first, &why)) {
        host_fail(h, &why, from);
        hq_buf_fini(&why.text);
    }
    host_look(h);
}

static void
on_abort(struct host *h, uint32_t from, const Hq__StepAbort *abort)
{
    struct host_failure why;

    if (!host_read_failure(abort->why, &why)) {
        host_told(h, SIGINT, from); /* the task is over, nobody's fault */
        return;
    }
    why.is_node_lost = abort->is_node_lost;
    host_fail(h, &why, from);
    hq_buf_fini(&why.text);
    host_look(h);
}

static void
on_node_lost(struct host *h, const Hq__StepNodeLost *lost)
{
    struct host_child *child = find_child(h, lost->node);
    struct host_failure why = {
        .is_set = true,
        .is_node_lost = true,
        .at_ms = hq_clock_wall_ms(),
        .rank = HOST_NO_RANK,
        .node = lost->node,
        .exit_code = 1,
    };

    if (child != NULL) {
        child->has_ended = true; /* and who is below it can't tell us: hqd ends those nodes */
    }
    hq_buf_printf(&why.text, "The connection to this node is lost (%.*s)", HQ_STR_FMT(str_of(&lost->text)));
    host_fail(h, &why, lost->node);
    hq_buf_fini(&why.text);
    host_look(h);
}

static void
on_start(struct host *h, const Hq__StepStart *start)
{
    struct hq_err err = {0};

    if (h->has_start) {
        return; /* said twice: nothing new */
    }
    ev_timer_stop(h->loop, &h->hello_limit);
    int rc = host_read_start(h, start, &err);
    if (rc == 0) {
        rc = host_prepare(h, start, &err);
    }
    if (rc < 0) {
        host_fail_node(h, err.text);
    } else {
        h->is_ready = true;
    }
    host_look(h);
}

void
host_on_message(void *ctx, const Hq__StepMsg *msg)
{
    struct host *h = ctx;
    struct host_child *child;

    if (msg->what_case == HQ__STEP_MSG__WHAT_START) {
        on_start(h, msg->start);
        return;
    }
    if (!h->has_start || h->is_done) {
        return;
    }
    switch ((int)msg->what_case) {
    case HQ__STEP_MSG__WHAT_UP:
        child = find_child(h, msg->from);
        if (child != NULL) {
            child->is_up = true;
        }
        host_look(h);
        break;
    case HQ__STEP_MSG__WHAT_GO:
        h->has_go = true;
        host_look(h);
        break;
    case HQ__STEP_MSG__WHAT_FENCE:
        host_on_fence(h, msg->from, msg->fence);
        break;
    case HQ__STEP_MSG__WHAT_OUTPUT:
        on_output(h, msg->output);
        break;
    case HQ__STEP_MSG__WHAT_ENDED:
        on_ended(h, msg->from, msg->ended);
        break;
    case HQ__STEP_MSG__WHAT_ABORT:
        on_abort(h, msg->from, msg->abort);
        break;
    case HQ__STEP_MSG__WHAT_NODE_LOST:
        on_node_lost(h, msg->node_lost);
        break;
    default:
        break; /* of a newer worker, or not for us */
    }
}
