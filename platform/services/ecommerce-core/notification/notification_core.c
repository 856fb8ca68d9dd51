#include "notification_core.h"

#include <stdio.h>

#include "bv/address.h"
#include "bv/json.h"

/* ---- live messages ---- */

struct notification_resume notification_resume(int64_t cursor, int64_t first, int64_t last)
{
    if (cursor == NOTIFICATION_CURSOR_NOW)
        return (struct notification_resume){NOTIFICATION_REPLAY, last};
    if (cursor == 0)
        return (struct notification_resume){NOTIFICATION_REPLAY, first - 1};
    if (cursor > last || cursor < first - 1)
        return (struct notification_resume){NOTIFICATION_RESET, last};
    return (struct notification_resume){NOTIFICATION_REPLAY, cursor};
}

static bool is_digits(struct bv_bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    return text.size > 0 && text.size <= 16;
}

int notification_cursor(struct bv_bytes last_event_id,
                        struct bv_bytes after,
                        int64_t *ret_cursor,
                        struct bv_error *error)
{
    const char *name = last_event_id.data ? "Last-Event-ID" : "after";
    struct bv_bytes text = last_event_id.data ? last_event_id : after;
    if (!text.data) {
        *ret_cursor = NOTIFICATION_CURSOR_NOW;
        return 0;
    }
    if (!is_digits(text) || bv_bytes_int64(text, 0, NOTIFICATION_SEQUENCE_MAX, ret_cursor) < 0)
        return bv_fail(
            error, BV_E_INVALID, "%s is the sequence of the last message seen: 0 to 2^53-1", name);
    return 0;
}

void notification_live_encode(struct bv_buf *buf, const struct notification_live *live)
{
    struct bv_json_writer w = bv_json_writer(buf);
    bv_jw_object(&w);
    bv_jw_kv_int(&w, "sequence", live->sequence);
    bv_jw_kv_string(&w, "type", live->type);
    bv_jw_kv_string(&w, "occurredAt", live->occurred_at);
    bv_jw_kv_string(&w, "traceparent", live->traceparent);
    bv_jw_key(&w, "data");
    bv_jw_raw(&w, live->data);
    bv_jw_end(&w);
}

void notification_reset_encode(struct bv_buf *buf, int64_t sequence, struct bv_bytes orders)
{
    bv_buf_format(
        buf, "{\"type\":\"reset\",\"sequence\":%lld,\"data\":{\"orders\":[", (long long)sequence);
    bv_buf_bytes(buf, orders);
    bv_buf_text(buf, "]}}");
}

/* Takes the decimal number before the next space. */
static int take_number(struct bv_bytes *text, int64_t max, int64_t *ret_number)
{
    const char *space = text->size ? memchr(text->data, ' ', text->size) : NULL;
    if (!space)
        return BV_E_INVALID;
    struct bv_bytes word = {text->data, (size_t)(space - text->data)};
    BV_TRY(bv_bytes_int64(word, 0, max, ret_number));
    *text = (struct bv_bytes){space + 1, text->size - word.size - 1};
    return 0;
}

int notification_hint_parse(struct bv_bytes payload, struct notification_hint *ret_hint)
{
    int64_t sequence, tenant_size;
    BV_TRY(take_number(&payload, NOTIFICATION_SEQUENCE_MAX, &sequence));
    BV_TRY(take_number(&payload, (int64_t)payload.size, &tenant_size));
    if ((size_t)tenant_size > payload.size)
        return BV_E_INVALID;
    *ret_hint = (struct notification_hint){
        sequence,
        {payload.data,               (size_t)tenant_size               },
        {payload.data + tenant_size, payload.size - (size_t)tenant_size}
    };
    return 0;
}

/* ---- deliveries ---- */

static const struct {
    enum notification_state from;
    enum notification_on on;
    enum notification_state to;
    enum notification_effect effect;
} steps[] = {
    {NOTIFICATION_WAITING, NOTIFICATION_ON_CLAIMED,   NOTIFICATION_SENDING,   NOTIFICATION_SEND    },
    {NOTIFICATION_WAITING, NOTIFICATION_ON_WITHDRAWN, NOTIFICATION_FAILED,    NOTIFICATION_GIVE_UP },
    {NOTIFICATION_SENDING, NOTIFICATION_ON_ACCEPTED,  NOTIFICATION_DELIVERED, NOTIFICATION_FINISH  },
    {NOTIFICATION_SENDING, NOTIFICATION_ON_REFUSED,   NOTIFICATION_WAITING,   NOTIFICATION_BACK_OFF},
    {NOTIFICATION_SENDING, NOTIFICATION_ON_EXHAUSTED, NOTIFICATION_FAILED,    NOTIFICATION_GIVE_UP },
    {NOTIFICATION_SENDING, NOTIFICATION_ON_GONE,      NOTIFICATION_FAILED,    NOTIFICATION_DISABLE },
    {NOTIFICATION_SENDING, NOTIFICATION_ON_LOST,      NOTIFICATION_WAITING,   NOTIFICATION_NOTHING },
    {NOTIFICATION_SENDING, NOTIFICATION_ON_WITHDRAWN, NOTIFICATION_FAILED,    NOTIFICATION_GIVE_UP },
};

int notification_deliver(enum notification_state from,
                         enum notification_on on,
                         struct notification_step *ret_step)
{
    for (size_t i = 0; i < BV_COUNT(steps); i++) {
        if (steps[i].from == from && steps[i].on == on) {
            *ret_step = (struct notification_step){steps[i].to, steps[i].effect};
            return 0;
        }
    }
    return NOTIFICATION_REFUSED_STEP;
}

