/* recording.h - answers of a batch system, recorded, as struct batch_result.
 *
 * Ownership  the bytes live until recording_fini.
 */
#ifndef HQ_TESTS_RECORDING_H
#define HQ_TESTS_RECORDING_H

#include "hq-allocd/batch.h"

struct recording {
    struct hq_buf bytes;
    struct batch_result r;
};
/* tests/data/pbs/NAME.txt; fails the test when it is not there or damaged. */
void recording_load(struct recording *rec, const char *name);
void recording_fini(struct recording *rec);
/* A result made up by a test. */
struct batch_result recording_made(int exit_code, const char *out, const char *err);

#endif
