/* body.h - what tasks of one description share on this worker: sent once, used by every launch.
 *
 * Purpose    the decoded form of the wire's Body, free of protobuf; the agent reads the request, the launch path the rest.
 * Ownership  counted: the agent's table, each queued batch and each running task hold one reference. Texts lie in `arena`.
 * Threads    constant after body_create and filling; references may be taken and dropped on any thread.
 * Units      ms; amounts in 1/10000.
 */
#ifndef HQ_WORKERD_CORE_BODY_H
#define HQ_WORKERD_CORE_BODY_H

#include "common/arena.h"
#include "common/id.h"
#include "common/mpi.h"
#include "common/request.h"
#include "common/str.h"

#include <stdatomic.h>

enum body_stdio_kind { /* the same numbers as in proto/common.proto */
    BODY_STDIO_FILE = 0,
    BODY_STDIO_NONE = 1,
    BODY_STDIO_STREAM = 2,
};
#define BODY_STDIO_KINDS 3

enum body_pin {
    BODY_PIN_NONE = 0,
    BODY_PIN_TASKSET = 1,
    BODY_PIN_OMP = 2,
};
#define BODY_PINS 3

struct body_stdio {
    enum body_stdio_kind kind;
    struct hq_str path; /* with placeholders; empty = default path */
    bool remove_if_finished;
};

struct body_env {
    struct hq_str key;
    struct hq_str value;
};

struct body {
    atomic_uint refs;
    struct hq_arena arena; /* holds everything below */
    uint32_t job_id;
    uint32_t desc_id;
    struct hq_str *args; /* at least one */
    size_t arg_count;
    struct body_env *env;
    size_t env_count;
    struct hq_str cwd;        /* with placeholders; empty = submit_dir */
    struct hq_str submit_dir; /* absolute */
    struct hq_str stream_dir; /* with placeholders; empty = none */
    struct body_stdio out;
    struct body_stdio err;
    enum body_pin pin;
    bool with_task_dir;
    bool is_remote;   /* a command that another node of the task has sent: no files of its own */
    struct hq_mpi mpi; /* ranks, started by hq-stepd */
    int64_t time_limit_ms; /* 0 = none */
    struct hq_request request;
    struct body *next_of_job; /* the agent's */
    /* The launch path's own constants, made when the body arrives; freed by `drop_extra` with the last reference. */
    void *extra;
    void (*drop_extra)(void *extra);
    void *stdin_data; /* the same for what goes to stdin; NULL = /dev/null */
    void (*drop_stdin)(void *stdin_data);
};

HQ_MUST_CHECK struct body *body_create(uint32_t job_id, uint32_t desc_id); /* one reference; NULL without memory */
struct body *body_ref(struct body *b);
void body_unref(struct body *b); /* NULL is fine; the last one frees */
HQ_DEFINE_CLEANUP(struct body, body_unref)

#endif
