#include "polling.h"

#include "condition.h"
#include "hop.h"

struct poll {
    struct runner_lab *lab;
    struct bv_actor *actor;
    const struct plan_step *step;
    struct condition conditions[PLAN_FILTERS_MAX];
    int64_t deadline_us;
    struct poll_report *report;
    struct poll_span span; /* of the last try */
    const char *seen;      /* what the last try found instead; NULL: none was made */
    size_t alike;          /* tries in a row that found it */
    bool answered;         /* by somebody, once */
    bool cut;              /* the deadline came during the last try: what was seen is older */
    size_t hushed_room;
};

static int64_t left_us(const struct poll *poll)
{
    return poll->deadline_us - bv_mono_us(poll->actor->lab->env);
}

/* ---- what is told ---- */

static int hush(struct poll *poll, struct poll_span span)
{
    struct poll_report *report = poll->report;
    if (report->hushed_count == poll->hushed_room) {
        size_t room = poll->hushed_room ? poll->hushed_room * 2 : 16;
        struct poll_span *spans = bv_arena_array(poll->actor->lab->arena, struct poll_span, room);
        if (!spans)
            return BV_E_NOMEM;
        if (report->hushed_count)
            memcpy(spans, report->hushed, report->hushed_count * sizeof *spans);
        report->hushed = spans;
        poll->hushed_room = room;
    }
    report->hushed[report->hushed_count++] = span;
    return 0;
}

