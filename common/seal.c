/* seal.c - the Noise specification's objects in C; function names follow its text (sections 5 and 7). */
#include "common/seal.h"

#include <sodium.h>
#include <string.h>

static const char protocol_name[] = "Noise_NNpsk0_25519_ChaChaPoly_SHA256";

enum token {
    TOKEN_END = 0,
    TOKEN_PSK,
    TOKEN_E,
    TOKEN_EE,
};

#define MESSAGES 2u
/* NNpsk0. A pattern with a psk mixes every ephemeral public key into the chain as well (9.2 of the specification). */
static const enum token pattern[MESSAGES][4] = {
    {TOKEN_PSK, TOKEN_E},
    {TOKEN_E, TOKEN_EE},
};

int
hq_seal_start(struct hq_err *err)
{
    if (sodium_init() < 0) {
        return hq_err_set(err, -EIO, "Cannot initialise libsodium: no source of random numbers");
    }
    return 0;
}

static void
make_nonce(unsigned char nonce[crypto_aead_chacha20poly1305_IETF_NPUBBYTES], uint64_t counter)
{
    memset(nonce, 0, 4);
    for (size_t ix = 0; ix < 8; ix++) {
        nonce[4 + ix] = (unsigned char)(counter >> (8 * ix));
    }
}

void
hq_seal_derive(unsigned char out[HQ_SEAL_KEY_BYTES], const unsigned char key[HQ_SEAL_KEY_BYTES], struct hq_str text)
{
    (void)crypto_generichash(out, HQ_SEAL_KEY_BYTES, (const unsigned char *)text.ptr, text.len, key, HQ_SEAL_KEY_BYTES);
}

/* crypto_aead_*_encrypt cannot fail for sizes that fit memory. */
static void
encrypt(const unsigned char *key, uint64_t counter, struct hq_str ad, struct hq_str text, unsigned char *out)
{
    unsigned char nonce[crypto_aead_chacha20poly1305_IETF_NPUBBYTES];
    make_nonce(nonce, counter);
    (void)crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, (const unsigned char *)text.ptr, text.len,
                                                    (const unsigned char *)ad.ptr, ad.len, NULL, nonce, key);
}

static int
decrypt(const unsigned char *key, uint64_t counter, struct hq_str ad, struct hq_str msg, unsigned char *out)
{
    unsigned char nonce[crypto_aead_chacha20poly1305_IETF_NPUBBYTES];
    make_nonce(nonce, counter);
    int rc = crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, (const unsigned char *)msg.ptr, msg.len,
                                                       (const unsigned char *)ad.ptr, ad.len, nonce, key);
    return rc == 0 ? 0 : -EBADMSG;
}

static void
hmac(unsigned char out[HQ_SEAL_HASH_BYTES], const unsigned char key[HQ_SEAL_HASH_BYTES], struct hq_str a,
     struct hq_str b)
{
    crypto_auth_hmacsha256_state st;
    (void)crypto_auth_hmacsha256_init(&st, key, HQ_SEAL_HASH_BYTES); /* these cannot fail */
    (void)crypto_auth_hmacsha256_update(&st, (const unsigned char *)a.ptr, a.len);
    (void)crypto_auth_hmacsha256_update(&st, (const unsigned char *)b.ptr, b.len);
    (void)crypto_auth_hmacsha256_final(&st, out);
    sodium_memzero(&st, sizeof(st));
}

static struct hq_str
view(const unsigned char *p, size_t len)
{
    return hq_str_make((const char *)p, len);
}

/* HKDF with two or three outputs; chain may be output 1 itself. */
static void
hkdf(const unsigned char chain[HQ_SEAL_HASH_BYTES], struct hq_str input, unsigned char *out1, unsigned char *out2,
     unsigned char *out3)
{
    unsigned char temp[HQ_SEAL_HASH_BYTES];
    hmac(temp, chain, input, HQ_STR_NULL);
    hmac(out1, temp, HQ_STR("\x01"), HQ_STR_NULL);
    hmac(out2, temp, view(out1, HQ_SEAL_HASH_BYTES), HQ_STR("\x02"));
    if (out3 != NULL) {
        hmac(out3, temp, view(out2, HQ_SEAL_HASH_BYTES), HQ_STR("\x03"));
    }
    sodium_memzero(temp, sizeof(temp));
}

