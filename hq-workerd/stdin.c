/* stdin.c - memory files filled part by part, sealed when a body takes them. */
#include "hq-workerd/stdin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/fs.h"
#include "common/limits.h"
#include "common/mem.h"

struct stdin_data { /* counted: by the store and by bodies */
    atomic_uint refs;
    int fd;
    uint32_t job_id;
    uint32_t submit;
    uint64_t bytes;
    bool is_sealed;
    struct stdin_data *next;
};

struct stdin_store {
    struct stdin_data *head; /* newest first */
};

static void
stdin_data_unref(void *p)
{
    struct stdin_data *d = p;

    if (atomic_fetch_sub(&d->refs, 1) == 1) {
        (void)close(d->fd);
        free(d);
    }
}

struct stdin_store *
stdin_store_create(void)
{
    return hq_try_alloc(sizeof(struct stdin_store));
}

void
stdin_store_destroy(struct stdin_store *s)
{
    if (s == NULL) {
        return;
    }
    while (s->head != NULL) {
        struct stdin_data *d = s->head;
        s->head = d->next;
        stdin_data_unref(d);
    }
    free(s);
}

static int
stdin_store_new(struct stdin_store *s, uint32_t job_id, uint32_t submit, struct stdin_data **ret)
{
    struct stdin_data *d = hq_try_alloc(sizeof(*d));

    if (d == NULL) {
        return -ENOMEM;
    }
    d->fd = memfd_create("hq-stdin", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (d->fd < 0) {
        int rc = -errno;
        free(d);
        return rc;
    }
    atomic_init(&d->refs, 1);
    d->job_id = job_id;
    d->submit = submit;
    d->next = s->head;
    s->head = d;
    *ret = d;
    return 0;
}

int
stdin_store_add(struct stdin_store *s, uint32_t job_id, uint32_t submit, uint64_t offset, struct hq_str data)
{
    struct stdin_data *d = s->head;

    while (d != NULL && (d->job_id != job_id || d->submit != submit)) {
        d = d->next;
    }
    if (d == NULL || d->is_sealed) { /* sealed: the same data again, for a server that has restarted */
        if (offset != 0) {
            return -EPROTO;
        }
        int rc = stdin_store_new(s, job_id, submit, &d);
        if (rc < 0) {
            return rc;
        }
    }
    if (offset != d->bytes) {
        return -EPROTO;
    }
    if (data.len > HQ_STDIN_BYTES_MAX - d->bytes) {
        return -EFBIG;
    }
    int rc = hq_fs_write_all(d->fd, data.ptr, data.len);
    if (rc == 0) {
        d->bytes += data.len;
    }
    return rc;
}

int
stdin_store_attach(struct stdin_store *s, struct body *body, uint64_t bytes)
{
    struct stdin_data *d = s->head;

    while (d != NULL && d->job_id != body->job_id) {
        d = d->next;
    }
    if (d == NULL || d->bytes != bytes) {
        return -ENOENT;
    }
    if (!d->is_sealed) {
        if (fcntl(d->fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0) {
            return -errno;
        }
        d->is_sealed = true;
    }
    atomic_fetch_add(&d->refs, 1);
    body->stdin_data = d;
    body->drop_stdin = stdin_data_unref;
    return 0;
}

void
stdin_store_forget(struct stdin_store *s, uint32_t job_id)
{
    struct stdin_data **at = &s->head;

    while (*at != NULL) {
        struct stdin_data *d = *at;
        if (d->job_id == job_id) {
            *at = d->next;
            stdin_data_unref(d);
        } else {
            at = &d->next;
        }
    }
}

int
stdin_open(const struct body *body)
{
    const struct stdin_data *d = body->stdin_data;
    char path[64];

    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", d->fd);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}
