/* peer_wire.c - one connection between two nodes: hello, handshake, sealed frames. */
#include "hq-workerd/peer_impl.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"

static const char magic[4] = {'H', 'Q', 'P', '1'};

static void
hello_put(unsigned char *at, const struct peer_name *n)
{
    const uint32_t v[5] = {n->job, n->task, n->instance, n->caller, n->called};

    memcpy(at, magic, sizeof magic);
    for (size_t i = 0; i < HQ_ARRAY_LEN(v); i++) {
        framed_put_le32(at + sizeof magic + 4 * i, v[i]);
    }
}

static bool
hello_get(const unsigned char *at, struct peer_name *ret)
{
    uint32_t v[5];

    if (memcmp(at, magic, sizeof magic) != 0) {
        return false;
    }
    for (size_t i = 0; i < HQ_ARRAY_LEN(v); i++) {
        v[i] = framed_get_le32(at + sizeof magic + 4 * i);
    }
    *ret = (struct peer_name){.job = v[0], .task = v[1], .instance = v[2], .caller = v[3], .called = v[4]};
    return true;
}

_Static_assert(PEER_HELLO_BYTES == sizeof magic + 5 * 4, "hello of another size");

static void
wire_on_end(void *ctx, int rc)
{
    struct wire *w = ctx;

    if (w->state == WIRE_STRANGER || w->state == WIRE_ANSWERED) {
        stranger_drop(w);
    } else {
        peer_on_wire_end(w->peer, w, rc < 0 ? rc : -ECONNRESET);
    }
}

/* The first frame of who calls us. */
static int
wire_on_hello(struct wire *w, const unsigned char *body, size_t len)
{
    struct peer_name name;
    size_t hello_len;
    unsigned char none[1];

    if (len != PEER_HELLO_FRAME_BYTES || !hello_get(body, &name)) {
        return -EPROTO;
    }
    struct peer *peer = w->peers->conf.find(w->peers->conf.ctx, &name);
    if (peer == NULL || peer->is_lost) {
        return -ENOENT;
    }
    hq_seal_hs_init(&w->hs, HQ_SEAL_RESPONDER, hq_str_make((const char *)body, PEER_HELLO_BYTES), peer->key, NULL);
    int rc = hq_seal_hs_read(&w->hs, hq_str_make((const char *)body + PEER_HELLO_BYTES, HQ_SEAL_HELLO_BYTES), none, 0,
                             &hello_len);
    if (rc < 0) {
        return rc;
    }
    void *at = framed_put(w->framed, HQ_SEAL_HELLO_BYTES);
    if (at == NULL) {
        return -ENOMEM;
    }
    rc = hq_seal_hs_write(&w->hs, HQ_STR_NULL, at, HQ_SEAL_HELLO_BYTES, &hello_len);
    rc = rc < 0 ? rc : hq_seal_hs_split(&w->hs, &w->seal);
    if (rc == 0) {
        framed_flush(w->framed);
        w->peer = peer;
        w->state = WIRE_ANSWERED;
    }
    return rc;
}

static int
wire_on_answer(struct wire *w, const unsigned char *body, size_t len)
{
    size_t hello_len;
    unsigned char none[1];

    if (len != HQ_SEAL_HELLO_BYTES) {
        return -EPROTO;
    }
    int rc = hq_seal_hs_read(&w->hs, hq_str_make((const char *)body, len), none, 0, &hello_len);
    rc = rc < 0 ? rc : hq_seal_hs_split(&w->hs, &w->seal);
    if (rc == 0) {
        w->state = WIRE_UP;
        framed_set_max(w->framed, HQ_STEP_MSG_BYTES_MAX + HQ_SEAL_TAG_BYTES);
        rc = wire_send(w, HQ_STR_NULL); /* the other side counts us only now */
    }
    if (rc == 0) {
        peer_on_up(w->peer, w);
    }
    return rc;
}

