/* submit_build.h - arguments of a submit to its request, and the warnings that go with it.
 *
 * Purpose    everything between parsed options and the wire that needs neither files nor the server.
 * Ownership  messages lie in the arena; texts in them borrow the arguments.
 * Threads    pure.
 * Errors     -EINVAL with the sentence for the user (exit 1).
 * Limits     HQ_ARGS_BYTES_MAX for program arguments and environment together.
 */
#ifndef HQ_HQ_SUBMIT_BUILD_H
#define HQ_HQ_SUBMIT_BUILD_H

#include "hq/submit_args.h"

#include "proto/client.pb-c.h"

struct submit_input {
    const struct submit_args *args; /* directives merged in */
    uint64_t given;
    struct hq_str submit_dir;     /* absolute */
    const struct hq_str *command; /* shebang words in front */
    size_t command_count;
    bool has_stdin;   /* there is data for the tasks */
    bool has_entries; /* tasks come from lines or elements, not from `array` alone */
};

/* Head and description, without entries, stdin data and upload numbers (submit_send.h adds those). */
HQ_MUST_CHECK int submit_build(Hq__Submit **ret, const struct submit_input *in, struct hq_arena *arena,
                               struct hq_err *err);
/* The checks that come before files are read: --job against --name and --max-fails, resources. */
HQ_MUST_CHECK int submit_check(const struct submit_input *in, struct hq_arena *arena, struct hq_err *err);
/* One text per WARN line. */
void submit_warnings(struct hq_strv *ret, const struct submit_input *in, uint64_t task_count, struct hq_arena *arena);

/* ---- pieces that job files use too */
/* Name of a job without one: last part of the program's path, or "job". */
struct hq_str submit_default_name(struct hq_str program);
Hq__Request *submit_request_wire(const struct hq_request *r, struct hq_arena *arena);
/* Sorted by key; of a key that comes twice the last one counts (*ret_twice). */
void submit_env_wire(Hq__TaskDesc *desc, const struct submit_env *env, struct hq_arena *arena, bool *ret_twice);
Hq__Stdio *submit_stdio_wire(const struct submit_stdio *io, bool is_given, bool is_streamed, struct hq_arena *arena);
HQ_MUST_CHECK int submit_check_cwd(struct hq_str cwd, struct hq_err *err);
/* "Found unknown placeholder `X` in stdout path"; appended if there is one. `what` is "stdout path". */
void submit_warn_unknown(struct hq_strv *ret, struct hq_str path, uint32_t allowed, const char *what,
                         struct hq_arena *arena);

#endif
