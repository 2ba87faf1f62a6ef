/* siblings.h - programs of the suite, found beside our own executable. */
#ifndef HQ_COMMON_SIBLINGS_H
#define HQ_COMMON_SIBLINGS_H

#include "common/err.h"
#include "common/str.h"

/* Appends "<directory of /proc/self/exe>/<name>"; -ENOENT when there is no executable file of that name. */
HQ_MUST_CHECK int hq_sibling_path(struct hq_buf *ret, const char *name, struct hq_err *err);

#endif
