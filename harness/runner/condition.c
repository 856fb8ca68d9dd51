#include "condition.h"

enum { SHOWN_BYTES = 400 };

int condition_from(struct runner_lab *lab,
                   const struct plan_filter *from,
                   struct condition *ret_condition,
                   struct bv_error *error)
{
    *ret_condition =
        (struct condition){.probe = from->probe, .op = from->op, .value = BV_BYTES("")};
    if (from->argument.data)
        BV_TRY(runner_lab_replace(lab, from->argument, &ret_condition->argument, error));
    if (from->value.data)
        BV_TRY(runner_lab_replace(lab, from->value, &ret_condition->value, error));
    return 0;
}

int condition_read(const struct condition *condition,
                   const struct bv_actor *actor,
                   const struct bv_message *message,
                   struct bv_fact *ret_fact,
                   struct bv_error *error)
{
    static const struct bv_message nothing = {.status = BV_NO_NUMBER, .sequence = BV_NO_NUMBER};
    return condition->probe->read(actor,
                                  message ? message : &nothing,
                                  condition->argument,
                                  actor->lab->arena,
                                  ret_fact,
                                  error);
}

int condition_holds(const struct condition *condition,
                    const struct bv_actor *actor,
                    const struct bv_message *message,
                    struct bv_error *error)
{
    struct bv_fact fact = {0};
    BV_TRY(condition_read(condition, actor, message, &fact, error));
    return bv_fact_compare(&fact, condition->op, condition->value, error);
}

bool condition_secret(struct bv_bytes argument)
{
    size_t end = argument.size;
    while (end > 0 && strchr("]'\"", argument.data[end - 1]))
        end--;
    size_t begin = end;
    while (begin > 0 && !strchr(".['\"", argument.data[begin - 1]))
        begin--;
    return end > begin && bv_secret_name((struct bv_bytes){argument.data + begin, end - begin});
}

const char *condition_text(struct bv_arena *arena, const struct condition *condition)
{
    bool value = condition->op != BV_OP_EXISTS;
    struct bv_bytes shown =
        condition_secret(condition->argument) ? BV_BYTES(BV_REDACTED) : condition->value;
    return bv_arena_format(arena,
                           "%s%s%.*s %s%s%.*s",
                           condition->probe->name,
                           condition->argument.size ? " " : "",
                           BV_ARG(condition->argument),
                           bv_op_text(condition->op),
                           value ? " " : "",
                           value ? (int)(shown.size < SHOWN_BYTES ? shown.size : SHOWN_BYTES) : 0,
                           shown.data ? shown.data : "");
}

/* JSON without its secrets, anything else as it is. */
static int add_fact(struct bv_buf *buf, struct bv_arena *arena, const struct bv_fact *fact)
{
    const struct bv_json *json = fact->type == BV_FACT_JSON ? fact->json : NULL;
    if (fact->type == BV_FACT_TEXT && fact->text.size && strchr("{[", fact->text.data[0]) &&
        bv_json_parse(arena, fact->text, &json, NULL) < 0)
        json = NULL;
    if (!json || bv_json_type(json) == BV_JSON_STRING)
        return bv_fact_text(buf, fact);
    struct bv_json_writer w = bv_json_writer(buf);
    bv_redact_json(&w, json);
    return buf->failed ? BV_E_TOO_LARGE : 0;
}

const char *condition_seen(const struct condition *condition,
                           const struct bv_actor *actor,
                           const struct bv_message *message)
{
    struct bv_fact fact = {0};
    struct bv_arena *arena = actor->lab->arena;
    bv_auto(bv_buf_release) struct bv_buf buf = {.max = 1 << 20};
    if (condition_read(condition, actor, message, &fact, NULL) < 0)
        return "it cannot be compared";
    if (fact.type != BV_FACT_ABSENT && condition_secret(condition->argument))
        return BV_REDACTED;
    if (add_fact(&buf, arena, &fact) < 0)
        return "(too long)";
    return bv_arena_format(arena,
                           "%.*s%s",
                           (int)(buf.size < SHOWN_BYTES ? buf.size : SHOWN_BYTES),
                           buf.data ? buf.data : "",
                           buf.size > SHOWN_BYTES ? "..." : "");
}
