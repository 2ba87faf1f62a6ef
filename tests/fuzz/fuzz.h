/* fuzz.h - what the harnesses share: one entry point, an input cut into control bytes and text, checks that stop the run.
 *
 * Purpose    a harness is one function, fuzz_one: parse, then check what its header promises.
 * Ownership  text and arena belong to the entry point (fuzz_main.c); both end with the call.
 * Limits     FUZZ_BYTES_PER_BYTE: the arena may grow with the input, and no faster; heap memory is bounded by the options of
 *            `make fuzz`.
 */
#ifndef HQ_TESTS_FUZZ_FUZZ_H
#define HQ_TESTS_FUZZ_FUZZ_H

#include <stdint.h>
#include <stdlib.h>

#include "common/arena.h"
#include "common/err.h"
#include "common/str.h"

#define FUZZ_BYTES_FREE (16u << 20) /* what limits.h allows a short text: 65,536 values of a resource */
#define FUZZ_BYTES_PER_BYTE 4096u

struct fuzz {
    struct hq_str text; /* what is left of the input */
    struct hq_arena arena;
};

void fuzz_one(struct fuzz *f);

#define MUST(cond)                                                                                                     \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* Who refuses says why. */
#define MUST_TELL(rc, err) MUST((rc) >= 0 || (err).text[0] != '\0')

/* First byte of the text, taken away; 0 when there is none. Chooses among the parsers of a harness. */
static inline uint8_t
fuzz_byte(struct fuzz *f)
{
    uint8_t byte = f->text.len > 0 ? (uint8_t)f->text.ptr[0] : 0;
    f->text = hq_str_sub(f->text, 1, f->text.len);
    return byte;
}

/* A file of the rest of the input, in memory; valid until the next call. */
const char *fuzz_file(struct fuzz *f);

#endif
