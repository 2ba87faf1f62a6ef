/* net_frame.c - frames, and the client's half of a session. No sockets: bytes in, bytes out. */
#include "common/net_priv.h"

#include <sodium.h>
#include <string.h>

void
hq_put_u64(unsigned char *p, uint64_t v)
{
    for (size_t ix = 0; ix < 8; ix++) {
        p[ix] = (unsigned char)(v >> (8 * ix));
    }
}

uint64_t
hq_get_u64(const unsigned char *p)
{
    uint64_t v = 0;
    for (size_t ix = 0; ix < 8; ix++) {
        v |= (uint64_t)p[ix] << (8 * ix);
    }
    return v;
}

void
hq_frame_head(unsigned char *out, enum hq_frame_type type, enum hq_role role, uint8_t reason)
{
    out[0] = (unsigned char)type;
    out[1] = HQ_FRAME_VERSION;
    out[2] = (unsigned char)role;
    out[3] = reason;
}

/* Bytes that must follow the head: no fewer, and no more where the size is fixed. */
static const struct frame_shape {
    size_t bytes_min;
    size_t bytes_max;
    bool has_ref;
} shapes[HQ_FRAME_TYPES] = {
    [HQ_FRAME_PLAIN] = {0, HQ_MSG_BYTES_MAX, false},
    [HQ_FRAME_HELLO] = {HQ_SEAL_HELLO_BYTES, HQ_SEAL_HELLO_BYTES, false},
    [HQ_FRAME_WELCOME] = {HQ_SEAL_HELLO_BYTES + 8, HQ_SEAL_HELLO_BYTES + 8, false},
    [HQ_FRAME_SEALED] = {16 + HQ_FRAME_PREFIX_BYTES + HQ_SEAL_TAG_BYTES,
                         16 + HQ_FRAME_PREFIX_BYTES + HQ_SEAL_TAG_BYTES + HQ_MSG_BYTES_MAX, true},
    [HQ_FRAME_UNKNOWN] = {16, 16, true},
    [HQ_FRAME_REFUSED] = {0, 0, false},
};

int
hq_frame_parse(struct hq_str msg, struct hq_frame *ret)
{
    const unsigned char *p = (const unsigned char *)msg.ptr;
    if (msg.len < HQ_FRAME_HEAD_BYTES || p[0] == 0 || p[0] >= HQ_FRAME_TYPES) {
        return -EPROTO;
    }
    if (p[1] != HQ_FRAME_VERSION) {
        return -EPROTONOSUPPORT;
    }
    const struct frame_shape *shape = &shapes[p[0]];
    size_t rest = msg.len - HQ_FRAME_HEAD_BYTES;
    if (rest < shape->bytes_min || rest > shape->bytes_max) {
        return -EPROTO;
    }
    struct hq_frame f = {.type = (enum hq_frame_type)p[0], .role = p[2], .reason = p[3]};
    size_t at = HQ_FRAME_HEAD_BYTES;
    if (shape->has_ref) {
        f.session = hq_get_u64(p + at);
        f.counter = hq_get_u64(p + at + 8);
        at += 16;
    }
    f.body = hq_str_sub(msg, at, msg.len);
    *ret = f;
    return 0;
}

int
hq_frame_seal(unsigned char *out, struct hq_seal *seal, enum hq_role role, uint64_t session, const uint64_t prefix[2],
              struct hq_str payload, uint64_t *ret_counter)
{
    HQ_ASSERT(payload.len <= HQ_MSG_BYTES_MAX);
    unsigned char *text = out + HQ_FRAME_HEAD_BYTES + 16;
    hq_frame_head(out, HQ_FRAME_SEALED, role, 0);
    hq_put_u64(text, prefix[0]);
    hq_put_u64(text + 8, prefix[1]);
    if (payload.len > 0) {
        memcpy(text + HQ_FRAME_PREFIX_BYTES, payload.ptr, payload.len);
    }
    uint64_t counter = 0;
    int rc = hq_seal_close(seal, hq_str_make((const char *)text, HQ_FRAME_PREFIX_BYTES + payload.len), text, &counter);
    if (rc < 0) {
        return rc;
    }
    hq_put_u64(out + HQ_FRAME_HEAD_BYTES, session);
    hq_put_u64(out + HQ_FRAME_HEAD_BYTES + 8, counter);
    *ret_counter = counter;
    return 0;
}

