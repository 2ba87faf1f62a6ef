/* Values of submit whose grammar job files share. */
#include "hq/submit_args.h"

#include "common/limits.h"
#include "common/parse.h"

/* ---- stdio: none | [PATH][:rm-if-finished] */

static const struct hq_str mode_word = {.ptr = "rm-if-finished", .len = 14};

static int
stdio_error(struct hq_err *err, struct hq_str text, const struct hq_parse_fault *fault)
{
    (void)hq_parse_fault(err, text, fault);
    return hq_err_prefix(err, "Cannot parse stream");
}

/* Is the text behind a colon meant as a mode? Modes are words of small letters and dashes; anything else is a path
 * that happens to contain a colon. */
static bool
is_mode_like(struct hq_str s)
{
    for (size_t ix = 0; ix < s.len; ix++) {
        if ((s.ptr[ix] < 'a' || s.ptr[ix] > 'z') && s.ptr[ix] != '-') {
            return false;
        }
    }
    return s.len > 0;
}

static int
stdio_bad_mode(struct hq_err *err, struct hq_str text, size_t mode_at)
{
    struct hq_str before = hq_str_sub(text, 0, mode_at - 1);
    if (hq_str_ends(before, HQ_STR(":rm-if-finished"))) {
        return stdio_error(err, text, &(struct hq_parse_fault){.at = mode_at - 1, .expected = "<end of input>"});
    }
    size_t same = 0;
    while (same < mode_word.len && mode_at + same < text.len && text.ptr[mode_at + same] == mode_word.ptr[same]) {
        same++;
    }
    char expected[] = {same < mode_word.len ? mode_word.ptr[same] : '\0', '\0'};
    struct hq_parse_fault fault = {
        .at = mode_at + same,
        .context = same < mode_word.len ? "rm-if-finished" : NULL,
        .expected = same < mode_word.len ? expected : "<end of input>",
    };
    return stdio_error(err, text, &fault);
}

int
submit_parse_stdio(struct hq_str text, struct submit_stdio *ret, struct hq_err *err)
{
    size_t from = 0;
    while (from < text.len && text.ptr[from] == ' ') {
        from++;
    }
    struct hq_str path = hq_str_sub(text, from, text.len);
    if (path.len == 0) {
        return stdio_error(err, path, &(struct hq_parse_fault){.at = 0});
    }
    struct submit_stdio out = {.path = path};
    if (hq_str_is(path, "none")) {
        out.is_none = true;
        out.path = HQ_STR_NULL;
    } else if (hq_str_ends(path, HQ_STR(":rm-if-finished"))) {
        out.remove_if_finished = true;
        out.path = hq_str_sub(path, 0, path.len - mode_word.len - 1);
    } else {
        size_t colon = path.len;
        while (colon > 0 && path.ptr[colon - 1] != ':') {
            colon--;
        }
        if (colon > 0 && is_mode_like(hq_str_sub(path, colon, path.len))) {
            return stdio_bad_mode(err, text, from + colon);
        }
    }
    *ret = out;
    return 0;
}

/* ---- crash limit, weight, name */

int
submit_parse_crash_limit(struct hq_str text, uint32_t *ret, struct hq_err *err)
{
    if (hq_str_is(text, "never-restart")) {
        *ret = SUBMIT_CRASH_NEVER;
        return 0;
    }
    if (hq_str_is(text, "unlimited")) {
        *ret = SUBMIT_CRASH_UNLIMITED;
        return 0;
    }
    const char *kind = text.len == 0 ? "Empty" : NULL;
    uint32_t v = 0;
    for (size_t ix = 0; ix < text.len && kind == NULL; ix++) {
        if (text.ptr[ix] == '+' && ix == 0 && text.len > 1) {
            continue;
        }
        if (text.ptr[ix] < '0' || text.ptr[ix] > '9') {
            kind = "InvalidDigit";
        } else if ((v = v * 10 + (uint32_t)(text.ptr[ix] - '0')) > HQ_CRASH_LIMIT_MAX) {
            kind = "PosOverflow";
        }
    }
    if (kind != NULL) {
        return hq_err_set(err, -EINVAL, "Invalid crash limit: ParseIntError { kind: %s }", kind);
    }
    if (v == 0) {
        return hq_err_set(err, -EINVAL, "Crash limit cannot be 0. Use `never-restart` or `unlimited` instead.");
    }
    *ret = v;
    return 0;
}

int
submit_check_name(struct hq_str name, struct hq_err *err)
{
    if (hq_str_find_byte(name, '\n') >= 0 || hq_str_find_byte(name, '\t') >= 0) {
        return hq_err_set(err, -EINVAL, "name cannot have a newline or a tab");
    }
    return 0;
}
