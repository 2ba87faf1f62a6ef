/* cgroup.h - control groups of this process: where they are, and how much memory they leave it.
 *
 * Purpose    finds the directory of our own group in v1 and v2 hierarchies; reads limits up to the mount point.
 * Ownership  buffers are the caller's.
 * Threads    any; reads /proc and /sys.
 * Units      bytes.
 * Errors     -ENOENT: no such hierarchy is mounted; limits that cannot be read count as none.
 * Limits     CGROUP_TEXT_BYTES_MAX per file read.
 */
#ifndef HQ_WORKERD_CGROUP_H
#define HQ_WORKERD_CGROUP_H

#include "common/base.h"
#include "common/str.h"

#define CGROUP_TEXT_BYTES_MAX ((size_t)1 << 20)

/* Pure: appends the directory of the group that `self` (text of /proc/self/cgroup) names, below the mount that `mounts`
 * (text of /proc/self/mountinfo) shows. `controller`: of v1; NULL: the v2 hierarchy. *ret_mount_len: how much of the directory
 * is the mount point. */
HQ_MUST_CHECK int cgroup_locate(struct hq_buf *ret_dir, size_t *ret_mount_len, struct hq_str self, struct hq_str mounts,
                                const char *controller);
/* The smallest number that `file` holds in the directory and those above it, the mount point included; UINT64_MAX: none. */
uint64_t cgroup_limit(struct hq_str dir, size_t mount_len, const char *file);
/* What v1 and v2 leave to this process; UINT64_MAX: all. */
uint64_t cgroup_memory_limit(void);

#endif
