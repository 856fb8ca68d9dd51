#include "torture_partner.h"

#include "listener.h"

#include "bv/arena.h"
#include "bv/http_call.h"
#include "bv/json.h"
#include "bv/probe.h"
#include "bv/webhook.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    CALL_MS = 10000,
    BIND_TRIES = 10,
    REFUSES_ONE_IN = 20,
    TOLERANCE_S = 300,
    BYTES_MAX = 1 << 20
};

static const struct bv_env system_env = {.clock = &bv_clock_system, .random = &bv_random_system};

/* What each subscription wants. */
static const struct {
    const char *path;
    const char *types;
} hooks[] = {
    {"/all",
     "\"ecommerce.order.created.v1\",\"ecommerce.order.reserved.v1\",\"ecommerce.order.rejected."
     "v1\",\"ecommerce.order.paid.v1\",\"ecommerce.order.payment_failed.v1\",\"ecommerce.order."
     "confirmed.v1\",\"ecommerce.order.cancelled.v1\",\"ecommerce.order.refunded.v1\""},
    {"/ends", "\"ecommerce.order.confirmed.v1\",\"ecommerce.order.cancelled.v1\""     },
};

struct torture_partner {
    struct torture_partner_config config;
    struct listener *listener; /* owned */
    uint16_t port;
    char secrets[BV_COUNT(hooks)][BV_WEBHOOK_SECRET_TEXT + 8];
    struct bv_arena *arena; /* owned; of the listener's thread */
};

static struct bv_bytes field_of(const struct listener_request *request, const char *name)
{
    for (size_t i = 0; i < request->field_count; i++)
        if (strcasecmp(request->fields[i].name, name) == 0)
            return request->fields[i].value;
    return BV_BYTES_NONE;
}

static const char *
signature_of(struct torture_partner *partner, size_t hook, const struct listener_request *request)
{
    int64_t now_s = bv_wall_us(&system_env) / 1000000;
    return bv_webhook_verify(bv_bytes_of(partner->secrets[hook]),
                             field_of(request, "webhook-id"),
                             field_of(request, "webhook-timestamp"),
                             field_of(request, "webhook-signature"),
                             request->body,
                             now_s,
                             TOLERANCE_S,
                             NULL) == 0
               ? "good"
               : "bad";
}

static struct listener_answer receive(void *argument, const struct listener_request *request)
{
    struct torture_partner *partner = argument;
    const struct bv_json *root = NULL;
    struct listener_answer answer = {
        .status = bv_random_below(&system_env, REFUSES_ONE_IN) == 0 ? 500 : 204};
    bv_arena_reset(partner->arena);
    if (bv_json_parse(partner->arena, request->body, &root, NULL) < 0)
        return (struct listener_answer){.status = 400};
    const struct bv_json *data = bv_json_get(root, "data");
    for (size_t i = 0; i < BV_COUNT(hooks); i++)
        if (bv_bytes_equal(request->target, bv_bytes_of(hooks[i].path)))
            torture_note(partner->config.facts,
                         TORTURE_RECEIVED,
                         "%s\t%.*s\t%.*s\t%lld\t%d\t%s",
                         hooks[i].path,
                         BV_ARG(field_of(request, "webhook-id")),
                         BV_ARG(bv_json_string(bv_json_get(data, "orderId"))),
                         (long long)bv_json_int(bv_json_get(data, "version"), -1),
                         answer.status,
                         signature_of(partner, i, request));
    return answer;
}

/* ---- subscribing ---- */

static int post(struct bv_http_caller *caller,
                struct bv_arena *arena,
                const char *url,
                const char *authorization,
                const char *body,
                int64_t status,
                const struct bv_json **ret_root,
                struct bv_error *error)
{
    struct bv_http_field fields[] = {
        {"content-type",  BV_BYTES("application/json")},
        {"authorization", bv_bytes_of(authorization)  },
    };
    struct bv_http_answer answer;
    struct bv_http_call call = {.method = "POST",
                                .url = url,
                                .fields = fields,
                                .field_count = authorization ? 2 : 1,
                                .body = bv_bytes_of(body),
                                .timeout_ms = CALL_MS};
    BV_TRY(bv_http_call(caller, &call, arena, &answer, error));
    if (answer.status != status)
        return bv_fail(error,
                       BV_E_UNAVAILABLE,
                       "%s answers %lld: %.80s",
                       url,
                       (long long)answer.status,
                       answer.body.data ? answer.body.data : "");
    return bv_json_parse(arena, answer.body, ret_root, error);
}

static int
subscribe(struct torture_partner *partner, struct bv_http_caller *caller, struct bv_error *error)
{
    char url[400], body[1024];
    const struct bv_json *root = NULL;
    snprintf(url, sizeof url, "%s/v1/login", partner->config.auth_url);
    snprintf(body,
             sizeof body,
             "{\"username\":\"admin\",\"password\":\"%s\"}",
             partner->config.password);
    BV_TRY(post(caller, partner->arena, url, NULL, body, 200, &root, error));
    const char *authorization = bv_arena_format(
        partner->arena, "Bearer %s", bv_json_string(bv_json_get(root, "accessToken")).data);
    snprintf(url, sizeof url, "%s/v1/webhooks", partner->config.notification_url);
    for (size_t i = 0; i < BV_COUNT(hooks); i++) {
        snprintf(body,
                 sizeof body,
                 "{\"url\":\"http://127.0.0.1:%u%s\",\"eventTypes\":[%s]}",
                 partner->port,
                 hooks[i].path,
                 hooks[i].types);
        BV_TRY(post(caller, partner->arena, url, authorization, body, 201, &root, error));
        struct bv_bytes secret = bv_json_string(bv_json_get(root, "secret"));
        snprintf(partner->secrets[i], sizeof partner->secrets[i], "%.*s", BV_ARG(secret));
    }
    return 0;
}

static int listen_somewhere(struct torture_partner *partner, struct bv_error *error)
{
    int rc = BV_E_EXISTS;
    for (int i = 0; rc == BV_E_EXISTS && i < BIND_TRIES; i++) {
        BV_TRY(bv_port_pick(NULL, 0, &partner->port, error));
        rc = listener_bind(&system_env, partner->port, receive, partner, &partner->listener, error);
    }
    return rc;
}

void torture_partner_close(struct torture_partner **partner)
{
    if (!*partner)
        return;
    listener_close(&(*partner)->listener);
    bv_arena_close(&(*partner)->arena);
    free(*partner);
    *partner = NULL;
}

int torture_partner_open(const struct torture_partner_config *config,
                         struct torture_partner **ret_partner,
                         struct bv_error *error)
{
    struct torture_partner *partner = calloc(1, sizeof *partner);
    struct bv_http_caller *caller = NULL;
    if (!partner)
        return BV_E_NOMEM;
    partner->config = *config;
    int rc = bv_arena_open(BYTES_MAX, &partner->arena);
    if (rc == 0)
        rc = bv_http_caller_open(&caller);
    if (rc == 0)
        rc = listen_somewhere(partner, error);
    if (rc == 0)
        rc = subscribe(partner, caller, error);
    if (rc == 0) /* only now: the arena is the listener's from here on */
        rc = listener_start(partner->listener, error);
    bv_http_caller_close(&caller);
    if (rc < 0) {
        torture_partner_close(&partner);
        return rc;
    }
    *ret_partner = partner;
    return 0;
}
