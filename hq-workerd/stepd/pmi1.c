#include "hq-workerd/stepd/pmi1.h"

#include <stdlib.h>

#include "common/mem.h"
#include "common/num.h"

#include <uthash.h>

struct entry {
    UT_hash_handle hh;
    struct hq_str value; /* behind the key */
    size_t key_len;
    char bytes[];
};

struct pmi1 {
    uint32_t rank_count;
    char *space_name;
    struct entry *entries;
    size_t bytes;
    struct hq_buf puts; /* "key=value\n" since the last fence */
};

static const char *const cmd_names[] = {
    [PMI1_CMD_INIT] = "init",
    [PMI1_CMD_MAXES] = "get_maxes",
    [PMI1_CMD_APPNUM] = "get_appnum",
    [PMI1_CMD_NAME] = "get_my_kvsname",
    [PMI1_CMD_UNIVERSE] = "get_universe_size",
    [PMI1_CMD_PUT] = "put",
    [PMI1_CMD_GET] = "get",
    [PMI1_CMD_BARRIER] = "barrier_in",
    [PMI1_CMD_FINALIZE] = "finalize",
    [PMI1_CMD_ABORT] = "abort",
    [PMI1_CMD_PUBLISH] = "publish_name",
    [PMI1_CMD_LOOKUP] = "lookup_name",
    [PMI1_CMD_UNPUBLISH] = "unpublish_name",
    [PMI1_CMD_SPAWN] = "spawn",
};
_Static_assert(HQ_ARRAY_LEN(cmd_names) == PMI1_CMDS, "a command without a name");

static int
bad_line(struct hq_err *err, const char *what, struct hq_str line)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf shown = HQ_BUF_INIT;

    hq_buf_escaped(&shown, hq_str_sub(line, 0, 60));
    return hq_err_set(err, -EPROTO, "Bad PMI request (%s): %s", what, shown.ptr == NULL ? "" : shown.ptr);
}

static bool
cmd_find(struct hq_str name, enum pmi1_cmd *ret)
{
    for (size_t i = 0; i < PMI1_CMDS; i++) {
        if (hq_str_is(name, cmd_names[i])) {
            *ret = (enum pmi1_cmd)i;
            return true;
        }
    }
    return false;
}

/* "name=value" at the head of *rest, parts divided by blanks; a value for `value` goes to the end of the line. */
static bool
next_word(struct hq_str *rest, struct hq_str *ret_name, struct hq_str *ret_value)
{
    struct hq_str word;

    *rest = hq_str_trim(*rest);
    if (rest->len == 0) {
        return false;
    }
    if (hq_str_starts(*rest, HQ_STR("value="))) {
        *ret_name = HQ_STR("value");
        *ret_value = hq_str_sub(*rest, 6, rest->len);
        *rest = HQ_STR_NULL;
        return true;
    }
    (void)hq_str_split(rest, ' ', &word); /* the last word has no blank behind it */
    (void)hq_str_split(&word, '=', ret_name);
    *ret_value = word;
    return true;
}

int
pmi1_parse(struct hq_str line, struct pmi1_request *ret, struct hq_err *err)
{
    struct pmi1_request q = {.version = 0};
    struct hq_str rest = line, name, value;
    bool has_cmd = false;

    if (line.len > PMI1_LINE_BYTES_MAX) {
        return bad_line(err, "too long", line);
    }
    while (next_word(&rest, &name, &value)) {
        if (!has_cmd) {
            has_cmd = (hq_str_is(name, "cmd") || hq_str_is(name, "mcmd")) && cmd_find(value, &q.cmd) &&
                      (q.cmd == PMI1_CMD_SPAWN) == hq_str_is(name, "mcmd");
            if (!has_cmd) {
                return bad_line(err, "unknown command", line);
            }
        } else if (hq_str_is(name, "kvsname")) {
            q.space = value;
        } else if (hq_str_is(name, "key")) {
            q.key = value;
        } else if (hq_str_is(name, "value")) {
            q.value = value;
        } else if (hq_str_is(name, "exitcode") && hq_num_i32(value, &q.exit_code, NULL) < 0) {
            return bad_line(err, "no exit code", line);
        } else if (hq_str_is(name, "pmi_version") && hq_num_u32(value, &q.version, NULL) < 0) {
            return bad_line(err, "no version", line);
        }
    }
    if (!has_cmd) {
        return bad_line(err, "empty", line);
    }
    if ((q.cmd == PMI1_CMD_PUT || q.cmd == PMI1_CMD_GET) && q.key.len == 0) {
        return bad_line(err, "no key", line);
    }
    if (q.cmd == PMI1_CMD_PUT && hq_str_find_byte(q.key, '=') >= 0) {
        return bad_line(err, "a key with =", line); /* it could not be told from its value on other nodes */
    }
    *ret = q;
    return 0;
}

