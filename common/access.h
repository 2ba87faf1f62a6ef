/* access.h - access.json: where a server listens and the secrets that admit clients and workers.
 *
 * Purpose    parse, print, make and store access files (spec sections "Layout" and "server start").
 * Ownership  struct hq_access owns its texts and wipes its keys: hq_access_fini.
 * Errors     -ENOENT and other errno with the system's text; -EBADMSG "Serialization error: ... at line l column c";
 *            -EPROTONOSUPPORT "Hyperqueue version mismatch detected.\n..." (file of another version).
 * Limits     HQ_ACCESS_BYTES_MAX.
 */
#ifndef HQ_COMMON_ACCESS_H
#define HQ_COMMON_ACCESS_H

#include "common/err.h"
#include "common/net.h"
#include "common/str.h"

#define HQ_SERVER_UID_BYTES 6u

struct hq_access_side {
    bool is_there;     /* client-only and worker-only files lack the other side */
    char *host;
    uint16_t port;
    bool has_key;      /* false: null, plain frames */
    unsigned char key[HQ_SECRET_BYTES];
};

struct hq_access {
    char *version;
    char *server_uid;  /* NULL in client-only and worker-only files */
    struct hq_access_side client;
    struct hq_access_side worker;
};
#define HQ_ACCESS_INIT ((struct hq_access){0})

enum hq_access_need { /* sides that must be there; HQ_ACCESS_FULL needs server_uid too */
    HQ_ACCESS_CLIENT = 1,
    HQ_ACCESS_WORKER = 2,
    HQ_ACCESS_FULL = 3,
};

void hq_access_fini(struct hq_access *a); /* also the cleanup form */
HQ_MUST_CHECK int hq_access_parse(struct hq_access *ret, struct hq_str text, enum hq_access_need need,
                                  struct hq_err *err);
HQ_MUST_CHECK int hq_access_load(struct hq_access *ret, const char *path, enum hq_access_need need, struct hq_err *err);
void hq_access_print(const struct hq_access *a, struct hq_buf *out); /* the file's text: only the sides that are there */
/* Writes a file that must not exist yet, mode 0400. */
HQ_MUST_CHECK int hq_access_store(const struct hq_access *a, const char *path, struct hq_err *err);
void hq_access_new_key(unsigned char key[HQ_SECRET_BYTES]);
char *hq_access_new_uid(void); /* six random letters and digits; heap */
void hq_access_set_side(struct hq_access_side *s, const char *host, uint16_t port, const unsigned char *key); /* key NULL: none */

#endif
