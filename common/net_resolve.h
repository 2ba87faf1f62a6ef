/* net_resolve.h - host names to addresses without stopping the loop. Private to net_*.c.
 *
 * Purpose    an address is known at once; a name is asked for on a thread of its own (getaddrinfo has no other form).
 * Ownership  hq_resolve_drop whenever the owner loses interest or is done; the thread keeps what it still needs.
 * Errors     -EHOSTUNREACH no such host.
 * Limits     HQ_RESOLVE_ADDRS_MAX addresses of one name; the rest is ignored.
 */
#ifndef HQ_COMMON_NET_RESOLVE_H
#define HQ_COMMON_NET_RESOLVE_H

#include <sys/socket.h>

#include "common/err.h"

#define HQ_RESOLVE_ADDRS_MAX 8u

struct ev_loop;

struct hq_addr {
    struct sockaddr_storage sa;
    socklen_t len;
};
struct hq_addrs {
    size_t count;
    struct hq_addr at[HQ_RESOLVE_ADDRS_MAX];
};

/* 0, or -EINVAL: not an address but a name. Never blocks. */
HQ_MUST_CHECK int hq_resolve_number(const char *host, uint16_t port, struct hq_addrs *ret);
/* May block for long: only where there is no loop. 0 or -EHOSTUNREACH. */
HQ_MUST_CHECK int hq_resolve_blocking(const char *host, uint16_t port, struct hq_addrs *ret);

struct hq_resolve;
typedef void (*hq_resolve_fn)(void *ctx, int rc, const struct hq_addrs *addrs); /* on the loop's thread */
HQ_MUST_CHECK int hq_resolve_start(struct hq_resolve **ret, struct ev_loop *loop, const char *host, uint16_t port,
                                   hq_resolve_fn fn, void *ctx);
void hq_resolve_drop(struct hq_resolve *r); /* also from inside fn; NULL is fine */

#endif
