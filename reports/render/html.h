/* Writing the page: the only way a value enters markup is through a placeholder, which scrubs and
 * escapes it. Invariants: no byte of a value is ever read as markup, neither by the HTML parser nor
 * inside the script's data; no secret that still has the shape of one (bearer token, JWT, whsec_
 * key, password in a URL) gets through, whatever wrote it. Thread: one owner at a time. Unless a
 * function says otherwise: no outcomes, no errors (running out of room marks out as failed). */
#ifndef BV_HTML_H
#define BV_HTML_H

#include "bv/bytes.h"
#include "bv/json.h"

#define HTML_REDACTED "[redacted]"
enum { HTML_NUMBERS = 16, HTML_NUMBER_BYTES = 40 };

struct html {
    struct bv_buf out;     /* the page */
    struct bv_buf scratch; /* one scrubbed value */
    size_t redacted;       /* secrets found by html_scrub and taken out */
    size_t next_number;
    char numbers[HTML_NUMBERS][HTML_NUMBER_BYTES]; /* short texts that one html_put may hold */
};
/* All-zero is a writer without room: set out.max and scratch.max. Leaves all-zero. */
void html_release(struct html *html);

/* Appends markup, a literal of ours, with each {} replaced by the next value, escaped for text and
 * for attributes in double quotes. Bad UTF-8 and control characters (but tab and newline) become
 * U+FFFD. More placeholders than values is our own mistake. */
#define html_put(html, markup, ...)                                                                \
    html_fill((html),                                                                              \
              (markup),                                                                            \
              (const struct bv_bytes[]){__VA_ARGS__},                                              \
              BV_COUNT(((const struct bv_bytes[]){__VA_ARGS__})))
void html_fill(struct html *html, const char *markup, const struct bv_bytes *values, size_t count);
void html_raw(struct html *html, const char *markup);      /* without placeholders */
void html_text(struct html *html, struct bv_bytes text);   /* a value alone */
void html_asset(struct html *html, struct bv_bytes bytes); /* style or script of ours, as it is */
/* One JSON document inside <script type="application/json">: "<" becomes \u003c, so no tag can end
 * it. */
void html_json(struct html *html, struct bv_bytes json);

/* The value without secrets; lives until the next call with this writer, or as long as text when
 * nothing was found. */
struct bv_bytes html_scrub(struct html *html, struct bv_bytes text);

/* Short texts for html_put; each lives until HTML_NUMBERS more were made. */
struct bv_bytes html_int(struct html *html, int64_t value);
struct bv_bytes html_real(struct html *html, double value); /* up to 3 decimals */
struct bv_bytes html_duration(struct html *html,
                              int64_t us); /* "12 µs", "0.6 ms", "5.12 s", "2 min 05 s" */
struct bv_bytes html_size(struct html *html, int64_t bytes); /* "431 MB", powers of 1000 */
struct bv_bytes html_count(struct html *html,
                           size_t count,
                           const char *noun); /* "1 step", "3 steps", "2 processes" */

#endif
