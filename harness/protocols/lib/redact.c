/* What must not leave the machine, and messages as results.jsonl writes them. */
#include "bv/recording.h"

/* A name is secret when its letters and digits, in lower case, end in one of these. Ends, since
 * clientSecret, client_secret and x-client-secret are one thing, while tokenType or secretCount are
 * not secret. */
static const char *const secret_ends[] = {
    "authorization",
    "cookie",
    "setcookie",
    "password",
    "passwd",
    "secret",
    "secrets",
    "token",
    "assertion",
    "apikey",
    "privatekey",
    "credential",
    "credentials",
    "pin",
};

bool bv_secret_name(struct bv_bytes name)
{
    char plain[64];
    size_t size = 0;
    for (size_t i = 0; i < name.size && size < sizeof plain; i++) {
        char c = name.data[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c + 'a' - 'A');
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
            plain[size++] = c;
    }
    for (size_t i = 0; i < BV_COUNT(secret_ends); i++) {
        size_t end = strlen(secret_ends[i]);
        if (size >= end && memcmp(plain + size - end, secret_ends[i], end) == 0 &&
            (size == end || end > 3)) /* "pin" only as a whole word */
            return true;
    }
    return false;
}

/* ---- texts ---- */

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

static size_t name_end(struct bv_bytes text, size_t at)
{
    while (at < text.size && name_char(text.data[at]))
        at++;
    return at;
}

static size_t spaces_end(struct bv_bytes text, size_t at)
{
    while (at < text.size && (text.data[at] == ' ' || text.data[at] == '\t'))
        at++;
    return at;
}

struct span {
    size_t begin;
    size_t end;
};

/* The value that begins at `at`: in quotes, or up to what ends a parameter. */
static struct span value_at(struct bv_bytes text, size_t at)
{
    struct span value = {at, at};
    if (at == text.size)
        return value;
    const char quote = text.data[at];
    if (quote != '"' && quote != '\'') {
        while (value.end < text.size && !memchr("&;, \t\r\n\"'<>)}]#", text.data[value.end], 16))
            value.end++;
        return value;
    }
    value.begin = value.end = at + 1;
    while (value.end < text.size) {
        const char c = text.data[value.end];
        const bool pair = value.end + 1 < text.size &&
                          (c == '\\' || (c == '\'' && quote == c && text.data[value.end + 1] == c));
        if (c == quote && !pair)
            break;
        value.end += pair ? 2 : 1; /* an escape, or SQL's quote in a text */
    }
    return value;
}

/* What stands behind a name that is a secret's: NAME=, NAME = or "NAME":. */
static struct span assigned(struct bv_bytes text, size_t end)
{
    const bool quoted = end < text.size && (text.data[end] == '"' || text.data[end] == '\'');
    size_t at = spaces_end(text, end + quoted);
    if (at >= text.size || (text.data[at] != '=' && !(quoted && text.data[at] == ':')))
        return (struct span){end, end};
    return value_at(text, spaces_end(text, at + 1));
}

/* "Bearer TOKEN", "Basic TOKEN": a word of eight bytes and more with a digit is no plain English.
 */
static struct span credentials(struct bv_bytes text, size_t end)
{
    enum { CREDENTIALS_MIN = 8 };
    struct span value = {end + 1, end + 1};
    bool digit = false;
    if (end >= text.size || text.data[end] != ' ')
        return (struct span){end, end};
    while (value.end < text.size &&
           (name_char(text.data[value.end]) || memchr(".~+/=", text.data[value.end], 5))) {
        digit = digit || (text.data[value.end] >= '0' && text.data[value.end] <= '9');
        value.end++;
    }
    return digit && value.end - value.begin >= CREDENTIALS_MIN ? value : (struct span){end, end};
}

/* The password of ://USER:PASSWORD@ ; at is that of the colon in front. */
static struct span password(struct bv_bytes text, size_t at)
{
    struct span value = {at, at};
    size_t end = at + 3;
    if (text.size - at < 3 || memcmp(text.data + at, "://", 3) != 0)
        return value;
    while (end < text.size && !memchr("/?# \t\r\n\"'@", text.data[end], 10)) {
        if (text.data[end] == ':' && value.begin == at)
            value.begin = end + 1;
        end++;
    }
    if (end < text.size && text.data[end] == '@' && value.begin > at)
        value.end = end;
    else
        value.begin = at;
    return value;
}

