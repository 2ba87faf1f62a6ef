/* Settings: kinds, bounds, origins, places of errors, printed files that read back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/fs.h"
#include "common/settings.h"
#include "tests/unit/tmpdir.h"

struct conf {
    int64_t heartbeat_ms;
    int64_t workers;
    int64_t cache_bytes;
    bool verbose;
    const char *name;
    const char *dir;
    int mode;
    int64_t any;
};

static const char *const modes[] = {"fast", "safe", NULL};
static const struct hq_setting rows[] = {
    {.name = "heartbeat",
     .kind = HQ_SET_MS,
     .at = offsetof(struct conf, heartbeat_ms),
     .def = "8s",
     .min = 100,
     .max = 600000,
     .env = "T_HEARTBEAT",
     .help = "Time between two signs of life."},
    {.name = "workers",
     .kind = HQ_SET_INT,
     .at = offsetof(struct conf, workers),
     .def = "4",
     .min = 1,
     .max = 1000,
     .help = "How many."},
    {.name = "cache", .kind = HQ_SET_BYTES, .at = offsetof(struct conf, cache_bytes), .def = "64MiB", .help = "Cache."},
    {.name = "verbose", .kind = HQ_SET_BOOL, .at = offsetof(struct conf, verbose), .help = "Talk."},
    {.name = "name", .kind = HQ_SET_STR, .at = offsetof(struct conf, name), .env = "T_NAME", .help = "A name."},
    {.name = "dir", .kind = HQ_SET_PATH, .at = offsetof(struct conf, dir), .def = "/var/lib/hq", .help = "A place."},
    {.name = "mode",
     .kind = HQ_SET_WORD,
     .at = offsetof(struct conf, mode),
     .def = "safe",
     .words = modes,
     .help = "Mode."},
    {.name = "any", .kind = HQ_SET_INT, .at = offsetof(struct conf, any), .help = "No bounds."},
};
#define ROWS HQ_ARRAY_LEN(rows)

struct fixture {
    struct hq_arena arena;
    struct conf conf;
    struct hq_settings s;
};

static void
start(struct fixture *f)
{
    hq_arena_init(&f->arena, 0);
    memset(&f->conf, 0x55, sizeof f->conf);
    hq_settings_init(&f->s, rows, ROWS, &f->conf, &f->arena);
}

static void
test_defaults(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    assert_true(f.conf.heartbeat_ms == 8000 && f.conf.workers == 4 && f.conf.cache_bytes == 67108864);
    assert_false(f.conf.verbose);
    assert_null(f.conf.name);
    assert_string_equal(f.conf.dir, "/var/lib/hq");
    assert_int_equal(f.conf.mode, 1);
    assert_true(f.conf.any == 0);
    hq_arena_fini(&f.arena);
}

static void
test_file(void **state)
{
    (void)state;
    struct fixture f;
    struct hq_err err = {0};
    start(&f);
    static const char text[] = "# comment\n"
                               "heartbeat: 1m 30s   # half\n"
                               "workers: 1_000\n"
                               "cache: '1 GiB'\n"
                               "verbose: yes\n"
                               "name: \"a: b\\tc\"\n"
                               "dir: /srv/hq\n"
                               "mode: fast\n"
                               "any: -9223372036854775808\n";
    assert_int_equal(hq_settings_text(&f.s, "hqd.yaml", hq_str_from(text), &err), 0);
    assert_true(f.conf.heartbeat_ms == 90000 && f.conf.workers == 1000 && f.conf.cache_bytes == 1 << 30);
    assert_true(f.conf.verbose);
    assert_string_equal(f.conf.name, "a: b\tc");
    assert_string_equal(f.conf.dir, "/srv/hq");
    assert_int_equal(f.conf.mode, 0);
    assert_true(f.conf.any == INT64_MIN);
    hq_arena_fini(&f.arena);
}

static void
test_empty_files(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "\n", "# nothing\n", "---\n", "--- {}\n", "{}", "{heartbeat: 9s, workers: 5}"};
    for (size_t i = 0; i < HQ_ARRAY_LEN(texts); i++) {
        struct fixture f;
        struct hq_err err = {0};
        start(&f);
        assert_int_equal(hq_settings_text(&f.s, "f", hq_str_from(texts[i]), &err), 0);
        hq_arena_fini(&f.arena);
    }
}

static void
test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *error;
    } cases[] = {
        {"heartbeat: 8s\nnope: 1\n", "f.yaml:2: unknown setting \"nope\""},
        {"\n\nheartbeat: soon\n", "f.yaml:3: heartbeat: expected a duration, for example 30s or 1h 30m"},
        {"heartbeat: 99ms", "f.yaml:1: heartbeat: must be between 100ms and 10m"},
        {"heartbeat: 11m", "f.yaml:1: heartbeat: must be between 100ms and 10m"},
        {"heartbeat: 1s\nheartbeat: 2s", "f.yaml:2: heartbeat is given twice"},
        {"workers: 0", "f.yaml:1: workers: must be between 1 and 1000"},
        {"workers: four", "f.yaml:1: workers: expected an integer"},
        {"workers: 1.5", "f.yaml:1: workers: expected an integer"},
        {"workers: 99999999999999999999", "f.yaml:1: workers: expected an integer"},
        {"workers:", "f.yaml:1: workers: expected an integer"},
        {"workers: [1]", "f.yaml:1: workers: expected a single value"},
        {"workers: {a: 1}", "f.yaml:1: workers: expected a single value"},
        {"workers:\n  - 1", "f.yaml:2: workers: expected a single value"},
        {"cache: many", "f.yaml:1: cache: expected a size, for example 4096 or 64MiB"},
        {"cache: 9223372036854775808", "f.yaml:1: cache: expected a size, for example 4096 or 64MiB"},
        {"verbose: maybe", "f.yaml:1: verbose: expected true or false"},
        {"verbose: TRUE", "f.yaml:1: verbose: expected true or false"},
        {"dir: rel/ative", "f.yaml:1: dir: expected an absolute path"},
        {"dir: ''", "f.yaml:1: dir: expected an absolute path"},
        {"name: \"a\\0b\"", "f.yaml:1: name: contains a NUL byte"},
        {"mode: slow", "f.yaml:1: mode: expected one of: fast, safe"},
        {"- heartbeat", "f.yaml:1: expected lines of the form name: value"},
        {"heartbeat", "f.yaml:1: expected lines of the form name: value"},
        {"[heartbeat, 8s]: 1", "f.yaml:1: expected lines of the form name: value"},
        {"? {a: b}\n: 1", "f.yaml:1: expected the name of a setting"},
        {"workers: 1\n---\nworkers: 2", "f.yaml:2: a second document"},
        {"a: &x 1\nb: *x", "f.yaml:1: unknown setting \"a\""},
        {"workers: *x", "f.yaml:1: workers: expected a single value"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct fixture f;
        struct hq_err err = {0};
        start(&f);
        assert_int_equal(hq_settings_text(&f.s, "f.yaml", hq_str_from(cases[i].text), &err), -EINVAL);
        assert_string_equal(err.text, cases[i].error);
        hq_arena_fini(&f.arena);
    }
    /* no YAML at all: the line, whatever the library says of it */
    static const struct {
        struct hq_str text;
        const char *start;
    } broken[] = {
        {{.ptr = "workers: 1\nname: \"open\n", .len = 23}, "f.yaml:"},
        {{.ptr = "name: b: c", .len = 10}, "f.yaml:1: no valid YAML: "},
        {{.ptr = "workers: 1\n\tname: x", .len = 19}, "f.yaml:2: no valid YAML: "},
        {{.ptr = "name: \0", .len = 7}, "f.yaml:1: no valid YAML: "},
        {{.ptr = "name: \xff", .len = 7}, "f.yaml:1: no valid YAML: "},
        {{.ptr = "workers: 1\n\n#\xff\n", .len = 15}, "f.yaml:3: no valid YAML: "},
        {{.ptr = "{", .len = 1}, "f.yaml:"},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(broken); i++) {
        struct fixture f;
        struct hq_err err = {0};
        start(&f);
        assert_int_equal(hq_settings_text(&f.s, "f.yaml", broken[i].text, &err), -EINVAL);
        assert_true(hq_str_starts(hq_str_from(err.text), hq_str_from(broken[i].start)));
        hq_arena_fini(&f.arena);
    }
    /* deep nesting must not eat the stack */
    struct fixture f;
    HQ_AUTO(hq_buf_fini) struct hq_buf deep = HQ_BUF_INIT;
    start(&f);
    hq_buf_cstr(&deep, "name: ");
    hq_buf_rep(&deep, '[', 200000);
    assert_true(hq_settings_text(&f.s, "f.yaml", hq_buf_view(&deep), NULL) < 0);
    hq_arena_fini(&f.arena);
}

