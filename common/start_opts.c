#include "common/start_opts.h"

#include "common/log.h"
#include "common/num.h"

#include <unistd.h>

/* ---- values of their own grammar */

static int
parse_cpus(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    (void)opt; /* one grammar */
    return hq_pool_parse(target, HQ_STR("cpus"), value, true, arena, err);
}

static int
parse_resource(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    (void)opt; /* one grammar */
    struct hq_pool_list *list = target;
    struct hq_pool pool = {0};
    int rc = hq_pool_parse_def(&pool, value, arena, err);
    if (rc < 0) {
        return rc;
    }
    hq_arena_grow(arena, &list->v, &list->cap, list->count + 1, sizeof *list->v);
    list->v[list->count++] = pool;
    return 0;
}

static int
parse_detect(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    static const struct {
        const char *word;
        uint32_t bit;
    } words[] = {
        {"cpus", HQ_DETECT_CPUS},
        {"mem", HQ_DETECT_MEM},
        {"gpus/nvidia", HQ_DETECT_NVIDIA},
        {"gpus/amd", HQ_DETECT_AMD},
    };
    (void)opt;   /* one grammar */
    (void)arena; /* bits */
    uint32_t bits = 0;
    if (hq_str_is(value, "all") || hq_str_is(value, "none")) {
        *(uint32_t *)target = hq_str_is(value, "all") ? HQ_DETECT_ALL : 0;
        return 0;
    }
    for (bool has_more = true; has_more;) {
        struct hq_str word;
        has_more = hq_str_split(&value, ',', &word);
        size_t ix = 0;
        while (ix < HQ_ARRAY_LEN(words) && !hq_str_is(word, words[ix].word)) {
            ix++;
        }
        if (ix == HQ_ARRAY_LEN(words)) {
            return hq_err_set(err, -EINVAL, "invalid variant: %.*s", HQ_STR_FMT(word));
        }
        bits |= words[ix].bit;
    }
    *(uint32_t *)target = bits;
    return 0;
}

static int
parse_utilization(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena,
                  struct hq_err *err)
{
    (void)opt;   /* one grammar */
    (void)arena; /* plain number */
    double v;
    int rc = hq_num_f64(value, &v, err);
    if (rc < 0) {
        return rc;
    }
    if (v < 0.0 || v > 1.0) {
        return hq_err_set(err, -ERANGE, "Minimal utilization has to be in the interval [0.0, 1.0].");
    }
    *(uint32_t *)target = (uint32_t)(v * 10000.0 + 0.5); /* rounded half up */
    return 0;
}

static const char *const lost_words[] = {"stop", "finish-running", "reconnect", NULL};
static const enum hq_on_server_lost lost_values[] = {HQ_LOST_STOP, HQ_LOST_FINISH_RUNNING, HQ_LOST_RECONNECT};
_Static_assert(HQ_ARRAY_LEN(lost_words) == HQ_ARRAY_LEN(lost_values) + 1, "a policy without a word");

static int
parse_lost(const struct hq_opt *opt, struct hq_str value, void *target, struct hq_arena *arena, struct hq_err *err)
{
    int index;
    int rc = hq_opt_word(opt, value, &index, arena, err);
    if (rc == 0) {
        *(int *)target = (int)lost_values[index];
    }
    return rc;
}

const char *
hq_on_server_lost_word(enum hq_on_server_lost v)
{
    size_t ix = 0;
    while (ix < HQ_ARRAY_LEN(lost_values) && lost_values[ix] != v) {
        ix++;
    }
    HQ_ASSERT(ix < HQ_ARRAY_LEN(lost_values));
    return lost_words[ix];
}

/* ---- tables */

#define G(field) offsetof(struct hq_global_args, field)
#define S(field) offsetof(struct hq_server_start_args, field)
#define W(field) offsetof(struct hq_worker_start_args, field)

