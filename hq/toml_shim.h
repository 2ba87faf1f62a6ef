/* toml_shim.h - the TOML library (toml++, C++) behind C functions: a document becomes a sequence of calls.
 *
 * Purpose    the only door to C++ in the suite; includes nothing of ours, so that both languages read it.
 * Ownership  texts are valid during the call only.
 * Units      lines and columns count from 1.
 * Errors     toml_shim_read returns 0, or -1 with place and reason. A sink function that returns non-zero stops the walk
 *            (-2).
 */
#ifndef HQ_HQ_TOML_SHIM_H
#define HQ_HQ_TOML_SHIM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct toml_shim_span { /* [begin, end) in the text */
    uint32_t line;
    uint32_t column;
    uint32_t end_line;
    uint32_t end_column;
};

struct toml_shim_sink {
    void *ctx;
    int (*table)(void *ctx, struct toml_shim_span at, size_t count); /* then `count` keys and values in turn, end */
    int (*array)(void *ctx, struct toml_shim_span at, size_t count); /* then `count` values, end */
    int (*end)(void *ctx);
    int (*key)(void *ctx, const char *text, size_t len, struct toml_shim_span at);
    int (*string)(void *ctx, const char *text, size_t len, struct toml_shim_span at);
    int (*integer)(void *ctx, int64_t v, struct toml_shim_span at);
    int (*real)(void *ctx, double v, struct toml_shim_span at);
    int (*boolean)(void *ctx, int v, struct toml_shim_span at);
    int (*date)(void *ctx, struct toml_shim_span at); /* dates and times: we have no use for their value */
};

int toml_shim_read(const char *text, size_t len, const struct toml_shim_sink *sink, struct toml_shim_span *ret_at,
                   char *ret_why, size_t why_bytes);

#ifdef __cplusplus
}
#endif

#endif