static void
test_origins(void **state)
{
    (void)state;
    struct fixture f;
    struct hq_err err = {0};
    char *envp[] = {(char *)(uintptr_t) "T_HEARTBEATS=1s", (char *)(uintptr_t) "T_HEARTBEAT=2s",
                    (char *)(uintptr_t) "T_NAME=", NULL};
    start(&f);
    assert_int_equal(hq_settings_flag(&f.s, HQ_STR("workers"), HQ_STR("7"), &err), 0);
    assert_int_equal(hq_settings_env(&f.s, envp, &err), 0);
    assert_int_equal(hq_settings_text(&f.s, "f", HQ_STR("heartbeat: 3s\nworkers: 8\nverbose: on\nname: file"), &err),
                     0);
    /* flag > environment > file, in whatever order they are read */
    assert_true(f.conf.workers == 7 && f.conf.heartbeat_ms == 2000);
    assert_true(f.conf.verbose);
    assert_string_equal(f.conf.name, "");
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    hq_settings_print(&f.s, &b);
    assert_string_equal(b.ptr, "heartbeat: 2s # environment\n"
                               "workers: 7 # flag\n"
                               "cache: 67108864 # built-in\n"
                               "verbose: true # file\n"
                               "name: \"\" # environment\n"
                               "dir: \"/var/lib/hq\" # built-in\n"
                               "mode: safe # built-in\n"
                               "any: 0 # built-in\n");
    /* a value that does not count is checked all the same */
    assert_int_equal(hq_settings_text(&f.s, "f", HQ_STR("workers: 0"), &err), -EINVAL);
    envp[1] = (char *)(uintptr_t) "T_HEARTBEAT=x";
    assert_true(hq_settings_env(&f.s, envp, &err) < 0);
    assert_string_equal(err.text, "environment variable T_HEARTBEAT: expected a duration, for example 30s or 1h 30m");
    assert_true(hq_settings_flag(&f.s, HQ_STR("nope"), HQ_STR("1"), &err) < 0);
    assert_string_equal(err.text, "unknown setting \"nope\"");
    assert_true(hq_settings_flag(&f.s, HQ_STR("mode"), HQ_STR("x"), &err) < 0);
    assert_string_equal(err.text, "mode: expected one of: fast, safe");
    hq_arena_fini(&f.arena);
}

