#include "execute.h"

#include "condition.h"
#include "hop.h"
#include "polling.h"
#include "receive.h"
#include <stdarg.h>
#include <stdio.h>

enum { OFFENDERS_MAX = 64 }; /* further ones are only counted */

struct run {
    struct runner_lab *lab;
    struct bv_lab *base;
    const struct plan_scenario *scenario;
    struct barriers *barriers; /* NULL: none */
    const struct execute_listener *listener;
    struct bv_actor *actors[PLAN_ACTORS_MAX];
    size_t actor_count;
    uint64_t told;                                     /* messages told to the listener */
    struct poll_report poll;                           /* of the step at hand */
    const struct bv_message *offenders[OFFENDERS_MAX]; /* no step has answered for them yet */
    size_t offender_count;
    struct scenario_outcome outcome;
};

const char *verdict_word(enum verdict verdict)
{
    static const char *const words[] = {
#define BV_X_(name, word) word,
        VERDICT_LIST(BV_X_)
#undef BV_X_
    };
    return words[verdict];
}

static int64_t now_us(const struct run *run)
{
    return bv_mono_us(run->base->env);
}

static struct bv_actor *actor_of(const struct run *run, const char *name)
{
    for (size_t i = 0; i < run->actor_count; i++)
        if (strcmp(run->actors[i]->name, name) == 0)
            return run->actors[i];
    return NULL;
}

static void note_message(struct step_outcome *outcome, uint64_t id)
{
    if (outcome->message_count < OUTCOME_MESSAGES_MAX)
        outcome->messages[outcome->message_count++] = id;
}

/* ---- calls ---- */

static int value_from(struct run *run,
                      const struct bv_arg *row,
                      const struct plan_argument *argument,
                      struct bv_value *value,
                      struct bv_error *error)
{
    value->present = argument->present;
    value->pair_count = argument->pair_count;
    for (size_t i = 0; i < argument->pair_count; i++) {
        BV_TRY(runner_lab_replace(run->lab, argument->pairs[i].name, &value->pairs[i].name, error));
        BV_TRY(
            runner_lab_replace(run->lab, argument->pairs[i].value, &value->pairs[i].value, error));
    }
    if (!argument->present || !argument->text.data)
        return 0;
    BV_TRY(runner_lab_replace(run->lab, argument->text, &value->text, error));
    if (row->type == BV_ARG_INT &&
        bv_bytes_int64(value->text, INT64_MIN, INT64_MAX, &value->number) < 0)
        return bv_fail(
            error, BV_E_INVALID, "%s is a number, not \"%.60s\"", row->name, value->text.data);
    if (row->type == BV_ARG_DURATION && bv_duration_parse(value->text, &value->number) < 0)
        return bv_fail(
            error, BV_E_INVALID, "%s is a duration, not \"%.60s\"", row->name, value->text.data);
    return 0;
}

static int cells_from(struct run *run,
                      const struct gherkin_table *table,
                      struct bv_cells *ret_cells,
                      struct bv_error *error)
{
    if (!table->count)
        return 0;
    size_t columns = table->rows[0].count;
    struct bv_bytes *cells =
        bv_arena_array(run->base->arena, struct bv_bytes, table->count * columns + 1);
    if (!cells)
        return BV_E_NOMEM;
    for (size_t r = 0; r < table->count; r++)
        for (size_t c = 0; c < columns; c++)
            BV_TRY(runner_lab_replace(
                run->lab, table->rows[r].cells[c].value, &cells[r * columns + c], error));
    *ret_cells = (struct bv_cells){table->count, columns, cells};
    return 0;
}

static int call_from(struct run *run,
                     const struct plan_step *step,
                     const struct bv_arg *rows,
                     size_t count,
                     struct bv_call *ret_call,
                     struct bv_error *error)
{
    memset(ret_call, 0, sizeof *ret_call);
    for (size_t i = 0; i < count; i++)
        BV_TRY(value_from(run, &rows[i], &step->arguments[i], &ret_call->values[i], error));
    if (step->source->doc.at.line) {
        BV_TRY(runner_lab_replace(run->lab, step->source->doc.content, &ret_call->doc, error));
        ret_call->doc_media_type = step->source->doc.media_type;
    }
    BV_TRY(cells_from(run, &step->source->table, &ret_call->table, error));
    ret_call->deadline_mono_us = now_us(run) + run->base->timeout_ms * 1000;
    return 0;
}

