#include "html.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { BEARER_MIN = 8, JWT_PART_MIN = 6, JWT_HALF_MIN = 16 };

void html_release(struct html *html)
{
    bv_buf_release(&html->out);
    bv_buf_release(&html->scratch);
    *html = (struct html){0};
}

/* ---- secrets ---- */

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

static bool is_token(char c)
{
    return is_word(c) || c == '.' || c == '~' || c == '+' || c == '/' || c == '=';
}

static size_t run_of(struct bv_bytes text, size_t from, bool (*wanted)(char))
{
    size_t at = from;
    while (at < text.size && wanted(text.data[at]))
        at++;
    return at - from;
}

/* Each returns how many bytes from `at` are secret, 0 for none, and how many of them stay in
 * *ret_keep. */

static size_t bearer(struct bv_bytes text, size_t at, size_t *ret_keep)
{
    struct bv_bytes rest = {text.data + at, text.size - at};
    if (rest.size < 7 ||
        !bv_bytes_equal_nocase((struct bv_bytes){rest.data, 6}, BV_BYTES("bearer")) ||
        rest.data[6] != ' ')
        return 0;
    size_t size = run_of(rest, 7, is_token);
    *ret_keep = 7;
    return size >= BEARER_MIN ? 7 + size : 0;
}

static size_t webhook_key(struct bv_bytes text, size_t at, size_t *ret_keep)
{
    struct bv_bytes rest = {text.data + at, text.size - at};
    *ret_keep = 0;
    return bv_bytes_starts(rest, BV_BYTES("whsec_")) ? run_of(rest, 0, is_token) : 0;
}

static size_t web_token(struct bv_bytes text, size_t at, size_t *ret_keep)
{
    struct bv_bytes rest = {text.data + at, text.size - at};
    *ret_keep = 0;
    if (!bv_bytes_starts(rest, BV_BYTES("eyJ")) || (at > 0 && is_word(text.data[at - 1])))
        return 0;
    size_t head = run_of(rest, 0, is_word);
    if (head == rest.size) /* cut off by somebody */
        return head >= JWT_HALF_MIN ? head : 0;
    if (head < JWT_PART_MIN || rest.data[head] != '.')
        return 0;
    size_t body = run_of(rest, head + 1, is_word);
    return body >= JWT_PART_MIN ? run_of(rest, 0, is_token) : 0;
}

static size_t url_password(struct bv_bytes text, size_t at, size_t *ret_keep)
{
    struct bv_bytes rest = {text.data + at, text.size - at};
    if (!bv_bytes_starts(rest, BV_BYTES("://")))
        return 0;
    bool colon = false;
    for (size_t i = 3; i < rest.size && !strchr("/?#\" \t\r\n<>", rest.data[i]); i++) {
        if (rest.data[i] == '@' && colon) {
            *ret_keep = 3;
            return i;
        }
        colon = colon || rest.data[i] == ':';
    }
    return 0;
}

static size_t secret_at(struct bv_bytes text, size_t at, size_t *ret_keep)
{
    switch (text.data[at]) {
    case 'B':
    case 'b':
        return bearer(text, at, ret_keep);
    case 'w':
        return webhook_key(text, at, ret_keep);
    case 'e':
        return web_token(text, at, ret_keep);
    case ':':
        return url_password(text, at, ret_keep);
    default:
        return 0;
    }
}

struct bv_bytes html_scrub(struct html *html, struct bv_bytes text)
{
    bv_buf_reset(&html->scratch);
    size_t done = 0;
    for (size_t at = 0; at < text.size;) {
        size_t keep = 0;
        size_t size = secret_at(text, at, &keep);
        if (!size) {
            at++;
            continue;
        }
        bv_buf_append(&html->scratch, text.data + done, at + keep - done);
        bv_buf_text(&html->scratch, HTML_REDACTED);
        html->redacted++;
        at += size;
        done = at;
    }
    if (!done)
        return text;
    bv_buf_append(&html->scratch, text.data + done, text.size - done);
    return html->scratch.failed ? BV_BYTES(HTML_REDACTED) : bv_buf_view(&html->scratch);
}

/* ---- markup ---- */

/* Bytes of the UTF-8 sequence at `at`, 0 when it is none. */
static size_t sequence_at(struct bv_bytes text, size_t at)
{
    unsigned char c = (unsigned char)text.data[at];
    size_t size = c < 0x80 ? 1 : c < 0xc0 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf8 ? 4 : 0;
    if (!size || at + size > text.size || !bv_bytes_utf8((struct bv_bytes){text.data + at, size}))
        return 0;
    return size;
}