/* What --print-config prints is a file with the same meaning. */
static void
test_print_reads_back(void **state)
{
    (void)state;
    struct fixture f, g;
    struct hq_err err = {0};
    start(&f);
    start(&g);
    assert_int_equal(
        hq_settings_text(&f.s, "f",
                         HQ_STR("heartbeat: 1m 30s 5ms\nname: \"q\\\" \\\\ # \\x01 \xc3\xa4\"\nmode: fast\nany: -5"),
                         &err),
        0);
    HQ_AUTO(hq_buf_fini) struct hq_buf first = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf second = HQ_BUF_INIT;
    hq_settings_print(&f.s, &first);
    assert_int_equal(hq_settings_text(&g.s, "g", hq_buf_view(&first), &err), 0);
    assert_string_equal(f.conf.name, g.conf.name);
    assert_true(g.conf.heartbeat_ms == 90005 && g.conf.any == -5 && g.conf.mode == 0);
    hq_settings_print_example(rows, ROWS, &second);
    assert_non_null(strstr(second.ptr,
                           "# Time between two signs of life.\n# (duration, 100ms to 10m, environment T_HEARTBEAT)\n"
                           "# heartbeat: 8s\n"));
    assert_non_null(strstr(second.ptr, "# (one of fast, safe)\n# mode: safe\n"));
    assert_int_equal(hq_settings_text(&g.s, "g", hq_buf_view(&second), &err), 0);
    hq_arena_fini(&f.arena);
    hq_arena_fini(&g.arena);
}

static void
test_from_disk(void **state)
{
    (void)state;
    struct fixture f;
    struct hq_err err = {0};
    char *dir = tmpdir_make();
    HQ_AUTO(hq_buf_fini) struct hq_buf path = HQ_BUF_INIT;
    start(&f);
    hq_buf_printf(&path, "%s/a.yaml", dir);
    assert_int_equal(hq_settings_file(&f.s, path.ptr, &err), -ENOENT);
    assert_true(hq_str_starts(hq_str_from(err.text), HQ_STR("Cannot read /tmp/")));
    assert_true(hq_str_ends(hq_str_from(err.text), HQ_STR("a.yaml: No such file or directory (os error 2)")));
    assert_int_equal(hq_fs_create(path.ptr, HQ_STR("workers: 9\n"), 0600, &err), 0);
    assert_int_equal(hq_settings_file(&f.s, path.ptr, &err), 0);
    assert_true(f.conf.workers == 9);
    hq_arena_fini(&f.arena);
    tmpdir_remove(dir);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),  cmocka_unit_test(test_file),    cmocka_unit_test(test_empty_files),
        cmocka_unit_test(test_refused),   cmocka_unit_test(test_origins), cmocka_unit_test(test_print_reads_back),
        cmocka_unit_test(test_from_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