void bv_redact_text(struct bv_buf *buf, struct bv_bytes text)
{
    if (text.size > BV_MESSAGE_BODY_MAX)
        text.size = BV_MESSAGE_BODY_MAX;
    for (size_t at = 0; at < text.size;) {
        const size_t end = name_end(text, at);
        const struct bv_bytes name = {text.data + at, end - at};
        struct span secret = {at, at};
        if (end == at)
            secret = password(text, at);
        else if (bv_secret_name(name))
            secret = assigned(text, end);
        else if (bv_bytes_equal_nocase(name, BV_BYTES("bearer")) ||
                 bv_bytes_equal_nocase(name, BV_BYTES("basic")))
            secret = credentials(text, end);
        if (secret.end > secret.begin) {
            (void)bv_buf_append(buf, text.data + at, secret.begin - at);
            (void)bv_buf_text(buf, BV_REDACTED);
            at = secret.end < text.size ? secret.end : text.size;
        } else {
            const size_t next = end > at ? end : at + 1;
            (void)bv_buf_append(buf, text.data + at, next - at);
            at = next;
        }
    }
}

/* Whether bv_redact_text could find anything: most texts have none of its signs. */
static bool may_hide(struct bv_bytes text)
{
    return text.size && (memchr(text.data, '=', text.size) || memchr(text.data, ':', text.size) ||
                         memchr(text.data, ' ', text.size));
}

static void write_text(struct bv_json_writer *w, struct bv_bytes text)
{
    bv_auto(bv_buf_release) struct bv_buf buf = {.max = BV_MESSAGE_BODY_MAX * 4};
    if (may_hide(text))
        bv_redact_text(&buf, text);
    bv_jw_string(w, buf.size ? bv_buf_view(&buf) : text);
}

static void write_kv_text(struct bv_json_writer *w, const char *key, struct bv_bytes text)
{
    bv_jw_key(w, key);
    write_text(w, text);
}

/* ---- JSON ---- */

static void write_scalar(struct bv_json_writer *w, const struct bv_json *json)
{
    switch (bv_json_type(json)) {
    case BV_JSON_BOOL:
        bv_jw_bool(w, bv_json_bool(json, false));
        break;
    case BV_JSON_INT:
        bv_jw_int(w, bv_json_int(json, 0));
        break;
    case BV_JSON_REAL:
        bv_jw_real(w, bv_json_real(json, 0));
        break;
    case BV_JSON_STRING:
        write_text(w, bv_json_string(json));
        break;
    default:
        bv_jw_null(w);
    }
}

/* depth is what the writer has left: documents nest up to BV_JSON_DEPTH_MAX by themselves and stand
 * two levels deep here. */
static void redact(struct bv_json_writer *w, const struct bv_json *json, int depth)
{
    enum bv_json_type type = bv_json_type(json);
    if (type != BV_JSON_OBJECT && type != BV_JSON_ARRAY) {
        write_scalar(w, json);
        return;
    }
    if (depth == 0) {
        bv_jw_text(w, "[too deep]");
        return;
    }
    if (type == BV_JSON_OBJECT)
        bv_jw_object(w);
    else
        bv_jw_array(w);
    for (struct bv_json_iter it = bv_json_iter(json); bv_json_next(&it);) {
        if (type == BV_JSON_OBJECT)
            bv_jw_key_bytes(w, it.key);
        if (type == BV_JSON_OBJECT && bv_secret_name(it.key) &&
            bv_json_type(it.value) != BV_JSON_NULL)
            bv_jw_text(w, BV_REDACTED);
        else
            redact(w, it.value, depth - 1);
    }
    bv_jw_end(w);
}

void bv_redact_json(struct bv_json_writer *w, const struct bv_json *json)
{
    redact(w, json, BV_JSON_DEPTH_MAX - w->depth - 1);
}

static bool is_form(const struct bv_message *message)
{
    return bv_bytes_starts(message->media_type, BV_BYTES("application/x-www-form-urlencoded"));
}

/* "a=b&client_secret=c" with secret values replaced. */
static void write_form(struct bv_json_writer *w, struct bv_bytes body)
{
    bv_auto(bv_buf_release) struct bv_buf text = {.max = BV_MESSAGE_BODY_MAX * 2};
    while (body.size) {
        const char *end = memchr(body.data, '&', body.size);
        size_t size = end ? (size_t)(end - body.data) : body.size;
        const char *equals = memchr(body.data, '=', size);
        struct bv_bytes name = {body.data, equals ? (size_t)(equals - body.data) : size};
        if (text.size)
            (void)bv_buf_char(&text, '&');
        if (equals && bv_secret_name(name)) {
            (void)bv_buf_bytes(&text, name);
            (void)bv_buf_text(&text, "=" BV_REDACTED);
        } else {
            (void)bv_buf_append(&text, body.data, size);
        }
        size += end ? 1 : 0;
        body = (struct bv_bytes){body.data + size, body.size - size};
    }
    bv_jw_kv_string(w, "text", bv_buf_view(&text));
}