static void
mix_hash(struct hq_seal_hs *hs, struct hq_str data)
{
    crypto_hash_sha256_state st;
    (void)crypto_hash_sha256_init(&st); /* these cannot fail */
    (void)crypto_hash_sha256_update(&st, hs->hash, sizeof(hs->hash));
    (void)crypto_hash_sha256_update(&st, (const unsigned char *)data.ptr, data.len);
    (void)crypto_hash_sha256_final(&st, hs->hash);
}

static void
mix_key(struct hq_seal_hs *hs, struct hq_str input)
{
    hkdf(hs->chain, input, hs->chain, hs->key, NULL);
    hs->has_key = true;
    hs->nonce = 0;
}

static void
mix_key_and_hash(struct hq_seal_hs *hs, struct hq_str input)
{
    unsigned char temp[HQ_SEAL_HASH_BYTES];
    hkdf(hs->chain, input, hs->chain, temp, hs->key);
    mix_hash(hs, view(temp, sizeof(temp)));
    hs->has_key = true;
    hs->nonce = 0;
    sodium_memzero(temp, sizeof(temp));
}

/* ee, and any later token that is a Diffie-Hellman. An all-zero result (a point of small order) is refused. */
static int
mix_dh(struct hq_seal_hs *hs, const unsigned char *private_key, const unsigned char *public_key)
{
    unsigned char shared[crypto_scalarmult_BYTES];
    if (crypto_scalarmult(shared, private_key, public_key) != 0) {
        return -EACCES;
    }
    mix_key(hs, view(shared, sizeof(shared)));
    sodium_memzero(shared, sizeof(shared));
    return 0;
}

void
hq_seal_hs_init(struct hq_seal_hs *hs, enum hq_seal_side side, struct hq_str prologue,
                const unsigned char psk[HQ_SEAL_KEY_BYTES], const unsigned char *ephemeral)
{
    *hs = (struct hq_seal_hs){.side = side};
    /* the name is longer than a hash, so it is hashed (5.2, InitializeSymmetric) */
    _Static_assert(sizeof(protocol_name) - 1 > HQ_SEAL_HASH_BYTES, "a short name would be padded instead");
    (void)crypto_hash_sha256(hs->hash, (const unsigned char *)protocol_name, sizeof(protocol_name) - 1);
    memcpy(hs->chain, hs->hash, sizeof(hs->chain));
    mix_hash(hs, prologue);
    memcpy(hs->psk, psk, sizeof(hs->psk));
    if (ephemeral != NULL) {
        memcpy(hs->ephemeral, ephemeral, sizeof(hs->ephemeral));
    } else {
        randombytes_buf(hs->ephemeral, sizeof(hs->ephemeral));
    }
}

void
hq_seal_hs_fini(struct hq_seal_hs *hs)
{
    sodium_memzero(hs, sizeof(*hs));
}

/* Every error ends the handshake: a half-mixed state must not be used again. */
static int
hs_fail(struct hq_seal_hs *hs, int rc)
{
    hs->is_failed = true;
    return rc;
}

static bool
hs_is_turn(const struct hq_seal_hs *hs, bool is_writer)
{
    bool is_initiators = hs->next_ix % 2 == 0;
    return !hs->is_failed && hs->next_ix < MESSAGES && is_initiators == ((hs->side == HQ_SEAL_INITIATOR) == is_writer);
}

