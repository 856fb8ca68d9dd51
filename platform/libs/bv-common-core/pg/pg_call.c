#include <stdlib.h>

#include "pg_internal.h"

enum { PG_INT_TEXT_SIZE = 21 }; /* "-9223372036854775808" and NUL */
#define PG_PARAM_BYTES_MAX ((size_t)1 << 30)

void pg_list_init(struct pg_call_list *list)
{
    *list = (struct pg_call_list){.tail = &list->head};
}

void pg_list_push(struct pg_call_list *list, struct pg_call *call)
{
    call->next = NULL;
    *list->tail = call;
    list->tail = &call->next;
    list->count++;
}

struct pg_call *pg_list_pop(struct pg_call_list *list)
{
    struct pg_call *call = list->head;
    if (!call)
        return NULL;
    list->head = call->next;
    if (!list->head)
        list->tail = &list->head;
    list->count--;
    call->next = NULL;
    return call;
}

void pg_list_move(struct pg_call_list *from, struct pg_call_list *to)
{
    *to = *from;
    if (!to->head)
        to->tail = &to->head;
    pg_list_init(from);
}

static size_t param_space(const struct bv_pg_param *param)
{
    switch (param->kind) {
    case BV_PG_NULL:
        return 0;
    case BV_PG_INT:
        return PG_INT_TEXT_SIZE;
    case BV_PG_TEXT:
    case BV_PG_BINARY:
        return param->bytes.size + 1;
    }
    return 0;
}

static int check_queries(const struct bv_pg_query *queries,
                         size_t count,
                         size_t *ret_params,
                         size_t *ret_bytes)
{
    size_t params = 0;
    size_t bytes = 0;
    for (size_t q = 0; q < count; q++) {
        if (!queries[q].statement || queries[q].param_count > PG_PARAMS_MAX)
            return BV_E_INVALID;
        params += queries[q].param_count;
        for (size_t p = 0; p < queries[q].param_count; p++) {
            const struct bv_pg_param *param = &queries[q].params[p];
            bool text = param->kind == BV_PG_TEXT && param->bytes.size > 0;
            if (text && memchr(param->bytes.data, '\0', param->bytes.size))
                return BV_E_INVALID;
            bytes += param_space(param);
            if (bytes > PG_PARAM_BYTES_MAX)
                return BV_E_TOO_LARGE;
        }
    }
    *ret_params = params;
    *ret_bytes = bytes;
    return 0;
}

/* Writes int64 as decimal text with a NUL; returns the bytes written. */
static size_t int_text(int64_t value, char *out)
{
    char digits[PG_INT_TEXT_SIZE];
    size_t n = 0;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[n++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    size_t size = 0;
    if (value < 0)
        out[size++] = '-';
    while (n > 0)
        out[size++] = digits[--n];
    out[size++] = '\0';
    return size;
}

static char *bind(struct pg_call *call, size_t at, const struct bv_pg_param *param, char *space)
{
    call->values[at] = NULL;
    call->lengths[at] = 0;
    call->formats[at] = param->kind == BV_PG_BINARY ? 1 : 0;
    if (param->kind == BV_PG_NULL)
        return space;
    call->values[at] = space;
    if (param->kind == BV_PG_INT)
        return space + int_text(param->number, space);
    call->lengths[at] = (int)param->bytes.size;
    if (param->bytes.size > 0)
        memcpy(space, param->bytes.data, param->bytes.size);
    space[param->bytes.size] = '\0';
    return space + param->bytes.size + 1;
}

int pg_call_new(const struct bv_pg_query *queries,
                const uint16_t *ids,
                size_t count,
                struct pg_call **ret_call)
{
    size_t params = 0;
    size_t bytes = 0;
    BV_TRY(check_queries(queries, count, &params, &bytes));

    /* Members in order of falling alignment: pointers, ints, shorts, bytes. */
    size_t size = sizeof(struct pg_call) + count * sizeof(PGresult *) + params * sizeof(char *) +
                  count * sizeof(struct pg_bound_query) + 2 * params * sizeof(int) +
                  count * sizeof(uint16_t) + bytes;
    struct pg_call *call = malloc(size);
    if (!call)
        return BV_E_NOMEM;
    *call = (struct pg_call){.count = count};
    call->results = (PGresult **)(call + 1);
    memset(call->results, 0, count * sizeof(PGresult *));
    call->values = (const char **)(call->results + count);
    call->queries = (struct pg_bound_query *)(call->values + params);
    call->lengths = (int *)(call->queries + count);
    call->formats = call->lengths + params;
    call->prepares = (uint16_t *)(call->formats + params);
    char *space = (char *)(call->prepares + count);
    uint32_t at = 0;
    for (size_t q = 0; q < count; q++) {
        call->queries[q] = (struct pg_bound_query){ids[q], (uint16_t)queries[q].param_count, at};
        for (size_t p = 0; p < queries[q].param_count; p++)
            space = bind(call, at++, &queries[q].params[p], space);
    }
    *ret_call = call;
    return 0;
}

void pg_call_free(struct pg_call **call)
{
    if (!*call)
        return;
    for (size_t i = 0; i < (*call)->count; i++)
        PQclear((*call)->results[i]);
    free(*call);
    *call = NULL;
}