bool poll_hushed(const struct poll_report *report, const struct bv_message *message)
{
    size_t low = 0;
    size_t high = report->hushed_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (message->id > report->hushed[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    return low < report->hushed_count && message->id >= report->hushed[low].first;
}

/* The try before the one at hand is over and was not the last: told when it was the first, or found
 * something else than the one before it. */
static int shelve(struct poll *poll)
{
    struct poll_report *report = poll->report;
    if (!report->tries)
        return 0;
    if (poll->alike > 1 || report->told_count == POLL_TOLD_MAX)
        return hush(poll, poll->span);
    report->told[report->told_count++] = poll->span;
    return 0;
}

/* ---- one try ---- */

/* What the answer is instead, NULL: it is as it should be. */
static int look(struct poll *poll, const char **ret_seen, struct bv_error *error)
{
    const struct bv_actor *actor = poll->actor;
    *ret_seen = NULL;
    for (size_t i = 0; i < poll->step->filter_count; i++) {
        const struct condition *condition = &poll->conditions[i];
        int rc = condition_holds(condition, actor, actor->current, error);
        if (rc < 0)
            return rc;
        if (rc == 0)
            continue;
        *ret_seen = bv_arena_format(actor->lab->arena,
                                    "%s%s%.*s is %s",
                                    condition->probe->name,
                                    condition->argument.size ? " " : "",
                                    BV_ARG(condition->argument),
                                    condition_seen(condition, actor, actor->current));
        return *ret_seen ? 0 : BV_E_NOMEM;
    }
    return 0;
}

#define POLL_MISSED 1 /* outcome of try_once: not yet */

static int try_once(struct poll *poll, poll_ask *ask, void *argument, struct bv_error *error)
{
    struct bv_recording *recording = poll->actor->lab->recording;
    const char *seen = NULL;
    BV_TRY(shelve(poll));
    *error = (struct bv_error){0}; /* of the try before */
    poll->span.first = bv_recording_last(recording) + 1;
    int rc = ask(argument, poll->deadline_us, error);
    poll->span.last = bv_recording_last(recording);
    poll->report->tries++;
    if (rc < 0 || rc == POLL_OFFENDED)
        return rc;
    poll->answered = poll->answered || rc == 0;
    poll->cut = rc == BV_MISMATCH && poll->answered && left_us(poll) < POLL_LEAST_MS * 1000;
    if (poll->cut)
        return POLL_MISSED; /* the last answer says more than that there was no time for another */
    if (rc == BV_MISMATCH)
        seen = bv_arena_format(poll->actor->lab->arena, "no answer: %s", error->text);
    else
        BV_TRY(look(poll, &seen, error));
    if (rc == 0 && !seen)
        return 0;
    if (!seen)
        return BV_E_NOMEM;
    poll->alike = poll->seen && strcmp(poll->seen, seen) == 0 ? poll->alike + 1 : 1;
    poll->seen = seen;
    return POLL_MISSED;
}

/* ---- until ---- */

static bool nobody(void *argument, const struct bv_message *message)
{
    (void)argument, (void)message;
    return false;
}

/* Passes the time on the recording, since that is what an interrupt ends. */
static void pause_for(const struct poll *poll, int64_t us)
{
    struct bv_recording *recording = poll->actor->lab->recording;
    const struct bv_message *message = NULL;
    (void)!bv_recording_await(recording,
                              bv_recording_last(recording),
                              bv_mono_us(poll->actor->lab->env) + us,
                              nobody,
                              NULL,
                              &message);
}

static const char *expectation(const struct poll *poll)
{
    bv_auto(bv_buf_release) struct bv_buf text = {.max = 8192};
    struct bv_arena *arena = poll->actor->lab->arena;
    for (size_t i = 0; i < poll->step->filter_count; i++)
        (void)bv_buf_format(
            &text, "%s%s", i ? ", " : "", condition_text(arena, &poll->conditions[i]));
    (void)bv_buf_format(&text, " within %lld ms", (long long)poll->step->within_ms);
    return bv_arena_text(arena, bv_buf_view(&text));
}

static int give_up(const struct poll *poll, struct bv_error *error)
{
    const struct bv_actor *actor = poll->actor;
    const struct bv_message *last = poll->answered ? actor->current : NULL;
    struct poll_report *report = poll->report;
    *error = (struct bv_error){0};
    report->expected = expectation(poll);
    report->actual =
        bv_arena_format(actor->lab->arena,
                        "%s; %zu tr%s, the last %zu alike%s%s%.*s",
                        poll->seen,
                        report->tries,
                        report->tries == 1 ? "y" : "ies",
                        poll->alike,
                        poll->cut ? " but for one that the deadline ended" : "",
                        last ? "; last answer: " : "",
                        last ? (int)(last->summary.size < 200 ? last->summary.size : 200) : 0,
                        last && last->summary.data ? last->summary.data : "");
    (void)bv_fail(error,
                  BV_E_TIMEOUT,
                  "%s was asked %zu time%s within %lld ms and never answered as it should (%s)",
                  actor->name,
                  report->tries,
                  report->tries == 1 ? "" : "s",
                  (long long)poll->step->within_ms,
                  last ? hop_of(actor->lab->arena, last) : "no answer at all");
    return BV_MISMATCH;
}

static int ask_until(struct poll *poll, poll_ask *ask, void *argument, struct bv_error *error)
{
    int64_t backoff_us = POLL_FIRST_MS * 1000;
    for (;;) {
        int rc = try_once(poll, ask, argument, error);
        if (rc != POLL_MISSED)
            return rc;
        int64_t left = left_us(poll);
        if (left < POLL_LEAST_MS * 1000)
            return give_up(poll, error);
        pause_for(poll, backoff_us < left / 2 ? backoff_us : left / 2);
        if (runner_lab_interrupted(poll->lab))
            return bv_fail(error, BV_E_CANCELLED, "interrupted");
        backoff_us = backoff_us * 2 < POLL_MOST_MS * 1000 ? backoff_us * 2 : POLL_MOST_MS * 1000;
    }
}

int poll_run(struct runner_lab *lab,
             struct bv_actor *actor,
             const struct plan_step *step,
             poll_ask *ask,
             void *argument,
             struct poll_report *ret_report,
             struct bv_error *error)
{
    struct poll poll = {.lab = lab, .actor = actor, .step = step, .report = ret_report};
    *ret_report = (struct poll_report){0};
    for (size_t i = 0; i < step->filter_count; i++)
        BV_TRY(condition_from(lab, &step->filters[i], &poll.conditions[i], error));
    poll.deadline_us = bv_mono_us(actor->lab->env) + step->within_ms * 1000;
    int rc = ask_until(&poll, ask, argument, error);
    if (ret_report->tries)
        ret_report->told[ret_report->told_count++] = poll.span;
    return rc == POLL_OFFENDED ? 0 : rc;
}
