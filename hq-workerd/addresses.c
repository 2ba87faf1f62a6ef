/* addresses.c - interfaces that are up, the best first. */
#include "hq-workerd/addresses.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "common/err.h"
#include "common/log.h"

enum rank { /* order of preference */
    RANK_V4 = 0,
    RANK_V6,
    RANK_LOOPBACK_V4,
    RANK_LOOPBACK_V6,
    RANKS,
    RANK_NONE,
};

static enum rank
rank_of(const struct ifaddrs *a, const void **ret_bytes)
{
    bool is_loopback = (a->ifa_flags & IFF_LOOPBACK) != 0;

    if (a->ifa_addr == NULL || (a->ifa_flags & IFF_UP) == 0) {
        return RANK_NONE;
    }
    if (a->ifa_addr->sa_family == AF_INET) {
        *ret_bytes = &((const struct sockaddr_in *)(const void *)a->ifa_addr)->sin_addr;
        return is_loopback ? RANK_LOOPBACK_V4 : RANK_V4;
    }
    if (a->ifa_addr->sa_family == AF_INET6) {
        const struct in6_addr *in6 = &((const struct sockaddr_in6 *)(const void *)a->ifa_addr)->sin6_addr;
        *ret_bytes = in6;
        return IN6_IS_ADDR_LINKLOCAL(in6) ? RANK_NONE : is_loopback ? RANK_LOOPBACK_V6 : RANK_V6;
    }
    return RANK_NONE;
}

size_t
addresses_choose(const struct ifaddrs *list, struct hq_str ret[ADDRESSES_MAX], struct hq_arena *arena)
{
    char text[INET6_ADDRSTRLEN];
    size_t count = 0;

    for (int rank = 0; rank < RANKS; rank++) {
        for (const struct ifaddrs *a = list; a != NULL && count < ADDRESSES_MAX; a = a->ifa_next) {
            const void *bytes = NULL;
            if ((int)rank_of(a, &bytes) == rank &&
                inet_ntop(a->ifa_addr->sa_family, bytes, text, sizeof text) != NULL) {
                ret[count++] = hq_arena_str(arena, hq_str_from(text));
            }
        }
    }
    return count;
}

size_t
addresses_find(struct hq_str ret[ADDRESSES_MAX], struct hq_arena *arena)
{
    struct ifaddrs *list;

    if (getifaddrs(&list) < 0) {
        hq_log_warn("The addresses of this host cannot be read: %s", hq_err_os(errno));
        return 0;
    }
    size_t count = addresses_choose(list, ret, arena);
    freeifaddrs(list);
    return count;
}
