/* pmi1.h - PMI-1: the lines that MPICH and its children speak on an inherited socket. Pure.
 *
 * Purpose    reads requests ("cmd=put kvsname=K key=A value=B"), answers them out of one key-value space per node, and says
 *            what its host has to do: a rank waits in the barrier, has finished, or asks to end all.
 * Ownership  struct pmi1 owns the space; answers go into the caller's buffer.
 * Errors     -EPROTO no sentence of PMI-1, or one that is not allowed now: the rank is to be ended with the text.
 * Limits     PMI1_LINE_BYTES_MAX, PMI1_KEY_BYTES_MAX, PMI1_VALUE_BYTES_MAX, PMI1_SPACE_BYTES_MAX in all.
 */
#ifndef HQ_STEPD_PMI1_H
#define HQ_STEPD_PMI1_H

#include "common/err.h"
#include "common/str.h"

#define PMI1_LINE_BYTES_MAX 16384u
#define PMI1_NAME_BYTES_MAX 256u  /* of the space; told to the ranks, as the next two */
#define PMI1_KEY_BYTES_MAX 64u
#define PMI1_VALUE_BYTES_MAX 4096u
#define PMI1_SPACE_BYTES_MAX (64u << 20)

enum pmi1_cmd {
    PMI1_CMD_INIT = 0,
    PMI1_CMD_MAXES,
    PMI1_CMD_APPNUM,
    PMI1_CMD_NAME,
    PMI1_CMD_UNIVERSE,
    PMI1_CMD_PUT,
    PMI1_CMD_GET,
    PMI1_CMD_BARRIER,
    PMI1_CMD_FINALIZE,
    PMI1_CMD_ABORT,
    PMI1_CMD_PUBLISH,
    PMI1_CMD_LOOKUP,
    PMI1_CMD_UNPUBLISH,
    PMI1_CMD_SPAWN, /* several lines, ended by "endcmd" */
};
#define PMI1_CMDS 14

struct pmi1_request { /* views of the line */
    enum pmi1_cmd cmd;
    struct hq_str space, key, value;
    int32_t exit_code;
    uint32_t version;
};
/* One line without its newline. */
HQ_MUST_CHECK int pmi1_parse(struct hq_str line, struct pmi1_request *ret, struct hq_err *err);

enum pmi1_state {
    PMI1_NEW = 0,
    PMI1_READY,
    PMI1_IN_BARRIER, /* must not say anything until pmi1_barrier_out */
    PMI1_DONE,
};
struct pmi1_peer { /* one rank */
    enum pmi1_state state;
    bool is_in_spawn;
};

enum pmi1_event {
    PMI1_NOTHING = 0,
    PMI1_STARTED,
    PMI1_BARRIER,
    PMI1_FINALIZED,
    PMI1_ABORTED, /* with *ret_exit_code */
};

struct pmi1;
/* `mapping` is the value of PMI_process_mapping. */
struct pmi1 *pmi1_create(uint32_t rank_count, struct hq_str space_name, struct hq_str mapping);
void pmi1_destroy(struct pmi1 *p); /* NULL is fine */
/* Answers one line; appends to `answer` what goes back. */
HQ_MUST_CHECK int pmi1_line(struct pmi1 *p, struct pmi1_peer *peer, struct hq_str line, struct hq_buf *answer,
                            enum pmi1_event *ret, int32_t *ret_exit_code, struct hq_err *err);
/* Appends and forgets what ranks of this node have put since the last time: our part of a fence. */
void pmi1_take_puts(struct pmi1 *p, struct hq_buf *ret);
/* The parts of all nodes: into the space. -EPROTO. */
HQ_MUST_CHECK int pmi1_add_puts(struct pmi1 *p, struct hq_str data, struct hq_err *err);
void pmi1_barrier_out(struct pmi1_peer *peer, struct hq_buf *answer);
/* "(vector,(0,2,4),(2,1,3))": runs of nodes with equally many ranks. */
void pmi1_print_mapping(struct hq_buf *out, const uint32_t *ranks, size_t node_count);

#endif
