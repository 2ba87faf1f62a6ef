/* fs.h - files: closed on exec, read within bounds, replaced atomically.
 *
 * Ownership  buffers are the caller's; returned fds too.
 * Errors     negative errno. The text is the system's alone ("No such file or directory (os error 2)"): callers add what
 *            and where. -EFBIG: longer than bytes_max ("File is larger than N bytes").
 */
#ifndef HQ_COMMON_FS_H
#define HQ_COMMON_FS_H

#include "common/err.h"
#include "common/str.h"

#include <sys/types.h>

HQ_MUST_CHECK int hq_fs_open(const char *path, int flags, mode_t mode, struct hq_err *err); /* fd >= 0; O_CLOEXEC added */
void hq_fs_closep(int *fd); /* cleanup form for fds; -1 is fine; keeps errno */
/* Appends the whole file. */
HQ_MUST_CHECK int hq_fs_read(struct hq_buf *ret, const char *path, size_t bytes_max, struct hq_err *err);
HQ_MUST_CHECK int hq_fs_read_fd(struct hq_buf *ret, int fd, size_t bytes_max, struct hq_err *err); /* until the end */
HQ_MUST_CHECK int hq_fs_write_all(int fd, const void *p, size_t len); /* restarts after EINTR and short writes */
/* New file that must not exist (-EEXIST), complete and on disk, or not there at all. */
HQ_MUST_CHECK int hq_fs_create(const char *path, struct hq_str data, mode_t mode, struct hq_err *err);
/* Replaces the file in one step: temporary file beside it, fsync, rename, fsync of the directory. */
HQ_MUST_CHECK int hq_fs_replace(const char *path, struct hq_str data, mode_t mode, struct hq_err *err);
/* Makes the symbolic link in one step, replacing what is there. */
HQ_MUST_CHECK int hq_fs_replace_link(const char *target, const char *path, struct hq_err *err);
HQ_MUST_CHECK int hq_fs_mkdirs(const char *path, mode_t mode, struct hq_err *err); /* parents too; existing is fine */
HQ_MUST_CHECK int hq_fs_sync_parent(const char *path, struct hq_err *err); /* fsync of the directory that holds path */
bool hq_fs_is_dir(const char *path); /* follows links */
/* Appends `path`, made absolute against the current directory, without resolving links or "..". */
HQ_MUST_CHECK int hq_fs_absolute(struct hq_buf *ret, const char *path, struct hq_err *err);

#endif
