/* networld.h - a server, its peers good and bad, and somebody on the path, all in one loop of a test.
 *
 * Purpose    run the loop until something holds or a deadline passes; never sleep.
 * Ownership  world_open/world_close; raw peers and paths are closed by their own functions.
 */
#ifndef HQ_TESTS_UNIT_NETWORLD_H
#define HQ_TESTS_UNIT_NETWORLD_H

#include <ev.h>
#include <stdatomic.h>
#include <pthread.h>

#include "common/net.h"

#define WORLD_MS 5000 /* no single wait takes longer when all is well */

extern const unsigned char world_secret[HQ_SECRET_BYTES];
extern const unsigned char world_other_secret[HQ_SECRET_BYTES];

enum world_mode {
    WORLD_ECHO = 0, /* every request is answered with itself */
    WORLD_HOLD,     /* requests are kept */
    WORLD_KICK,     /* whoever asks is thrown out */
};

struct world_request {
    struct hq_net_req req;
    struct hq_net_peer peer;
    char text[32]; /* the beginning of the payload */
};

struct world {
    struct ev_loop *loop;
    struct hq_net_server *server;
    struct hq_net_server_conf conf;
    uint16_t port;
    char ipc_path[64];
    enum world_mode mode;
    struct world_request *requests; /* all that came */
    size_t request_count;
    size_t request_cap;
    uint64_t *gone;
    size_t gone_count;
    size_t gone_cap;
    size_t bad_count;
    char bad_why[128]; /* of the last one */
};

struct world_reply { /* of one call */
    bool is_done;
    int rc;
    size_t len;
    char text[32];
};

enum world_door {
    WORLD_TCP = 1,
    WORLD_IPC = 2,
    WORLD_BOTH = 3,
    WORLD_ABSTRACT = 4,
};

void world_open(struct world *w, enum world_door door, const unsigned char *secret);
void world_close(struct world *w);
int world_end(void **state);         /* group teardown: nng gives its memory back, so that leaks show */
void world_restart(struct world *w); /* the server ends and comes back on the same port */
/* Runs the loop until fn(arg); false = WORLD_MS passed. */
bool world_until(struct world *w, bool (*fn)(void *arg), void *arg);
bool world_until_count(struct world *w, const size_t *count, size_t at_least);
bool world_until_done(struct world *w, struct world_reply *r);
void world_turn(struct world *w, int64_t ms); /* runs the loop for a while: only to see that nothing happens */

struct hq_net_client *world_client(struct world *w, enum world_door door, const unsigned char *secret);
void world_call(struct hq_net_client *c, const char *text, int64_t timeout_ms, struct world_reply *r);
/* Calls and waits; the return code. */
int world_ask(struct world *w, struct hq_net_client *c, const char *text, struct world_reply *r);

/* The blocking form, on a thread while the loop serves. */
struct world_asker {
    struct hq_net_client_conf conf;
    const char *payload;
    size_t payload_len;
    int64_t timeout_ms;
    unsigned count;               /* questions, one after the other, on one client */
    struct hq_net_client *client; /* made by the first run, kept for the next if is_kept */
    bool is_kept;
    int rc; /* of the last one */
    int64_t took_ms;
    char *answer;
    size_t answer_len;
    struct hq_err err;
    atomic_bool is_done;
    pthread_t thread;
};
void world_asker_run(struct world *w, struct world_asker *a);

/* A peer made of a plain socket. */
struct raw {
    int fd;
    bool is_ipc;
};
struct raw raw_connect(struct world *w, bool is_ipc);
void raw_greet(struct raw *r, unsigned char protocol);
void raw_send(struct raw *r, const void *p, size_t len);
/* One SP frame around request id and body. */
void raw_request(struct raw *r, uint32_t id, const void *body, size_t len);
void raw_close(struct raw *r);
void raw_reset(struct raw *r); /* RST instead of FIN; on ipc as raw_close */
/* True once the other end has closed; drops what was sent before. */
bool raw_is_closed(void *r);
/* Bytes that wait to be read, without taking them; -1 = closed. */
ssize_t raw_peek(struct raw *r, void *buf, size_t cap);

/* Somebody between one TCP client at a time and the server: sees frames whole, may change, drop, add. */
struct path;
enum path_verdict {
    PATH_PASS = 0,
    PATH_DROP,
};
/* `body` is one SP body: request id (4 bytes), then our frame; it may be changed in place. */
typedef enum path_verdict (*path_fn)(void *ctx, struct path *p, bool is_to_server, unsigned char *body, size_t len);
struct path *path_open(struct world *w, path_fn fn, void *ctx);
uint16_t path_port(const struct path *p);
void path_cut(struct path *p); /* both connections end; the next client is welcome */
void path_inject(struct path *p, bool is_to_server, const void *body, size_t len);
void path_close(struct path *p);

#endif
