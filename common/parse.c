#include "common/parse.h"

#define SHOWN_BYTES_MAX 400u /* longer inputs are shown around the fault */
#define SHOWN_BYTES_AROUND 100u
#define RED "\033[31m"
#define YELLOW "\033[33m"
#define PLAIN "\033[0m"

/* The text on one line: control characters and broken UTF-8 as U+FFFD, one column each. */
static void
add_shown(struct hq_buf *b, struct hq_str s)
{
    while (s.len > 0) {
        uint32_t cp = 0;
        int step = hq_utf8_step(s, &cp);
        size_t bytes = (size_t)(step < 0 ? -step : step);
        if (step < 0 || cp < 0x20 || (cp >= 0x7f && cp < 0xa0)) {
            hq_buf_cstr(b, "\xef\xbf\xbd");
        } else {
            hq_buf_add(b, s.ptr, bytes);
        }
        s.ptr += bytes;
        s.len -= bytes;
    }
}

/* Moves a cut at `at` back to the start of a character. */
static size_t
char_start(struct hq_str s, size_t at)
{
    while (at > 0 && at < s.len && ((unsigned char)s.ptr[at] & 0xc0) == 0x80) {
        at--;
    }
    return at;
}

/* Appends the input line and the two lines of the mark. */
static void
add_marked(struct hq_buf *b, struct hq_str text, size_t at)
{
    size_t from = 0;
    size_t to = text.len;
    if (text.len > SHOWN_BYTES_MAX) {
        from = at > SHOWN_BYTES_AROUND ? char_start(text, at - SHOWN_BYTES_AROUND) : 0;
        to = char_start(text, HQ_MIN(at + SHOWN_BYTES_AROUND, text.len));
    }
    size_t line_start = b->len;
    hq_buf_cstr(b, from > 0 ? "  ..." : "  ");
    add_shown(b, hq_str_sub(text, from, at));
    size_t columns = hq_str_width(hq_str_sub(hq_buf_view(b), line_start, b->len));
    add_shown(b, hq_str_sub(text, at, to));
    hq_buf_cstr(b, to < text.len ? "...\n" : "\n");
    hq_buf_rep(b, ' ', columns);
    hq_buf_cstr(b, "|\n");
    hq_buf_rep(b, ' ', columns);
    hq_buf_cstr(b, "--- ");
}

int
hq_parse_fault(struct hq_err *err, struct hq_str text, const struct hq_parse_fault *fault)
{
    if (err == NULL) {
        return -EINVAL;
    }
    bool is_token = fault->note == NULL && fault->at < text.len;
    HQ_AUTO(hq_buf_fini) struct hq_buf b = HQ_BUF_INIT;
    hq_buf_cstr(&b, is_token ? "Unexpected token found" : "Unexpected end of input found");
    if (fault->context != NULL) {
        hq_buf_printf(&b, " while attempting to parse %s", fault->context);
    }
    hq_buf_printf(&b, ", expected %s:\n", fault->expected == NULL ? "something else" : fault->expected);
    if (text.len == 0) {
        hq_buf_cstr(&b, "(the input was empty)");
        return hq_err_set(err, -EINVAL, "%s", b.ptr);
    }
    size_t at = HQ_MIN(fault->at, text.len);
    add_marked(&b, text, at);
    if (fault->note != NULL) {
        hq_buf_cstr(&b, fault->note);
    } else if (is_token) {
        uint32_t cp;
        struct hq_str rest = hq_str_sub(text, at, text.len);
        int step = hq_utf8_step(rest, &cp);
        size_t bytes = fault->token_bytes > 0 ? fault->token_bytes : (size_t)(step < 0 ? 1 : step);
        hq_buf_cstr(&b, "Unexpected token `");
        add_shown(&b, hq_str_sub(rest, 0, HQ_MIN(bytes, (size_t)SHOWN_BYTES_AROUND)));
        hq_buf_byte(&b, '`');
    } else {
        hq_buf_cstr(&b, "Unexpected end of input");
    }
    hq_buf_byte(&b, '\n');
    return hq_err_set(err, -EINVAL, "%s", b.ptr);
}