#define NAME(name) #name,
const char *notification_state_name(enum notification_state state)
{
    static const char *const names[] = {NOTIFICATION_STATES(NAME)};
    return names[state];
}

const char *notification_on_name(enum notification_on on)
{
    static const char *const names[] = {NOTIFICATION_EVENTS(NAME)};
    return names[on];
}

enum notification_on
notification_attempt_ended(int rc, int status, int64_t attempt, int64_t attempts_max)
{
    if (rc == 0 && status >= 200 && status <= 299)
        return NOTIFICATION_ON_ACCEPTED;
    if (rc == 0 && status == 410)
        return NOTIFICATION_ON_GONE;
    return attempt >= attempts_max ? NOTIFICATION_ON_EXHAUSTED : NOTIFICATION_ON_REFUSED;
}

int64_t notification_retry_delay(int64_t backoff_ms, int status, struct bv_bytes retry_after)
{
    int64_t seconds = 0;
    if (status != 429 && status != 503)
        return backoff_ms;
    while (retry_after.size > 0 && retry_after.data[retry_after.size - 1] == ' ')
        retry_after.size--;
    if (!is_digits(retry_after) ||
        bv_bytes_int64(retry_after, 0, NOTIFICATION_SEQUENCE_MAX, &seconds) < 0)
        return backoff_ms;
    const int64_t asked_ms = seconds < NOTIFICATION_RETRY_AFTER_MAX_MS / 1000
                                 ? seconds * 1000
                                 : NOTIFICATION_RETRY_AFTER_MAX_MS;
    return asked_ms > backoff_ms ? asked_ms : backoff_ms;
}

/* ---- subscriptions ---- */

const char *const notification_types[NOTIFICATION_TYPE_COUNT] = {
    "ecommerce.order.created.v1",
    "ecommerce.order.reserved.v1",
    "ecommerce.order.rejected.v1",
    "ecommerce.order.paid.v1",
    "ecommerce.order.payment_failed.v1",
    "ecommerce.order.confirmed.v1",
    "ecommerce.order.shipped.v1",
    "ecommerce.order.delivered.v1",
    "ecommerce.order.cancelled.v1",
    "ecommerce.order.refunded.v1",
};

bool notification_type_known(struct bv_bytes type)
{
    for (size_t i = 0; i < NOTIFICATION_TYPE_COUNT; i++)
        if (bv_bytes_equal(type, bv_bytes_of(notification_types[i])))
            return true;
    return false;
}

/* The host between "://" and what follows it, without brackets and port; *ret_port is what follows
 * the host, empty or with its colon. */
static int take_host(struct bv_bytes rest, char out[256], struct bv_bytes *ret_port)
{
    size_t size = 0;
    while (size < rest.size && !strchr("/?", rest.data[size]))
        size++;
    const char *stop = rest.data + size, *end = stop, *colon;
    *ret_port = (struct bv_bytes){end, 0};
    if (size > 0 && rest.data[0] == '[') {
        end = memchr(rest.data, ']', size);
        rest.data++;
        if (!end)
            return BV_E_INVALID;
        *ret_port = (struct bv_bytes){end + 1, (size_t)(stop - end) - 1};
    } else if ((colon = memchr(rest.data, ':', size))) {
        end = colon;
        *ret_port = (struct bv_bytes){end, (size_t)(stop - end)};
    }
    size = (size_t)(end - rest.data);
    if (size == 0 || size > 255)
        return BV_E_INVALID;
    memcpy(out, rest.data, size);
    out[size] = '\0';
    return 0;
}

static bool port_good(struct bv_bytes port)
{
    int64_t number;
    return port.size == 0 ||
           (port.data[0] == ':' &&
            bv_bytes_int64((struct bv_bytes){port.data + 1, port.size - 1}, 1, 65535, &number) ==
                0);
}

int notification_url_check(struct bv_bytes url,
                           enum notification_private privacy,
                           struct bv_error *error)
{
    char host[256];
    struct bv_bytes port;
    size_t scheme = bv_bytes_starts(url, BV_BYTES("https://"))  ? 8
                    : bv_bytes_starts(url, BV_BYTES("http://")) ? 7
                                                                : 0;
    if (url.size < NOTIFICATION_URL_MIN || url.size > NOTIFICATION_URL_MAX)
        return bv_fail(error, BV_E_UNPROCESSABLE, "a URL has 10 to 2048 bytes");
    if (scheme == 0)
        return bv_fail(error, BV_E_UNPROCESSABLE, "the URL must begin with http:// or https://");
    for (size_t i = 0; i < url.size; i++) {
        if (url.data[i] <= ' ' || url.data[i] > '~' || strchr("@#\\", url.data[i]))
            return bv_fail(error,
                           BV_E_UNPROCESSABLE,
                           "the URL has user info, a fragment or a character that is not allowed");
    }
    if (take_host((struct bv_bytes){url.data + scheme, url.size - scheme}, host, &port) < 0)
        return bv_fail(error, BV_E_UNPROCESSABLE, "the URL names no host");
    if (!port_good(port))
        return bv_fail(error, BV_E_UNPROCESSABLE, "the URL's port is none of 1 to 65535");
    if (privacy == NOTIFICATION_PRIVATE_REFUSED && !bv_address_public_host(host))
        return bv_fail(
            error, BV_E_UNPROCESSABLE, "the URL leads to a loopback, private or reserved address");
    return 0;
}
