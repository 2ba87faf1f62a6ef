#include "common/fs.h"

#include "common/mem.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES ((size_t)65536)
#define TEMPORARY_TRIES 100 /* names of temporary files: a collision needs a process with our pid on another host */

/* The system's text alone. */
static int
sys(struct hq_err *err, int code)
{
    return hq_err_set(err, code, "%s", hq_err_os(code));
}

int
hq_fs_open(const char *path, int flags, mode_t mode, struct hq_err *err)
{
    int fd;
    do {
        fd = open(path, flags | O_CLOEXEC, mode);
    } while (fd < 0 && errno == EINTR);
    return fd < 0 ? sys(err, -errno) : fd;
}

void
hq_fs_closep(int *fd)
{
    int saved = errno;
    if (*fd >= 0) {
        (void)close(*fd); /* written data was synced, or does not matter */
        *fd = -1;
    }
    errno = saved;
}

static int
too_large(struct hq_err *err, size_t bytes_max)
{
    return hq_err_set(err, -EFBIG, "File is larger than %zu bytes", bytes_max);
}

int
hq_fs_read_fd(struct hq_buf *ret, int fd, size_t bytes_max, struct hq_err *err)
{
    size_t start = ret->len;
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && (uint64_t)st.st_size > bytes_max &&
        lseek(fd, 0, SEEK_CUR) == 0) {
        return too_large(err, bytes_max); /* at once, and without the memory */
    }
    for (;;) {
        /* one byte beyond the bound tells a file that fits from one that does not */
        size_t room = bytes_max - (ret->len - start);
        size_t want = HQ_MIN(room, READ_BYTES - 1) + 1;
        hq_buf_reserve(ret, want);
        ssize_t n = read(fd, ret->ptr + ret->len, want);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            int rc = -errno;
            ret->len = start;
            return sys(err, rc);
        }
        if (n == 0) {
            ret->ptr[ret->len] = '\0';
            return 0;
        }
        if ((size_t)n > room) {
            ret->len = start;
            return too_large(err, bytes_max);
        }
        ret->len += (size_t)n;
    }
}

int
hq_fs_read(struct hq_buf *ret, const char *path, size_t bytes_max, struct hq_err *err)
{
    HQ_AUTO(hq_fs_closep) int fd = hq_fs_open(path, O_RDONLY, 0, err);
    return fd < 0 ? fd : hq_fs_read_fd(ret, fd, bytes_max, err);
}

int
hq_fs_write_all(int fd, const void *p, size_t len)
{
    const char *bytes = p;
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -errno;
        }
        bytes += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Appends the directory that holds path: "." without a slash. */
static void
add_parent(struct hq_buf *out, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        hq_buf_byte(out, '.');
    } else {
        hq_buf_add(out, path, slash == path ? 1 : (size_t)(slash - path));
    }
}

int
hq_fs_sync_parent(const char *path, struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf dir = HQ_BUF_INIT;
    add_parent(&dir, path);
    HQ_AUTO(hq_fs_closep) int fd = hq_fs_open(dir.ptr, O_RDONLY | O_DIRECTORY, 0, err);
    if (fd < 0) {
        return fd;
    }
    /* some filesystems have no fsync for directories: then there is nothing to be had */
    if (fsync(fd) < 0 && errno != EINVAL && errno != EROFS) {
        return sys(err, -errno);
    }
    return 0;
}

/* A new file beside `path` with the data on disk; its name is appended to *ret_name. */
static int
write_temporary(struct hq_buf *ret_name, const char *path, struct hq_str data, mode_t mode, struct hq_err *err)
{
    HQ_AUTO(hq_fs_closep) int fd = -1;
    for (int i = 0; i < TEMPORARY_TRIES && fd < 0; i++) {
        hq_buf_clear(ret_name);
        hq_buf_printf(ret_name, "%s.tmp-%ld-%d", path, (long)getpid(), i);
        fd = hq_fs_open(ret_name->ptr, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode, err);
        if (fd < 0 && fd != -EEXIST) {
            return fd;
        }
    }
    if (fd < 0) {
        return fd;
    }
    int rc = fchmod(fd, mode) < 0 ? -errno : 0; /* the mode asked for, whatever the umask */
    if (rc == 0) {
        rc = hq_fs_write_all(fd, data.ptr, data.len);
    }
    if (rc == 0 && fsync(fd) < 0) {
        rc = -errno;
    }
    if (rc < 0) {
        (void)unlink(ret_name->ptr); /* the first failure is the one to report */
        return sys(err, rc);
    }
    return 0;
}