int
hq_seal_hs_write(struct hq_seal_hs *hs, struct hq_str payload, unsigned char *out, size_t cap, size_t *ret_len)
{
    if (!hs_is_turn(hs, true) || payload.len > cap || cap - payload.len < HQ_SEAL_HELLO_BYTES) {
        return hs_fail(hs, -EPROTO);
    }
    unsigned char *p = out;
    for (const enum token *t = pattern[hs->next_ix]; *t != TOKEN_END; t++) {
        switch (*t) {
        case TOKEN_PSK:
            mix_key_and_hash(hs, view(hs->psk, sizeof(hs->psk)));
            break;
        case TOKEN_E:
            if (crypto_scalarmult_base(p, hs->ephemeral) != 0) {
                return hs_fail(hs, -EPROTO);
            }
            mix_hash(hs, view(p, HQ_SEAL_KEY_BYTES));
            mix_key(hs, view(p, HQ_SEAL_KEY_BYTES));
            p += HQ_SEAL_KEY_BYTES;
            break;
        case TOKEN_EE:
            if (mix_dh(hs, hs->ephemeral, hs->remote) != 0) {
                return hs_fail(hs, -EACCES);
            }
            break;
        case TOKEN_END:
            break;
        }
    }
    HQ_ASSERT(hs->has_key);
    encrypt(hs->key, hs->nonce++, view(hs->hash, sizeof(hs->hash)), payload, p);
    mix_hash(hs, view(p, payload.len + HQ_SEAL_TAG_BYTES));
    hs->next_ix++;
    *ret_len = (size_t)(p - out) + payload.len + HQ_SEAL_TAG_BYTES;
    return 0;
}

int
hq_seal_hs_read(struct hq_seal_hs *hs, struct hq_str msg, unsigned char *payload, size_t cap, size_t *ret_len)
{
    if (!hs_is_turn(hs, false) || msg.len < HQ_SEAL_HELLO_BYTES || msg.len - HQ_SEAL_HELLO_BYTES > cap) {
        return hs_fail(hs, -EPROTO);
    }
    for (const enum token *t = pattern[hs->next_ix]; *t != TOKEN_END; t++) {
        switch (*t) {
        case TOKEN_PSK:
            mix_key_and_hash(hs, view(hs->psk, sizeof(hs->psk)));
            break;
        case TOKEN_E:
            memcpy(hs->remote, msg.ptr, sizeof(hs->remote));
            msg = hq_str_sub(msg, sizeof(hs->remote), msg.len);
            mix_hash(hs, view(hs->remote, sizeof(hs->remote)));
            mix_key(hs, view(hs->remote, sizeof(hs->remote)));
            break;
        case TOKEN_EE:
            if (mix_dh(hs, hs->ephemeral, hs->remote) != 0) {
                return hs_fail(hs, -EACCES);
            }
            break;
        case TOKEN_END:
            break;
        }
    }
    HQ_ASSERT(hs->has_key);
    if (decrypt(hs->key, hs->nonce++, view(hs->hash, sizeof(hs->hash)), msg, payload) != 0) {
        return hs_fail(hs, -EACCES);
    }
    mix_hash(hs, msg);
    hs->next_ix++;
    *ret_len = msg.len - HQ_SEAL_TAG_BYTES;
    return 0;
}

int
hq_seal_hs_split(struct hq_seal_hs *hs, struct hq_seal *ret)
{
    if (hs->is_failed || hs->next_ix != MESSAGES) {
        return -EPROTO;
    }
    *ret = (struct hq_seal){0};
    bool is_initiator = hs->side == HQ_SEAL_INITIATOR;
    hkdf(hs->chain, HQ_STR_NULL, is_initiator ? ret->send_key : ret->recv_key,
         is_initiator ? ret->recv_key : ret->send_key, NULL);
    hq_seal_hs_fini(hs);
    return 0;
}

/* ---- replay window (RFC 6479) */

int
hq_seal_window_check(const struct hq_seal_window *w, uint64_t counter)
{
    if (counter >= HQ_SEAL_MSGS_MAX) {
        return -EALREADY;
    }
    if (counter >= w->last) {
        return 0;
    }
    if (w->last - counter > HQ_SEAL_WINDOW) {
        return -EALREADY;
    }
    uint64_t word = w->bits[(counter / 64) % HQ_SEAL_WINDOW_WORDS];
    return (word >> (counter % 64) & 1) != 0 ? -EALREADY : 0;
}