int
hq_frame_open(const struct hq_frame *f, struct hq_seal *seal, uint64_t ret_prefix[2], struct hq_str *ret_payload)
{
    HQ_ASSERT(f->type == HQ_FRAME_SEALED);
    unsigned char *text = (unsigned char *)(uintptr_t)f->body.ptr; /* in place: the caller owns these bytes */
    int rc = hq_seal_open(seal, f->counter, f->body, text);
    if (rc < 0) {
        return rc;
    }
    ret_prefix[0] = hq_get_u64(text);
    ret_prefix[1] = hq_get_u64(text + 8);
    *ret_payload = hq_str_sub(f->body, HQ_FRAME_PREFIX_BYTES, f->body.len - HQ_SEAL_TAG_BYTES);
    return 0;
}

void
hq_frame_prologue(unsigned char out[8], enum hq_role role)
{
    const unsigned char text[8] = {'h', 'q', ' ', 'n', 'e', 't', HQ_FRAME_VERSION, (unsigned char)role};
    memcpy(out, text, sizeof(text));
}

int
hq_frame_refusal(uint8_t reason, struct hq_err *err)
{
    static const struct {
        int code;
        const char *text;
    } rows[HQ_REFUSALS] = {
        [HQ_REFUSAL_SECRET] = {-EACCES, "the server refused our secret key"},
        [HQ_REFUSAL_SEALED] = {-EACCES, "the server wants an encrypted connection, but there is no secret key for it"},
        [HQ_REFUSAL_PLAIN] = {-EACCES, "the server speaks without encryption, which a side with a secret key refuses"},
        [HQ_REFUSAL_VERSION] = {-EPROTONOSUPPORT, "the server speaks another version of the protocol"},
        [HQ_REFUSAL_ROLE] = {-EACCES, "this port of the server is for others (clients and workers have their own)"},
    };
    if (reason == 0 || reason >= HQ_REFUSALS) {
        return hq_err_set(err, -EPROTO, "the server refused for an unknown reason (%u)", reason);
    }
    return hq_err_set(err, rows[reason].code, "%s", rows[reason].text);
}

/* ---- the client's half */

void
hq_chan_init(struct hq_chan *ch, enum hq_role role, const unsigned char *secret)
{
    *ch = (struct hq_chan){.role = role, .is_sealed = secret != NULL, .is_open = secret == NULL};
    if (secret != NULL) {
        memcpy(ch->secret, secret, sizeof(ch->secret));
    }
}

void
hq_chan_drop(struct hq_chan *ch)
{
    if (ch->is_sealed) {
        hq_seal_fini(&ch->seal);
        hq_seal_hs_fini(&ch->hs);
        ch->is_open = false;
        ch->session = 0;
    }
}

void
hq_chan_fini(struct hq_chan *ch)
{
    hq_chan_drop(ch);
    sodium_memzero(ch, sizeof(*ch));
}

int
hq_chan_hello(struct hq_chan *ch, unsigned char *out)
{
    HQ_ASSERT(ch->is_sealed);
    unsigned char prologue[8];
    hq_frame_prologue(prologue, ch->role);
    hq_seal_hs_fini(&ch->hs);
    hq_seal_hs_init(&ch->hs, HQ_SEAL_INITIATOR, hq_str_make((const char *)prologue, sizeof(prologue)), ch->secret,
                    NULL);
    hq_frame_head(out, HQ_FRAME_HELLO, ch->role, 0);
    size_t len = 0;
    int rc = hq_seal_hs_write(&ch->hs, HQ_STR_NULL, out + HQ_FRAME_HEAD_BYTES, HQ_SEAL_HELLO_BYTES, &len);
    HQ_ASSERT(rc < 0 || len == HQ_SEAL_HELLO_BYTES);
    return rc;
}

