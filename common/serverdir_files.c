/* The small files of an instance beside access.json: lines of "name value". */
#include "common/serverdir.h"

#include "common/fs.h"
#include "common/mem.h"
#include "common/num.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#define FILE_BYTES_MAX 16384u
#define SOCKET_PATH_BYTES_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)

/* Reads <instance>/<name> and calls `take` for each line "name value". */
static int
read_lines(const char *instance, const char *name, void *ctx,
           int (*take)(void *ctx, struct hq_str name, struct hq_str value), struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf path = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    hq_buf_printf(&path, "%s/%s", instance, name);
    int rc = hq_fs_read(&text, path.ptr, FILE_BYTES_MAX, err);
    if (rc < 0) {
        return rc;
    }
    struct hq_str rest = hq_buf_view(&text);
    for (size_t line_number = 1; rest.len > 0; line_number++) {
        struct hq_str line, key;
        (void)hq_str_split(&rest, '\n', &line); /* the last line may lack its end */
        bool has_value = hq_str_split(&line, ' ', &key);
        if (!has_value || take(ctx, key, line) < 0) {
            return hq_err_set(err, -EBADMSG, "%s:%zu: damaged line", path.ptr, line_number);
        }
    }
    return 0;
}

static int
store(const char *instance, const char *name, const struct hq_buf *text, struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf path = HQ_BUF_INIT;
    hq_buf_printf(&path, "%s/%s", instance, name);
    return hq_fs_replace(path.ptr, hq_buf_view(text), 0400, err);
}

/* ---- endpoint */

void
hq_endpoint_fini(struct hq_endpoint *e)
{
    hq_mem_freep(&e->ipc);
    *e = (struct hq_endpoint){0};
}

static int
take_endpoint(void *ctx, struct hq_str name, struct hq_str value)
{
    struct hq_endpoint *e = ctx;
    if (hq_str_is(name, "protocol")) {
        return hq_num_u32(value, &e->protocol, NULL);
    }
    if (hq_str_is(name, "ipc")) {
        if (value.len < 2 || (value.ptr[0] != '/' && value.ptr[0] != '@') || e->ipc != NULL) {
            return -EBADMSG;
        }
        e->ipc = hq_str_dupz(value);
    }
    return 0; /* names of later versions are none of our business */
}

int
hq_endpoint_load(struct hq_endpoint *ret, const char *instance, struct hq_err *err)
{
    struct hq_endpoint e = {0};
    int rc = read_lines(instance, HQ_ENDPOINT_NAME, &e, take_endpoint, err);
    if (rc == 0 && e.protocol == 0) {
        rc = hq_err_set(err, -EBADMSG, "%s/%s: no protocol number", instance, HQ_ENDPOINT_NAME);
    }
    if (rc < 0) {
        hq_endpoint_fini(&e);
        return rc;
    }
    *ret = e;
    return 0;
}

int
hq_endpoint_store(const struct hq_endpoint *e, const char *instance, struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    hq_buf_printf(&text, "protocol %u\n", e->protocol);
    if (e->ipc != NULL) {
        HQ_ASSERT(strchr(e->ipc, '\n') == NULL);
        hq_buf_printf(&text, "ipc %s\n", e->ipc);
    }
    return store(instance, HQ_ENDPOINT_NAME, &text, err);
}

void
hq_endpoint_socket(struct hq_buf *ret, const char *instance)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf path = HQ_BUF_INIT;
    hq_buf_printf(&path, "%s/%s", instance, HQ_SOCKET_NAME);
    if (path.len > SOCKET_PATH_BYTES_MAX || hq_str_find_byte(hq_buf_view(&path), '\n') >= 0) {
        hq_endpoint_abstract(ret);
    } else {
        hq_buf_str(ret, hq_buf_view(&path));
    }
}

void
hq_endpoint_abstract(struct hq_buf *ret)
{
    unsigned char random[16];
    char hex[2 * sizeof random + 1];
    int rc = sodium_init(); /* 1 = done before */
    HQ_ASSERT(rc >= 0);
    randombytes_buf(random, sizeof random);
    hq_buf_printf(ret, "@hq-%s", sodium_bin2hex(hex, sizeof hex, random, sizeof random));
}

/* ---- owner */

static int
read_proc_file(struct hq_buf *ret, const char *path, struct hq_err *err)
{
    int rc = hq_fs_read(ret, path, FILE_BYTES_MAX, err);
    if (rc < 0) {
        (void)hq_err_prefix(err, "Cannot read %s", path);
    }
    return rc;
}