/* A sealed frame; the first one of a caller makes him known. */
static int
wire_on_sealed(struct wire *w, unsigned char *body, size_t len)
{
    if (len < HQ_SEAL_TAG_BYTES) {
        return -EPROTO;
    }
    int rc = hq_seal_open(&w->seal, w->received, hq_str_make((const char *)body, len), body);
    if (rc < 0) {
        return rc;
    }
    w->received++;
    struct peer *peer = w->peer;
    if (w->state == WIRE_ANSWERED) {
        if (peer->in != NULL || peer->is_lost) {
            return -EALREADY;
        }
        stranger_take(w);
        w->state = WIRE_UP;
        framed_set_max(w->framed, HQ_STEP_MSG_BYTES_MAX + HQ_SEAL_TAG_BYTES);
        peer->in = w;
        peer_on_up(peer, w);
    }
    peer_on_frame(peer, hq_str_make((const char *)body, len - HQ_SEAL_TAG_BYTES)); /* the wire may be gone after this */
    return 0;
}

static void
wire_on_frame(void *ctx, unsigned char *body, size_t len)
{
    struct wire *w = ctx;
    int rc = 0;

    switch (w->state) {
    case WIRE_STRANGER:
        rc = wire_on_hello(w, body, len);
        break;
    case WIRE_CALLED:
        rc = wire_on_answer(w, body, len);
        break;
    case WIRE_ANSWERED:
    case WIRE_UP:
        rc = wire_on_sealed(w, body, len);
        break;
    }
    if (rc < 0) { /* the wire is still there: it goes only when a frame was right */
        wire_on_end(w, rc);
    }
}

static void
wire_on_drained(void *ctx)
{
    struct wire *w = ctx;

    if (w->state == WIRE_UP) {
        peer_on_drained(w->peer, w);
    }
}

int
wire_create(struct wire **ret, struct peers *p, int fd, enum wire_state state)
{
    struct wire *w = hq_try_alloc(sizeof(*w));
    const struct framed_calls calls = {
        .ctx = w, .on_frame = wire_on_frame, .on_drained = wire_on_drained, .on_end = wire_on_end};

    if (w == NULL || framed_create(&w->framed, p->conf.loop, fd, PEER_HELLO_FRAME_BYTES, &calls) < 0) {
        (void)close(fd);
        free(w);
        return -ENOMEM;
    }
    w->peers = p;
    w->state = state;
    w->since_ms = hq_clock_ms();
    *ret = w;
    return 0;
}

void
wire_destroy(struct wire *w)
{
    if (w == NULL) {
        return;
    }
    framed_destroy(w->framed);
    hq_seal_hs_fini(&w->hs);
    hq_seal_fini(&w->seal);
    free(w);
}

int
wire_call(struct wire *w, struct peer *peer)
{
    size_t len;
    unsigned char *at = framed_put(w->framed, PEER_HELLO_FRAME_BYTES);

    if (at == NULL) {
        return -ENOMEM;
    }
    w->peer = peer;
    hello_put(at, &peer->conf.name);
    hq_seal_hs_init(&w->hs, HQ_SEAL_INITIATOR, hq_str_make((const char *)at, PEER_HELLO_BYTES), peer->key, NULL);
    int rc = hq_seal_hs_write(&w->hs, HQ_STR_NULL, at + PEER_HELLO_BYTES, HQ_SEAL_HELLO_BYTES, &len);
    if (rc == 0) {
        framed_flush(w->framed);
    }
    return rc;
}

int
wire_send(struct wire *w, struct hq_str frame)
{
    uint64_t counter;
    unsigned char *at = framed_put(w->framed, frame.len + HQ_SEAL_TAG_BYTES);

    if (at == NULL) {
        return -ENOMEM;
    }
    if (frame.len > 0) {
        memcpy(at, frame.ptr, frame.len);
    }
    int rc = hq_seal_close(&w->seal, hq_str_make((const char *)at, frame.len), at, &counter);
    framed_flush(w->framed);
    return rc;
}
