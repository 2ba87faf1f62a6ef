/* output.c - the common case is one open(2): directories are made only after it has failed. */
#include "hq-workerd/output.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fs.h"
#include "common/mem.h"

#define OUTPUT_DEPTH_MAX 2048 /* directories in a path of PATH_MAX bytes */

static const struct {
    int error;
    const char *kind;
} output_kinds[] = {
    {ENOENT, "NotFound"},           {EPERM, "PermissionDenied"},      {EACCES, "PermissionDenied"},
    {EEXIST, "AlreadyExists"},      {ENOTDIR, "NotADirectory"},       {EISDIR, "IsADirectory"},
    {ENOSPC, "StorageFull"},        {EROFS, "ReadOnlyFilesystem"},    {ENAMETOOLONG, "InvalidFilename"},
    {ELOOP, "FilesystemLoop"},      {EDQUOT, "QuotaExceeded"},        {ENOMEM, "OutOfMemory"},
    {EINVAL, "InvalidInput"},       {ESTALE, "StaleNetworkFileHandle"}, {ETIMEDOUT, "TimedOut"},
    {ETXTBSY, "ExecutableFileBusy"}, {EFBIG, "FileTooLarge"},
};

void
output_print_os(struct hq_buf *out, int error)
{
    const char *kind = "Uncategorized";
    char text[256];

    error = error < 0 ? -error : error;
    for (size_t i = 0; i < HQ_ARRAY_LEN(output_kinds); i++) {
        if (output_kinds[i].error == error) {
            kind = output_kinds[i].kind;
        }
    }
    hq_buf_printf(out, "Os { code: %d, kind: %s, message: \"%s\" }", error, kind, strerror_r(error, text, sizeof text));
}

void
output_print_dir_error(struct hq_buf *out, const char *stream, const char *path, bool remove_if_finished, int error)
{
    hq_buf_printf(out, "Cannot create %s directory at File { path: \"", stream);
    for (const char *p = path; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\') {
            hq_buf_byte(out, '\\');
        }
        hq_buf_byte(out, *p);
    }
    hq_buf_printf(out, "\", on_close: %s }: ", remove_if_finished ? "RmIfFinished" : "None");
    output_print_os(out, error);
}

int
output_mkdirs(const char *path)
{
    HQ_AUTO(hq_mem_freep) char *copy = NULL;
    size_t len = strlen(path), ends[OUTPUT_DEPTH_MAX], depth = 0;

    if (mkdir(path, 0777) == 0) {
        return 0;
    }
    if (errno != ENOENT) {
        int rc = -errno;
        return hq_fs_is_dir(path) ? 0 : rc;
    }
    copy = hq_try_alloc(len + 1);
    if (copy == NULL) {
        return -ENOMEM;
    }
    memcpy(copy, path, len + 1);
    /* Up to the first parent that can be made or exists, then down again. */
    for (;;) {
        while (len > 1 && copy[len - 1] == '/') {
            len--;
        }
        while (len > 0 && copy[len - 1] != '/') {
            len--;
        }
        if (len == 0 || depth == OUTPUT_DEPTH_MAX) {
            return -ENOENT;
        }
        ends[depth++] = len - 1;
        copy[len - 1] = '\0';
        len--;
        if (mkdir(copy, 0777) == 0 || hq_fs_is_dir(copy)) {
            break;
        }
        if (errno != ENOENT) {
            return -errno;
        }
    }
    while (depth > 0) {
        copy[ends[--depth]] = '/';
        if (mkdir(copy, 0777) < 0 && errno != EEXIST) {
            return -errno;
        }
    }
    return hq_fs_is_dir(path) ? 0 : -EEXIST;
}

/* Parent directory of `path` made; -EISDIR never. */
static int
output_make_parent(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL || slash == path) {
        return 0;
    }
    HQ_AUTO(hq_mem_freep) char *dir = hq_try_alloc((size_t)(slash - path) + 1);
    if (dir == NULL) {
        return -ENOMEM;
    }
    memcpy(dir, path, (size_t)(slash - path));
    return output_mkdirs(dir);
}

static int
output_try(const char *path, bool is_later)
{
    int fd;

    if (is_later) {
        output_remove(path); /* an error shows again below */
    }
    do {
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
    } while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

int
output_open(const char *path, bool is_later, enum output_step *ret_step)
{
    int fd = output_try(path, is_later);

    *ret_step = OUTPUT_STEP_FILE;
    if (fd == -ENOENT || fd == -ENOTDIR) {
        int rc = output_make_parent(path);
        if (rc < 0) {
            *ret_step = OUTPUT_STEP_DIR;
            return rc;
        }
        fd = output_try(path, is_later);
    }
    return fd;
}

void
output_remove(const char *path)
{
    struct stat st;

    if (lstat(path, &st) == 0 && S_ISREG(st.st_mode)) {
        (void)unlink(path); /* gone or not ours: nothing to do about it */
    }
}