/* A verb's or open's result as a verdict. */
static enum verdict verdict_of(int rc)
{
    return rc == 0 ? VERDICT_PASSED : rc > 0 ? VERDICT_FAILED : VERDICT_BROKEN;
}

static int declare(struct run *run, const struct plan_step *step, struct bv_error *error)
{
    struct bv_actor *actor = bv_arena_new(run->base->arena, struct bv_actor);
    struct bv_call *call = bv_arena_new(run->base->arena, struct bv_call);
    if (!actor || !call)
        return BV_E_NOMEM;
    uint64_t last = bv_recording_last(run->base->recording);
    *actor = (struct bv_actor){.name = step->actor,
                               .protocol = step->protocol,
                               .lab = run->base,
                               .opened = last,
                               .cursor = last};
    BV_TRY(call_from(
        run, step, step->protocol->open_args, step->protocol->open_arg_count, call, error));
    int rc = step->protocol->open(actor, call, error);
    if (rc != 0) {
        step->protocol->close(actor);
        return rc;
    }
    run->actors[run->actor_count++] = actor;
    if (run->listener->actor)
        run->listener->actor(run->listener->argument, step, now_us(run));
    return 0;
}

static int act(struct run *run,
               const struct plan_step *step,
               struct step_outcome *outcome,
               struct bv_error *error)
{
    struct bv_actor *actor = actor_of(run, step->actor);
    struct bv_call *call = bv_arena_new(run->base->arena, struct bv_call);
    if (!call)
        return BV_E_NOMEM;
    BV_TRY(call_from(run, step, step->verb->args, step->verb->arg_count, call, error));
    uint64_t before = bv_recording_last(run->base->recording);
    int rc = step->verb->run(actor, call, error);
    uint64_t last = bv_recording_last(run->base->recording);
    for (uint64_t id = before + 1; id <= last; id++)
        if (strcmp(bv_recording_at(run->base->recording, id)->actor, actor->name) == 0)
            note_message(outcome, id);
    return rc;
}

/* ---- probes ---- */

static int probe(struct run *run,
                 const struct plan_step *step,
                 struct step_outcome *outcome,
                 struct bv_error *error)
{
    const struct bv_actor *actor = actor_of(run, step->actor);
    if (actor->current)
        note_message(outcome, actor->current->id);
    for (size_t i = 0; i < step->filter_count; i++) {
        struct condition condition;
        BV_TRY(condition_from(run->lab, &step->filters[i], &condition, error));
        int rc = condition_holds(&condition, actor, actor->current, error);
        if (rc < 0)
            return rc;
        if (rc == 0)
            continue;
        struct bv_fact fact = {0};
        BV_TRY(condition_read(&condition, actor, actor->current, &fact, error));
        outcome->expected = condition_text(run->base->arena, &condition);
        outcome->actual =
            actor->current || fact.type != BV_FACT_ABSENT
                ? condition_seen(&condition, actor, actor->current)
                : bv_arena_format(run->base->arena, "%s has no message yet", actor->name);
        (void)bv_fail(error,
                      BV_E_CONFLICT,
                      "%s %s is not what was expected (%s)",
                      actor->name,
                      condition.probe->name,
                      actor->current ? hop_of(run->base->arena, actor->current) : "no hop yet");
        return BV_MISMATCH;
    }
    return 0;
}