const struct hq_opt hq_global_opts[HQ_GLOBAL_OPTS] = {
    {.name = "server-dir",
     .env = "HQ_SERVER_DIR",
     .parse = hq_opt_str,
     .at = G(server_dir),
     .complete = HQ_COMPLETE_DIR,
     .flags = HQ_OPT_GLOBAL | HQ_OPT_NONEMPTY,
     .help = "Directory of the access files; $HOME/.hq-server unless given."},
    {.name = "colors",
     .parse = hq_opt_word,
     .at = G(colors),
     .values = hq_color_choice_words,
     .def = "auto",
     .flags = HQ_OPT_GLOBAL,
     .help = "Colours on standard output; auto: if it is a terminal."},
    {.name = "output-mode",
     .env = "HQ_OUTPUT_MODE",
     .parse = hq_opt_word,
     .at = G(output_mode),
     .values = hq_out_mode_words,
     .def = "cli",
     .flags = HQ_OPT_GLOBAL,
     .help = "Form of results: tables, one JSON document, or bare lines."},
    {.name = "debug",
     .env = "HQ_DEBUG",
     .at = G(is_debug),
     .flags = HQ_OPT_GLOBAL,
     .help = "Logs decisions too, with milliseconds and places."},
};

const struct hq_opt hq_server_start_opts[HQ_SERVER_START_OPTS] = {
    {.name = "host",
     .parse = hq_opt_str,
     .at = S(host),
     .complete = HQ_COMPLETE_HOST,
     .help = "Name or address under which clients and workers reach this host; its host name unless given."},
    {.name = "client-port",
     .parse = hq_opt_port,
     .at = S(client_port),
     .help = "Port for clients; any free one unless given."},
    {.name = "worker-port",
     .parse = hq_opt_port,
     .at = S(worker_port),
     .help = "Port for workers; any free one unless given."},
    {.name = "idle-timeout",
     .parse = hq_opt_span,
     .at = S(idle_timeout_ms),
     .help = "Workers without a task for that long stop, unless they set a timeout of their own."},
    {.name = "journal",
     .parse = hq_opt_str,
     .at = S(journal),
     .complete = HQ_COMPLETE_FILE,
     .flags = HQ_OPT_NONEMPTY,
     .help = "File of the journal; state is restored from it if it exists. In the instance directory unless given."},
    {.name = "journal-flush-period",
     .parse = hq_opt_span,
     .at = S(journal_flush_ms),
     .def = "30s",
     .help = "Accepted for older scripts: every answer is on disk before it is given."},
    {.name = "access-file",
     .parse = hq_opt_str,
     .at = S(access_file),
     .complete = HQ_COMPLETE_FILE,
     .flags = HQ_OPT_NONEMPTY,
     .help = "Takes hosts, ports, keys and server UID from this file (server generate-access)."},
    {.name = "disable-client-authentication-and-encryption",
     .at = S(no_client_auth),
     .help = "Lets anyone who reaches the port act as a client."},
    {.name = "disable-worker-authentication-and-encryption",
     .at = S(no_worker_auth),
     .help = "Lets anyone who reaches the port act as a worker."},
    {.name = "scheduler-time-limit",
     .parse = hq_opt_span,
     .at = S(scheduler_limit_ms),
     .def = "5s",
     .help = "Accepted for older scripts: scheduling takes no such time."},
    {.name = "take-over",
     .at = S(take_over),
     .help = "Resumes an instance although the host it ran on does not answer: make sure that it is down."},
    {.name = "config",
     .parse = hq_opt_str,
     .at = S(config),
     .complete = HQ_COMPLETE_FILE,
     .flags = HQ_OPT_NONEMPTY,
     .help = "Settings file (YAML)."},
    {.name = "print-config",
     .at = S(print_config),
     .help = "Prints every setting with its value and origin, and ends."},
    {.name = "event-log-path",
     .parse = hq_opt_str,
     .at = S(journal),
     .flags = HQ_OPT_NONEMPTY | HQ_OPT_OLD,
     .instead = "--journal"},
    {.name = "event-store-size", .parse = hq_opt_none, .at = S(host), .flags = HQ_OPT_OLD},
};

