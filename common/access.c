#include "common/access.h"

#include "common/fs.h"
#include "common/limits.h"
#include "common/mem.h"
#include "common/out_json.h"

#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define KEY_HEX_BYTES (2u * HQ_SECRET_BYTES)

static void
side_fini(struct hq_access_side *s)
{
    free(s->host);
    sodium_memzero(s->key, sizeof s->key);
}

void
hq_access_fini(struct hq_access *a)
{
    int saved = errno;
    free(a->version);
    free(a->server_uid);
    side_fini(&a->client);
    side_fini(&a->worker);
    *a = HQ_ACCESS_INIT;
    errno = saved;
}

/* A buffer that held keys. */
static void
secret_buf_fini(struct hq_buf *b)
{
    if (b->ptr != NULL) {
        sodium_memzero(b->ptr, b->cap);
    }
    hq_buf_fini(b);
}

/* ---- places in the text: the parser tells none for things that are missing or of a wrong type */

/* Offset behind the string that starts at `at`. */
static size_t
skip_string(struct hq_str text, size_t at)
{
    for (at++; at < text.len && text.ptr[at] != '"'; at++) {
        at += text.ptr[at] == '\\';
    }
    return HQ_MIN(at + 1, text.len);
}

/* Offset behind the JSON value at `at`; the text is known to be valid. */
static size_t
skip_value(struct hq_str text, size_t at)
{
    size_t depth = 0;
    while (at < text.len) {
        char c = text.ptr[at];
        if (c == '"') {
            at = skip_string(text, at);
        } else if (c == '{' || c == '[') {
            depth++;
            at++;
        } else if (c == '}' || c == ']') {
            depth--;
            at++;
        } else {
            at++;
            bool goes_on = at < text.len && strchr(",]} \t\r\n", text.ptr[at]) == NULL;
            if (goes_on || c == ',' || c == ':' || strchr(" \t\r\n", c) != NULL) {
                continue;
            }
        }
        if (depth == 0) {
            return at;
        }
    }
    return at;
}

static size_t
skip_blanks(struct hq_str text, size_t at)
{
    while (at < text.len && strchr(" \t\r\n", text.ptr[at]) != NULL) {
        at++;
    }
    return at;
}

/* Offset of the value of `key` in the object at `at`; text.len when there is none. */
static size_t
find_value(struct hq_str text, size_t at, const char *key)
{
    at = skip_blanks(text, at + 1);
    while (at < text.len && text.ptr[at] == '"') {
        size_t key_end = skip_string(text, at);
        bool is_it = hq_str_is(hq_str_sub(text, at + 1, key_end - 1), key);
        at = skip_blanks(text, skip_blanks(text, key_end) + 1); /* the colon */
        if (is_it) {
            return at;
        }
        at = skip_blanks(text, skip_value(text, at));
        if (at < text.len && text.ptr[at] == ',') {
            at = skip_blanks(text, at + 1);
        }
    }
    return text.len;
}

static int
fail_at(struct hq_err *err, struct hq_str text, size_t end, const char *what)
{
    size_t line = 1;
    size_t line_start = 0;
    for (size_t i = 0; i < end; i++) {
        if (text.ptr[i] == '\n' && i + 1 < end) {
            line++;
            line_start = i + 1;
        }
    }
    return hq_err_set(err, -EBADMSG, "Serialization error: %s at line %zu column %zu", what, line, end - line_start);
}

/* ---- reading */

struct reader {
    struct hq_str text;
    struct hq_err *err;
};

/* An object while it is read. */
struct object {
    const struct reader *r;
    const json_t *json;
    size_t at; /* of its opening brace */
};

static int
missing(const struct object *o, const char *key)
{
    char what[128];
    (void)snprintf(what, sizeof what, "missing field `%s`", key); /* our own short names */
    return fail_at(o->r->err, o->r->text, skip_value(o->r->text, o->at), what);
}

static int
wrong(const struct object *o, const char *key, const char *what)
{
    return fail_at(o->r->err, o->r->text, skip_value(o->r->text, find_value(o->r->text, o->at, key)), what);
}

/* "string \"x\"" and the like, as the type that was found. */
static int
wrong_type(const struct object *o, const char *key, const char *expected)
{
    const json_t *v = json_object_get(o->json, key);
    HQ_AUTO(hq_buf_fini) struct hq_buf what = HQ_BUF_INIT;
    hq_buf_cstr(&what, "invalid type: ");
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        hq_buf_cstr(&what, "map");
        break;
    case JSON_ARRAY:
        hq_buf_cstr(&what, "sequence");
        break;
    case JSON_STRING:
        hq_buf_cstr(&what, "string ");
        hq_buf_quoted(&what, hq_str_sub(hq_str_make(json_string_value(v), json_string_length(v)), 0, 100));
        break;
    case JSON_INTEGER:
        hq_buf_printf(&what, "integer `%" JSON_INTEGER_FORMAT "`", json_integer_value(v));
        break;
    case JSON_REAL:
        hq_buf_cstr(&what, "floating point number");
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        hq_buf_printf(&what, "boolean `%s`", json_is_true(v) ? "true" : "false");
        break;
    case JSON_NULL:
        hq_buf_cstr(&what, "null");
        break;
    }
    hq_buf_printf(&what, ", expected %s", expected);
    return wrong(o, key, what.ptr);
}

