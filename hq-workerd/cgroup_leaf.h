/* cgroup_leaf.h - a control group (v2) for each slot, in which a task dies with all that it has started.
 *
 * Purpose    daemons of a task that hide its key and leave its session are found by nobody; in a leaf they die with it. Used
 *            where a group is delegated to this process (systemd's Delegate=yes, or a group given to this user).
 * Ownership  leaves_create makes a directory below our own group; leaves_destroy removes it, as far as it is empty. A leaf
 *            owns its fds until leaf_close.
 * Threads    leaf_open and leaf_kill on the launcher thread that has the slot.
 * Errors     none: without leaves, or when one cannot be made, process group and key do what they can.
 * Limits     LEAF_FDS per slot.
 */
#ifndef HQ_WORKERD_CGROUP_LEAF_H
#define HQ_WORKERD_CGROUP_LEAF_H

#include "common/base.h"

#define LEAF_FDS 3u

struct leaves;

struct leaf {
    int procs_fd; /* who writes "0" there moves into it; 0 = no leaf */
    int kill_fd, events_fd;
    bool was_tried;
};

struct leaves *leaves_create(void); /* NULL: nothing is delegated to us */
void leaves_destroy(struct leaves *l); /* NULL is fine; all leaves must be closed */
void leaf_open(struct leaves *l, uint32_t slot_ix, struct leaf *leaf); /* once per slot; l NULL is fine */
void leaf_kill(const struct leaf *leaf); /* everybody in it, also who is just being forked; no leaf is fine */
void leaf_close(struct leaf *leaf);

#endif
