/* net_nng.c - set-up that all nng sockets share; nng's error codes end here. */
#include "common/net_priv.h"

#include <nng/transport/ipc/ipc.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

int
hq_nng_errno(int rv)
{
    static const struct {
        int nng;
        int code;
    } rows[] = {
        {NNG_EINTR, -EINTR},
        {NNG_ENOMEM, -ENOMEM},
        {NNG_EINVAL, -EINVAL},
        {NNG_EBUSY, -EBUSY},
        {NNG_ETIMEDOUT, -ETIMEDOUT},
        {NNG_ECONNREFUSED, -ECONNREFUSED},
        {NNG_ECLOSED, -ECONNRESET},
        {NNG_EAGAIN, -EAGAIN},
        {NNG_ENOTSUP, -ENOTSUP},
        {NNG_EADDRINUSE, -EADDRINUSE},
        {NNG_ENOENT, -ENOENT},
        {NNG_EPROTO, -EPROTO},
        {NNG_EUNREACHABLE, -EHOSTUNREACH},
        {NNG_EADDRINVAL, -EADDRNOTAVAIL},
        {NNG_EPERM, -EPERM},
        {NNG_EMSGSIZE, -EMSGSIZE},
        {NNG_ECONNABORTED, -ECONNRESET},
        {NNG_ECONNRESET, -ECONNRESET},
        {NNG_ECANCELED, -ECONNRESET},
        {NNG_ENOFILES, -EMFILE},
        {NNG_ENOSPC, -ENOSPC},
        {NNG_ECONNSHUT, -ECONNRESET},
        {NNG_EPEERAUTH, -EACCES},
    };
    if (rv == 0) {
        return 0;
    }
    if ((rv & NNG_ESYSERR) != 0) {
        return -(rv & ~NNG_ESYSERR);
    }
    for (size_t ix = 0; ix < HQ_ARRAY_LEN(rows); ix++) {
        if (rows[ix].nng == rv) {
            return rows[ix].code;
        }
    }
    return -EIO;
}

void
hq_nng_enter(struct hq_nng_mask *m)
{
    _Static_assert(sizeof(sigset_t) <= sizeof(m->saved), "room for the mask");
    sigset_t all;
    sigset_t old;
    hq_nng_cure();
    (void)sigfillset(&all); /* cannot fail */
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    memcpy(m->saved, &old, sizeof(old));
#if NNG_MAJOR_VERSION == 1 && NNG_MINOR_VERSION >= 10
    /* few threads whatever the machine; has no effect once nng runs */
    nng_init_set_parameter(NNG_INIT_NUM_TASK_THREADS, 2);
    nng_init_set_parameter(NNG_INIT_NUM_EXPIRE_THREADS, 1);
    nng_init_set_parameter(NNG_INIT_NUM_RESOLVER_THREADS, 1);
#endif
}

void
hq_nng_leave(const struct hq_nng_mask *m)
{
    sigset_t old;
    memcpy(&old, m->saved, sizeof(old));
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL); /* cannot fail: it came from the kernel */
}

/* Host names, IPv4 and IPv6 addresses: nothing that could end the host part of a URL. */
static bool
is_host(const char *host)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:%";
    size_t len = strlen(host);
    return len > 0 && len < 200 && strspn(host, allowed) == len;
}

int
hq_nng_url_tcp(char out[HQ_NNG_URL_BYTES], const char *host, uint16_t port, struct hq_err *err)
{
    if (!is_host(host)) {
        return hq_err_set(err, -EINVAL, "\"%.100s\" is not a host name or address", host);
    }
    bool is_v6 = strchr(host, ':') != NULL;
    (void)snprintf(out, HQ_NNG_URL_BYTES, "tcp://%s%s%s:%u", is_v6 ? "[" : "", host, is_v6 ? "]" : "", port);
    return 0;
}

int
hq_nng_url_ipc(char out[HQ_NNG_URL_BYTES], const char *path, struct hq_err *err)
{
    size_t len = strlen(path);
    if (len < 2 || len >= sizeof(((struct sockaddr_un *)NULL)->sun_path)) {
        return hq_err_set(err, -ENAMETOOLONG, "the socket path \"%.120s\" has %zu bytes, at most 107 are possible",
                          path, len);
    }
    bool is_abstract = path[0] == '@';
    if (is_abstract &&
        strspn(path + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_/") != len - 1) {
        return hq_err_set(err, -EINVAL, "the socket name \"%s\" has characters that a URL would change", path);
    }
    (void)snprintf(out, HQ_NNG_URL_BYTES, "%s://%s", is_abstract ? "abstract" : "ipc", path + (is_abstract ? 1 : 0));
    return 0;
}

int
hq_nng_listen(nng_socket sock, const char *url, int ipc_mode, nng_listener *ret, struct hq_err *err)
{
    nng_listener l;
    bool is_file = strncmp(url, "ipc:", 4) == 0;
    int rv = nng_listener_create(&l, sock, url);
    if (rv == 0) {
        *ret = l; /* callbacks may ask for it as soon as it has started */
        rv = nng_listener_set_size(l, NNG_OPT_RECVMAXSZ, HQ_FRAME_BYTES_MAX);
    }
    if (rv == 0 && is_file) {
        rv = nng_listener_set_int(l, NNG_OPT_IPC_PERMISSIONS, ipc_mode);
    }
    if (rv == 0 && strncmp(url, "tcp:", 4) == 0) {
        rv = nng_listener_set_bool(l, NNG_OPT_TCP_KEEPALIVE, true);
    }
    if (rv == 0) {
        rv = nng_listener_start(l, 0);
    }
    if (rv != 0) {
        return hq_err_set(err, hq_nng_errno(rv), "Cannot listen on %s: %s", url, nng_strerror(rv));
    }
    return 0;
}

bool
hq_nng_peer_uid(nng_pipe pipe, uint32_t *ret_uid, int32_t *ret_pid)
{
    uint64_t uid = 0;
    uint64_t pid = 0;
    if (nng_pipe_get_uint64(pipe, NNG_OPT_IPC_PEER_UID, &uid) != 0) {
        return false;
    }
    (void)nng_pipe_get_uint64(pipe, NNG_OPT_IPC_PEER_PID, &pid); /* 0 for a peer in another pid namespace */
    *ret_uid = (uint32_t)uid;
    *ret_pid = (int32_t)pid;
    return true;
}
