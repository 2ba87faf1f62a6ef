#include "hq/directive.h"

#include "common/parse.h"

/* ---- words of one line */

struct reader {
    struct hq_str line;
    size_t at;
    struct hq_buf word; /* of the word being read */
    struct hq_err *err;
};

/* What a parser of this grammar says: the place, and the rest of the line as a quoted text. */
static int
reader_fail(struct reader *r, const char *expected)
{
    if (r->at >= r->line.len) {
        return hq_err_set(r->err, -EINVAL, "Parse error\nexpected \"%s\" at the end of input", expected);
    }
    HQ_AUTO(hq_buf_fini) struct hq_buf rest = HQ_BUF_INIT;
    for (size_t ix = r->at; ix < r->line.len; ix++) {
        if (r->line.ptr[ix] == '"' || r->line.ptr[ix] == '\\') {
            hq_buf_byte(&rest, '\\');
        }
        hq_buf_byte(&rest, r->line.ptr[ix]);
    }
    hq_buf_byte(&rest, '"');
    return hq_err_set(r->err, -EINVAL, "Parse error\nexpected: %s at character %zu: \"%s", expected, r->at, rest.ptr);
}

/* Takes "\" and the character behind it, which must be one of `allowed`. */
static int
read_escaped(struct reader *r, const char *allowed)
{
    char c = r->at + 1 < r->line.len ? r->line.ptr[r->at + 1] : '\0';
    if (c == '\0' || strchr(allowed, c) == NULL) {
        return reader_fail(r, "Escaped");
    }
    hq_buf_byte(&r->word, c);
    r->at += 2;
    return 0;
}

static int
read_quoted(struct reader *r)
{
    r->at++;
    if (r->at < r->line.len && r->line.ptr[r->at] == '"') {
        return reader_fail(r, "Escaped"); /* an empty text is none of the grammar */
    }
    while (r->at < r->line.len && r->line.ptr[r->at] != '"') {
        if (r->line.ptr[r->at] == '\\') {
            int rc = read_escaped(r, "\"");
            if (rc < 0) {
                return rc;
            }
        } else {
            hq_buf_byte(&r->word, r->line.ptr[r->at++]);
        }
    }
    if (r->at >= r->line.len) {
        return reader_fail(r, "\"");
    }
    r->at++;
    return 0;
}

static int
read_bare(struct reader *r)
{
    while (r->at < r->line.len && r->line.ptr[r->at] != ' ' && r->line.ptr[r->at] != '"') {
        if (r->line.ptr[r->at] == '\\') {
            int rc = read_escaped(r, " \"");
            if (rc < 0) {
                return rc;
            }
        } else {
            hq_buf_byte(&r->word, r->line.ptr[r->at++]);
        }
    }
    return 0;
}

static int
read_word(struct reader *r)
{
    hq_buf_clear(&r->word);
    int rc = read_bare(r);
    if (rc == 0 && r->at < r->line.len && r->line.ptr[r->at] == '"') {
        rc = read_quoted(r);
    }
    if (rc == 0 && r->at < r->line.len && r->line.ptr[r->at] != ' ') {
        rc = reader_fail(r, "end of the word");
    }
    return rc;
}

/* A separator is a blank, then blanks and tabs. */
static void
skip_separator(struct reader *r)
{
    if (r->at < r->line.len && r->line.ptr[r->at] == ' ') {
        while (r->at < r->line.len && (r->line.ptr[r->at] == ' ' || r->line.ptr[r->at] == '\t')) {
            r->at++;
        }
    }
}

static void
add_word(struct hq_strv *words, struct hq_str word, struct hq_arena *arena)
{
    hq_arena_grow(arena, &words->v, &words->cap, words->count + 1, sizeof *words->v);
    words->v[words->count++] = hq_arena_str(arena, word);
}

int
directive_words(struct hq_strv *words, struct hq_str line, struct hq_arena *arena, struct hq_err *err)
{
    struct reader r = {.line = line, .err = err};
    int rc = 0;
    ptrdiff_t zero_at = hq_str_find_byte(line, '\0');
    if (zero_at >= 0) { /* no option of the command line can hold one */
        return hq_err_set(err, -EINVAL, "Parse error\nzero byte at character %td", zero_at);
    }
    skip_separator(&r);
    while (rc == 0 && r.at < line.len) {
        rc = read_word(&r);
        if (rc == 0) {
            add_word(words, hq_buf_view(&r.word), arena);
            skip_separator(&r);
        }
    }
    hq_buf_fini(&r.word);
    return rc;
}

/* ---- lines of a script */

int
directive_scan(struct directives *ret, struct hq_str text, struct hq_arena *arena, struct hq_err *err)
{
    struct directives out = {0};
    struct hq_str rest = text;
    for (bool is_first = true; rest.len > 0; is_first = false) {
        struct hq_str line;
        (void)hq_str_split(&rest, '\n', &line); /* the last line may lack its newline */
        int rc = 0;
        if (is_first && hq_str_starts(line, HQ_STR("#!"))) {
            rc = directive_words(&out.shebang, hq_str_trim(hq_str_sub(line, 2, line.len)), arena, err);
        }
        struct hq_str trimmed = hq_str_trim(line);
        if (rc == 0 && hq_str_starts(trimmed, HQ_STR("#HQ "))) {
            rc = directive_words(&out.words, hq_str_trim(hq_str_sub(trimmed, 4, trimmed.len)), arena, err);
        } else if (rc == 0 && trimmed.len > 0 && trimmed.ptr[0] != '#') {
            break;
        }
        if (rc < 0) {
            return rc;
        }
    }
    *ret = out;
    return 0;
}