static void
add_colored(struct hq_buf *out, const char *color, struct hq_str s)
{
    hq_buf_cstr(out, color);
    hq_buf_str(out, s);
    hq_buf_cstr(out, PLAIN);
}

static void
color_heading(struct hq_buf *out, struct hq_str line)
{
    static const struct hq_str lead = {.ptr = "while attempting to parse ", .len = 26};
    static const struct hq_str tail = {.ptr = ", expected ", .len = 11};
    ptrdiff_t at = hq_str_find(line, lead);
    ptrdiff_t end = hq_str_find(line, tail);
    if (at < 0 || end < at) {
        hq_buf_str(out, line);
        return;
    }
    size_t from = (size_t)at + lead.len;
    hq_buf_str(out, hq_str_sub(line, 0, from));
    add_colored(out, YELLOW, hq_str_sub(line, from, (size_t)end));
    hq_buf_str(out, hq_str_sub(line, (size_t)end, line.len));
}

/* Offset in `line` after `columns` terminal columns. */
static size_t
offset_of_column(struct hq_str line, size_t columns)
{
    size_t at = 0;
    while (at < line.len && hq_str_width(hq_str_sub(line, 0, at)) < columns) {
        uint32_t cp;
        int step = hq_utf8_step(hq_str_sub(line, at, line.len), &cp);
        at += (size_t)(step < 0 ? -step : step);
    }
    return at;
}

void
hq_parse_color(struct hq_buf *out, struct hq_str error_text)
{
    struct hq_str rest = error_text;
    struct hq_str heading, input, bar, note;
    bool is_ours = hq_str_split(&rest, '\n', &heading) && hq_str_split(&rest, '\n', &input) &&
                   hq_str_split(&rest, '\n', &bar) && hq_str_split(&rest, '\n', &note);
    size_t columns = is_ours ? bar.len - 1 : 0;
    struct hq_str mark = is_ours ? hq_str_sub(note, columns, note.len) : HQ_STR_NULL;
    if (!is_ours || bar.len < 3 || !hq_str_ends(bar, HQ_STR(" |")) || !hq_str_starts(mark, HQ_STR("--- "))) {
        hq_buf_str(out, error_text);
        return;
    }
    color_heading(out, heading);
    hq_buf_byte(out, '\n');
    /* a token is red alone, a sentence about the input marks all from its start on */
    size_t from = offset_of_column(input, columns);
    size_t to = input.len;
    struct hq_str token = hq_str_sub(mark, 4, mark.len);
    if (hq_str_starts(token, HQ_STR("Unexpected token `")) && token.len > 19) {
        to = HQ_MIN(from + (token.len - 19), input.len);
    }
    hq_buf_str(out, hq_str_sub(input, 0, from));
    if (to > from) {
        add_colored(out, RED, hq_str_sub(input, from, to));
        hq_buf_str(out, hq_str_sub(input, to, input.len));
    }
    hq_buf_byte(out, '\n');
    hq_buf_rep(out, ' ', columns);
    hq_buf_cstr(out, RED "|" PLAIN "\n");
    hq_buf_rep(out, ' ', columns);
    hq_buf_cstr(out, RED "--- " PLAIN);
    add_colored(out, RED, token);
    hq_buf_byte(out, '\n');
    hq_buf_str(out, rest);
}

size_t
hq_parse_blanks(struct hq_str text, size_t at)
{
    while (at < text.len && (text.ptr[at] == ' ' || (text.ptr[at] >= '\t' && text.ptr[at] <= '\r'))) {
        at++;
    }
    return at;
}

size_t
hq_parse_digits(struct hq_str text, size_t at)
{
    if (at >= text.len || !hq_is_digit(text.ptr[at])) {
        return at;
    }
    while (at < text.len && (hq_is_digit(text.ptr[at]) || text.ptr[at] == '_')) {
        at++;
    }
    return at;
}
