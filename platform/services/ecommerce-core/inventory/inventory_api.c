/* gRPC methods: check and translate, submit, translate back. Limits and shapes are those of
 * contracts/proto/inventory.proto. */
#include "inventory_service.h"

#include "bv/uuid.h"
#include "inventory.pb-c.h"

#define SKUS_ASKED_MAX 200
#define QUANTITY_MAX 1000
#define DELTA_MAX INT64_C(1000000000)

static const char *const op_names[INVENTORY_OP_COUNT] = {"reserve", "commit", "release", "adjust"};

void inventory_api_metrics(struct inventory_service *service, struct bv_metrics *metrics)
{
    static const struct bv_metric row = {"bv_inventory_operations_total",
                                         BV_COUNTER,
                                         "Operations by what was answered.",
                                         "operation,answer",
                                         NULL,
                                         0};
    for (size_t op = 0; op < INVENTORY_OP_COUNT; op++)
        for (size_t answer = 0; answer < INVENTORY_ANSWER_COUNT; answer++)
            service->answers[op][answer] = bv_metrics_series(
                metrics,
                &row,
                (const char *const[]){op_names[op], inventory_answer_names[answer]},
                2);
}

/* ---- checks ---- */

static int refuse(struct bv_error *error, const char *field, const char *what)
{
    return bv_fail(error, BV_E_INVALID, "%s: %s", field, what);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool sku_valid(struct bv_bytes sku)
{
    if (sku.size == 0 || sku.size > INVENTORY_SKU_BYTES_MAX)
        return false;
    for (size_t i = 0; i < sku.size; i++) {
        char c = sku.data[i];
        bool first = is_digit(c) || (c >= 'A' && c <= 'Z');
        if (!first && (i == 0 || (c != '.' && c != '_' && c != '-')))
            return false;
    }
    return true;
}

static int check_tenant(const char *text, struct bv_bytes *ret_tenant, struct bv_error *error)
{
    struct bv_bytes tenant = text[0] ? bv_bytes_of(text) : BV_BYTES("default");
    bool good = tenant.size <= INVENTORY_TENANT_BYTES_MAX;
    for (size_t i = 0; i < tenant.size && good; i++) {
        char c = tenant.data[i];
        good = is_digit(c) || (c >= 'a' && c <= 'z') || (c == '-' && i > 0);
    }
    *ret_tenant = tenant;
    return good ? 0 : refuse(error, "tenant_id", "must match ^[a-z0-9][a-z0-9-]{0,62}$");
}

static int check_text(const char *field,
                      const char *text,
                      size_t max,
                      struct bv_bytes *ret_text,
                      struct bv_error *error)
{
    *ret_text = bv_bytes_of(text);
    if (ret_text->size == 0 || ret_text->size > max)
        return bv_fail(error, BV_E_INVALID, "%s: 1 to %zu bytes are needed", field, max);
    return bv_bytes_utf8(*ret_text) ? 0 : refuse(error, field, "is not UTF-8");
}

static int check_order(struct bv_arena *arena,
                       const char *text,
                       struct bv_bytes *ret_order_id,
                       struct bv_error *error)
{
    struct bv_uuid uuid;
    if (bv_uuid_parse(bv_bytes_of(text), &uuid) < 0 || bv_uuid_v7_ms(uuid) < 0)
        return refuse(error, "order_id", "is no UUID of version 7");
    char *canonical = bv_arena_alloc(arena, BV_UUID_TEXT_SIZE);
    if (!canonical)
        return BV_E_NOMEM;
    bv_uuid_format(uuid, canonical);
    *ret_order_id = bv_bytes_of(canonical);
    return 0;
}

static int check_lines(struct bv_arena *arena,
                       Bitvelocity__Inventory__V1__Line *const *lines,
                       size_t count,
                       struct inventory_line **ret_lines,
                       struct bv_error *error)
{
    if (count == 0 || count > INVENTORY_LINES_MAX)
        return bv_fail(error, BV_E_INVALID, "lines: 1 to %d are needed", INVENTORY_LINES_MAX);
    struct inventory_line *out = bv_arena_array(arena, struct inventory_line, count);
    if (!out)
        return BV_E_NOMEM;
    for (size_t i = 0; i < count; i++) {
        out[i] = (struct inventory_line){bv_bytes_of(lines[i]->sku), lines[i]->quantity, -1};
        if (!sku_valid(out[i].sku))
            return refuse(error, "lines.sku", "must match ^[A-Z0-9][A-Z0-9._-]{0,63}$");
        if (out[i].quantity < 1 || out[i].quantity > QUANTITY_MAX)
            return bv_fail(error, BV_E_INVALID, "lines.quantity: 1 to %d", QUANTITY_MAX);
        for (size_t k = 0; k < i; k++)
            if (bv_bytes_equal(out[k].sku, out[i].sku))
                return refuse(error, "lines.sku", "each SKU may stand in one line only");
    }
    *ret_lines = out;
    return 0;
}

static int check_skus(struct bv_arena *arena,
                      char *const *skus,
                      size_t count,
                      struct bv_bytes **ret_skus,
                      struct bv_error *error)
{
    if (count > SKUS_ASKED_MAX)
        return bv_fail(error, BV_E_INVALID, "sku: at most %d", SKUS_ASKED_MAX);
    struct bv_bytes *out = bv_arena_array(arena, struct bv_bytes, count + 1);
    if (!out)
        return BV_E_NOMEM;
    for (size_t i = 0; i < count; i++) {
        out[i] = bv_bytes_of(skus[i]);
        if (!sku_valid(out[i]))
            return refuse(error, "sku", "must match ^[A-Z0-9][A-Z0-9._-]{0,63}$");
    }
    *ret_skus = out;
    return 0;
}

/* ---- answers ---- */

struct served {             /* an operation in the arena of its call */
    struct inventory_op op; /* first: they share their address */
    struct inventory_service *service;
};

static void answer_reserve(struct bv_grpc_call *call, const struct inventory_op *op)
{
    typedef Bitvelocity__Inventory__V1__Shortage shortage;
    static const int outcomes[INVENTORY_ANSWER_COUNT] = {
        [INVENTORY_ANSWER_RESERVED] = BITVELOCITY__INVENTORY__V1__RESERVE_REPLY__OUTCOME__RESERVED,
        [INVENTORY_ANSWER_SOLD_OUT] = BITVELOCITY__INVENTORY__V1__RESERVE_REPLY__OUTCOME__SOLD_OUT,
        [INVENTORY_ANSWER_RELEASED_BEFORE] =
            BITVELOCITY__INVENTORY__V1__RESERVE_REPLY__OUTCOME__RELEASED_BEFORE,
    };
    Bitvelocity__Inventory__V1__ReserveReply reply =
        BITVELOCITY__INVENTORY__V1__RESERVE_REPLY__INIT;
    shortage rows[INVENTORY_LINES_MAX];
    shortage *pointers[INVENTORY_LINES_MAX];
    for (size_t i = 0; op->answer == INVENTORY_ANSWER_SOLD_OUT && i < op->line_count; i++) {
        if (op->lines[i].available < 0)
            continue;
        shortage *row = &rows[reply.n_shortages];
        bitvelocity__inventory__v1__shortage__init(row);
        row->sku = (char *)(uintptr_t)op->lines[i].sku.data; /* from the request: NUL-terminated */
        row->requested = op->lines[i].quantity;
        row->available = op->lines[i].available;
        pointers[reply.n_shortages++] = row;
    }
    reply.shortages = pointers;
    reply.outcome = (Bitvelocity__Inventory__V1__ReserveReply__Outcome)outcomes[op->answer];
    bv_grpc_reply(call, &reply.base);
}

static void answer_commit(struct bv_grpc_call *call, const struct inventory_op *op)
{
    Bitvelocity__Inventory__V1__CommitReply reply = BITVELOCITY__INVENTORY__V1__COMMIT_REPLY__INIT;
    reply.outcome = op->answer == INVENTORY_ANSWER_COMMITTED
                        ? BITVELOCITY__INVENTORY__V1__COMMIT_REPLY__OUTCOME__COMMITTED
                        : BITVELOCITY__INVENTORY__V1__COMMIT_REPLY__OUTCOME__NOT_RESERVED;
    bv_grpc_reply(call, &reply.base);
}

static void answer_release(struct bv_grpc_call *call, const struct inventory_op *op)
{
    static const int outcomes[INVENTORY_ANSWER_COUNT] = {
        [INVENTORY_ANSWER_RELEASED] = BITVELOCITY__INVENTORY__V1__RELEASE_REPLY__OUTCOME__RELEASED,
        [INVENTORY_ANSWER_NOT_RESERVED] =
            BITVELOCITY__INVENTORY__V1__RELEASE_REPLY__OUTCOME__NOT_RESERVED,
        [INVENTORY_ANSWER_COMMITTED_BEFORE] =
            BITVELOCITY__INVENTORY__V1__RELEASE_REPLY__OUTCOME__COMMITTED_BEFORE,
    };
    Bitvelocity__Inventory__V1__ReleaseReply reply =
        BITVELOCITY__INVENTORY__V1__RELEASE_REPLY__INIT;
    reply.outcome = (Bitvelocity__Inventory__V1__ReleaseReply__Outcome)outcomes[op->answer];
    bv_grpc_reply(call, &reply.base);
}

static void fill_level(Bitvelocity__Inventory__V1__Level *out,
                       struct bv_bytes sku,
                       const struct inventory_level *level)
{
    bitvelocity__inventory__v1__level__init(out);
    out->sku = (char *)(uintptr_t)sku.data;
    out->on_hand = level->on_hand;
    out->reserved = level->reserved;
    out->available = inventory_available(level);
    out->version = (uint64_t)level->version;
}

static void answer_adjust(struct bv_grpc_call *call, const struct inventory_op *op)
{
    Bitvelocity__Inventory__V1__AdjustReply reply = BITVELOCITY__INVENTORY__V1__ADJUST_REPLY__INIT;
    Bitvelocity__Inventory__V1__Level level;
    fill_level(&level, op->sku, &op->level);
    reply.level = &level;
    reply.outcome = op->answer == INVENTORY_ANSWER_ADJUSTED
                        ? BITVELOCITY__INVENTORY__V1__ADJUST_REPLY__OUTCOME__ADJUSTED
                        : BITVELOCITY__INVENTORY__V1__ADJUST_REPLY__OUTCOME__WOULD_BE_NEGATIVE;
    bv_grpc_reply(call, &reply.base);
}

static void op_done(struct inventory_op *op, int rc, const struct bv_error *error)
{
    static void (*const answer[INVENTORY_OP_COUNT])(struct bv_grpc_call *,
                                                    const struct inventory_op *) = {
        answer_reserve, answer_commit, answer_release, answer_adjust};
    struct bv_grpc_call *call = op->context;
    if (rc < 0) {
        (void)bv_grpc_fail(call, rc, error);
        return;
    }
    bv_count(((struct served *)op)->service->answers[op->kind][op->answer], 1);
    answer[op->kind](call, op);
}

/* ---- operations ---- */

static struct inventory_op *
op_new(struct inventory_service *service, struct bv_grpc_call *call, enum inventory_op_kind kind)
{
    struct served *served = bv_arena_new(bv_grpc_arena(call), struct served);
    if (!served)
        return NULL;
    served->service = service;
    served->op = (struct inventory_op){.kind = kind,
                                       .deadline_ms = bv_grpc_deadline_ms(call),
                                       .trace = *bv_grpc_trace(call),
                                       .correlation_id = bv_grpc_correlation_id(call),
                                       .done = op_done,
                                       .context = call};
    return &served->op;
}

static int
submit(struct inventory_service *service, struct inventory_op *op, struct bv_error *error)
{
    int rc = inventory_batch_submit(service->batch, op);
    if (rc == BV_E_LIMIT)
        return bv_fail(error, rc, "too many operations wait for the database");
    return rc < 0 ? bv_fail(error, BV_E_UNAVAILABLE, "the service is stopping") : 0;
}

static int inventory_reserve(struct bv_grpc_call *call,
                             const ProtobufCMessage *message,
                             void *context,
                             struct bv_error *error)
{
    const Bitvelocity__Inventory__V1__ReserveRequest *request = (const void *)message;
    struct bv_arena *arena = bv_grpc_arena(call);
    struct inventory_op *op = op_new(context, call, INVENTORY_OP_RESERVE);
    if (!op)
        return BV_E_NOMEM;
    BV_TRY(check_tenant(request->tenant_id, &op->tenant, error));
    BV_TRY(check_order(arena, request->order_id, &op->order_id, error));
    BV_TRY(check_lines(arena, request->lines, request->n_lines, &op->lines, error));
    op->line_count = request->n_lines;
    return submit(context, op, error);
}

static int inventory_commit(struct bv_grpc_call *call,
                            const ProtobufCMessage *message,
                            void *context,
                            struct bv_error *error)
{
    const Bitvelocity__Inventory__V1__CommitRequest *request = (const void *)message;
    struct inventory_op *op = op_new(context, call, INVENTORY_OP_COMMIT);
    if (!op)
        return BV_E_NOMEM;
    BV_TRY(check_tenant(request->tenant_id, &op->tenant, error));
    BV_TRY(check_order(bv_grpc_arena(call), request->order_id, &op->order_id, error));
    return submit(context, op, error);
}

static int inventory_release(struct bv_grpc_call *call,
                             const ProtobufCMessage *message,
                             void *context,
                             struct bv_error *error)
{
    const Bitvelocity__Inventory__V1__ReleaseRequest *request = (const void *)message;
    struct inventory_op *op = op_new(context, call, INVENTORY_OP_RELEASE);
    if (!op)
        return BV_E_NOMEM;
    BV_TRY(check_tenant(request->tenant_id, &op->tenant, error));
    BV_TRY(check_order(bv_grpc_arena(call), request->order_id, &op->order_id, error));
    BV_TRY(check_text("reason", request->reason, INVENTORY_REASON_BYTES_MAX, &op->reason, error));
    return submit(context, op, error);
}

static int inventory_adjust(struct bv_grpc_call *call,
                            const ProtobufCMessage *message,
                            void *context,
                            struct bv_error *error)
{
    const Bitvelocity__Inventory__V1__AdjustRequest *request = (const void *)message;
    struct inventory_op *op = op_new(context, call, INVENTORY_OP_ADJUST);
    if (!op)
        return BV_E_NOMEM;
    BV_TRY(check_tenant(request->tenant_id, &op->tenant, error));
    BV_TRY(check_text("reason", request->reason, INVENTORY_REASON_BYTES_MAX, &op->reason, error));
    BV_TRY(check_text(
        "idempotency_key", request->idempotency_key, INVENTORY_KEY_BYTES_MAX, &op->key, error));
    op->sku = bv_bytes_of(request->sku);
    op->delta = request->delta;
    if (!sku_valid(op->sku))
        return refuse(error, "sku", "must match ^[A-Z0-9][A-Z0-9._-]{0,63}$");
    if (op->delta == 0 || op->delta < -DELTA_MAX || op->delta > DELTA_MAX)
        return refuse(error, "delta", "must be within 1000000000 of 0, and not 0");
    return submit(context, op, error);
}

/* ---- reading ---- */

struct asking {
    struct bv_grpc_call *call;
    const struct bv_bytes *skus;
    size_t count;
};

static void levels_loaded(void *argument,
                          int rc,
                          const struct inventory_found *found,
                          const struct bv_error *error)
{
    const struct asking *asking = argument;
    if (rc < 0) {
        (void)bv_grpc_fail(asking->call, rc, error);
        return;
    }
    struct bv_arena *arena = bv_grpc_arena(asking->call);
    Bitvelocity__Inventory__V1__GetLevelsReply reply =
        BITVELOCITY__INVENTORY__V1__GET_LEVELS_REPLY__INIT;
    Bitvelocity__Inventory__V1__Level *rows =
        bv_arena_array(arena, Bitvelocity__Inventory__V1__Level, asking->count);
    reply.levels = bv_arena_array(arena, Bitvelocity__Inventory__V1__Level *, asking->count);
    if (!rows || !reply.levels) {
        (void)bv_grpc_fail(asking->call, BV_E_NOMEM, NULL);
        return;
    }
    for (size_t i = 0; i < asking->count; i++)
        for (size_t k = 0; k < found->stock_count; k++)
            if (bv_bytes_equal(found->stock[k].key.name, asking->skus[i])) {
                fill_level(&rows[reply.n_levels], asking->skus[i], &found->stock[k].level);
                reply.levels[reply.n_levels] = &rows[reply.n_levels];
                reply.n_levels++;
                break;
            }
    bv_grpc_reply(asking->call, &reply.base);
}

static int inventory_get_levels(struct bv_grpc_call *call,
                                const ProtobufCMessage *message,
                                void *context,
                                struct bv_error *error)
{
    const Bitvelocity__Inventory__V1__GetLevelsRequest *request = (const void *)message;
    struct inventory_service *service = context;
    struct bv_arena *arena = bv_grpc_arena(call);
    struct bv_bytes tenant;
    struct bv_bytes *skus = NULL;
    BV_TRY(check_tenant(request->tenant_id, &tenant, error));
    BV_TRY(check_skus(arena, request->sku, request->n_sku, &skus, error));
    if (request->n_sku == 0)
        return refuse(error, "sku", "at least one is needed");
    struct inventory_key *keys = bv_arena_array(arena, struct inventory_key, request->n_sku);
    struct asking *asking = bv_arena_new(arena, struct asking);
    if (!keys || !asking)
        return BV_E_NOMEM;
    for (size_t i = 0; i < request->n_sku; i++)
        keys[i] = (struct inventory_key){tenant, skus[i]};
    *asking = (struct asking){call, skus, request->n_sku};
    struct inventory_want want = {.skus = keys, .sku_count = request->n_sku};
    return service->store->ops->load(service->store, &want, levels_loaded, asking);
}

static int inventory_watch(struct bv_grpc_call *call,
                           const ProtobufCMessage *message,
                           void *context,
                           struct bv_error *error)
{
    const Bitvelocity__Inventory__V1__WatchRequest *request = (const void *)message;
    struct inventory_service *service = context;
    struct bv_bytes tenant;
    struct bv_bytes *skus = NULL;
    BV_TRY(check_tenant(request->tenant_id, &tenant, error));
    BV_TRY(check_skus(bv_grpc_arena(call), request->sku, request->n_sku, &skus, error));
    int rc = inventory_watches_add(service->watches, call, tenant, skus, request->n_sku);
    return rc == BV_E_LIMIT ? bv_fail(error, rc, "too many watchers") : rc;
}

#define PATH(name) "/bitvelocity.inventory.v1.Inventory/" name
#define MESSAGE(name) &bitvelocity__inventory__v1__##name##__descriptor
/* clang-format off */
const struct bv_grpc_method inventory_methods[] = {
    {PATH("Reserve"),   BV_GRPC_UNARY,         MESSAGE(reserve_request),    MESSAGE(reserve_reply),    inventory_reserve,    10000},
    {PATH("Commit"),    BV_GRPC_UNARY,         MESSAGE(commit_request),     MESSAGE(commit_reply),     inventory_commit,     10000},
    {PATH("Release"),   BV_GRPC_UNARY,         MESSAGE(release_request),    MESSAGE(release_reply),    inventory_release,    10000},
    {PATH("Adjust"),    BV_GRPC_UNARY,         MESSAGE(adjust_request),     MESSAGE(adjust_reply),     inventory_adjust,     10000},
    {PATH("GetLevels"), BV_GRPC_UNARY,         MESSAGE(get_levels_request), MESSAGE(get_levels_reply), inventory_get_levels, 10000},
    {PATH("Watch"),     BV_GRPC_SERVER_STREAM, MESSAGE(watch_request),      MESSAGE(level_change),     inventory_watch,      0    },
};
/* clang-format on */
const size_t inventory_method_count = BV_COUNT(inventory_methods);
