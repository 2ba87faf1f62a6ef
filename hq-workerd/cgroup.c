/* cgroup.c - /proc/self/cgroup tells the name of our group, /proc/self/mountinfo where its hierarchy is mounted. */
#include "hq-workerd/cgroup.h"

#include <errno.h>

#include "common/fs.h"
#include "common/num.h"

#define MOUNT_ROOT_FIELD 3u
#define MOUNT_POINT_FIELD 4u

/* Is `word` one of the words between commas? */
static bool
list_has(struct hq_str list, const char *word)
{
    struct hq_str one;

    for (bool more = true; more;) {
        more = hq_str_split(&list, ',', &one);
        if (hq_str_is(one, word)) {
            return true;
        }
    }
    return false;
}

/* "ID:CONTROLLERS:PATH"; v2 has "0::PATH". */
static bool
find_path(struct hq_str self, const char *controller, struct hq_str *ret)
{
    struct hq_str line, id, controllers;

    while (self.len > 0) {
        (void)hq_str_split(&self, '\n', &line);
        if (!hq_str_split(&line, ':', &id) || !hq_str_split(&line, ':', &controllers)) {
            continue;
        }
        if (controller == NULL ? hq_str_is(id, "0") && controllers.len == 0 : list_has(controllers, controller)) {
            *ret = line;
            return line.len > 0 && line.ptr[0] == '/';
        }
    }
    return false;
}

struct mount {
    struct hq_str root, point;
};

/* "ID PARENT DEV ROOT POINT OPTIONS [TAGS...] - TYPE SOURCE SUPER_OPTIONS" */
static bool
read_mount(struct hq_str line, const char *controller, struct mount *ret)
{
    struct hq_str tail, type, source, field;
    ptrdiff_t dash = hq_str_find(line, HQ_STR(" - "));

    if (dash < 0) {
        return false;
    }
    tail = hq_str_sub(line, (size_t)dash + 3, line.len);
    (void)hq_str_split(&tail, ' ', &type);
    (void)hq_str_split(&tail, ' ', &source);
    if (controller == NULL ? !hq_str_is(type, "cgroup2") : !hq_str_is(type, "cgroup") || !list_has(tail, controller)) {
        return false;
    }
    for (unsigned i = 0; i <= MOUNT_POINT_FIELD; i++) {
        (void)hq_str_split(&line, ' ', &field);
        if (i == MOUNT_ROOT_FIELD) {
            ret->root = field;
        }
    }
    ret->point = field;
    /* blanks and the like are written as \040: no cgroup is mounted at such a place */
    return hq_str_starts(ret->root, HQ_STR("/")) && hq_str_find_byte(ret->root, '\\') < 0 &&
           hq_str_starts(ret->point, HQ_STR("/")) && hq_str_find_byte(ret->point, '\\') < 0;
}

int
cgroup_locate(struct hq_buf *ret_dir, size_t *ret_mount_len, struct hq_str self, struct hq_str mounts,
              const char *controller)
{
    struct hq_str path, line;
    struct mount m;

    if (!find_path(self, controller, &path)) {
        return -ENOENT;
    }
    while (mounts.len > 0) {
        (void)hq_str_split(&mounts, '\n', &line);
        if (!read_mount(line, controller, &m)) {
            continue;
        }
        bool is_below = hq_str_is(m.root, "/") || (hq_str_starts(path, m.root) &&
                                                   (path.len == m.root.len || path.ptr[m.root.len] == '/'));
        size_t start = ret_dir->len;
        hq_buf_str(ret_dir, m.point);
        *ret_mount_len = ret_dir->len - start;
        if (is_below && !hq_str_starts(path, HQ_STR("/.."))) { /* else outside of what is mounted: its top is all we see */
            hq_buf_str(ret_dir, hq_str_is(m.root, "/") ? path : hq_str_sub(path, m.root.len, path.len));
        }
        while (ret_dir->len > start + *ret_mount_len && ret_dir->ptr[ret_dir->len - 1] == '/') {
            ret_dir->ptr[--ret_dir->len] = '\0';
        }
        return 0;
    }
    return -ENOENT;
}

uint64_t
cgroup_limit(struct hq_str dir, size_t mount_len, const char *file)
{
    uint64_t least = UINT64_MAX;

    while (dir.len >= mount_len && dir.len > 0) {
        HQ_AUTO(hq_buf_fini) struct hq_buf path = HQ_BUF_INIT;
        HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
        uint64_t value;
        hq_buf_printf(&path, "%.*s/%s", HQ_STR_FMT(dir), file);
        if (hq_fs_read(&text, path.ptr, CGROUP_TEXT_BYTES_MAX, NULL) == 0 &&
            hq_num_u64(hq_str_trim(hq_buf_view(&text)), &value, NULL) == 0) { /* "max" is no number */
            least = HQ_MIN(least, value);
        }
        while (dir.len > 0 && dir.ptr[dir.len - 1] != '/') {
            dir.len--;
        }
        dir.len -= dir.len > 0;
    }
    return least;
}

uint64_t
cgroup_memory_limit(void)
{
    static const struct {
        const char *controller, *file;
    } kinds[] = {{NULL, "memory.max"}, {"memory", "memory.limit_in_bytes"}};
    HQ_AUTO(hq_buf_fini) struct hq_buf self = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf mounts = HQ_BUF_INIT;
    uint64_t least = UINT64_MAX;

    if (hq_fs_read(&self, "/proc/self/cgroup", CGROUP_TEXT_BYTES_MAX, NULL) < 0 ||
        hq_fs_read(&mounts, "/proc/self/mountinfo", CGROUP_TEXT_BYTES_MAX, NULL) < 0) {
        return UINT64_MAX;
    }
    for (size_t i = 0; i < HQ_ARRAY_LEN(kinds); i++) {
        HQ_AUTO(hq_buf_fini) struct hq_buf dir = HQ_BUF_INIT;
        size_t mount_len = 0;
        if (cgroup_locate(&dir, &mount_len, hq_buf_view(&self), hq_buf_view(&mounts), kinds[i].controller) == 0) {
            least = HQ_MIN(least, cgroup_limit(hq_buf_view(&dir), mount_len, kinds[i].file));
        }
    }
    return least;
}