static int
read_text(const struct object *o, const char *key, char **ret)
{
    const json_t *v = json_object_get(o->json, key);
    if (v == NULL) {
        return missing(o, key);
    }
    if (!json_is_string(v)) {
        return wrong_type(o, key, "a string");
    }
    *ret = hq_str_dupz(hq_str_make(json_string_value(v), json_string_length(v)));
    return 0;
}

static int
read_port(const struct object *o, uint16_t *ret)
{
    const json_t *v = json_object_get(o->json, "port");
    if (v == NULL) {
        return missing(o, "port");
    }
    if (!json_is_integer(v)) {
        return wrong_type(o, "port", "u16");
    }
    json_int_t port = json_integer_value(v);
    if (port < 0 || port > UINT16_MAX) {
        char what[128];
        (void)snprintf(what, sizeof what, "invalid value: integer `%" JSON_INTEGER_FORMAT "`, expected u16", port);
        return wrong(o, "port", what);
    }
    *ret = (uint16_t)port;
    return 0;
}

static int
read_key(const struct object *o, struct hq_access_side *ret)
{
    const json_t *v = json_object_get(o->json, "secret_key");
    if (v == NULL) {
        return missing(o, "secret_key");
    }
    if (json_is_null(v)) {
        return 0;
    }
    if (!json_is_string(v)) {
        return wrong_type(o, "secret_key", "a string");
    }
    size_t bytes = 0;
    const char *end = NULL;
    const char *hex = json_string_value(v);
    size_t hex_len = json_string_length(v);
    if (hex_len != KEY_HEX_BYTES || sodium_hex2bin(ret->key, sizeof ret->key, hex, hex_len, NULL, &bytes, &end) != 0 ||
        bytes != HQ_SECRET_BYTES || end != hex + hex_len) {
        return wrong(o, "secret_key", "invalid secret key, expected 64 hexadecimal digits"); /* never shows the key */
    }
    ret->has_key = true;
    return 0;
}

static int
read_side(const struct object *top, const char *name, bool is_needed, struct hq_access_side *ret)
{
    const json_t *v = json_object_get(top->json, name);
    if (v == NULL || json_is_null(v)) {
        return !is_needed ? 0 : v == NULL ? missing(top, name) : wrong_type(top, name, "a map");
    }
    if (!json_is_object(v)) {
        return wrong_type(top, name, "a map");
    }
    struct object o = {.r = top->r, .json = v, .at = find_value(top->r->text, top->at, name)};
    int rc = read_text(&o, "host", &ret->host);
    if (rc == 0) {
        rc = read_port(&o, &ret->port);
    }
    if (rc == 0) {
        rc = read_key(&o, ret);
    }
    ret->is_there = rc == 0;
    return rc;
}

static int
read_record(const struct object *top, enum hq_access_need need, struct hq_access *a)
{
    int rc = read_text(top, "version", &a->version);
    if (rc == 0 && strcmp(a->version, HQ_VERSION) != 0) {
        return hq_err_set(
            top->r->err, -EPROTONOSUPPORT,
            "Hyperqueue version mismatch detected.\nAccess record contains version %.100s, but the current "
            "version is %s.",
            a->version, HQ_VERSION);
    }
    const json_t *uid = json_object_get(top->json, "server_uid");
    if (rc == 0 && uid != NULL && !json_is_null(uid)) {
        rc = read_text(top, "server_uid", &a->server_uid);
    }
    if (rc == 0) {
        rc = read_side(top, "client", ((unsigned)need & HQ_ACCESS_CLIENT) != 0, &a->client);
    }
    if (rc == 0) {
        rc = read_side(top, "worker", ((unsigned)need & HQ_ACCESS_WORKER) != 0, &a->worker);
    }
    return rc;
}