int
hq_fs_create(const char *path, struct hq_str data, mode_t mode, struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf name = HQ_BUF_INIT;
    struct stat st;
    if (lstat(path, &st) == 0) {
        return sys(err, -EEXIST);
    }
    int rc = write_temporary(&name, path, data, mode, err);
    if (rc < 0) {
        return rc;
    }
    /* link() refuses an existing name, unlike rename(); where it is not to be had, renameat2 says the same */
    if (link(name.ptr, path) < 0) {
        rc = -errno;
        if (rc != -EEXIST && renameat2(AT_FDCWD, name.ptr, AT_FDCWD, path, RENAME_NOREPLACE) == 0) {
            return hq_fs_sync_parent(path, err);
        }
    }
    (void)unlink(name.ptr); /* a left-over temporary file harms nobody */
    return rc < 0 ? sys(err, rc) : hq_fs_sync_parent(path, err);
}

int
hq_fs_replace(const char *path, struct hq_str data, mode_t mode, struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf name = HQ_BUF_INIT;
    int rc = write_temporary(&name, path, data, mode, err);
    if (rc < 0) {
        return rc;
    }
    if (rename(name.ptr, path) < 0) {
        rc = -errno;
        (void)unlink(name.ptr); /* the first failure is the one to report */
        return sys(err, rc);
    }
    return hq_fs_sync_parent(path, err);
}

int
hq_fs_replace_link(const char *target, const char *path, struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf name = HQ_BUF_INIT;
    int rc = -EEXIST;
    for (int i = 0; i < TEMPORARY_TRIES && rc == -EEXIST; i++) {
        hq_buf_clear(&name);
        hq_buf_printf(&name, "%s.tmp-%ld-%d", path, (long)getpid(), i);
        rc = symlink(target, name.ptr) < 0 ? -errno : 0;
    }
    if (rc < 0) {
        return sys(err, rc);
    }
    if (rename(name.ptr, path) < 0) {
        rc = -errno;
        (void)unlink(name.ptr); /* the first failure is the one to report */
        return sys(err, rc);
    }
    return hq_fs_sync_parent(path, err);
}

bool
hq_fs_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int
hq_fs_mkdirs(const char *path, mode_t mode, struct hq_err *err)
{
    HQ_AUTO(hq_mem_freep) char *copy = hq_xstrdup(path);
    int rc = 0;
    for (char *p = copy; *p != '\0';) {
        p += strspn(p, "/");
        p += strcspn(p, "/");
        char kept = *p;
        *p = '\0';
        rc = copy[0] == '\0' || mkdir(copy, mode) == 0 ? 0 : -errno;
        /* a parent that can't be made (read-only, automounted) may be there all the same: the last one decides */
        if (rc < 0 && hq_fs_is_dir(copy)) {
            rc = 0;
        }
        if (rc < 0) {
            return sys(err, rc == -EEXIST ? -ENOTDIR : rc);
        }
        *p = kept;
    }
    return copy[0] == '\0' ? sys(err, -ENOENT) : 0;
}

int
hq_fs_absolute(struct hq_buf *ret, const char *path, struct hq_err *err)
{
    if (path[0] != '/') {
        HQ_AUTO(hq_mem_freep) char *here = getcwd(NULL, 0);
        if (here == NULL) {
            return sys(err, -errno);
        }
        hq_buf_cstr(ret, here);
        if (ret->ptr[ret->len - 1] != '/') {
            hq_buf_byte(ret, '/');
        }
    }
    hq_buf_cstr(ret, path);
    return 0;
}
