/* taskdir.c - directories of tasks. */
#include "hq-workerd/taskdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fs.h"
#include "common/limits.h"
#include "common/mem.h"

int
taskdir_create(char **ret, const char *work_dir, struct hq_err *err)
{
    static const char suffix[] = "/tXXXXXX";
    size_t len = strlen(work_dir);
    char *path = hq_try_alloc(len + sizeof suffix);

    if (path == NULL) {
        return hq_err_sys(err, -ENOMEM, "Cannot create task_dir in worker's workdir at %s", work_dir);
    }
    memcpy(path, work_dir, len);
    memcpy(path + len, suffix, sizeof suffix);
    if (mkdtemp(path) == NULL) {
        int rc = hq_err_sys(err, -errno, "Cannot create task_dir in worker's workdir at %s", work_dir);
        free(path);
        return rc;
    }
    *ret = path;
    return 0;
}

struct hq_str
taskdir_short_name(struct hq_str host)
{
    bool is_address = true;
    size_t dot = host.len;

    for (size_t i = 0; i < host.len; i++) {
        if (host.ptr[i] == '.') {
            dot = HQ_MIN(dot, i);
        } else if (host.ptr[i] < '0' || host.ptr[i] > '9') {
            is_address = false;
        }
    }
    return is_address ? host : hq_str_sub(host, 0, dot);
}

int
taskdir_write_hosts(const char *dir, const struct hq_str *hosts, size_t count, struct hq_err *err)
{
    static const char *const names[] = {TASKDIR_HOST_NAME, TASKDIR_NODE_NAME};
    int rc = 0;

    for (size_t k = 0; k < HQ_ARRAY_LEN(names) && rc == 0; k++) {
        HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
        HQ_AUTO(hq_buf_fini) struct hq_buf path = HQ_BUF_INIT;
        HQ_AUTO(hq_fs_closep) int fd = -1;

        for (size_t i = 0; i < count; i++) {
            hq_buf_str(&text, k == 0 ? hosts[i] : taskdir_short_name(hosts[i]));
            hq_buf_byte(&text, '\n');
        }
        hq_buf_printf(&path, "%s/%s", dir, names[k]);
        fd = open(path.ptr, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        rc = fd < 0 ? -errno : hq_fs_write_all(fd, text.ptr, text.len);
        if (rc < 0) {
            rc = hq_err_sys(err, rc, "Cannot write node file %s", path.ptr);
        }
    }
    return rc;
}

bool
taskdir_read_error(const char *dir, struct hq_buf *ret)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf path = HQ_BUF_INIT;
    HQ_AUTO(hq_fs_closep) int fd = -1;
    char text[TASKDIR_ERROR_BYTES];
    size_t len = 0;
    struct stat st;

    hq_buf_printf(&path, "%s/%s", dir, TASKDIR_ERROR_NAME);
    fd = open(path.ptr, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW); /* a fifo or a link there is no file */
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        return false;
    }
    while (len < sizeof text) {
        ssize_t got = read(fd, text + len, sizeof text - len);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            break;
        }
        len += (size_t)got;
    }
    if (len == 0) {
        hq_buf_cstr(ret, "Task created an error file, but it is empty");
        return true;
    }
    hq_buf_utf8_lossy(ret, hq_str_make(text, len));
    if (len == sizeof text) {
        hq_buf_cstr(ret, "\n[The message was truncated]");
    }
    return true;
}

/* Removes what is in the directory `fd` (owned). */
static void
taskdir_empty(int fd, unsigned depth)
{
    DIR *dir = fdopendir(fd);
    struct dirent *e;

    if (dir == NULL) {
        (void)close(fd);
        return;
    }
    while ((e = readdir(dir)) != NULL) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
            continue;
        }
        if (unlinkat(fd, e->d_name, 0) == 0 || (errno != EISDIR && errno != EPERM)) {
            continue;
        }
        int sub = depth < TASKDIR_DEPTH_MAX
                      ? openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                      : -1;
        if (sub >= 0) {
            taskdir_empty(sub, depth + 1);
        }
        (void)unlinkat(fd, e->d_name, AT_REMOVEDIR); /* not empty or not ours: it stays */
    }
    (void)closedir(dir);
}

void
taskdir_remove(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd >= 0) {
        taskdir_empty(fd, 0);
    }
    (void)rmdir(dir);
}
