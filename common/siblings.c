#include "common/siblings.h"

#include <limits.h>
#include <unistd.h>

int
hq_sibling_path(struct hq_buf *ret, const char *name, struct hq_err *err)
{
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self);
    if (len < 0) {
        return hq_err_sys(err, -errno, "Cannot read /proc/self/exe");
    }
    /* After an update the link reads "/dir/hq (deleted)": the directory is what counts. */
    while (len > 0 && self[len - 1] != '/') {
        len--;
    }
    HQ_AUTO(hq_buf_fini) struct hq_buf path = HQ_BUF_INIT;
    hq_buf_add(&path, self, (size_t)len);
    hq_buf_cstr(&path, name);
    if (access(path.ptr, X_OK) < 0) {
        return hq_err_sys(err, -errno, "Cannot find the program %s at %s", name, path.ptr);
    }
    hq_buf_str(ret, hq_buf_view(&path));
    return 0;
}
