#include "hq/toml_shim.h"

#include <cstring>
#include <exception>
#include <memory>

/* The library asserts what it takes for impossible, and fuzzing finds ways there: a bad file must not abort the program,
 * nor be undefined behaviour (which NDEBUG would make of it). One of them, on the first character of a key, stands in
 * front of the proper error; the others end the parse. */
namespace toml_shim_impl {
struct confused : std::exception {
    const char *what() const noexcept override
    {
        return "the text is too strange for the TOML library";
    }
};
inline void failed(const char *what)
{
    if (std::strncmp(what, "is_bare_key_character", 21) != 0) {
        throw confused{};
    }
}
} // namespace toml_shim_impl
#undef NDEBUG
#define TOML_ASSERT(expr) ((expr) ? static_cast<void>(0) : toml_shim_impl::failed(#expr))
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

namespace {

toml_shim_span span_of(const toml::source_region &r)
{
    return {r.begin.line, r.begin.column, r.end.line, r.end.column};
}

int walk(const toml::node &node, const toml_shim_sink &sink);

int walk_table(const toml::table &table, const toml_shim_sink &sink)
{
    int rc = sink.table(sink.ctx, span_of(table.source()), table.size());
    for (auto it = table.cbegin(); rc == 0 && it != table.cend(); ++it) {
        const std::string_view key = it->first.str();
        rc = sink.key(sink.ctx, key.data(), key.size(), span_of(it->first.source()));
        if (rc == 0) {
            rc = walk(it->second, sink);
        }
    }
    return rc != 0 ? rc : sink.end(sink.ctx);
}

int walk_array(const toml::array &array, const toml_shim_sink &sink)
{
    int rc = sink.array(sink.ctx, span_of(array.source()), array.size());
    for (auto it = array.cbegin(); rc == 0 && it != array.cend(); ++it) {
        rc = walk(*it, sink);
    }
    return rc != 0 ? rc : sink.end(sink.ctx);
}

/* Recursion is bounded: the library refuses deeper nesting than TOML_MAX_NESTED_VALUES (256). */
int walk(const toml::node &node, const toml_shim_sink &sink)
{
    const toml_shim_span at = span_of(node.source());
    switch (node.type()) {
    case toml::node_type::table:
        return walk_table(*node.as_table(), sink);
    case toml::node_type::array:
        return walk_array(*node.as_array(), sink);
    case toml::node_type::string: {
        const std::string &s = node.as_string()->get();
        return sink.string(sink.ctx, s.data(), s.size(), at);
    }
    case toml::node_type::integer:
        return sink.integer(sink.ctx, node.as_integer()->get(), at);
    case toml::node_type::floating_point:
        return sink.real(sink.ctx, node.as_floating_point()->get(), at);
    case toml::node_type::boolean:
        return sink.boolean(sink.ctx, node.as_boolean()->get() ? 1 : 0, at);
    default:
        return sink.date(sink.ctx, at);
    }
}

/* Taking a large tree apart takes a quarter of the time of building it, and a program that submits ends soon: the tree
 * of the last large document stays until then. */
const size_t kept_bytes_min = 1 << 20;
std::unique_ptr<toml::parse_result> &kept()
{
    static auto *tree = new std::unique_ptr<toml::parse_result>;
    return *tree;
}

void set_why(std::string_view why, char *ret_why, size_t why_bytes)
{
    const size_t n = why.size() < why_bytes ? why.size() : why_bytes - 1;
    std::memcpy(ret_why, why.data(), n);
    ret_why[n] = '\0';
}

} // namespace

extern "C" int toml_shim_read(const char *text, size_t len, const struct toml_shim_sink *sink, struct toml_shim_span *ret_at,
                              char *ret_why, size_t why_bytes)
{
    try {
        auto result = std::make_unique<toml::parse_result>(toml::parse(std::string_view{text, len}));
        if (!*result) {
            set_why(result->error().description(), ret_why, why_bytes);
            *ret_at = span_of(result->error().source());
            return -1;
        }
        const int rc = walk_table(result->table(), *sink) == 0 ? 0 : -2;
        if (len >= kept_bytes_min) {
            kept() = std::move(result);
        }
        return rc;
    } catch (const std::exception &e) { /* also: out of memory */
        set_why(e.what(), ret_why, why_bytes);
        *ret_at = {1, 1, 1, 1};
        return -1;
    }
}