static int save(struct run *run,
                const struct plan_step *step,
                struct step_outcome *outcome,
                struct bv_error *error)
{
    const struct bv_actor *actor = actor_of(run, step->actor);
    struct condition condition;
    struct bv_fact fact = {0};
    bv_auto(bv_buf_release) struct bv_buf text = {.max = 1 << 20};
    BV_TRY(condition_from(run->lab, &step->filters[0], &condition, error));
    BV_TRY(condition_read(&condition, actor, actor->current, &fact, error));
    if (actor->current)
        note_message(outcome, actor->current->id);
    if (fact.type == BV_FACT_ABSENT) {
        outcome->expected = bv_arena_format(
            run->base->arena, "%s %.*s", condition.probe->name, BV_ARG(condition.argument));
        outcome->actual = actor->current ? "(absent)" : "no message yet";
        (void)bv_fail(error, BV_E_NOT_FOUND, "there is nothing to save");
        return BV_MISMATCH;
    }
    BV_TRY(bv_fact_text(&text, &fact));
    return runner_lab_set(run->lab, step->variable, bv_buf_view(&text));
}

/* ---- a step ---- */

/* How a message breaks its contract: by itself, or by accepting a request that does. Empty: it does
 * not. */
static struct bv_bytes violation_of(const struct run *run, const struct bv_message *message)
{
    if (message->violation.size || !message->answers || message->status == BV_NO_NUMBER ||
        message->status >= 400)
        return message->violation;
    const struct bv_message *request = bv_recording_at(run->base->recording, message->answers);
    if (!request || !request->flaw.size)
        return message->violation;
    return bv_bytes_of(bv_arena_format(run->base->arena,
                                       "a request that breaks its contract was accepted: %.*s",
                                       BV_ARG(request->flaw)));
}

struct question {
    struct run *run;
    const struct plan_step *step;
    struct bv_actor *actor;
    struct bv_call *call;
};

/* A poll_ask. */
static int ask(void *argument, int64_t deadline_us, struct bv_error *error)
{
    const struct question *question = argument;
    const struct run *run = question->run;
    struct bv_recording *recording = run->base->recording;
    int64_t latest_us = now_us(run) + run->base->timeout_ms * 1000;
    uint64_t before = bv_recording_last(recording);
    question->call->deadline_mono_us = deadline_us < latest_us ? deadline_us : latest_us;
    int rc = question->step->verb->run(question->actor, question->call, error);
    uint64_t last = bv_recording_last(recording);
    for (uint64_t id = before + 1; rc == 0 && id <= last; id++) {
        const struct bv_message *message = bv_recording_at(recording, id);
        if (strcmp(message->actor, question->actor->name) == 0 && violation_of(run, message).size)
            rc = POLL_OFFENDED;
    }
    return rc;
}

static void note_span(const struct run *run,
                      const char *actor,
                      struct poll_span span,
                      struct step_outcome *outcome)
{
    for (uint64_t id = span.first; id <= span.last; id++)
        if (strcmp(bv_recording_at(run->base->recording, id)->actor, actor) == 0)
            note_message(outcome, id);
}

static int poll(struct run *run,
                const struct plan_step *step,
                struct step_outcome *outcome,
                struct bv_error *error)
{
    struct question question = {.run = run,
                                .step = step,
                                .actor = actor_of(run, step->actor),
                                .call = bv_arena_new(run->base->arena, struct bv_call)};
    if (!question.call)
        return BV_E_NOMEM;
    BV_TRY(call_from(run, step, step->verb->args, step->verb->arg_count, question.call, error));
    int rc = poll_run(run->lab, question.actor, step, ask, &question, &run->poll, error);
    for (size_t i = 0; i < run->poll.told_count; i++)
        note_span(run, step->actor, run->poll.told[i], outcome);
    outcome->tries = run->poll.tries;
    outcome->expected = run->poll.expected;
    outcome->actual = run->poll.actual;
    return rc;
}

static int meet(struct run *run,
                const struct plan_step *step,
                struct step_outcome *outcome,
                struct bv_error *error)
{
    struct barrier_report report;
    int rc =
        barriers_meet(run->barriers, run->scenario, step->barrier, step->within_ms, &report, error);
    outcome->barrier_parties = report.parties;
    outcome->barrier_arrived = report.arrived;
    if (rc == BV_MISMATCH) {
        outcome->expected =
            bv_arena_format(run->base->arena, "%zu scenarios at the barrier", report.parties);
        outcome->actual = bv_arena_format(run->base->arena, "%zu came", report.arrived);
    }
    return rc;
}