static struct entry *
entry_find(const struct pmi1 *p, struct hq_str key)
{
    struct entry *e = NULL;

    HASH_FIND(hh, p->entries, key.ptr, key.len, e);
    return e;
}

/* A key that is there already keeps its value: PMI-1 allows one put per key, and a fence brings back our own. */
static int
entry_add(struct pmi1 *p, struct hq_str key, struct hq_str value, struct hq_err *err)
{
    if (key.len > PMI1_KEY_BYTES_MAX || value.len > PMI1_VALUE_BYTES_MAX) {
        return bad_line(err, "key or value too long", key);
    }
    if (entry_find(p, key) != NULL) {
        return 0;
    }
    if (p->bytes + key.len + value.len > PMI1_SPACE_BYTES_MAX) {
        return hq_err_set(err, -EPROTO, "The PMI key-value space takes more than %u bytes", PMI1_SPACE_BYTES_MAX);
    }
    struct entry *e = hq_xalloc(sizeof(*e) + key.len + value.len);
    memcpy(e->bytes, key.ptr, key.len);
    if (value.len > 0) {
        memcpy(e->bytes + key.len, value.ptr, value.len);
    }
    e->key_len = key.len;
    e->value = hq_str_make(e->bytes + key.len, value.len);
    p->bytes += key.len + value.len;
    HASH_ADD_KEYPTR(hh, p->entries, e->bytes, e->key_len, e);
    return 0;
}

struct pmi1 *
pmi1_create(uint32_t rank_count, struct hq_str space_name, struct hq_str mapping)
{
    struct pmi1 *p = hq_xalloc(sizeof(*p));

    p->rank_count = rank_count;
    p->space_name = hq_str_dupz(space_name);
    if (mapping.len <= PMI1_VALUE_BYTES_MAX) { /* without it ranks compare host names, which works, too */
        (void)entry_add(p, HQ_STR("PMI_process_mapping"), mapping, NULL); /* the bound was looked at */
    }
    return p;
}

void
pmi1_destroy(struct pmi1 *p)
{
    struct entry *e, *next;

    if (p == NULL) {
        return;
    }
    HASH_ITER(hh, p->entries, e, next)
    {
        HASH_DEL(p->entries, e);
        free(e);
    }
    hq_buf_fini(&p->puts);
    free(p->space_name);
    free(p);
}

static int
answer_put(struct pmi1 *p, const struct pmi1_request *q, struct hq_buf *answer, struct hq_err *err)
{
    if (!hq_str_is(q->space, p->space_name)) {
        hq_buf_cstr(answer, "cmd=put_result rc=-1 msg=unknown_kvsname\n");
        return 0;
    }
    if (entry_find(p, q->key) != NULL) {
        hq_buf_cstr(answer, "cmd=put_result rc=-1 msg=duplicate_key\n");
        return 0;
    }
    int rc = entry_add(p, q->key, q->value, err);
    if (rc == 0) {
        hq_buf_str(&p->puts, q->key);
        hq_buf_byte(&p->puts, '=');
        hq_buf_str(&p->puts, q->value);
        hq_buf_byte(&p->puts, '\n');
        hq_buf_cstr(answer, "cmd=put_result rc=0 msg=success\n");
    }
    return rc;
}

static void
answer_get(const struct pmi1 *p, const struct pmi1_request *q, struct hq_buf *answer)
{
    const struct entry *e = hq_str_is(q->space, p->space_name) ? entry_find(p, q->key) : NULL;

    if (e == NULL) {
        hq_buf_printf(answer, "cmd=get_result rc=-1 msg=key_%.*s_not_found value=unknown\n", HQ_STR_FMT(q->key));
    } else {
        hq_buf_printf(answer, "cmd=get_result rc=0 msg=success value=%.*s\n", HQ_STR_FMT(e->value));
    }
}

static void
answer_init(const struct pmi1_request *q, struct hq_buf *answer)
{
    hq_buf_printf(answer, "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=%d\n", q->version == 1 ? 0 : -1);
}

/* A rank that is not READY may only say hello: once at the start, and again after it has finished (a script of two programs). */
static int
check_state(const struct pmi1_peer *peer, const struct pmi1_request *q, struct hq_str line, struct hq_err *err)
{
    bool is_init = q->cmd == PMI1_CMD_INIT, is_abort = q->cmd == PMI1_CMD_ABORT;

    switch (peer->state) {
    case PMI1_NEW:
    case PMI1_DONE:
        return is_init || is_abort ? 0 : bad_line(err, "before init", line);
    case PMI1_READY:
        return is_init ? bad_line(err, "second init", line) : 0;
    case PMI1_IN_BARRIER:
        return is_abort ? 0 : bad_line(err, "inside the barrier", line);
    }
    return bad_line(err, "unknown state", line);
}

