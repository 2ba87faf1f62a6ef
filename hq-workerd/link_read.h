/* link_read.h - parts of commands that have a file of their own. Private to link_read*.c.
 *
 * Ownership  what is made lies in a body or description of its own, with one reference.
 * Errors     -EPROTO with the reason.
 */
#ifndef HQ_WORKERD_LINK_READ_H
#define HQ_WORKERD_LINK_READ_H

#include "hq-workerd/link_msg.h"

#include "proto/common.pb-c.h"
#include "proto/turn.pb-c.h"

HQ_MUST_CHECK int link_read_body(const Hq__Body *m, struct link_command *ret, struct hq_err *err);
HQ_MUST_CHECK int link_read_step(const Hq__Step *m, struct step_desc **ret, struct hq_err *err);

#endif
