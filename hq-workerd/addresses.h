/* addresses.h - where other nodes can reach this host.
 *
 * Purpose    numeric addresses of interfaces that are up, for nodes that cannot resolve our name.
 * Ownership  texts lie in the arena.
 * Errors     none: no addresses are found then.
 * Limits     ADDRESSES_MAX of them: others before loopback ones, version 4 before 6; link-local ones are left out (they mean
 *            nothing without the name of an interface).
 */
#ifndef HQ_WORKERD_ADDRESSES_H
#define HQ_WORKERD_ADDRESSES_H

#include "common/arena.h"

#define ADDRESSES_MAX 8u

struct ifaddrs;

size_t addresses_find(struct hq_str ret[ADDRESSES_MAX], struct hq_arena *arena);
/* The same from a list of interfaces. */
size_t addresses_choose(const struct ifaddrs *list, struct hq_str ret[ADDRESSES_MAX], struct hq_arena *arena);

#endif
