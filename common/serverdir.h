/* serverdir.h - the server directory: instances NNN, the link hq-current, and the files inside an instance.
 *
 * Purpose    lookup by clients and workers with the error texts that users know; creation by hqd.
 *              <server-dir>/hq-current -> <server-dir>/NNN/   access.json  endpoint  owner  (hqd.sock, journal)
 * Ownership  texts go into the caller's buffers; struct hq_endpoint and hq_access by their own fini.
 * Errors     negative errno; texts of spec section "What can go wrong when connecting".
 */
#ifndef HQ_COMMON_SERVERDIR_H
#define HQ_COMMON_SERVERDIR_H

#include "common/access.h"
#include "common/err.h"
#include "common/str.h"

#define HQ_ACCESS_NAME "access.json"
#define HQ_ENDPOINT_NAME "endpoint"
#define HQ_OWNER_NAME "owner"
#define HQ_SOCKET_NAME "hqd.sock"
#define HQ_JOURNAL_NAME "journal"
#define HQ_CURRENT_NAME "hq-current"

/* Appends the server directory in use, absolute: `given` (option or variable), or NULL for the default.
 * *ret_is_default tells whether it equals the default (hints leave "--server-dir" out then). */
HQ_MUST_CHECK int hq_serverdir_path(struct hq_buf *ret, const char *given, bool *ret_is_default, struct hq_err *err);
/* Appends the directory that holds access.json: where hq-current leads, else server_dir itself.
 * -ENOTDIR "Error: \"<dir>\" is not a directory". */
HQ_MUST_CHECK int hq_serverdir_instance(struct hq_buf *ret, const char *server_dir, struct hq_err *err);

/* For clients: loads the access record and appends the instance directory. Complete texts:
 * "Invalid server directory" / "No running instance of HQ found at ..." with causes, version mismatch. */
HQ_MUST_CHECK int hq_serverdir_load_client(struct hq_access *ret, struct hq_buf *ret_instance, const char *server_dir,
                                           bool is_default, struct hq_err *err);
/* For workers: "Cannot load server directory" / "Cannot load access record from \"<file>\"" with causes. */
HQ_MUST_CHECK int hq_serverdir_load_worker(struct hq_access *ret, struct hq_buf *ret_instance, const char *server_dir,
                                           struct hq_err *err);
/* " --server-dir <dir>" or nothing, for hints. */
void hq_serverdir_hint(struct hq_buf *out, const char *server_dir, bool is_default);

/* ---- for hqd */
/* Makes server_dir (0700, parents by umask) and the next instance directory NNN in it (0700); mkdir decides between two at once. */
HQ_MUST_CHECK int hq_serverdir_create_instance(struct hq_buf *ret, const char *server_dir, struct hq_err *err);
HQ_MUST_CHECK int hq_serverdir_set_current(const char *server_dir, const char *instance, struct hq_err *err);
/* Removes hq-current if it still leads to `instance`. */
HQ_MUST_CHECK int hq_serverdir_clear_current(const char *server_dir, const char *instance, struct hq_err *err);

/* ---- endpoint: what is ours beyond access.json */
struct hq_endpoint {
    uint32_t protocol; /* HQ_WIRE_VERSION of the server */
    char *ipc;         /* socket path, or '@' and an abstract name; NULL = none */
};
void hq_endpoint_fini(struct hq_endpoint *e); /* also the cleanup form */
HQ_MUST_CHECK int hq_endpoint_load(struct hq_endpoint *ret, const char *instance, struct hq_err *err); /* -ENOENT: none */
HQ_MUST_CHECK int hq_endpoint_store(const struct hq_endpoint *e, const char *instance, struct hq_err *err);
/* Appends <instance>/hqd.sock, or an abstract name of our own when that is longer than a socket path may be. */
void hq_endpoint_socket(struct hq_buf *ret, const char *instance);
void hq_endpoint_abstract(struct hq_buf *ret); /* a new random name: where sockets can't lie in files */

/* ---- owner: which process writes this instance */
struct hq_owner {
    char host[256];
    char boot_id[40];
    int32_t pid;
    uint64_t start_ticks; /* start time of the process: a pid given again is another process */
};
enum hq_owner_state {
    HQ_OWNER_NONE = 0,   /* no file */
    HQ_OWNER_SELF,
    HQ_OWNER_ALIVE,      /* another process of this host */
    HQ_OWNER_DEAD,       /* a process of this host that ended, or of an earlier boot */
    HQ_OWNER_ELSEWHERE,  /* another host: only asking its port can tell */
};
HQ_MUST_CHECK int hq_owner_self(struct hq_owner *ret, struct hq_err *err);
HQ_MUST_CHECK int hq_owner_load(struct hq_owner *ret, const char *instance, struct hq_err *err); /* -ENOENT: none */
HQ_MUST_CHECK int hq_owner_store(const struct hq_owner *o, const char *instance, struct hq_err *err);
enum hq_owner_state hq_owner_judge(const struct hq_owner *owner, const struct hq_owner *self); /* looks at /proc */

#endif
