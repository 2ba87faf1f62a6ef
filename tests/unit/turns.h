/* turns.h - a loop that is run until something holds, and listening sockets on the loopback.
 *
 * Purpose    run_until-like waits without sleeping: a turn ends with the first event, or after 10 ms.
 */
#ifndef HQ_TESTS_UNIT_TURNS_H
#define HQ_TESTS_UNIT_TURNS_H

#include <stdint.h>

#include "common/clock.h"

#define TURNS_DEADLINE_MS 20000

struct ev_loop;

void turn_once(struct ev_loop *loop);
int listen_on_loopback(uint16_t *ret_port); /* non-blocking */

/* `step` is done after each turn. */
#define TURN_UNTIL(loop, step, cond)                                                                                           \
    do {                                                                                                                       \
        hq_ms turn_until_ms = hq_clock_ms() + TURNS_DEADLINE_MS;                                                               \
        while (!(cond)) {                                                                                                      \
            assert_true(hq_clock_ms() < turn_until_ms);                                                                        \
            turn_once(loop);                                                                                                   \
            step;                                                                                                              \
        }                                                                                                                      \
    } while (0)

#endif