/* No JSON: the parser's place, in the words that users know where they fit. */
static int
bad_json(const struct reader *r, const json_error_t *error)
{
    struct hq_str seen = hq_str_trim(r->text);
    size_t at = error->position > 0 ? HQ_MIN((size_t)error->position, r->text.len) : 0;
    switch (json_error_code(error)) {
    case json_error_premature_end_of_input: {
        bool wants_value = seen.len == 0 || strchr(":,[", seen.ptr[seen.len - 1]) != NULL;
        return fail_at(r->err, r->text, r->text.len,
                       wants_value ? "EOF while parsing a value" : "EOF while parsing an object");
    }
    case json_error_end_of_input_expected:
        return fail_at(r->err, r->text, at, "trailing characters");
    case json_error_duplicate_key:
        return fail_at(r->err, r->text, at, "duplicate field");
    default: /* the library's codes, not ours */
        return fail_at(r->err, r->text, at, "expected value");
    }
}

int
hq_access_parse(struct hq_access *ret, struct hq_str text, enum hq_access_need need, struct hq_err *err)
{
    struct hq_access a = HQ_ACCESS_INIT;
    struct reader r = {.text = text, .err = err};
    json_error_t error = {0};
    if (text.len > HQ_ACCESS_BYTES_MAX) {
        return hq_err_set(err, -EFBIG, "File is larger than %u bytes", HQ_ACCESS_BYTES_MAX);
    }
    json_t *json = json_loadb(text.len == 0 ? "" : text.ptr, text.len, JSON_REJECT_DUPLICATES, &error);
    if (json == NULL) {
        return bad_json(&r, &error);
    }
    int rc;
    if (json_is_object(json)) {
        struct object top = {.r = &r, .json = json, .at = skip_blanks(text, 0)};
        rc = read_record(&top, need, &a);
    } else {
        rc = fail_at(err, text, skip_value(text, skip_blanks(text, 0)), "invalid type, expected a map");
    }
    json_decref(json);
    if (rc < 0) {
        hq_access_fini(&a);
        return rc;
    }
    *ret = a;
    return 0;
}

int
hq_access_load(struct hq_access *ret, const char *path, enum hq_access_need need, struct hq_err *err)
{
    HQ_AUTO(secret_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    int rc = hq_fs_read(&text, path, HQ_ACCESS_BYTES_MAX, err);
    return rc < 0 ? rc : hq_access_parse(ret, hq_buf_view(&text), need, err);
}

/* ---- writing */

static void
print_side(const struct hq_access_side *s, const char *name, struct hq_buf *out)
{
    hq_buf_printf(out, ",\n  \"%s\": {\n    \"host\": ", name);
    hq_json_quote(out, hq_str_from(s->host));
    hq_buf_printf(out, ",\n    \"port\": %u,\n    \"secret_key\": ", (unsigned)s->port);
    if (s->has_key) {
        char hex[KEY_HEX_BYTES + 1];
        hq_buf_printf(out, "\"%s\"", sodium_bin2hex(hex, sizeof hex, s->key, sizeof s->key));
        sodium_memzero(hex, sizeof hex);
    } else {
        hq_buf_cstr(out, "null");
    }
    hq_buf_cstr(out, "\n  }");
}

void
hq_access_print(const struct hq_access *a, struct hq_buf *out)
{
    hq_buf_cstr(out, "{\n  \"version\": ");
    hq_json_quote(out, hq_str_from(a->version));
    if (a->server_uid != NULL) {
        hq_buf_cstr(out, ",\n  \"server_uid\": ");
        hq_json_quote(out, hq_str_from(a->server_uid));
    }
    if (a->client.is_there) {
        print_side(&a->client, "client", out);
    }
    if (a->worker.is_there) {
        print_side(&a->worker, "worker", out);
    }
    hq_buf_cstr(out, "\n}");
}

int
hq_access_store(const struct hq_access *a, const char *path, struct hq_err *err)
{
    HQ_AUTO(secret_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    hq_access_print(a, &text);
    return hq_fs_create(path, hq_buf_view(&text), 0400, err);
}

void
hq_access_new_key(unsigned char key[HQ_SECRET_BYTES])
{
    int rc = sodium_init(); /* 1 = done before */
    HQ_ASSERT(rc >= 0);
    randombytes_buf(key, HQ_SECRET_BYTES);
}

char *
hq_access_new_uid(void)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    int rc = sodium_init(); /* 1 = done before */
    HQ_ASSERT(rc >= 0);
    char *uid = hq_xalloc(HQ_SERVER_UID_BYTES + 1);
    for (size_t i = 0; i < HQ_SERVER_UID_BYTES; i++) {
        uid[i] = letters[randombytes_uniform(sizeof letters - 1)];
    }
    return uid;
}

void
hq_access_set_side(struct hq_access_side *s, const char *host, uint16_t port, const unsigned char *key)
{
    char *copy = hq_xstrdup(host); /* first: host may be the side's own */
    side_fini(s);
    *s = (struct hq_access_side){.is_there = true, .host = copy, .port = port, .has_key = key != NULL};
    if (key != NULL) {
        memcpy(s->key, key, sizeof s->key);
    }
}
