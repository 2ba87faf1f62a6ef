#include "hq-allocd/slurm.h"

#include "common/num.h"

#include <strings.h>
#include <sys/wait.h>

/* The path of the script comes last: it may hold anything but a newline. */
#define FORMAT "%i|%T|%V|%S|%e|%r|%o"
#define FIELDS 7
#define TIME_MAX_S 32503680000 /* the year 3000: later instants are no instants */

static void
common_env(struct batch_cmd *cmd)
{
    batch_env(cmd, "LC_ALL=C");
    batch_env(cmd, "SLURM_TIME_FORMAT=%s");
}

static void
submit(struct batch_cmd *cmd, const char *script)
{
    batch_arg(cmd, "sbatch");
    batch_arg(cmd, script);
    batch_env(cmd, "LC_ALL=C");
    batch_env(cmd, "SBATCH_NO_REQUEUE=1"); /* one that comes back would start workers nobody expects */
}

/* The controller does not answer, or the line was cut: not the user's fault. */
static bool
is_link_trouble(struct hq_str err)
{
    static const char *const words[] = {
        "nable to contact",
        "timed out",
        "Zero Bytes were transmitted",
        "ommunication connection failure",
        "onnection refused",
        "onnection reset",
        "unable to resolve",
        "Slurm backup controller in standby",
        "Resource temporarily",
        "Unexpected message",
        "Invalid authentication",
        "ersistent connection",
        "Munge encode failed",
        "auth_p_get_host",
        "Protocol authentication",
        "Insane message length",
        "Message receive failure",
        "Broken pipe",
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(words); i++) {
        if (batch_says(err, words[i])) {
            return true;
        }
    }
    return false;
}

static bool
starts_nocase(struct hq_str line, const char *prefix)
{
    size_t len = strlen(prefix);
    return line.len >= len && strncasecmp(line.ptr, prefix, len) == 0;
}

/* Fourth word of the first line that says so: banners of a site may stand around it. */
static bool
find_id(struct hq_str out, struct hq_arena *arena, struct hq_str *ret_id)
{
    struct hq_str line;
    while (batch_next_line(&out, &line)) {
        line = hq_str_trim(line);
        if (!starts_nocase(line, "submitted batch job")) {
            continue;
        }
        struct hq_str rest = hq_str_trim(hq_str_sub(line, strlen("submitted batch job"), line.len));
        struct hq_str word;
        (void)hq_str_split(&rest, ' ', &word);
        if (batch_id_ok(word)) {
            *ret_id = hq_arena_str(arena, word);
            return true;
        }
        return false;
    }
    return false;
}

static enum batch_outcome
submitted(const struct batch_result *r, struct hq_arena *arena, struct hq_str *ret_id, struct hq_buf *why)
{
    bool has_id = find_id(r->out, arena, ret_id);
    return batch_submit_outcome(r, "sbatch", has_id, is_link_trouble(r->err), why);
}

static void
status(struct batch_cmd *cmd, const struct hq_str *ids, size_t count)
{
    (void)ids; /* all of this user: one request, whatever their number, and strays are seen */
    (void)count;
    batch_arg(cmd, "squeue");
    batch_arg(cmd, "--noheader");
    batch_arg(cmd, "--me");
    batch_arg(cmd, "--states=all");
    batch_arg(cmd, "--format=" FORMAT);
    common_env(cmd);
}

static const struct {
    const char *word;
    enum batch_state state;
} states[] = {
    {"PENDING", BATCH_PENDING},
    {"CONFIGURING", BATCH_PENDING},
    {"REQUEUED", BATCH_PENDING},
    {"REQUEUE_FED", BATCH_PENDING},
    {"REQUEUE_HOLD", BATCH_HELD},
    {"SPECIAL_EXIT", BATCH_HELD},
    {"RESV_DEL_HOLD", BATCH_HELD},
    {"RUNNING", BATCH_RUNNING},
    {"COMPLETING", BATCH_RUNNING},
    {"SIGNALING", BATCH_RUNNING},
    {"STAGE_OUT", BATCH_RUNNING},
    {"STOPPED", BATCH_RUNNING},
    {"SUSPENDED", BATCH_RUNNING},
    {"RESIZING", BATCH_RUNNING},
    {"COMPLETED", BATCH_ENDED_OK},
    {"TIMEOUT", BATCH_ENDED_OK},
    {"CANCELLED", BATCH_ENDED_FAILED},
    {"FAILED", BATCH_ENDED_FAILED},
    {"NODE_FAIL", BATCH_ENDED_FAILED},
    {"OUT_OF_MEMORY", BATCH_ENDED_FAILED},
    {"PREEMPTED", BATCH_ENDED_FAILED},
    {"BOOT_FAIL", BATCH_ENDED_FAILED},
    {"DEADLINE", BATCH_ENDED_FAILED},
    {"REVOKED", BATCH_ENDED_FAILED},
    {"LAUNCH_FAILED", BATCH_ENDED_FAILED},
};

