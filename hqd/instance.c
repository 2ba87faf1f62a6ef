#include "hqd/instance.h"

#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fs.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/wire.h"

#include "proto/client.pb-c.h"

#define JOURNAL_AT_NAME "journal.at" /* where the journal of this instance lies, when not in it */
#define START_LOCK_MS_MAX 20000
#define START_LOCK_STEP_MS 20

static char *
join(const char *dir, const char *name)
{
    struct hq_buf b = HQ_BUF_INIT;
    hq_buf_printf(&b, "%s/%s", dir, name);
    return hq_buf_take(&b);
}

/* The server directory is private; what lies above is as the user's umask has it. */
static int
make_server_dir(const char *path, struct hq_err *err)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST) {
        return 0;
    }
    HQ_AUTO(hq_mem_freep) char *copy = hq_xstrdup(path);
    int rc = hq_fs_mkdirs(dirname(copy), 0777, err);
    if (rc == 0 && mkdir(path, 0700) < 0 && errno != EEXIST) {
        rc = hq_err_set(err, -errno, "%s", hq_err_os(errno));
    }
    return rc < 0 ? hq_err_prefix(err, "Cannot create the server directory `%s`", path) : 0;
}

/* Two starts at once in one server directory come one after the other: the second one finds a server online. */
static int
lock_start(struct instance *in, struct hq_err *err)
{
    in->start_lock = open(in->server_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (in->start_lock < 0) {
        return hq_err_sys(err, -errno, "Cannot open the server directory `%s`", in->server_dir);
    }
    hq_ms until_ms = hq_clock_ms() + START_LOCK_MS_MAX;
    while (flock(in->start_lock, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
        if (hq_clock_ms() > until_ms) {
            return hq_err_set(err, -EBUSY, "Another server is being started at %s", in->server_dir);
        }
        (void)poll(NULL, 0, START_LOCK_STEP_MS);
    }
    return 0; /* no locks on this filesystem: mkdir NNN and the owner file are left */
}

/* ---- who runs there? */

/* 0: a server answered. Else why not. */
static int
probe(const struct hq_access *access, const char *dir)
{
    if (access == NULL) {
        return -ECONNREFUSED; /* no file that this version can read: nobody to ask */
    }
    HQ_AUTO(hq_endpoint_fini) struct hq_endpoint end = {0};
    int rc = hq_endpoint_load(&end, dir, NULL);
    if (rc < 0) {
        end.ipc = NULL; /* TCP then */
    }
    struct hq_net_client_conf conf = {.ipc_path = end.ipc,
                                      .host = access->client.host,
                                      .port = access->client.port,
                                      .secret = access->client.has_key ? access->client.key : NULL,
                                      .role = HQ_ROLE_CLIENT};
    struct hq_net_client *client = NULL;
    rc = hq_net_client_create(&client, &conf, NULL);
    if (rc < 0) {
        return rc;
    }
    HQ_AUTO(hq_buf_fini) struct hq_buf ask = HQ_BUF_INIT;
    Hq__Empty empty;
    hq__empty__init(&empty);
    rc = hq_wire_pack(&ask, HQ__MESSAGE_TYPE__TYPE_SERVER_INFO, 1, &empty.base, NULL);
    if (rc == 0) {
        HQ_AUTO(hq_mem_freep) char *answer = NULL;
        size_t len = 0;
        rc = hq_net_ask(client, hq_buf_view(&ask), INSTANCE_PROBE_MS_MAX, &answer, &len, NULL);
    }
    hq_net_client_destroy(client);
    return rc;
}

static int
online(const struct instance *in, struct hq_err *err)
{
    return hq_err_set(err,
                      -EADDRINUSE,
                      "Server at %s is already online, please stop it first using `hq server stop --server-dir %s`",
                      in->server_dir,
                      in->server_dir);
}

/* Is `dir` an instance whose process has ended? */
static int
judge(struct instance *in, const char *dir, const struct hq_access *access, bool take_over, bool *ret_is_dead,
      struct hq_err *err)
{
    struct hq_owner owner = {0};
    struct hq_err why = {0};
    *ret_is_dead = false;
    int rc = hq_owner_load(&owner, dir, &why);
    if (rc < 0 && rc != -ENOENT) {
        hq_log_warn("Owner of the last run is not known: %s", why.text);
    }
    switch (rc < 0 ? HQ_OWNER_NONE : hq_owner_judge(&owner, &in->owner)) {
    case HQ_OWNER_ALIVE:
        return online(in, err);
    case HQ_OWNER_DEAD:
        *ret_is_dead = true;
        return 0;
    case HQ_OWNER_SELF:
    case HQ_OWNER_NONE: /* a copied access file, or one of another program */
        return probe(access, dir) == 0 ? online(in, err) : 0;
    case HQ_OWNER_ELSEWHERE:
        break;
    }
    rc = probe(access, dir);
    if (rc == 0) {
        return online(in, err);
    }
    if (rc != -ECONNREFUSED && rc != -ECONNRESET && !take_over) {
        return hq_err_set(err,
                          -EHOSTDOWN,
                          "Server at %s was started on host %s, which does not answer.\nTwo servers must not write the "
                          "same journal. If that host is down for sure, start with `--take-over`.",
                          in->server_dir,
                          owner.host);
    }
    *ret_is_dead = true;
    return 0;
}

/* The journal that the instance in `dir` writes. */
static char *
journal_of(const char *dir)
{
    HQ_AUTO(hq_mem_freep) char *at = join(dir, JOURNAL_AT_NAME);
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    if (hq_fs_read(&text, at, HQ_ACCESS_BYTES_MAX, NULL) == 0) {
        return hq_str_dupz(hq_str_trim(hq_buf_view(&text)));
    }
    return join(dir, HQ_JOURNAL_NAME);
}

int
instance_find(struct instance *in, const char *server_dir, const struct hqd_conf *conf, bool take_over,
              struct hq_err *err)
{
    in->server_dir = hq_xstrdup(server_dir);
    int rc = hq_owner_self(&in->owner, err);
    if (rc == 0) {
        rc = make_server_dir(server_dir, err);
    }
    if (rc == 0) {
        rc = lock_start(in, err);
    }
    if (rc < 0) {
        return rc;
    }
    HQ_AUTO(hq_buf_fini) struct hq_buf dir = HQ_BUF_INIT;
    rc = hq_serverdir_instance(&dir, server_dir, err);
    if (rc < 0) {
        return rc;
    }
    HQ_AUTO(hq_mem_freep) char *file = join(dir.ptr, HQ_ACCESS_NAME);
    HQ_AUTO(hq_access_fini) struct hq_access access = HQ_ACCESS_INIT;
    bool is_dead = false;
    bool can_ask = hq_access_load(&access, file, HQ_ACCESS_CLIENT, NULL) == 0;
    rc = judge(in, dir.ptr, can_ask ? &access : NULL, take_over, &is_dead, err);
    if (rc < 0 || !is_dead || strcmp(dir.ptr, server_dir) == 0) {
        return rc;
    }
    HQ_AUTO(hq_mem_freep) char *journal = journal_of(dir.ptr);
    HQ_AUTO(hq_mem_freep) char *own = join(dir.ptr, HQ_JOURNAL_NAME);
    if (strcmp(journal, conf->journal != NULL ? conf->journal : own) == 0) {
        in->has_candidate = true;
        in->dir = hq_buf_take(&dir);
        in->journal_path = journal;
        journal = NULL;
    }
    return 0;
}

static int
load_given(struct hq_access *ret, const char *path, struct hq_err *err)
{
    int rc = hq_access_load(ret, path, HQ_ACCESS_FULL, err);
    return rc == -EPROTONOSUPPORT ? hq_err_prefix(err, "Version error") : rc;
}

int
instance_check_given(const struct hqd_conf *conf, struct hq_err *err)
{
    HQ_AUTO(hq_access_fini) struct hq_access a = HQ_ACCESS_INIT;
    return conf->access_file == NULL ? 0 : load_given(&a, conf->access_file, err);
}

const char *
instance_journal(const struct instance *in, const struct hqd_conf *conf)
{
    return in->has_candidate ? in->journal_path : conf->journal;
}

/* ---- begin */

/* Hosts, keys, UID: the candidate's, those of --access-file, or new ones. */
static int
make_access(struct instance *in, const struct hqd_conf *conf, struct hq_str journal_uid, struct hq_err *err)
{
    bool is_given = conf->access_file != NULL;
    HQ_AUTO(hq_mem_freep) char *own = in->is_resumed ? join(in->dir, HQ_ACCESS_NAME) : NULL;
    struct hq_access *a = &in->access;
    int rc = is_given ? load_given(a, conf->access_file, err) : -ENOENT;
    if (is_given && rc < 0) {
        return rc;
    }
    if (own != NULL && !is_given) {
        rc = hq_access_load(a, own, HQ_ACCESS_FULL, NULL);
    }
    char host[256] = "localhost";
    if (rc < 0) { /* also: the file of an instance of another version */
        unsigned char key[HQ_SECRET_BYTES];
        (void)gethostname(host, sizeof host - 1);
        hq_access_new_key(key);
        hq_access_set_side(&a->client, host, 0, conf->has_client_encryption ? key : NULL);
        hq_access_new_key(key);
        hq_access_set_side(&a->worker, host, 0, conf->has_worker_encryption ? key : NULL);
        explicit_bzero(key, sizeof key);
    }
    struct hq_access_side *sides[] = {&a->client, &a->worker};
    bool encrypt[] = {conf->has_client_encryption, conf->has_worker_encryption};
    int64_t ports[] = {conf->client_port, conf->worker_port};
    for (size_t i = 0; i < HQ_ARRAY_LEN(sides); i++) {
        if (conf->host != NULL && conf->host[0] != '\0') {
            free(sides[i]->host);
            sides[i]->host = hq_xstrdup(conf->host);
        }
        if (ports[i] != 0) {
            sides[i]->port = (uint16_t)ports[i];
        }
        if (!is_given && sides[i]->has_key != encrypt[i]) { /* a resumed instance with other options than before */
            sides[i]->has_key = encrypt[i];
            hq_access_new_key(sides[i]->key);
        }
    }
    if (journal_uid.len > 0) {
        free(a->server_uid);
        a->server_uid = hq_str_dupz(journal_uid);
    } else if (a->server_uid == NULL) {
        a->server_uid = hq_access_new_uid();
    }
    free(a->version);
    a->version = hq_xstrdup(HQ_VERSION);
    return 0;
}

int
instance_begin(struct instance *in, bool resume, const struct hqd_conf *conf, struct hq_str journal_uid,
               struct hq_err *err)
{
    HQ_ASSERT(!resume || in->has_candidate);
    in->is_resumed = resume;
    int rc = make_access(in, conf, journal_uid, err);
    if (rc == 0 && !resume) {
        free(in->dir);
        in->dir = NULL;
        free(in->journal_path);
        HQ_AUTO(hq_buf_fini) struct hq_buf dir = HQ_BUF_INIT;
        rc = hq_serverdir_create_instance(&dir, in->server_dir, err);
        in->dir = hq_buf_take(&dir);
        in->journal_path = conf->journal != NULL ? hq_xstrdup(conf->journal) : join(in->dir, HQ_JOURNAL_NAME);
    }
    if (rc == 0 && conf->has_local_socket) {
        HQ_AUTO(hq_buf_fini) struct hq_buf path = HQ_BUF_INIT;
        hq_endpoint_socket(&path, in->dir);
        in->ipc_path = hq_buf_take(&path);
        if (in->ipc_path[0] != '@') {
            (void)unlink(in->ipc_path); /* of the run that died */
        }
    }
    return rc < 0 ? rc : hq_owner_store(&in->owner, in->dir, err);
}

int
instance_publish(struct instance *in, uint16_t client_port, uint16_t worker_port, struct hq_err *err)
{
    in->access.client.port = client_port;
    in->access.worker.port = worker_port;
    HQ_AUTO(hq_mem_freep) char *file = join(in->dir, HQ_ACCESS_NAME);
    hq_log_info("Storing access file as '%s'", file);
    struct hq_endpoint end = {.protocol = HQ_WIRE_VERSION, .ipc = in->ipc_path};
    int rc = hq_endpoint_store(&end, in->dir, err);
    if (rc == 0 && in->is_resumed) {
        struct hq_buf text = HQ_BUF_INIT;
        hq_access_print(&in->access, &text);
        rc = hq_fs_replace(file, hq_buf_view(&text), 0400, err);
        explicit_bzero(text.ptr, text.cap);
        hq_buf_fini(&text);
    } else if (rc == 0) {
        rc = hq_access_store(&in->access, file, err);
    }
    HQ_AUTO(hq_mem_freep) char *own = join(in->dir, HQ_JOURNAL_NAME);
    if (rc == 0 && strcmp(own, in->journal_path) != 0) {
        HQ_AUTO(hq_mem_freep) char *at = join(in->dir, JOURNAL_AT_NAME);
        HQ_AUTO(hq_buf_fini) struct hq_buf line = HQ_BUF_INIT;
        hq_buf_printf(&line, "%s\n", in->journal_path);
        rc = hq_fs_replace(at, hq_buf_view(&line), 0600, err);
    }
    if (rc == 0) {
        rc = hq_serverdir_set_current(in->server_dir, in->dir, err);
    }
    if (rc == 0) {
        (void)close(in->start_lock);
        in->start_lock = -1;
    }
    return rc;
}

void
instance_end(struct instance *in)
{
    struct hq_err err = {0};
    if (in->ipc_path != NULL && in->ipc_path[0] != '@') {
        (void)unlink(in->ipc_path); /* gone already is fine */
    }
    if (hq_serverdir_clear_current(in->server_dir, in->dir, &err) < 0) {
        hq_log_warn("hq-current could not be removed: %s", err.text);
    }
}

void
instance_fini(struct instance *in)
{
    if (in->start_lock >= 0) {
        (void)close(in->start_lock);
    }
    free(in->server_dir);
    free(in->dir);
    free(in->journal_path);
    free(in->ipc_path);
    hq_access_fini(&in->access);
    *in = INSTANCE_INIT;
}

int
instance_check_owner_thr(void *instance, struct hq_err *err)
{
    const struct instance *in = instance;
    struct hq_owner now = {0};
    struct hq_err why = {0};
    int rc = hq_owner_load(&now, in->dir, &why);
    if (rc < 0 && rc != -ENOENT) {
        return 0; /* unreadable for a moment: no reason to end */
    }
    if (rc == 0 && hq_owner_judge(&now, &in->owner) == HQ_OWNER_SELF) {
        return 0;
    }
    return hq_err_set(err,
                      -EPERM,
                      "Another server has taken over %s (host=%s pid=%d); this one ends",
                      in->dir,
                      rc == 0 ? now.host : "?",
                      (int)now.pid);
}
