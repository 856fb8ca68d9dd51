#include "receive.h"

#include "condition.h"
#include "hop.h"
#include <stdio.h>

/* What one message must satisfy. */
struct pattern {
    struct bv_actor *actor;
    struct bv_arena *arena;
    struct bv_bytes type;                           /* data NULL: any */
    struct bv_bytes key;                            /* data NULL: any */
    struct condition filters[PLAN_FILTERS_MAX + 1]; /* the last may be the cell of an order */
    size_t filter_count;
    int fault; /* of a comparison */
    struct bv_error *error;
};

/* Index of the first condition that message does not satisfy: 0 type, 1 key, 2.. filters; -1: it
 * matches. */
static int first_miss(struct pattern *pattern, const struct bv_message *message)
{
    if (pattern->type.data && !bv_bytes_equal(pattern->type, message->type))
        return 0;
    if (pattern->key.data && !bv_bytes_equal(pattern->key, message->key))
        return 1;
    for (size_t i = 0; i < pattern->filter_count; i++) {
        int rc = condition_holds(&pattern->filters[i], pattern->actor, message, pattern->error);
        if (rc < 0)
            pattern->fault = rc;
        if (rc != 0)
            return (int)i + 2;
    }
    return -1;
}

static bool received(const struct pattern *pattern, const struct bv_message *message)
{
    return message->direction == BV_RECEIVED && strcmp(message->actor, pattern->actor->name) == 0;
}

static bool match(void *argument, const struct bv_message *message)
{
    struct pattern *pattern = argument;
    return received(pattern, message) &&
           (message->violation.size > 0 || first_miss(pattern, message) < 0 || pattern->fault < 0);
}

static int pattern_from(struct runner_lab *lab,
                        struct bv_actor *actor,
                        const struct plan_step *step,
                        struct pattern *ret_pattern,
                        struct bv_error *error)
{
    *ret_pattern = (struct pattern){.actor = actor, .arena = actor->lab->arena, .error = error};
    if (step->event.data)
        BV_TRY(runner_lab_replace(lab, step->event, &ret_pattern->type, error));
    if (step->key.data)
        BV_TRY(runner_lab_replace(lab, step->key, &ret_pattern->key, error));
    for (size_t i = 0; i < step->filter_count; i++)
        BV_TRY(condition_from(lab, &step->filters[i], &ret_pattern->filters[i], error));
    ret_pattern->filter_count = step->filter_count;
    return 0;
}

/* ---- what people read ---- */

static const char *pattern_text(const struct pattern *pattern)
{
    bv_auto(bv_buf_release) struct bv_buf text = {.max = 4000};
    if (pattern->type.data)
        (void)bv_buf_bytes(&text, pattern->type);
    if (pattern->key.data)
        (void)bv_buf_format(&text, "%sfor key %.*s", text.size ? " " : "", BV_ARG(pattern->key));
    for (size_t i = 0; i < pattern->filter_count; i++)
        (void)bv_buf_format(&text,
                            "%s%s",
                            text.size ? ", " : "",
                            condition_text(pattern->arena, &pattern->filters[i]));
    if (!text.size)
        (void)bv_buf_text(&text, "any message");
    return bv_arena_text(pattern->arena, bv_buf_view(&text));
}

/* Why message is not it: "json $.state is PENDING, not == PAID". */
static const char *miss_text(struct pattern *pattern, const struct bv_message *message, int miss)
{
    if (miss == 0)
        return bv_arena_format(pattern->arena, "its type is %.*s", BV_ARG(message->type));
    if (miss == 1)
        return bv_arena_format(pattern->arena, "its key is %.*s", BV_ARG(message->key));
    const struct condition *condition = &pattern->filters[miss - 2];
    return bv_arena_format(pattern->arena,
                           "%s%s%.*s is %s",
                           condition->probe->name,
                           condition->argument.size ? " " : "",
                           BV_ARG(condition->argument),
                           condition_seen(condition, pattern->actor, message));
}

static void add_message(struct receive_report *report, uint64_t id)
{
    if (report->message_count == BV_COUNT(report->messages)) {
        memmove(report->messages,
                report->messages + 1,
                sizeof report->messages - sizeof *report->messages);
        report->message_count--;
    }
    report->messages[report->message_count++] = id;
}

