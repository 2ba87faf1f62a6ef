#include "hq-workerd/stepd/topology.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common/fs.h"

#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define BOOT_ID_SHOWN 8u
#define BOOT_ID_BYTES_MAX 64u
#define PLUGINS_NAME "HWLOC_PLUGINS_BLACKLIST"
#define PLUGINS_LEFT_OUT                                                                                               \
    "hwloc_gl.so,hwloc_opencl.so,hwloc_cuda.so,hwloc_nvml.so,hwloc_rsmi.so,hwloc_levelzero.so,hwloc_xml_libxml.so"

/* With devices, since ranks read it too; without what asks X servers and GPU drivers. */
static int
begin(hwloc_topology_t *ret)
{
    static const char *const slow[] = {"gl", "opencl", "cuda", "nvml", "rsmi", "levelzero"};
    /* Plugins that are loaded for nothing bring libxml, X11 and OpenCL along: 2 ms and 3 MB. */
    bool is_own = setenv(PLUGINS_NAME, PLUGINS_LEFT_OUT, 0) == 0 && strcmp(getenv(PLUGINS_NAME), PLUGINS_LEFT_OUT) == 0;
    int rc = hwloc_topology_init(ret);

    if (is_own) {
        (void)unsetenv(PLUGINS_NAME); /* what ranks load is theirs to say */
    }
    if (rc < 0) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < HQ_ARRAY_LEN(slow); i++) { /* one that is not there is fine */
        (void)hwloc_topology_set_components(*ret, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, slow[i]);
    }
    (void)hwloc_topology_set_io_types_filter(*ret, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
    return 0;
}

/* Which cpus we may use is asked anew: control groups differ from task to task. */
static int
load(hwloc_topology_t *ret, const char *path)
{
    hwloc_topology_t t;
    int rc = begin(&t);

    if (rc < 0) {
        return rc;
    }
    if (path != NULL) {
        unsigned long flags = HWLOC_TOPOLOGY_FLAG_IS_THISSYSTEM | HWLOC_TOPOLOGY_FLAG_THISSYSTEM_ALLOWED_RESOURCES;
        rc = hwloc_topology_set_flags(t, flags) < 0 || hwloc_topology_set_xml(t, path) < 0 ? -EIO : 0;
    }
    if (rc == 0 && (hwloc_topology_load(t) < 0 || hwloc_get_nbobjs_by_type(t, HWLOC_OBJ_PU) < 1)) {
        rc = -EIO;
    }
    if (rc < 0) {
        hwloc_topology_destroy(t);
        return rc;
    }
    *ret = t;
    return 0;
}

/* Of this host and boot: other hosts may use the same directory. NULL = no place for it. */
static const char *
shared_path(const char *task_dir, struct hq_arena *arena)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf boot = HQ_BUF_INIT;
    const char *slash = task_dir == NULL ? NULL : strrchr(task_dir, '/');
    struct utsname host;

    if (slash == NULL || uname(&host) < 0 || hq_fs_read(&boot, BOOT_ID, BOOT_ID_BYTES_MAX, NULL) < 0 ||
        boot.len < BOOT_ID_SHOWN) {
        return NULL;
    }
    return hq_arena_printf(arena, "%.*s/.hq-topology-%s-%.*s", (int)(slash - task_dir), task_dir, host.nodename,
                           (int)BOOT_ID_SHOWN, boot.ptr);
}

static bool
is_ours(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

static bool
save(hwloc_topology_t t, const char *path, struct hq_arena *arena)
{
    const char *fresh = hq_arena_printf(arena, "%s.%ld", path, (long)getpid());

    if (hwloc_topology_export_xml(t, fresh, HWLOC_TOPOLOGY_EXPORT_XML_FLAG_V1) < 0) {
        (void)unlink(fresh); /* if it is there at all */
        return false;
    }
    (void)chmod(fresh, 0644); /* whatever the umask was; is_ours looks */
    if (rename(fresh, path) < 0) {
        (void)unlink(fresh); /* nothing more to be done */
        return false;
    }
    return true;
}

int
topology_open(hwloc_topology_t *ret, const char **ret_path, const struct topology_conf *conf, struct hq_arena *arena,
              struct hq_err *err)
{
    const char *shared = shared_path(conf->task_dir, arena);

    *ret_path = NULL;
    if (shared != NULL && is_ours(shared) && load(ret, shared) == 0) {
        *ret_path = shared;
        return 0;
    }
    int rc = load(ret, NULL);
    if (rc < 0) {
        return hq_err_set(err, rc, "Cannot read the machine's topology");
    }
    const char *own = hq_arena_printf(arena, "%s/topology.xml", conf->own_dir);
    if (shared != NULL && save(*ret, shared, arena)) {
        *ret_path = shared;
    } else if (save(*ret, own, arena)) {
        *ret_path = own;
    }
    return 0;
}