void
hq_seal_window_mark(struct hq_seal_window *w, uint64_t counter)
{
    if (counter >= w->last) { /* words between the old and the new position become free */
        uint64_t from = w->last == 0 ? 0 : (w->last - 1) / 64;
        uint64_t steps = HQ_MIN(counter / 64 - from, (uint64_t)HQ_SEAL_WINDOW_WORDS);
        for (uint64_t ix = 1; ix <= steps; ix++) {
            w->bits[(from + ix) % HQ_SEAL_WINDOW_WORDS] = 0;
        }
        w->last = counter + 1;
    }
    w->bits[(counter / 64) % HQ_SEAL_WINDOW_WORDS] |= UINT64_C(1) << (counter % 64);
}

/* ---- sealed messages */

void
hq_seal_fini(struct hq_seal *s)
{
    sodium_memzero(s, sizeof(*s));
}

int
hq_seal_close(struct hq_seal *s, struct hq_str text, unsigned char *out, uint64_t *ret_counter)
{
    if (s->send_counter >= HQ_SEAL_MSGS_MAX) {
        return -EOVERFLOW;
    }
    encrypt(s->send_key, s->send_counter, HQ_STR_NULL, text, out);
    *ret_counter = s->send_counter++;
    return 0;
}

int
hq_seal_open(struct hq_seal *s, uint64_t counter, struct hq_str msg, unsigned char *out)
{
    if (msg.len < HQ_SEAL_TAG_BYTES) {
        return -EPROTO;
    }
    if (hq_seal_window_check(&s->recv, counter) != 0) {
        return -EALREADY;
    }
    if (decrypt(s->recv_key, counter, HQ_STR_NULL, msg, out) != 0) {
        return -EBADMSG;
    }
    hq_seal_window_mark(&s->recv, counter); /* only a genuine message moves the window */
    return 0;
}

/* ---- notes */

_Static_assert(HQ_SEAL_NOTE_HEAD_BYTES == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "the head is the nonce");

void
hq_seal_note_pub_init(struct hq_seal_note_pub *p, const unsigned char key[HQ_SEAL_KEY_BYTES])
{
    *p = (struct hq_seal_note_pub){0};
    memcpy(p->key, key, sizeof(p->key));
    randombytes_buf(p->id, sizeof(p->id));
}

void
hq_seal_note_sub_init(struct hq_seal_note_sub *s, const unsigned char key[HQ_SEAL_KEY_BYTES])
{
    *s = (struct hq_seal_note_sub){0};
    memcpy(s->key, key, sizeof(s->key));
}

void
hq_seal_note_close(struct hq_seal_note_pub *p, struct hq_str text, unsigned char *out)
{
    memcpy(out, p->id, sizeof(p->id));
    for (size_t ix = 0; ix < 8; ix++) {
        out[sizeof(p->id) + ix] = (unsigned char)(p->counter >> (8 * ix));
    }
    p->counter++;
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(out + HQ_SEAL_NOTE_HEAD_BYTES, NULL,
                                                     (const unsigned char *)text.ptr, text.len, NULL, 0, NULL, out,
                                                     p->key); /* cannot fail */
}

int
hq_seal_note_open(struct hq_seal_note_sub *s, struct hq_str msg, unsigned char *out, size_t cap, size_t *ret_len)
{
    const size_t overhead = HQ_SEAL_NOTE_HEAD_BYTES + HQ_SEAL_TAG_BYTES;
    if (msg.len < overhead || msg.len - overhead > cap) {
        return -EPROTO;
    }
    const unsigned char *head = (const unsigned char *)msg.ptr;
    uint64_t counter = 0;
    for (size_t ix = 0; ix < 8; ix++) {
        counter |= (uint64_t)head[sizeof(s->id) + ix] << (8 * ix);
    }
    bool is_same = memcmp(s->id, head, sizeof(s->id)) == 0;
    if (is_same && counter < s->next) {
        return -EALREADY;
    }
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, head + HQ_SEAL_NOTE_HEAD_BYTES,
                                                   msg.len - HQ_SEAL_NOTE_HEAD_BYTES, NULL, 0, head, s->key) != 0) {
        return -EBADMSG;
    }
    memcpy(s->id, head, sizeof(s->id));
    s->next = counter + 1;
    *ret_len = msg.len - overhead;
    return 0;
}