static int
answer(struct pmi1 *p, struct pmi1_peer *peer, const struct pmi1_request *q, struct hq_buf *out, enum pmi1_event *ret,
       struct hq_err *err)
{
    switch (q->cmd) {
    case PMI1_CMD_INIT:
        answer_init(q, out);
        peer->state = PMI1_READY;
        *ret = PMI1_STARTED;
        return 0;
    case PMI1_CMD_MAXES:
        hq_buf_printf(out, "cmd=maxes kvsname_max=%u keylen_max=%u vallen_max=%u\n", PMI1_NAME_BYTES_MAX,
                      PMI1_KEY_BYTES_MAX, PMI1_VALUE_BYTES_MAX);
        return 0;
    case PMI1_CMD_APPNUM:
        hq_buf_cstr(out, "cmd=appnum appnum=0\n");
        return 0;
    case PMI1_CMD_NAME:
        hq_buf_printf(out, "cmd=my_kvsname kvsname=%s\n", p->space_name);
        return 0;
    case PMI1_CMD_UNIVERSE:
        hq_buf_printf(out, "cmd=universe_size size=%u\n", p->rank_count);
        return 0;
    case PMI1_CMD_PUT:
        return answer_put(p, q, out, err);
    case PMI1_CMD_GET:
        answer_get(p, q, out);
        return 0;
    case PMI1_CMD_BARRIER:
        peer->state = PMI1_IN_BARRIER;
        *ret = PMI1_BARRIER;
        return 0;
    case PMI1_CMD_FINALIZE:
        hq_buf_cstr(out, "cmd=finalize_ack\n");
        peer->state = PMI1_DONE;
        *ret = PMI1_FINALIZED;
        return 0;
    case PMI1_CMD_ABORT:
        *ret = PMI1_ABORTED;
        return 0;
    case PMI1_CMD_PUBLISH:
        hq_buf_cstr(out, "cmd=publish_result rc=-1 info=not_supported msg=not_supported\n");
        return 0;
    case PMI1_CMD_LOOKUP:
        hq_buf_cstr(out, "cmd=lookup_result rc=-1 info=not_supported msg=not_supported\n");
        return 0;
    case PMI1_CMD_UNPUBLISH:
        hq_buf_cstr(out, "cmd=unpublish_result rc=-1 info=not_supported msg=not_supported\n");
        return 0;
    case PMI1_CMD_SPAWN:
        peer->is_in_spawn = true;
        return 0;
    }
    return hq_err_set(err, -EPROTO, "Unknown PMI request");
}

int
pmi1_line(struct pmi1 *p, struct pmi1_peer *peer, struct hq_str line, struct hq_buf *out, enum pmi1_event *ret,
          int32_t *ret_exit_code, struct hq_err *err)
{
    struct pmi1_request q;

    *ret = PMI1_NOTHING;
    if (peer->is_in_spawn) {
        if (hq_str_is(hq_str_trim(line), "endcmd")) {
            peer->is_in_spawn = false;
            hq_buf_cstr(out, "cmd=spawn_result rc=-1 msg=not_supported\n");
        }
        return 0;
    }
    int rc = pmi1_parse(line, &q, err);
    if (rc == 0) {
        rc = check_state(peer, &q, line, err);
    }
    if (rc == 0) {
        rc = answer(p, peer, &q, out, ret, err);
    }
    if (rc == 0 && *ret == PMI1_ABORTED) {
        *ret_exit_code = q.exit_code;
    }
    return rc;
}

void
pmi1_take_puts(struct pmi1 *p, struct hq_buf *ret)
{
    hq_buf_str(ret, hq_buf_view(&p->puts));
    hq_buf_clear(&p->puts);
}

int
pmi1_add_puts(struct pmi1 *p, struct hq_str data, struct hq_err *err)
{
    struct hq_str line, key;
    int rc = 0;

    while (data.len > 0 && rc == 0) {
        if (!hq_str_split(&data, '\n', &line) || !hq_str_split(&line, '=', &key) || key.len == 0) {
            return hq_err_set(err, -EPROTO, "Another node sent damaged PMI keys");
        }
        rc = entry_add(p, key, line, err);
    }
    return rc;
}

void
pmi1_barrier_out(struct pmi1_peer *peer, struct hq_buf *out)
{
    if (peer->state == PMI1_IN_BARRIER) {
        peer->state = PMI1_READY;
        hq_buf_cstr(out, "cmd=barrier_out\n");
    }
}

void
pmi1_print_mapping(struct hq_buf *out, const uint32_t *ranks, size_t node_count)
{
    hq_buf_cstr(out, "(vector");
    for (size_t i = 0; i < node_count;) {
        size_t end = i + 1;
        while (end < node_count && ranks[end] == ranks[i]) {
            end++;
        }
        hq_buf_printf(out, ",(%zu,%zu,%u)", i, end - i, ranks[i]);
        i = end;
    }
    hq_buf_byte(out, ')');
}
