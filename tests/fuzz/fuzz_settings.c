/* A settings file of hqd, of any bytes. What is accepted prints as a file that reads back as the same. */
#include "tests/fuzz/fuzz.h"

#include "hqd/conf.h"

static int
read_text(struct fuzz *f, struct hq_str text, struct hqd_conf *conf, struct hq_settings *s, struct hq_err *err)
{
    *conf = (struct hqd_conf){0};
    hq_settings_init(s, hqd_settings, HQD_SETTINGS, conf, &f->arena);
    return hq_settings_text(s, "x.yaml", text, err);
}

void
fuzz_one(struct fuzz *f)
{
    static struct hq_settings s;
    struct hqd_conf conf;
    struct hqd_conf again;
    struct hq_err err = {0};
    struct hq_buf out = HQ_BUF_INIT;
    int rc = read_text(f, f->text, &conf, &s, &err);
    MUST_TELL(rc, err);
    if (rc == 0) {
        hq_settings_print(&s, &out);
        MUST(read_text(f, hq_buf_view(&out), &again, &s, &err) == 0);
        MUST(conf.idle_timeout_ms == again.idle_timeout_ms && conf.client_port == again.client_port);
        MUST(conf.has_local_socket == again.has_local_socket && conf.stop_grace_ms == again.stop_grace_ms);
        MUST(hq_str_eq(hq_str_from(conf.host), hq_str_from(again.host)));
        MUST(hq_str_eq(hq_str_from(conf.journal), hq_str_from(again.journal)));
    } else {
        MUST(hq_str_starts(hq_str_from(err.text), HQ_STR("x.yaml:")));
    }
    hq_buf_fini(&out);
}
