#include "common/sdnotify.h"

#include "common/num.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int
hq_sdnotify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (path == NULL || (path[0] != '/' && path[0] != '@')) {
        return 0;
    }
    size_t len = strlen(path);
    if (len >= sizeof addr.sun_path) {
        return -ENAMETOOLONG;
    }
    memcpy(addr.sun_path, path, len);
    if (path[0] == '@') {
        addr.sun_path[0] = '\0'; /* an abstract name */
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -errno;
    }
    socklen_t addr_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    ssize_t n = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&addr, addr_len);
    int rc = n < 0 ? -errno : 0;
    (void)close(fd); /* nothing is buffered in a datagram socket */
    return rc;
}

hq_ms
hq_sdnotify_watchdog_ms(void)
{
    uint64_t usec;
    uint64_t pid;
    const char *usec_text = getenv("WATCHDOG_USEC");
    const char *pid_text = getenv("WATCHDOG_PID");
    if (usec_text == NULL || hq_num_u64(hq_str_from(usec_text), &usec, NULL) < 0) {
        return 0;
    }
    if (pid_text != NULL && (hq_num_u64(hq_str_from(pid_text), &pid, NULL) < 0 || pid != (uint64_t)getpid())) {
        return 0;
    }
    return (hq_ms)HQ_MIN(usec / 2000, (uint64_t)INT64_MAX);
}