static void write_fields(struct bv_json_writer *w, const struct bv_message *message)
{
    if (!message->field_count)
        return;
    bv_jw_key(w, "fields");
    bv_jw_array(w);
    for (size_t i = 0; i < message->field_count; i++) {
        const struct bv_http_field *field = &message->fields[i];
        bv_jw_object(w);
        bv_jw_kv_text(w, "name", field->name);
        if (bv_secret_name(bv_bytes_of(field->name)))
            bv_jw_kv_text(w, "value", BV_REDACTED);
        else
            write_kv_text(w, "value", field->value);
        bv_jw_end(w);
    }
    bv_jw_end(w);
}

/* A body that is too large for the results: its beginning, without its secrets. */
static void write_cut_json(struct bv_json_writer *w, const struct bv_json *json)
{
    bv_auto(bv_buf_release) struct bv_buf text = {.max = BV_MESSAGE_JSON_MAX * 4};
    struct bv_json_writer whole = bv_json_writer(&text);
    bv_redact_json(&whole, json);
    struct bv_bytes begin = bv_buf_view(&text);
    if (begin.size > BV_MESSAGE_BODY_MAX)
        begin.size = BV_MESSAGE_BODY_MAX;
    for (int i = 0; i < 4 && begin.size && !bv_bytes_utf8(begin); i++)
        begin.size--; /* half a character */
    bv_jw_kv_string(w, "text", begin);
}

static void write_body(struct bv_json_writer *w, const struct bv_message *message)
{
    if (message->media_type.size)
        bv_jw_kv_string(w, "mediaType", message->media_type);
    if (message->json && message->body_bytes > BV_MESSAGE_BODY_MAX) {
        write_cut_json(w, message->json);
    } else if (message->json) {
        bv_jw_key(w, "json");
        bv_redact_json(w, message->json);
    } else if (message->body.size && is_form(message)) {
        write_form(w, message->body);
    } else if (message->body.size && bv_bytes_utf8(message->body)) {
        write_kv_text(w, "text", message->body);
    }
    if (message->body_bytes)
        bv_jw_kv_int(w, "bodyBytes", (int64_t)message->body_bytes);
}

static void write_trace(struct bv_json_writer *w, const struct bv_trace *trace)
{
    if (!bv_trace_present(trace))
        return;
    char id[33];
    bv_trace_id_format(trace, id);
    bv_jw_kv_text(w, "traceId", id);
    bv_jw_kv_string(w, "spanId", (struct bv_bytes){id, bv_hex_encode(trace->span_id, 8, id)});
}

static void write_optional(struct bv_json_writer *w, const char *key, struct bv_bytes text)
{
    if (text.size)
        write_kv_text(w, key, text);
}

void bv_message_write(struct bv_json_writer *w,
                      const char *scenario,
                      const struct bv_message *message,
                      int64_t origin_mono_us)
{
    static const char *const signatures[] = {NULL, "good", "bad", "unknown"};
    int64_t us = message->mono_us - origin_mono_us;
    bv_jw_object(w);
    bv_jw_kv_text(w, "record", "message");
    bv_jw_kv_text(w, "scenario", scenario);
    bv_jw_kv_int(w, "id", (int64_t)message->id);
    bv_jw_kv_text(w, "actor", message->actor);
    bv_jw_kv_text(w, "protocol", message->protocol);
    bv_jw_kv_text(w, "direction", bv_direction_word(message->direction));
    bv_jw_kv_int(w, "us", us > 0 ? us : 0);
    write_kv_text(w, "summary", message->summary.data ? message->summary : BV_BYTES(""));
    write_optional(w, "type", message->type);
    write_optional(w, "key", message->key);
    if (message->status != BV_NO_NUMBER)
        bv_jw_kv_int(w, "status", message->status);
    if (message->sequence != BV_NO_NUMBER)
        bv_jw_kv_int(w, "sequence", message->sequence);
    if (message->answers)
        bv_jw_kv_int(w, "answers", (int64_t)message->answers);
    if (message->latency_us)
        bv_jw_kv_int(w, "latencyUs", message->latency_us);
    write_fields(w, message);
    write_body(w, message);
    write_trace(w, &message->trace);
    if (signatures[message->signature])
        bv_jw_kv_text(w, "signature", signatures[message->signature]);
    write_optional(w, "contract", message->contract);
    write_optional(w, "violation", message->violation);
    bv_jw_end(w);
}
