/* net_sub.c - a reader of notes. Subscriptions are not sent: whoever connects gets all notes. */
#include <sodium.h>
#include <stdlib.h>

#include "common/mem.h"
#include "common/net_conn.h"
#include "common/net_priv.h"

struct hq_net_sub {
    struct hq_conn *conn;
    bool has_secret;
    bool is_sealed; /* on TCP with a secret */
    struct hq_seal_note_sub seal;
    hq_net_note_fn fn;
    void *ctx;
    uint32_t depth; /* callbacks that are running */
    bool is_dead;   /* destroyed by one of them: freed behind it */
};

static void
sub_free(struct hq_net_sub *s)
{
    sodium_memzero(&s->seal, sizeof(s->seal));
    free(s);
}

static void
sub_tell(struct hq_net_sub *s, struct hq_str payload)
{
    s->depth++;
    s->fn(s->ctx, payload);
    s->depth--;
    if (s->is_dead && s->depth == 0) {
        sub_free(s);
    }
}

static void
sub_on_up(void *ctx, bool is_local)
{
    struct hq_net_sub *s = ctx;
    s->is_sealed = s->has_secret && !is_local;
    sub_tell(s, HQ_STR_NULL);
}

static void
sub_on_down(void *ctx, int rc)
{
    (void)ctx; /* it comes back by itself, and then says so */
    (void)rc;
}

static void
sub_on_frame(void *ctx, char *body, size_t len)
{
    struct hq_net_sub *s = ctx;
    unsigned char text[HQ_NET_NOTE_BYTES_MAX];
    struct hq_str note = hq_str_make(body, len);
    if (s->is_sealed) {
        size_t text_len = 0;
        if (hq_seal_note_open(&s->seal, note, text, sizeof(text), &text_len) != 0) {
            return; /* forged, repeated or of another key: as good as lost */
        }
        note = hq_str_make((const char *)text, text_len);
    }
    if (note.len > 0 && note.len <= HQ_NET_NOTE_BYTES_MAX) {
        sub_tell(s, note);
    }
}

int
hq_net_sub_create(struct hq_net_sub **ret, struct ev_loop *loop, const char *host, uint16_t port, const char *ipc_path,
                  const unsigned char *secret, hq_net_note_fn fn, void *ctx, struct hq_err *err)
{
    if (host == NULL && ipc_path == NULL) {
        return hq_err_set(err, -EINVAL, "No address of a publisher");
    }
    int rc = hq_seal_start(err);
    if (rc < 0) {
        return rc;
    }
    struct hq_net_sub *s = hq_xalloc(sizeof(*s));
    s->fn = fn;
    s->ctx = ctx;
    if (secret != NULL) {
        s->has_secret = true;
        hq_seal_note_sub_init(&s->seal, secret);
    }
    s->conn = hq_conn_create(&(struct hq_conn_conf){
        .loop = loop,
        .ipc_path = ipc_path,
        .host = host,
        .port = port,
        .own = HQ_SP_SUB,
        .peer = HQ_SP_PUB,
        .ctx = s,
        .on_up = sub_on_up,
        .on_down = sub_on_down,
        .on_frame = sub_on_frame,
    });
    *ret = s;
    return 0;
}

void
hq_net_sub_destroy(struct hq_net_sub *s)
{
    if (s == NULL) {
        return;
    }
    hq_conn_destroy(s->conn);
    if (s->depth > 0) {
        s->is_dead = true;
    } else {
        sub_free(s);
    }
}
