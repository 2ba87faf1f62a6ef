/* instance.h - which directory, which journal, which keys: a new instance, or one that died and is resumed.
 *
 * Purpose    <server-dir>/NNN with access.json, endpoint, owner and (unless --journal) the journal; hq-current leads there.
 *            An instance whose process ended without an orderly end is resumed: same directory, UID, keys, ports if free.
 * Ownership  struct instance owns its texts, keys and locks until instance_fini.
 * Threads    start-up and end only (blocks); instance_check_owner_thr on the journal's thread.
 * Errors     texts for the user; -EADDRINUSE a server is online there, -EHOSTDOWN the old host does not answer.
 * Limits     INSTANCE_PROBE_MS_MAX for a server elsewhere to answer.
 */
#ifndef HQ_HQD_INSTANCE_H
#define HQ_HQD_INSTANCE_H

#include "common/access.h"
#include "common/serverdir.h"
#include "hqd/conf.h"

#define INSTANCE_PROBE_MS_MAX 5000

struct instance {
    char *server_dir;        /* absolute */
    char *dir;               /* of the instance; NULL until instance_begin (unless candidate) */
    char *journal_path;      /* absolute */
    char *ipc_path;          /* NULL = no local socket */
    struct hq_access access; /* hosts, ports, keys, UID */
    bool is_resumed;
    bool has_candidate;      /* `dir` is one that died; whether it is resumed the journal says */
    int start_lock;          /* held while starting: two starts at once come one after the other */
    struct hq_owner owner;   /* ourselves */
};
#define INSTANCE_INIT ((struct instance){.start_lock = -1})

/* Looks at the server directory: refuses when a server is online there, finds an instance that died. */
HQ_MUST_CHECK int instance_find(struct instance *in, const char *server_dir, const struct hqd_conf *conf,
                                bool take_over, struct hq_err *err);
/* Is --access-file, if given, a file to start with? */
HQ_MUST_CHECK int instance_check_given(const struct hqd_conf *conf, struct hq_err *err);
/* The journal that this start would use, or NULL: a new one in a new instance. */
const char *instance_journal(const struct instance *in, const struct hqd_conf *conf);
/* Decides: resume the candidate, or a new directory NNN. journal_uid: from the journal, empty = none. */
HQ_MUST_CHECK int instance_begin(struct instance *in, bool resume, const struct hqd_conf *conf, struct hq_str journal_uid,
                                 struct hq_err *err);
/* Sockets are open: files are written, hq-current leads here, other starts may look now. */
HQ_MUST_CHECK int instance_publish(struct instance *in, uint16_t client_port, uint16_t worker_port, struct hq_err *err);
/* Orderly end: hq-current and what only a living server needs are removed. */
void instance_end(struct instance *in);
void instance_fini(struct instance *in);
/* Does the owner file still name us? -EPERM with a text when another hqd has taken over. */
HQ_MUST_CHECK int instance_check_owner_thr(void *instance, struct hq_err *err);

#endif