static const char *const manager_words[] = {"detect", "none", "pbs", "slurm", NULL};

const struct hq_opt hq_worker_start_opts[HQ_WORKER_START_OPTS] = {
    {.name = "cpus",
     .parse = parse_cpus,
     .at = W(cpus),
     .help = "CPUs of this worker: a number, NxM, a list, groups or range(A-B); detected unless given."},
    {.name = "resource",
     .parse = parse_resource,
     .at = W(resources),
     .flags = HQ_OPT_REPEAT,
     .help = "Another resource: NAME=[a,b], NAME=[[a],[b]], NAME=range(A-B), NAME=NxM or NAME=sum(AMOUNT)."},
    {.name = "coupling",
     .parse = hq_opt_str,
     .at = W(coupling),
     .help = "Groups of resources that lie together: R1[G1]:R2[G2][=WEIGHT],..."},
    {.name = "detect-resources",
     .parse = parse_detect,
     .at = W(detect),
     .def = "all",
     .flags = HQ_OPT_RAW_USAGE,
     .help = "What is detected: all, none, or a list of cpus,mem,gpus/nvidia,gpus/amd."},
    {.name = "no-hyper-threading", .at = W(no_hyper_threading), .help = "Uses one hardware thread of each core."},
    {.name = "group",
     .parse = hq_opt_str,
     .at = W(group),
     .help = "Multi-node tasks stay within one group; the allocation's ID or \"default\" unless given."},
    {.name = "idle-timeout",
     .parse = hq_opt_span,
     .at = W(idle_timeout_ms),
     .help = "Stops after that long without a task; the server's value unless given."},
    {.name = "time-limit",
     .parse = hq_opt_span,
     .at = W(time_limit_ms),
     .help = "Stops after that long; the rest of the batch allocation unless given."},
    {.name = "heartbeat",
     .parse = hq_opt_span,
     .at = W(heartbeat_ms),
     .def = "8s",
     .help = "Longest silence towards the server; after twice that long the worker counts as lost."},
    {.name = "overview-interval",
     .parse = hq_opt_span_human,
     .at = W(overview_ms),
     .help = "Period of hardware readings, with a unit (10s); 0s = none."},
    {.name = "min-utilization",
     .parse = parse_utilization,
     .at = W(min_utilization_x10000),
     .def = "0",
     .help = "Gets tasks only if at least this part of its CPUs is used then (0.0 to 1.0)."},
    {.name = "manager",
     .parse = hq_opt_word,
     .at = W(manager),
     .values = manager_words,
     .def = "detect",
     .help = "Batch system that this worker runs in."},
    {.name = "hostname",
     .parse = hq_opt_str,
     .at = W(hostname),
     .complete = HQ_COMPLETE_HOST,
     .help = "Name of this node for users and other nodes; the system's unless given."},
    {.name = "on-server-lost",
     .parse = parse_lost,
     .at = W(on_server_lost),
     .values = lost_words,
     .def = "reconnect",
     .help = "What happens to running tasks when the server is gone."},
    {.name = "work-dir",
     .parse = hq_opt_str,
     .at = W(work_dir),
     .complete = HQ_COMPLETE_DIR,
     .flags = HQ_OPT_NONEMPTY,
     .help = "Directory for task directories, on a local disk; a temporary one unless given."},
    {.name = "retract-check-interval",
     .parse = hq_opt_span,
     .at = W(retract_check_ms),
     .def = "30s",
     .help = "How often queued tasks are checked against the time that is left."},
    {.name = "config",
     .parse = hq_opt_str,
     .at = W(config),
     .complete = HQ_COMPLETE_FILE,
     .flags = HQ_OPT_NONEMPTY,
     .help = "Settings file (YAML)."},
    {.name = "print-config",
     .at = W(print_config),
     .help = "Prints every setting with its value and origin, and ends."},
    {.name = "no-detect-resources",
     .parse = parse_detect,
     .at = W(detect),
     .bare = "none",
     .flags = HQ_OPT_OLD,
     .instead = "--detect-resources=none"},
    {.name = "on-worker-lost",
     .parse = parse_lost,
     .at = W(on_server_lost),
     .values = lost_words,
     .flags = HQ_OPT_OLD,
     .instead = "--on-server-lost"},
};