static const char *entity_of(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return ((unsigned char)c < ' ' && c != '\t' && c != '\n') || c == 0x7f ? "\xef\xbf\xbd"
                                                                               : NULL;
    }
}

static void escape(struct bv_buf *out, struct bv_bytes text)
{
    size_t done = 0;
    for (size_t at = 0; at < text.size;) {
        size_t size = sequence_at(text, at);
        const char *instead = size == 0   ? "\xef\xbf\xbd"
                              : size == 1 ? entity_of(text.data[at])
                                          : NULL;
        if (instead) {
            bv_buf_append(out, text.data + done, at - done);
            bv_buf_text(out, instead);
            done = at + 1;
        }
        at += size ? size : 1;
    }
    bv_buf_append(out, text.data + done, text.size - done);
}

void html_text(struct html *html, struct bv_bytes text)
{
    escape(&html->out, html_scrub(html, text));
}

void html_raw(struct html *html, const char *markup)
{
    bv_buf_text(&html->out, markup);
}

void html_asset(struct html *html, struct bv_bytes bytes)
{
    bv_buf_bytes(&html->out, bytes);
}

void html_fill(struct html *html, const char *markup, const struct bv_bytes *values, size_t count)
{
    size_t used = 0;
    const char *place;
    while ((place = strstr(markup, "{}"))) {
        assert(used < count);
        bv_buf_append(&html->out, markup, (size_t)(place - markup));
        html_text(html, values[used++]);
        markup = place + 2;
    }
    assert(used == count);
    bv_buf_text(&html->out, markup);
}

void html_json(struct html *html, struct bv_bytes json)
{
    size_t done = 0;
    for (size_t at = 0; at < json.size; at++) {
        if (json.data[at] != '<')
            continue;
        bv_buf_append(&html->out, json.data + done, at - done);
        bv_buf_text(&html->out, "\\u003c");
        done = at + 1;
    }
    bv_buf_append(&html->out, json.data + done, json.size - done);
}

/* ---- short texts ---- */

static BV_PRINTF(2, 3) struct bv_bytes short_text(struct html *html, const char *format, ...)
{
    char *text = html->numbers[html->next_number++ % HTML_NUMBERS];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, HTML_NUMBER_BYTES, format, arguments);
    va_end(arguments);
    return (struct bv_bytes){text,
                             size < 0                   ? 0
                             : size < HTML_NUMBER_BYTES ? (size_t)size
                                                        : HTML_NUMBER_BYTES - 1};
}

struct bv_bytes html_int(struct html *html, int64_t value)
{
    return short_text(html, "%lld", (long long)value);
}

struct bv_bytes html_real(struct html *html, double value)
{
    return short_text(html, "%.3f", value);
}

struct bv_bytes html_duration(struct html *html, int64_t us)
{
    if (us < 0)
        us = 0;
    if (us < 100)
        return short_text(html, "%lld \xc2\xb5s", (long long)us);
    if (us < 9950)
        return short_text(html, "%.1f ms", (double)us / 1e3);
    if (us < 999500)
        return short_text(html, "%.0f ms", (double)us / 1e3);
    if (us < 59995000)
        return short_text(html, us < 9995000 ? "%.2f s" : "%.1f s", (double)us / 1e6);
    int64_t seconds = us / 1000000 + (us % 1000000 >= 500000);
    return short_text(html, "%lld min %02d s", (long long)(seconds / 60), (int)(seconds % 60));
}

struct bv_bytes html_size(struct html *html, int64_t bytes)
{
    static const char *const units[] = {"kB", "MB", "GB", "TB"};
    if (bytes < 1000)
        return short_text(html, "%lld B", (long long)(bytes < 0 ? 0 : bytes));
    double value = (double)bytes / 1e3;
    size_t unit = 0;
    for (; value >= 999.5 && unit + 1 < BV_COUNT(units); unit++)
        value /= 1e3;
    return short_text(html, value < 9.95 ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

struct bv_bytes html_count(struct html *html, size_t count, const char *noun)
{
    size_t size = strlen(noun);
    const char *ending = count == 1 ? "" : size && noun[size - 1] == 's' ? "es" : "s";
    return short_text(html, "%zu %s%s", count, noun, ending);
}