static int perform(struct run *run,
                   const struct plan_step *step,
                   struct step_outcome *outcome,
                   struct bv_error *error)
{
    struct receive_report report = {0};
    int rc;
    switch (step->kind) {
    case PLAN_ACTOR:
        return declare(run, step, error);
    case PLAN_VERB:
        return act(run, step, outcome, error);
    case PLAN_POLL:
        return poll(run, step, outcome, error);
    case PLAN_PROBE:
        return probe(run, step, outcome, error);
    case PLAN_SAVE:
        return save(run, step, outcome, error);
    case PLAN_RECEIVES:
        rc = receive_run(run->lab, actor_of(run, step->actor), step, &report, error);
        outcome->expected = report.expected;
        outcome->actual = report.actual;
        for (size_t i = 0; i < report.message_count; i++)
            note_message(outcome, report.messages[i]);
        return rc;
    case PLAN_BARRIER:
        return meet(run, step, outcome, error);
    }
    return BV_E_INTERNAL;
}

static void blame(struct run *run, struct step_outcome *outcome, const struct bv_message *message)
{
    struct bv_arena *arena = run->base->arena;
    if (outcome->violation_count < OUTCOME_MESSAGES_MAX)
        outcome->violations[outcome->violation_count++] = message->id;
    if (outcome->verdict != VERDICT_PASSED && outcome->verdict != VERDICT_SKIPPED)
        return;
    outcome->verdict = VERDICT_FAILED;
    outcome->expected = bv_arena_format(
        arena, "%.*s", BV_ARG(message->contract.size ? message->contract : BV_BYTES("a contract")));
    outcome->actual = bv_arena_format(arena, "%.*s", BV_ARG(violation_of(run, message)));
    outcome->error = bv_arena_format(arena,
                                     "%s: %s (message %llu of %s (%.*s) breaks its contract)",
                                     hop_of(arena, message),
                                     outcome->actual,
                                     (unsigned long long)message->id,
                                     message->actor,
                                     BV_ARG(message->summary));
}

/* Tells what was recorded since the last time, and judges by its contracts what the actor of the
 * step (NULL: any) sent and received by now: what comes to others is for their steps to answer for.
 */
static void settle(struct run *run, const char *actor, struct step_outcome *outcome)
{
    struct bv_recording *recording = run->base->recording;
    uint64_t last = bv_recording_last(recording);
    for (; run->told < last; run->told++) {
        const struct bv_message *message = bv_recording_at(recording, run->told + 1);
        if (actor && strcmp(actor, message->actor) == 0 && poll_hushed(&run->poll, message) &&
            !violation_of(run, message).size)
            continue;
        if (run->listener->message)
            run->listener->message(run->listener->argument, message);
        run->outcome.messages++;
        run->outcome.contracts_checked += message->contract.size > 0;
        if (!violation_of(run, message).size)
            continue;
        run->outcome.contracts_violated++;
        if (run->offender_count < BV_COUNT(run->offenders))
            run->offenders[run->offender_count++] = message;
    }
    size_t kept = 0;
    for (size_t i = 0; i < run->offender_count; i++) {
        const struct bv_message *message = run->offenders[i];
        if (!actor || strcmp(actor, message->actor) == 0)
            blame(run, outcome, message);
        else
            run->offenders[kept++] = message;
    }
    run->offender_count = kept;
    run->poll = (struct poll_report){0};
}

/* What people read of a step, without secrets: NULL stays NULL. */
static const char *open_text(struct run *run, const char *text)
{
    bv_auto(bv_buf_release) struct bv_buf buf = {.max = BV_MESSAGE_BODY_MAX * 2};
    if (!text)
        return NULL;
    bv_redact_text(&buf, bv_bytes_of(text));
    return bv_arena_text(run->base->arena, bv_buf_view(&buf));
}

