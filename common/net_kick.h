/* net_kick.h - ends connections that nng holds, from below. Private to net_*.c. */
#ifndef HQ_COMMON_NET_KICK_H
#define HQ_COMMON_NET_KICK_H

#include <stdint.h>

struct hq_sessions;

/* Shuts down the sockets of kicked connections: one walk over our descriptors for all of them. */
void hq_kick_sweep(struct hq_sessions *t, uint16_t local_port);
/* Those of all connections that came to this port (0 = none) or path (NULL = none). */
void hq_kick_all(uint16_t local_port, const char *ipc_path);

#endif
