/* base.h - attributes, assertions and clean-up helpers that every file may use.
 *
 * Purpose    what the language lacks; no function with state.
 * Errors     HQ_ASSERT stays on in release builds: it is about our own mistakes only.
 */
#ifndef HQ_COMMON_BASE_H
#define HQ_COMMON_BASE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HQ_MUST_CHECK __attribute__((warn_unused_result))
#define HQ_PRINTF(fmt_ix, args_ix) __attribute__((format(printf, fmt_ix, args_ix)))
#define HQ_NORETURN __attribute__((noreturn))
#define HQ_UNUSED __attribute__((unused))
#define HQ_HOT __attribute__((hot))
#define HQ_COLD __attribute__((cold))
#define HQ_LIKELY(x) __builtin_expect(!!(x), 1)
#define HQ_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define HQ_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define HQ_MIN(a, b) ((a) < (b) ? (a) : (b))
#define HQ_MAX(a, b) ((a) > (b) ? (a) : (b))

/* Prints the condition with its place to stderr, then aborts. One condition each, without side effects. */
HQ_NORETURN HQ_COLD void hq_assert_failed(const char *cond, const char *file, int line);
#define HQ_ASSERT(cond)                                                                            \
    do {                                                                                           \
        if (HQ_UNLIKELY(!(cond))) {                                                                \
            hq_assert_failed(#cond, __FILE__, __LINE__);                                           \
        }                                                                                          \
    } while (0)

/* HQ_AUTO(x_destroyp) calls x_destroyp(&local) at the end of the scope. */
#define HQ_AUTO(fn) __attribute__((cleanup(fn)))
#define HQ_DEFINE_CLEANUP(type, destroy)                                                           \
    HQ_UNUSED static inline void destroy##p(type **p)                                              \
    {                                                                                              \
        if (*p != NULL) {                                                                          \
            destroy(*p);                                                                           \
            *p = NULL;                                                                             \
        }                                                                                          \
    }

#endif