static void run_step(struct run *run, size_t index)
{
    const struct plan_step *step = &run->scenario->steps[index];
    const struct execute_listener *listener = run->listener;
    struct bv_error error = {0};
    struct bv_trace scenario_trace = run->base->trace;
    struct step_outcome outcome = {.start_us = now_us(run)};
    if (run->outcome.verdict != VERDICT_PASSED) {
        outcome.verdict = VERDICT_SKIPPED;
        outcome.reason = "a step before it did not pass";
    } else {
        if (listener->step_begins)
            listener->step_begins(listener->argument, step);
        run->base->trace = outcome.trace = bv_trace_child(run->base->env, &scenario_trace, 1000000);
        int rc = perform(run, step, &outcome, &error);
        outcome.verdict = verdict_of(rc);
        if (rc != 0)
            outcome.error = bv_arena_format(
                run->base->arena, "%s", error.text[0] ? error.text : bv_error_row(rc)->title);
        outcome.duration_us = now_us(run) - outcome.start_us;
        run->base->trace = scenario_trace;
        settle(run, step->actor, &outcome);
        if (runner_lab_interrupted(run->lab)) {
            outcome.verdict = VERDICT_BROKEN;
            outcome.error = "interrupted";
        }
        if (bv_recording_full(run->base->recording)) { /* what would have come cannot be known */
            outcome.verdict = VERDICT_BROKEN;
            outcome.error =
                "the recording of this scenario is full: more messages, or larger ones, "
                "than the lab keeps";
        }
    }
    outcome.expected = open_text(run, outcome.expected);
    outcome.actual = open_text(run, outcome.actual);
    outcome.error = open_text(run, outcome.error);
    run->outcome.steps[outcome.verdict]++;
    if (outcome.verdict == VERDICT_FAILED || outcome.verdict == VERDICT_BROKEN) {
        run->outcome.verdict = outcome.verdict;
        run->outcome.error = bv_arena_format(
            run->base->arena, "line %u: %s", step->line, outcome.error ? outcome.error : "");
    }
    if (listener->step_ends)
        listener->step_ends(listener->argument, step, index, &outcome, run->base->recording);
}

/* Closes the actors, then judges what they still recorded. */
static void wind_up(struct run *run)
{
    while (run->actor_count) {
        struct bv_actor *actor = run->actors[--run->actor_count];
        actor->protocol->close(actor);
    }
    struct step_outcome rest = {.verdict = run->outcome.verdict};
    settle(run, NULL, &rest);
    if (run->outcome.verdict == VERDICT_PASSED && rest.verdict == VERDICT_FAILED) {
        run->outcome.verdict = VERDICT_FAILED;
        run->outcome.error = rest.error;
    }
}

int execute_scenario(struct runner_lab *lab,
                     const struct plan_scenario *scenario,
                     size_t number,
                     struct barriers *barriers,
                     const struct execute_listener *listener,
                     struct scenario_outcome *ret_outcome)
{
    struct run run = {.lab = lab,
                      .base = runner_lab_base(lab),
                      .scenario = scenario,
                      .barriers = barriers,
                      .listener = listener};
    int rc = runner_lab_begin(lab, number);
    if (rc < 0) {
        barriers_leave(barriers, scenario);
        runner_lab_end(lab);
        return rc;
    }
    run.outcome.start_us = now_us(&run);
    if (listener->scenario_begins)
        listener->scenario_begins(listener->argument, scenario, run.base, run.outcome.start_us);
    for (size_t i = 0; i < scenario->step_count; i++)
        run_step(&run, i);
    barriers_leave(barriers, scenario);
    wind_up(&run);
    run.outcome.duration_us = now_us(&run) - run.outcome.start_us;
    if (listener->scenario_ends)
        listener->scenario_ends(listener->argument, scenario, &run.outcome);
    *ret_outcome = run.outcome;
    ret_outcome->error = NULL; /* lived in the scenario's arena */
    runner_lab_end(lab);
    return 0;
}
