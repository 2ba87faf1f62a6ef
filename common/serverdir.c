#include "common/serverdir.h"

#include "common/fs.h"
#include "common/mem.h"
#include "common/num.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIR_NAME ".hq-server"
#define MKDIR_TRIES 1000 /* numbers taken by others between our look and our mkdir */

/* The system's text alone. */
static int
sys(struct hq_err *err, int code)
{
    return hq_err_set(err, code, "%s", hq_err_os(code));
}

static void
default_path(struct hq_buf *out)
{
    const char *home = getenv("HOME");
    const char *tmp = getenv("TMPDIR");
    if (home != NULL && home[0] != '\0') {
        hq_buf_cstr(out, home);
    } else {
        hq_buf_cstr(out, tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp");
    }
    if (out->ptr[out->len - 1] != '/') {
        hq_buf_byte(out, '/');
    }
    hq_buf_cstr(out, DIR_NAME);
}

int
hq_serverdir_path(struct hq_buf *ret, const char *given, bool *ret_is_default, struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf def = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf path = HQ_BUF_INIT;
    default_path(&def);
    int rc = hq_fs_absolute(&path, given != NULL ? given : def.ptr, err);
    if (rc < 0) {
        return rc;
    }
    *ret_is_default = hq_str_eq(hq_buf_view(&path), hq_buf_view(&def));
    hq_buf_str(ret, hq_buf_view(&path));
    return 0;
}

static void
join(struct hq_buf *out, const char *dir, const char *name)
{
    hq_buf_cstr(out, dir);
    if (out->len > 0 && out->ptr[out->len - 1] != '/') {
        hq_buf_byte(out, '/');
    }
    hq_buf_cstr(out, name);
}

/* Appends where the link hq-current leads, absolute when server_dir is; false when it is no link to a directory. */
static bool
read_current(struct hq_buf *ret, const char *server_dir)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf link = HQ_BUF_INIT;
    char target[PATH_MAX];
    join(&link, server_dir, HQ_CURRENT_NAME);
    if (!hq_fs_is_dir(link.ptr)) {
        return false;
    }
    ssize_t len = readlink(link.ptr, target, sizeof target - 1);
    if (len <= 0) {
        hq_buf_str(ret, hq_buf_view(&link)); /* a directory of that name, made by hand */
        return true;
    }
    target[len] = '\0';
    if (target[0] == '/') {
        hq_buf_cstr(ret, target);
    } else {
        join(ret, server_dir, target);
    }
    return true;
}

int
hq_serverdir_instance(struct hq_buf *ret, const char *server_dir, struct hq_err *err)
{
    if (!hq_fs_is_dir(server_dir)) {
        HQ_AUTO(hq_buf_fini) struct hq_buf shown = HQ_BUF_INIT;
        hq_buf_quoted(&shown, hq_str_from(server_dir));
        return hq_err_set(err, -ENOTDIR, "Error: %s is not a directory", shown.ptr);
    }
    if (!read_current(ret, server_dir)) {
        hq_buf_cstr(ret, server_dir);
    }
    return 0;
}

void
hq_serverdir_hint(struct hq_buf *out, const char *server_dir, bool is_default)
{
    if (!is_default) {
        hq_buf_printf(out, " --server-dir %s", server_dir);
    }
}

int
hq_serverdir_load_client(struct hq_access *ret, struct hq_buf *ret_instance, const char *server_dir, bool is_default,
                         struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf instance = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf file = HQ_BUF_INIT;
    int rc = hq_serverdir_instance(&instance, server_dir, err);
    if (rc < 0) {
        (void)hq_err_wrap(err, "Invalid server directory");
        return rc;
    }
    join(&file, instance.ptr, HQ_ACCESS_NAME);
    rc = hq_access_load(ret, file.ptr, HQ_ACCESS_CLIENT, err);
    if (rc < 0 && rc != -EPROTONOSUPPORT) {
        HQ_AUTO(hq_buf_fini) struct hq_buf shown = HQ_BUF_INIT;
        HQ_AUTO(hq_buf_fini) struct hq_buf hint = HQ_BUF_INIT;
        hq_buf_quoted(&shown, hq_str_from(server_dir));
        hq_buf_cstr(&hint, "hq server start");
        hq_serverdir_hint(&hint, server_dir, is_default);
        (void)hq_err_wrap(err,
                          "No running instance of HQ found at %s.\nTry to start the server: `%s` or use a different "
                          "server directory.",
                          shown.ptr, hint.ptr);
    }
    if (rc == 0) {
        hq_buf_str(ret_instance, hq_buf_view(&instance));
    }
    return rc;
}