/* Looks back at what came after the cursor: how many, and the one that misses latest. */
static void explain(struct pattern *pattern, uint64_t after, struct receive_report *report)
{
    struct bv_recording *recording = pattern->actor->lab->recording;
    const struct bv_message *nearest = NULL;
    const struct bv_message *note = NULL; /* what the lab saw last: the connection broke, ... */
    int nearest_miss = -1;
    size_t count = 0;
    uint64_t last = bv_recording_last(recording);
    for (uint64_t id = after + 1; id <= last; id++) {
        const struct bv_message *message = bv_recording_at(recording, id);
        if (message->direction == BV_NOTE && strcmp(message->actor, pattern->actor->name) == 0 &&
            message->status == BV_NO_NUMBER)
            note = message;
        if (!received(pattern, message))
            continue;
        int miss = first_miss(pattern, message);
        count++;
        add_message(report, id);
        if (miss >= nearest_miss) {
            nearest_miss = miss;
            nearest = message;
        }
    }
    if (!nearest && note)
        report->actual = bv_arena_format(pattern->arena,
                                         "nothing arrived; %.*s (note %llu)",
                                         BV_ARG(note->summary),
                                         (unsigned long long)note->id);
    else if (!nearest)
        report->actual = "nothing arrived";
    else
        report->actual = bv_arena_format(pattern->arena,
                                         "%zu message%s, none matches; nearest is %llu (%.*s): %s",
                                         count,
                                         count == 1 ? "" : "s",
                                         (unsigned long long)nearest->id,
                                         BV_ARG(nearest->summary),
                                         miss_text(pattern, nearest, nearest_miss));
}

/* The hop that this actor stands at the end of, by its last message. */
static const char *hop_to(const struct pattern *pattern)
{
    struct bv_recording *recording = pattern->actor->lab->recording;
    const struct bv_message nothing = {.actor = pattern->actor->name,
                                       .protocol = pattern->actor->protocol->name,
                                       .direction = BV_RECEIVED};
    for (uint64_t id = bv_recording_last(recording); id > 0; id--)
        if (received(pattern, bv_recording_at(recording, id)))
            return hop_of(pattern->arena, bv_recording_at(recording, id));
    return hop_of(pattern->arena, &nothing);
}

static void
take(struct bv_actor *actor, const struct bv_message *message, struct receive_report *report)
{
    actor->cursor = message->id;
    actor->current = message;
    add_message(report, message->id);
}

/* ---- the four forms ---- */

/* An outcome of each form: a message came that breaks its contract. Waiting on is of no use: the
 * step is red, whoever runs it says why. */
#define RECEIVE_OFFENDED 3

static int wait_for(struct pattern *pattern,
                    uint64_t after,
                    int64_t deadline_us,
                    const struct bv_message **ret_message)
{
    int rc = bv_recording_await(
        pattern->actor->lab->recording, after, deadline_us, match, pattern, ret_message);
    if (pattern->fault < 0)
        return pattern->fault;
    return rc == 0 && (*ret_message)->violation.size ? RECEIVE_OFFENDED : rc;
}

static int
once(struct pattern *pattern, int64_t deadline_us, int64_t within_ms, struct receive_report *report)
{
    struct bv_actor *actor = pattern->actor;
    const struct bv_message *message = NULL;
    int rc = wait_for(pattern, actor->cursor, deadline_us, &message);
    if (rc == 0) {
        take(actor, message, report);
        return 0;
    }
    if (rc != BV_NOT_YET)
        return rc;
    report->expected = bv_arena_format(
        pattern->arena, "%s within %lld ms", pattern_text(pattern), (long long)within_ms);
    explain(pattern, actor->cursor, report);
    (void)bv_fail(pattern->error,
                  BV_E_TIMEOUT,
                  "%s did not receive it within %lld ms (%s)",
                  actor->name,
                  (long long)within_ms,
                  hop_to(pattern));
    return BV_MISMATCH;
}

