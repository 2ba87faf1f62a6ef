/* Access records: form, keys, error texts with their places. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/access.h"
#include "common/fs.h"
#include "common/limits.h"
#include "common/mem.h"
#include "tests/unit/tmpdir.h"

#define KEY1 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde1"
#define KEY2 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde2"
#define HEAD "{\n  \"version\": \"" HQ_VERSION "\""
#define UID ",\n  \"server_uid\": \"aB3xYz\""
#define CLIENT                                                                                                         \
    ",\n  \"client\": {\n    \"host\": \"127.0.0.1\",\n    \"port\": 41001,\n    \"secret_key\": \"" KEY1 "\"\n  }"
#define WORKER ",\n  \"worker\": {\n    \"host\": \"login\\\"1\",\n    \"port\": 0,\n    \"secret_key\": null\n  }"
#define TAIL "\n}"

static void
test_round_trip(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum hq_access_need need;
        bool has_uid, has_client, has_worker;
    } cases[] = {
        {HEAD UID CLIENT WORKER TAIL, HQ_ACCESS_FULL, true, true, true},
        {HEAD UID CLIENT WORKER TAIL, HQ_ACCESS_CLIENT, true, true, true},
        {HEAD CLIENT TAIL, HQ_ACCESS_CLIENT, false, true, false},
        {HEAD WORKER TAIL, HQ_ACCESS_WORKER, false, false, true},
        {HEAD CLIENT WORKER TAIL, HQ_ACCESS_FULL, false, true, true}, /* the server makes a new UID then */
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        HQ_AUTO(hq_access_fini) struct hq_access a = HQ_ACCESS_INIT;
        HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
        struct hq_err err = {0};
        assert_int_equal(hq_access_parse(&a, hq_str_from(cases[i].text), cases[i].need, &err), 0);
        assert_string_equal(a.version, HQ_VERSION);
        assert_int_equal(a.server_uid != NULL, cases[i].has_uid);
        assert_int_equal(a.client.is_there, cases[i].has_client);
        assert_int_equal(a.worker.is_there, cases[i].has_worker);
        if (cases[i].has_client) {
            assert_true(a.client.has_key && a.client.key[0] == 0x01 && a.client.key[31] == 0xe1);
            assert_int_equal(a.client.port, 41001);
        }
        if (cases[i].has_worker) {
            assert_false(a.worker.has_key);
            assert_string_equal(a.worker.host, "login\"1");
        }
        hq_access_print(&a, &b);
        assert_string_equal(b.ptr, cases[i].text);
    }
}