int
hq_chan_welcome(struct hq_chan *ch, struct hq_str msg, struct hq_err *err)
{
    struct hq_frame f;
    int rc = hq_frame_parse(msg, &f);
    if (rc < 0) {
        return hq_err_set(err, rc, "the other side does not answer like a server of this version");
    }
    if (f.type == HQ_FRAME_REFUSED) {
        return hq_frame_refusal(f.reason, err);
    }
    if (f.type != HQ_FRAME_WELCOME) {
        return hq_err_set(err, -EPROTO, "the other side does not answer a handshake with one");
    }
    unsigned char id[8];
    size_t len = 0;
    struct hq_seal seal;
    rc = hq_seal_hs_read(&ch->hs, f.body, id, sizeof(id), &len);
    if (rc == 0 && len == sizeof(id)) {
        rc = hq_seal_hs_split(&ch->hs, &seal);
    }
    if (rc < 0 || len != sizeof(id)) {
        hq_seal_hs_fini(&ch->hs);
        return hq_err_set(err, rc < 0 ? rc : -EPROTO, "the server does not know our secret key");
    }
    hq_seal_fini(&ch->seal);
    ch->seal = seal;
    ch->session = hq_get_u64(id);
    ch->is_open = true;
    sodium_memzero(&seal, sizeof(seal));
    return 0;
}

size_t
hq_chan_request_bytes(const struct hq_chan *ch, size_t payload_len)
{
    return payload_len + (ch->is_sealed ? HQ_FRAME_SEALED_BYTES : HQ_FRAME_HEAD_BYTES);
}

int
hq_chan_request(struct hq_chan *ch, struct hq_str payload, struct hq_chan_ref before, unsigned char *out,
                struct hq_chan_ref *ret_ref)
{
    HQ_ASSERT(ch->is_open);
    if (!ch->is_sealed) {
        hq_frame_head(out, HQ_FRAME_PLAIN, ch->role, 0);
        if (payload.len > 0) {
            memcpy(out + HQ_FRAME_HEAD_BYTES, payload.ptr, payload.len);
        }
        *ret_ref = (struct hq_chan_ref){0};
        return 0;
    }
    const uint64_t prefix[2] = {before.session, before.counter};
    struct hq_chan_ref ref = {.session = ch->session};
    int rc = hq_frame_seal(out, &ch->seal, ch->role, ch->session, prefix, payload, &ref.counter);
    if (rc == 0) {
        *ret_ref = ref;
    }
    return rc;
}

static int
chan_open(struct hq_chan *ch, struct hq_chan_ref ref, const struct hq_frame *f, struct hq_str *ret_payload,
          struct hq_err *err)
{
    if (ref.session != ch->session) { /* a newer session took its place: its keys are gone */
        return hq_err_set(err, -ECONNRESET, "the session ended with the request out");
    }
    uint64_t prefix[2];
    struct hq_str payload;
    if (f->session != ref.session || hq_frame_open(f, &ch->seal, prefix, &payload) != 0 || prefix[0] != ref.counter) {
        return hq_err_set(err, -EPROTO, "an answer that the server did not seal for this request");
    }
    if (prefix[1] != HQ_ANSWER_OK) {
        return hq_err_set(err, -ECONNRESET, "the connection ended with the request out");
    }
    *ret_payload = payload;
    return 0;
}

int
hq_chan_answer(struct hq_chan *ch, struct hq_chan_ref ref, char *msg, size_t len, struct hq_str *ret_payload,
               struct hq_err *err)
{
    struct hq_frame f;
    int rc = hq_frame_parse(hq_str_make(msg, len), &f);
    if (rc < 0) {
        return hq_err_set(err, rc, "the other side does not answer like a server of this version");
    }
    switch (f.type) {
    case HQ_FRAME_PLAIN:
        if (ch->is_sealed) {
            return hq_err_set(err, -EPROTO, "an answer without a seal");
        }
        *ret_payload = f.body;
        return 0;
    case HQ_FRAME_SEALED:
        if (!ch->is_sealed) {
            break;
        }
        return chan_open(ch, ref, &f, ret_payload, err);
    case HQ_FRAME_UNKNOWN:
        if (!ch->is_sealed || f.session != ref.session || f.counter != ref.counter) {
            break;
        }
        if (ch->session == ref.session) {
            hq_chan_drop(ch);
        }
        return HQ_CHAN_UNKNOWN;
    case HQ_FRAME_REFUSED:
        return hq_frame_refusal(f.reason, err);
    case HQ_FRAME_HELLO:
    case HQ_FRAME_WELCOME:
    case HQ_FRAME_TYPES:
        break;
    }
    return hq_err_set(err, -EPROTO, "the other side does not answer like a server of this version");
}