static int never(struct pattern *pattern,
                 int64_t deadline_us,
                 int64_t within_ms,
                 struct receive_report *report)
{
    const struct bv_message *message = NULL;
    int rc = wait_for(pattern, pattern->actor->cursor, deadline_us, &message);
    if (rc == BV_NOT_YET)
        return 0;
    if (rc != 0)
        return rc;
    add_message(report, message->id);
    report->expected = bv_arena_format(
        pattern->arena, "no %s within %lld ms", pattern_text(pattern), (long long)within_ms);
    report->actual = bv_arena_format(pattern->arena,
                                     "message %llu: %.*s",
                                     (unsigned long long)message->id,
                                     BV_ARG(message->summary));
    (void)bv_fail(pattern->error,
                  BV_E_CONFLICT,
                  "%s received what should not have come",
                  pattern->actor->name);
    return BV_MISMATCH;
}

/* Counts to the end of the time, since one too many may come last. */
static int exactly(struct pattern *pattern,
                   int64_t deadline_us,
                   const struct plan_step *step,
                   struct receive_report *report)
{
    struct bv_actor *actor = pattern->actor;
    const struct bv_message *message = NULL;
    uint64_t after = actor->opened;
    int64_t count = 0;
    int rc = 0;
    while (count <= step->exactly && (rc = wait_for(pattern, after, deadline_us, &message)) == 0) {
        after = message->id;
        count++;
        add_message(report, message->id);
    }
    if (rc < 0 || rc == RECEIVE_OFFENDED)
        return rc;
    if (count == step->exactly) {
        if (message && message->id > actor->cursor)
            actor->cursor = message->id;
        actor->current = message ? message : actor->current;
        return 0;
    }
    report->expected = bv_arena_format(
        pattern->arena, "exactly %lld of %s", (long long)step->exactly, pattern_text(pattern));
    report->actual =
        bv_arena_format(pattern->arena,
                        count > step->exactly ? "%lld already" : "%lld when the time was over",
                        (long long)count);
    (void)bv_fail(pattern->error, BV_E_CONFLICT, "%s received %lld", actor->name, (long long)count);
    return BV_MISMATCH;
}

static int order(struct runner_lab *lab,
                 struct pattern *pattern,
                 int64_t deadline_us,
                 const struct plan_step *step,
                 struct receive_report *report)
{
    const struct gherkin_table *table = &step->source->table;
    bool types = !step->order_probe;
    size_t base = pattern->filter_count;
    struct bv_bytes argument = BV_BYTES_NONE;
    if (step->order_argument.data)
        BV_TRY(runner_lab_replace(lab, step->order_argument, &argument, pattern->error));
    size_t number = 0;
    for (size_t r = 0; r < table->count; r++) {
        for (size_t c = 0; c < table->rows[r].count; c++) {
            struct bv_bytes cell;
            BV_TRY(runner_lab_replace(lab, table->rows[r].cells[c].value, &cell, pattern->error));
            number++;
            if (types)
                pattern->type = cell;
            else
                pattern->filters[base] =
                    (struct condition){step->order_probe, argument, BV_OP_EQ, cell};
            pattern->filter_count = types ? base : base + 1;
            int rc = once(pattern, deadline_us, step->within_ms, report);
            if (rc == BV_MISMATCH)
                report->expected = bv_arena_format(
                    pattern->arena, "number %zu in order: %s", number, report->expected);
            if (rc != 0)
                return rc;
        }
    }
    return 0;
}

static int receive(struct runner_lab *lab,
                   struct pattern *pattern,
                   const struct plan_step *step,
                   struct receive_report *ret_report)
{
    struct bv_actor *actor = pattern->actor;
    int64_t deadline_us = bv_mono_us(actor->lab->env) + step->within_ms * 1000;
    switch (step->wait) {
    case PLAN_NEVER:
        return never(pattern, deadline_us, step->within_ms, ret_report);
    case PLAN_EXACTLY:
        return exactly(pattern, deadline_us, step, ret_report);
    case PLAN_ORDER:
        return order(lab, pattern, deadline_us, step, ret_report);
    default:
        return once(pattern, deadline_us, step->within_ms, ret_report);
    }
}

int receive_run(struct runner_lab *lab,
                struct bv_actor *actor,
                const struct plan_step *step,
                struct receive_report *ret_report,
                struct bv_error *error)
{
    struct pattern pattern;
    BV_TRY(pattern_from(lab, actor, step, &pattern, error));
    int rc = receive(lab, &pattern, step, ret_report);
    return rc == RECEIVE_OFFENDED ? 0 : rc;
}