static void
test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum hq_access_need need;
        const char *error; /* behind "Serialization error: " */
        size_t column;     /* appended to the text, with the length of the version that stands in that line; 0 = none */
    } cases[] = {
        {HEAD WORKER TAIL, HQ_ACCESS_CLIENT, "missing field `client` at line 8 column 1", 0},
        {HEAD CLIENT TAIL, HQ_ACCESS_WORKER, "missing field `worker` at line 8 column 1", 0},
        {HEAD CLIENT TAIL "\n", HQ_ACCESS_FULL, "missing field `worker` at line 8 column 1", 0},
        {"{\"version\":", HQ_ACCESS_CLIENT, "EOF while parsing a value at line 1 column 11", 0},
        {"{}", HQ_ACCESS_CLIENT, "missing field `version` at line 1 column 2", 0},
        {" \n {\n } \n\n", HQ_ACCESS_CLIENT, "missing field `version` at line 3 column 2", 0},
        {"", HQ_ACCESS_CLIENT, "EOF while parsing a value at line 1 column 0", 0},
        {"{\"version\": \"" HQ_VERSION "\"", HQ_ACCESS_CLIENT, NULL, 0},
        {"hello", HQ_ACCESS_CLIENT, NULL, 0},
        {"[]", HQ_ACCESS_CLIENT, "invalid type, expected a map at line 1 column 2", 0},
        {"{} x", HQ_ACCESS_CLIENT, NULL, 0},
        {"{\"version\":1}", HQ_ACCESS_CLIENT, "invalid type: integer `1`, expected a string at line 1 column 12", 0},
        {HEAD ",\"client\":null}", HQ_ACCESS_CLIENT, "invalid type: null, expected a map at line 2 column ", 29},
        {"{\"version\":\"" HQ_VERSION "\",\"client\":{\"host\":\"h\",\"secret_key\":null}}", HQ_ACCESS_CLIENT,
         "missing field `port` at line 1 column ", 53},
        {"{\"version\":\"" HQ_VERSION "\",\"client\":{\"port\":1,\"secret_key\":null}}", HQ_ACCESS_CLIENT,
         "missing field `host` at line 1 column ", 51},
        {"{\"version\":\"" HQ_VERSION "\",\"client\":{\"host\":\"h\",\"port\":1}}", HQ_ACCESS_CLIENT,
         "missing field `secret_key` at line 1 column ", 44},
        {"{\"version\":\"" HQ_VERSION "\",\"client\":{\"host\":\"h\",\"port\":70000,\"secret_key\":null}}",
         HQ_ACCESS_CLIENT, "invalid value: integer `70000`, expected u16 at line 1 column ", 47},
        {"{\"version\":\"" HQ_VERSION "\",\"client\":{\"host\":\"h\",\"port\":-1,\"secret_key\":null}}",
         HQ_ACCESS_CLIENT, "invalid value: integer `-1`, expected u16 at line 1 column ", 44},
        {"{\"version\":\"" HQ_VERSION "\",\"client\":{\"host\":\"h\",\"port\":\"1\",\"secret_key\":null}}",
         HQ_ACCESS_CLIENT, "invalid type: string \"1\", expected u16 at line 1 column ", 45},
        {"{\"version\":\"" HQ_VERSION "\",\"client\":{\"host\":[1,{\"port\":2}],\"port\":1,\"secret_key\":null}}",
         HQ_ACCESS_CLIENT, "invalid type: sequence, expected a string at line 1 column ", 45},
        {"{\"version\":\"" HQ_VERSION "\",\"client\":{\"host\":\"h\",\"port\":1,\"secret_key\":true}}",
         HQ_ACCESS_CLIENT, "invalid type: boolean `true`, expected a string at line 1 column ", 61},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(cases); i++) {
        struct hq_access a = HQ_ACCESS_INIT;
        struct hq_err err = {0};
        assert_int_equal(hq_access_parse(&a, hq_str_from(cases[i].text), cases[i].need, &err), -EBADMSG);
        assert_true(hq_str_starts(hq_str_from(err.text), HQ_STR("Serialization error: ")));
        if (cases[i].error != NULL) {
            HQ_AUTO(hq_buf_fini) struct hq_buf want = HQ_BUF_INIT;
            hq_buf_cstr(&want, cases[i].error);
            if (cases[i].column > 0) {
                hq_buf_u64(&want, cases[i].column + strlen(HQ_VERSION));
            }
            assert_string_equal(err.text + strlen("Serialization error: "), want.ptr);
        }
        assert_null(a.version);
    }
}

static void
test_keys(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "",
        "00",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde",
        KEY1 "00",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdeg",
        "0123456789abcdef0123456789abcdef 0123456789abcdef0123456789abcde",
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(keys); i++) {
        HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
        struct hq_access a = HQ_ACCESS_INIT;
        struct hq_err err = {0};
        hq_buf_printf(&text, "{\"version\":\"%s\",\"client\":{\"host\":\"h\",\"port\":1,\"secret_key\":\"%s\"}}",
                      HQ_VERSION, keys[i]);
        assert_int_equal(hq_access_parse(&a, hq_buf_view(&text), HQ_ACCESS_CLIENT, &err), -EBADMSG);
        assert_true(keys[i][0] == '\0' || strstr(err.text, keys[i]) == NULL); /* no secrets in texts */
    }
    unsigned char one[HQ_SECRET_BYTES] = {0};
    unsigned char two[HQ_SECRET_BYTES] = {0};
    hq_access_new_key(one);
    hq_access_new_key(two);
    assert_memory_not_equal(one, two, sizeof one);
    HQ_AUTO(hq_mem_freep) char *uid = hq_access_new_uid();
    HQ_AUTO(hq_mem_freep) char *other = hq_access_new_uid();
    assert_int_equal(strlen(uid), HQ_SERVER_UID_BYTES);
    assert_string_not_equal(uid, other);
    for (const char *p = uid; *p != '\0'; p++) {
        assert_true(isalnum((unsigned char)*p));
    }
}

