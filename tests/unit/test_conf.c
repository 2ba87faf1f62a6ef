/* hqd's settings: order of origins, bounds, and the example file, which must be what the table says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fs.h"
#include "hqd/conf.h"

#define EXAMPLE "systemd/hqd.yaml"

struct world {
    struct hq_start start;
    struct hqd_conf conf;
    struct hq_settings settings;
    struct hq_arena arena;
};

/* As main() does it, with these words behind `hqd`. */
static int
load(struct world *w, char *const *words, int count, char *const *envp, struct hq_err *err)
{
    char *argv[8] = {(char[]){"hqd"}};
    for (int i = 0; i < count; i++) {
        argv[i + 1] = words[i];
    }
    assert_int_equal(hq_start_parse(&w->start,
                                    "hqd",
                                    hq_server_start_opts,
                                    HQ_SERVER_START_OPTS,
                                    sizeof(struct hq_server_start_args),
                                    count + 1,
                                    argv,
                                    envp),
                     -1);
    hq_arena_init(&w->arena, 0);
    return conf_load(&w->conf, &w->settings, &w->start, envp, &w->arena, err);
}

static void
unload(struct world *w)
{
    hq_arena_fini(&w->arena);
    hq_start_fini(&w->start);
}

static char *const no_env[] = {NULL};

static void
test_built_in(void **state)
{
    (void)state;
    struct world w = {0};
    struct hq_err err = {0};
    assert_int_equal(load(&w, NULL, 0, no_env, &err), 0);
    assert_int_equal(w.conf.client_port, 0);
    assert_true(w.conf.has_client_encryption);
    assert_true(w.conf.has_local_socket);
    assert_null(w.conf.journal);
    assert_int_equal(w.conf.return_grace_ms, 60000);
    assert_int_equal(w.conf.peer_gone_ms, 2000);
    unload(&w);
}

static void
test_order_of_origins(void **state)
{
    (void)state;
    char path[] = "/tmp/hq-test-conf-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    static const char text[] = "client-port: 100\nworker-port: 200\nidle-timeout: 5m\njournal: /from/file\n";
    assert_int_equal(hq_fs_write_all(fd, text, sizeof text - 1), 0);
    hq_fs_closep(&fd);
    char *words[] = {(char[]){"--config"}, path, (char[]){"--client-port"}, (char[]){"300"}, (char[]){"--journal=j.bin"}};
    char *env[] = {(char[]){"HQD_CLIENT_PORT=400"}, (char[]){"HQD_WORKER_PORT=500"}, NULL};
    struct world w = {0};
    struct hq_err err = {0};
    assert_int_equal(load(&w, words, 5, env, &err), 0);
    assert_int_equal(w.conf.client_port, 300); /* flag > environment > file */
    assert_int_equal(w.conf.worker_port, 500); /* environment > file */
    assert_int_equal(w.conf.idle_timeout_ms, 300000);
    assert_int_equal(w.conf.journal[0], '/'); /* made absolute */
    assert_true(hq_str_ends(hq_str_from(w.conf.journal), HQ_STR("/j.bin")));
    unload(&w);
    (void)unlink(path);
}

static void
test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "HQD_CLIENT_PORT=65536", "HQD_CLIENT_PORT=x", "HQD_PEER_GONE=1ms", "HQD_JOURNAL=relative", "HQD_LOCAL_SOCKET=maybe",
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(bad); i++) {
        char word[64];
        snprintf(word, sizeof word, "%s", bad[i]);
        char *env[] = {word, NULL};
        struct world w = {0};
        struct hq_err err = {0};
        assert_true(load(&w, NULL, 0, env, &err) < 0);
        unload(&w);
    }
}

static void
test_example_is_the_table(void **state)
{
    (void)state;
    HQ_AUTO(hq_buf_fini) struct hq_buf want = HQ_BUF_INIT;
    HQ_AUTO(hq_buf_fini) struct hq_buf got = HQ_BUF_INIT;
    hq_buf_cstr(&want, "# Settings of hqd (hqd --config FILE). Every key with its default; hqd --print-config shows what holds.\n\n");
    hq_settings_print_example(hqd_settings, HQD_SETTINGS, &want);
    if (getenv("HQ_WRITE_EXAMPLE") != NULL) { /* after a change of the table */
        assert_int_equal(hq_fs_replace(EXAMPLE, hq_buf_view(&want), 0644, NULL), 0);
    }
    assert_int_equal(hq_fs_read(&got, EXAMPLE, 100000, NULL), 0);
    assert_true(hq_str_eq(hq_buf_view(&want), hq_buf_view(&got)));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_built_in),
        cmocka_unit_test(test_order_of_origins),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_example_is_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