int
hq_serverdir_load_worker(struct hq_access *ret, struct hq_buf *ret_instance, const char *server_dir, struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf instance = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf file = HQ_BUF_INIT;
    int rc = hq_serverdir_instance(&instance, server_dir, err);
    if (rc < 0) {
        (void)hq_err_wrap(err, "Cannot load server directory");
        return rc;
    }
    join(&file, instance.ptr, HQ_ACCESS_NAME);
    rc = hq_access_load(ret, file.ptr, HQ_ACCESS_WORKER, err);
    if (rc < 0 && rc != -EPROTONOSUPPORT) {
        HQ_AUTO(hq_buf_fini) struct hq_buf shown = HQ_BUF_INIT;
        hq_buf_quoted(&shown, hq_buf_view(&file));
        (void)hq_err_wrap(err, "Cannot load access record from %s", shown.ptr);
    }
    if (rc == 0) {
        hq_buf_str(ret_instance, hq_buf_view(&instance));
    }
    return rc;
}

/* ---- instances */

/* Highest number among the names of the directory's entries; 0 = none. */
static int
highest_number(const char *server_dir, uint32_t *ret, struct hq_err *err)
{
    uint32_t highest = 0;
    DIR *dir = opendir(server_dir);
    if (dir == NULL) {
        return sys(err, -errno);
    }
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        uint32_t number;
        if (hq_num_u32(hq_str_from(entry->d_name), &number, NULL) == 0) {
            highest = HQ_MAX(highest, number);
        }
    }
    (void)closedir(dir); /* only read */
    *ret = highest;
    return 0;
}

static int
make_server_dir(const char *server_dir, struct hq_err *err)
{
    const char *slash = strrchr(server_dir, '/');
    if (slash != NULL && slash != server_dir) {
        HQ_AUTO(hq_mem_freep) char *parent = hq_str_dupz(hq_str_make(server_dir, (size_t)(slash - server_dir)));
        int rc = hq_fs_mkdirs(parent, 0777, err);
        if (rc < 0) {
            return rc;
        }
    }
    return hq_fs_mkdirs(server_dir, 0700, err);
}

int
hq_serverdir_create_instance(struct hq_buf *ret, const char *server_dir, struct hq_err *err)
{
    uint32_t number = 0;
    int rc = make_server_dir(server_dir, err);
    if (rc == 0) {
        rc = highest_number(server_dir, &number, err);
    }
    for (int i = 0; rc == 0 && i < MKDIR_TRIES && number < UINT32_MAX; i++) {
        HQ_AUTO(hq_buf_fini) struct hq_buf path = HQ_BUF_INIT;
        char name[16];
        (void)snprintf(name, sizeof name, "%03u", ++number); /* at most ten digits */
        join(&path, server_dir, name);
        if (mkdir(path.ptr, 0700) == 0) {
            hq_buf_str(ret, hq_buf_view(&path));
            return 0;
        }
        rc = errno == EEXIST ? 0 : sys(err, -errno);
    }
    return rc < 0 ? rc : sys(err, -EEXIST);
}

int
hq_serverdir_set_current(const char *server_dir, const char *instance, struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf link = HQ_BUF_INIT;
    join(&link, server_dir, HQ_CURRENT_NAME);
    return hq_fs_replace_link(instance, link.ptr, err);
}

int
hq_serverdir_clear_current(const char *server_dir, const char *instance, struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf link = HQ_BUF_INIT;
    char target[PATH_MAX];
    join(&link, server_dir, HQ_CURRENT_NAME);
    ssize_t len = readlink(link.ptr, target, sizeof target);
    if (len < 0 || !hq_str_is(hq_str_make(target, (size_t)len), instance)) {
        return 0; /* another server's by now, or none */
    }
    return unlink(link.ptr) < 0 && errno != ENOENT ? sys(err, -errno) : 0;
}