/* Start time of a process in clock ticks since the boot: field 22, counted behind the name in parentheses. -ESRCH for a
 * zombie (field 3): it does nothing any more, even if nobody has asked for its end yet. */
static int
read_start_ticks(int32_t pid, uint64_t *ret, struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid); /* always fits */
    int rc = read_proc_file(&text, path, err);
    if (rc < 0) {
        return rc;
    }
    const char *end = strrchr(text.ptr, ')');
    struct hq_str rest = hq_str_from(end == NULL ? "" : end + 1);
    struct hq_str field = HQ_STR_NULL;
    for (int i = 2; i <= 22; i++) {
        (void)hq_str_split(&rest, ' ', &field); /* a short line ends in no number */
        if (i == 3 && (hq_str_is(field, "Z") || hq_str_is(field, "X"))) {
            return hq_err_sys(err, -ESRCH, "The process has ended");
        }
    }
    if (hq_num_u64(field, ret, NULL) < 0) {
        return hq_err_set(err, -EBADMSG, "Cannot read %s: unknown form", path);
    }
    return 0;
}

int
hq_owner_self(struct hq_owner *ret, struct hq_err *err)
{
    struct hq_owner o = {.pid = (int32_t)getpid()};
    HQ_AUTO(hq_buf_fini) struct hq_buf boot = HQ_BUF_INIT;
    if (gethostname(o.host, sizeof o.host - 1) < 0) {
        return hq_err_sys(err, -errno, "Cannot read the host name");
    }
    int rc = read_proc_file(&boot, "/proc/sys/kernel/random/boot_id", err);
    if (rc == 0) {
        rc = read_start_ticks(o.pid, &o.start_ticks, err);
    }
    if (rc < 0) {
        return rc;
    }
    struct hq_str id = hq_str_trim(hq_buf_view(&boot));
    if (id.len == 0 || id.len >= sizeof o.boot_id) {
        return hq_err_set(err, -EBADMSG, "Cannot read the boot id: unknown form");
    }
    memcpy(o.boot_id, id.ptr, id.len);
    *ret = o;
    return 0;
}

static int
take_text(char *ret, size_t bytes, struct hq_str value)
{
    if (value.len == 0 || value.len >= bytes) {
        return -EBADMSG;
    }
    memcpy(ret, value.ptr, value.len);
    ret[value.len] = '\0';
    return 0;
}

static int
take_owner(void *ctx, struct hq_str name, struct hq_str value)
{
    struct hq_owner *o = ctx;
    if (hq_str_is(name, "host")) {
        return take_text(o->host, sizeof o->host, value);
    }
    if (hq_str_is(name, "boot_id")) {
        return take_text(o->boot_id, sizeof o->boot_id, value);
    }
    if (hq_str_is(name, "pid")) {
        return hq_num_i32(value, &o->pid, NULL);
    }
    if (hq_str_is(name, "start")) {
        return hq_num_u64(value, &o->start_ticks, NULL);
    }
    return 0; /* names of later versions are none of our business */
}

int
hq_owner_load(struct hq_owner *ret, const char *instance, struct hq_err *err)
{
    struct hq_owner o = {0};
    int rc = read_lines(instance, HQ_OWNER_NAME, &o, take_owner, err);
    if (rc < 0) {
        return rc;
    }
    if (o.host[0] == '\0' || o.boot_id[0] == '\0' || o.pid <= 0) {
        return hq_err_set(err, -EBADMSG, "%s/%s: incomplete", instance, HQ_OWNER_NAME);
    }
    *ret = o;
    return 0;
}

int
hq_owner_store(const struct hq_owner *o, const char *instance, struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    hq_buf_printf(&text, "host %s\nboot_id %s\npid %d\nstart %llu\n", o->host, o->boot_id, (int)o->pid,
                  (unsigned long long)o->start_ticks);
    return store(instance, HQ_OWNER_NAME, &text, err);
}

enum hq_owner_state
hq_owner_judge(const struct hq_owner *owner, const struct hq_owner *self)
{
    if (owner->pid == 0) {
        return HQ_OWNER_NONE;
    }
    if (strcmp(owner->host, self->host) != 0) {
        return HQ_OWNER_ELSEWHERE;
    }
    if (strcmp(owner->boot_id, self->boot_id) != 0) {
        return HQ_OWNER_DEAD;
    }
    if (owner->pid == self->pid && owner->start_ticks == self->start_ticks) {
        return HQ_OWNER_SELF;
    }
    uint64_t ticks;
    bool is_alive = read_start_ticks(owner->pid, &ticks, NULL) == 0 && ticks == owner->start_ticks;
    return is_alive ? HQ_OWNER_ALIVE : HQ_OWNER_DEAD;
}