const struct hq_opt hq_hwdetect_opts[HQ_HWDETECT_OPTS] = {
    {.name = "no-hyper-threading",
     .at = offsetof(struct hq_hwdetect_args, no_hyper_threading),
     .help = "Uses one hardware thread of each core."},
};

/* ---- a daemon's command line */

static void
write_text(int fd, const struct hq_buf *text)
{
    struct hq_out o;
    hq_out_init(&o, HQ_OUT_CLI, false, fd);
    hq_out_str(&o, hq_buf_view(text));
    hq_out_flush(&o);
    hq_out_fini(&o);
}

static void
log_hints(const struct hq_buf *hints)
{
    struct hq_str rest = hq_buf_view(hints);
    struct hq_str line;
    while (rest.len > 0) {
        (void)hq_str_split(&rest, '\n', &line); /* each ends with a newline */
        hq_log_info("%.*s", HQ_STR_FMT(line));
    }
}

int
hq_start_parse(struct hq_start *ret, const char *path, const struct hq_opt *opts, size_t opt_count, size_t args_bytes,
               int argc, char *const *argv, char *const *envp)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf hints = HQ_BUF_INIT;
    *ret = (struct hq_start){0};
    hq_arena_init(&ret->arena, 0);
    struct hq_command *cmd = hq_arena_alloc(&ret->arena, sizeof *cmd);
    *cmd = (struct hq_command){
        .name = path, .help = "Part of the hq suite.", .opts = opts, .opt_count = opt_count, .args_bytes = args_bytes};
    struct hq_color_env env = {.no_color = hq_optab_env(envp, "NO_COLOR"),
                               .term = hq_optab_env(envp, "TERM"),
                               .clicolor = hq_optab_env(envp, "CLICOLOR")};
    struct hq_optab tab = {.root = cmd,
                           .globals = hq_global_opts,
                           .global_count = HQ_GLOBAL_OPTS,
                           .global_args = &ret->globals,
                           .version = "hyperqueue " HQ_VERSION,
                           .envp = envp,
                           .color_out = hq_out_want_color(HQ_COLORS_AUTO, isatty(STDOUT_FILENO), &env),
                           .color_err = hq_out_want_color(HQ_COLORS_AUTO, isatty(STDERR_FILENO), &env),
                           .arena = &ret->arena};
    enum hq_optab_end end = hq_optab_parse(&tab, argc, argv, &ret->parsed, &text, &hints);
    if (end != HQ_OPTAB_RUN) {
        write_text(end == HQ_OPTAB_INFO ? STDOUT_FILENO : STDERR_FILENO, &text);
        hq_arena_fini(&ret->arena);
        return end == HQ_OPTAB_INFO ? 0 : 2;
    }
    hq_log_start(ret->globals.is_debug);
    log_hints(&hints);
    bool with_color = hq_out_want_color((enum hq_color_choice)ret->globals.colors, isatty(STDOUT_FILENO), &env);
    hq_out_init(&ret->out, (enum hq_out_mode)ret->globals.output_mode, with_color, STDOUT_FILENO);
    return -1;
}

void
hq_start_fini(struct hq_start *s)
{
    hq_out_fini(&s->out);
    hq_arena_fini(&s->arena);
}

int
hq_start_failed(struct hq_start *s, const struct hq_err *err)
{
    hq_out_error(&s->out, STDERR_FILENO, err->text);
    return 1;
}
