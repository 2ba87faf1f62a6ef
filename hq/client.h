/* client.h - the way to hqd: find the server directory, connect, one request, one answer.
 *
 * Purpose    commands call client_call and get a decoded answer or the exact sentence of what went wrong.
 * Ownership  answers are decoded into cli->arena: nothing to free. The connection is made by the first call.
 * Units      ms.
 * Errors     -EREMOTEIO: hqd answered with an error; -ENOENT and others: no server directory, no access file, nobody
 *            answers, version; -ECONNRESET "Connection closed". err holds the whole text, causes included.
 * Limits     requests of HQ_MSG_BYTES_MAX; CLIENT_ANSWER_MS_MAX for an answer beyond what the request asks to wait.
 */
#ifndef HQ_HQ_CLIENT_H
#define HQ_HQ_CLIENT_H

#include "hq/commands.h"

#include <protobuf-c/protobuf-c.h>

#define CLIENT_ANSWER_MS_MAX 60000

struct client_query {
    uint16_t type;                   /* HQ__MESSAGE_TYPE__TYPE_... of the request */
    const ProtobufCMessage *request; /* NULL = Empty */
    uint16_t answer_type;
    const ProtobufCMessageDescriptor *answer; /* NULL = content is not looked at (TYPE_DONE) */
    hq_ms wait_ms;                            /* how long hqd may hold the answer (long polls), 0 = not */
    bool is_plain_error;                      /* hqd's text without "Error: " in front */
    struct hq_arena *arena;                   /* of the answer; NULL = cli->arena */
};
/* 0 and *ret (NULL allowed for queries without content). */
HQ_MUST_CHECK int client_call(struct hq_cli *cli, const struct client_query *q, ProtobufCMessage **ret,
                              struct hq_err *err);
/* Finds the server directory and the access file without talking to hqd: for order-of-errors checks. */
HQ_MUST_CHECK int client_prepare(struct hq_cli *cli, struct hq_err *err);
/* Drops the connection and what is known of the access file; the next call reads the file again. */
void client_reset(struct hq_cli *cli);
/* The same, and frees all: for tests; hq ends by _exit. */
void client_fini(struct hq_cli *cli);
/* The server directory as absolute path, and " --server-dir <dir>" when it is not the default (else ""). */
HQ_MUST_CHECK int client_server_dir(struct hq_cli *cli, const char **ret_dir, const char **ret_option,
                                    struct hq_err *err);

#endif
