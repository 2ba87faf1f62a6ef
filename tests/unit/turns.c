#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/turns.h"

#include <arpa/inet.h>
#include <ev.h>
#include <sys/socket.h>

static void
on_timer(struct ev_loop *loop, ev_timer *t, int revents)
{
    (void)loop;
    (void)t;
    (void)revents;
}

void
turn_once(struct ev_loop *loop)
{
    ev_timer t;

    ev_timer_init(&t, on_timer, 0.01, 0.);
    ev_timer_start(loop, &t);
    ev_run(loop, EVRUN_ONCE);
    ev_timer_stop(loop, &t);
}

int
listen_on_loopback(uint16_t *ret_port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_int_equal(0, bind(fd, (const struct sockaddr *)&sa, sizeof sa));
    assert_int_equal(0, listen(fd, 256));
    assert_int_equal(0, getsockname(fd, (struct sockaddr *)&sa, &len));
    *ret_port = ntohs(sa.sin_port);
    return fd;
}