static void
test_version(void **state)
{
    (void)state;
    struct hq_access a = HQ_ACCESS_INIT;
    struct hq_err err = {0};
    assert_int_equal(hq_access_parse(&a, HQ_STR("{\"version\":\"0.1.0\",\"other\":[1,2,{}]}"), HQ_ACCESS_CLIENT, &err),
                     -EPROTONOSUPPORT);
    assert_string_equal(err.text,
                        "Hyperqueue version mismatch detected.\nAccess record contains version 0.1.0, but the "
                        "current version is " HQ_VERSION ".");
}

static void
test_strange(void **state)
{
    (void)state;
    static const struct hq_str texts[] = {
        {.ptr = "\0", .len = 1},
        {.ptr = "{\"version\":\"\0\"}", .len = 15},
        {.ptr = "{\"version\":\"\xff\"}", .len = 15},
        {.ptr = "{\"version\":1e999}", .len = 17},
        {.ptr = "{\"version\":99999999999999999999}", .len = 32},
        {.ptr = "{\"version\":\"a\",\"version\":\"b\"}", .len = 29},
    };
    for (size_t i = 0; i < HQ_ARRAY_LEN(texts); i++) {
        struct hq_access a = HQ_ACCESS_INIT;
        assert_int_equal(hq_access_parse(&a, texts[i], HQ_ACCESS_CLIENT, NULL), -EBADMSG);
    }
    HQ_AUTO(hq_buf_fini) struct hq_buf big = HQ_BUF_INIT;
    struct hq_access a = HQ_ACCESS_INIT;
    hq_buf_rep(&big, '[', HQ_ACCESS_BYTES_MAX);
    assert_int_equal(hq_access_parse(&a, hq_buf_view(&big), HQ_ACCESS_CLIENT, NULL), -EBADMSG);
    hq_buf_byte(&big, '[');
    assert_int_equal(hq_access_parse(&a, hq_buf_view(&big), HQ_ACCESS_CLIENT, NULL), -EFBIG);
}

static void
test_store(void **state)
{
    (void)state;
    char *dir = tmpdir_make();
    struct hq_err err = {0};
    struct stat st;
    unsigned char key[HQ_SECRET_BYTES];
    HQ_AUTO(hq_buf_fini) struct hq_buf path = HQ_BUF_INIT;
    HQ_AUTO(hq_access_fini) struct hq_access a = {.version = hq_xstrdup(HQ_VERSION), .server_uid = hq_access_new_uid()};
    HQ_AUTO(hq_access_fini) struct hq_access b = HQ_ACCESS_INIT;
    hq_buf_printf(&path, "%s/access.json", dir);
    assert_int_equal(hq_access_load(&b, path.ptr, HQ_ACCESS_FULL, &err), -ENOENT);
    assert_string_equal(err.text, "No such file or directory (os error 2)");
    hq_access_new_key(key);
    hq_access_set_side(&a.client, "first", 1, key);
    hq_access_set_side(&a.client, "login1", 65535, key);
    hq_access_set_side(&a.worker, a.client.host, 5, NULL);
    assert_int_equal(hq_access_store(&a, path.ptr, &err), 0);
    assert_int_equal(stat(path.ptr, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0400);
    assert_int_equal(hq_access_store(&a, path.ptr, &err), -EEXIST);
    assert_string_equal(err.text, "File exists (os error 17)");
    assert_int_equal(hq_access_load(&b, path.ptr, HQ_ACCESS_FULL, &err), 0);
    assert_string_equal(b.server_uid, a.server_uid);
    assert_string_equal(b.client.host, "login1");
    assert_int_equal(b.client.port, 65535);
    assert_true(b.client.has_key && !b.worker.has_key);
    assert_memory_equal(b.client.key, key, sizeof key);
    assert_string_equal(b.worker.host, "login1");
    tmpdir_remove(dir);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_refused), cmocka_unit_test(test_keys),
        cmocka_unit_test(test_version),    cmocka_unit_test(test_strange), cmocka_unit_test(test_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