enum batch_state
slurm_state(struct hq_str word)
{
    struct hq_str rest = word; /* "CANCELLED by 1000" */
    struct hq_str first;
    (void)hq_str_split(&rest, ' ', &first);
    for (size_t i = 0; i < HQ_ARRAY_LEN(states); i++) {
        if (hq_str_is(first, states[i].word)) {
            return states[i].state;
        }
    }
    return BATCH_UNKNOWN;
}

static hq_wall_ms
read_time(struct hq_str text)
{
    uint64_t secs;
    return hq_num_u64(text, &secs, NULL) == 0 && secs < TIME_MAX_S ? (hq_wall_ms)secs * 1000 : 0;
}

bool
slurm_row(struct hq_str line, struct batch_row *ret)
{
    struct hq_str f[FIELDS];
    struct hq_str rest = line;
    for (size_t i = 0; i + 1 < FIELDS; i++) {
        if (!hq_str_split(&rest, '|', &f[i])) {
            return false;
        }
    }
    f[FIELDS - 1] = rest;
    if (!batch_id_ok(f[0])) {
        return false;
    }
    *ret = (struct batch_row){.id = f[0],
                              .word = f[1],
                              .state = slurm_state(f[1]),
                              .submitted_ms = read_time(f[2]),
                              .started_ms = read_time(f[3]),
                              .ended_ms = read_time(f[4]),
                              .reason = hq_str_is(f[5], "None") ? HQ_STR_NULL : hq_str_sub(f[5], 0, 200),
                              .script = f[6]};
    if (ret->state == BATCH_PENDING && hq_str_starts(ret->reason, HQ_STR("JobHeld"))) {
        ret->state = BATCH_HELD;
    }
    if (ret->state == BATCH_PENDING || ret->state == BATCH_HELD) {
        ret->started_ms = 0; /* an estimate */
    }
    if (ret->state != BATCH_ENDED_OK && ret->state != BATCH_ENDED_FAILED) {
        ret->ended_ms = 0; /* the end of its time limit */
    }
    return true;
}

static enum batch_outcome
statuses(const struct batch_result *r, int32_t utc_offset_s, struct hq_arena *arena, struct batch_rows *ret,
         struct hq_buf *why)
{
    (void)utc_offset_s; /* times are asked for in seconds since the epoch */
    if (!batch_is_clean(r)) {
        batch_why(r, "squeue", why);
        return BATCH_UNREACHABLE;
    }
    struct hq_str out = r->out;
    struct hq_str line;
    while (batch_next_line(&out, &line)) {
        struct batch_row row;
        if (!slurm_row(line, &row)) {
            continue;
        }
        struct batch_row *to = batch_add_row(ret, arena);
        if (to == NULL) {
            break;
        }
        *to = row;
    }
    return BATCH_OK;
}

static void
cancel(struct batch_cmd *cmd, const char *id)
{
    batch_arg(cmd, "scancel");
    batch_arg(cmd, id);
    batch_env(cmd, "LC_ALL=C");
}

static enum batch_outcome
canceled(const struct batch_result *r, struct hq_buf *why)
{
    if (batch_is_clean(r) && r->err.len == 0) {
        return BATCH_OK;
    }
    if (batch_says(r->err, "Invalid job id") || batch_says(r->err, "already completing or completed")) {
        return BATCH_GONE;
    }
    if (batch_is_clean(r)) {
        return BATCH_OK; /* noise */
    }
    batch_why(r, "scancel", why);
    return r->start_errno == 0 && is_link_trouble(r->err) ? BATCH_UNREACHABLE : BATCH_REJECTED;
}

static bool
is_permanent(struct hq_str reason)
{
    static const char *const words[] = {
        "PartitionTimeLimit", "PartitionNodeLimit", "BadConstraints", "ReqNodeNotAvail",
        "InvalidAccount",     "InvalidQOS",         "AssocMax",       "QOSMax",
        "AccountNotAllowed",  "QOSNotAllowed",      "JobHeld",        "DependencyNeverSatisfied",
        "PartitionInactive",  "PartitionDown",
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(words); i++) {
        if (hq_str_starts(reason, hq_str_from(words[i]))) {
            return true;
        }
    }
    return false;
}

const struct batch batch_slurm = {
    .name = "slurm",
    .submit_tool = "sbatch",
    .submit = submit,
    .submitted = submitted,
    .status = status,
    .statuses = statuses,
    .cancel = cancel,
    .canceled = canceled,
    .is_permanent = is_permanent,
};
