/* The chain that the order flow is made of, and where it can break:
 *
 *   request -> service, answer        CAUSE_ANSWER
 *   service -> outbox -> Kafka        CAUSE_MISSING (lost row), CAUSE_UNTRACED
 *   Kafka -> consumer                 CAUSE_MISSING (never taken), CAUSE_DUPLICATE (taken twice)
 *   consumer -> screen or partner     CAUSE_MISSING, CAUSE_UNSIGNED
 *
 * A rule looks for evidence of one such break; the first in the table that finds some has the
 * word. Who speaks with whom is in cause_graph, what is said of it in cause_tell. */
#include "cause.h"

#include "cause_tell.h"
#include "cause_words.h"

const char *cause_word(enum cause_kind kind)
{
    static const char *const words[] = {
#define BV_X_(name, word) word,
        CAUSE_LIST(BV_X_)
#undef BV_X_
    };
    return words[kind];
}

static bool in_lab(const struct look *look, struct evidence *ret_found)
{
    (void)ret_found;
    return report_verdict_of(look->cause->step) == REPORT_BROKEN;
}

/* ---- a message that the runner found wrong ---- */

/* The one that the red step names, else the first. */
static const struct bv_json *offender(const struct look *look)
{
    const struct bv_json *first = NULL;
    const struct bv_json *named = bv_json_at(bv_json_get(look->cause->step, "violations"), 0);
    if (named && graph_message(look, bv_json_int(named, 0)))
        return graph_message(look, bv_json_int(named, 0));
    for (size_t i = 0; i < look->scenario->messages.count; i++) {
        const struct bv_json *message = look->scenario->messages.list[i];
        if (rec_text(message, "violation").size &&
            (!first || rec_number(message, "us") < rec_number(first, "us")))
            first = message;
    }
    return first;
}

static bool violates(const struct look *look, const char *part, struct evidence *ret_found)
{
    ret_found->message = offender(look);
    return rec_says(ret_found->message, "violation", part);
}

static bool violates_trace(const struct look *look, struct evidence *ret_found)
{
    return violates(look, "traceparent", ret_found) &&
           !rec_has_field(ret_found->message, "traceparent");
}

static bool violates_signature(const struct look *look, struct evidence *ret_found)
{
    return violates(look, "signature", ret_found);
}

static bool violates_once(const struct look *look, struct evidence *ret_found)
{
    if (!violates(look, "twice", ret_found) && !violates(look, "again", ret_found))
        return false;
    ret_found->before = graph_twin(look, ret_found->message);
    return ret_found->before;
}

static bool violates_order(const struct look *look, struct evidence *ret_found)
{
    return violates(look, "never came", ret_found);
}

static bool violates_contract(const struct look *look, struct evidence *ret_found)
{
    ret_found->message = offender(look);
    return ret_found->message;
}

/* ---- a message of the step's actor that lacks what every message of its kind has ---- */

static bool is_of_step(const struct look *look, const struct bv_json *message)
{
    return rec_is_arrival(message) &&
           bv_bytes_equal(rec_text(look->cause->step, "actor"), rec_text(message, "actor"));
}

static bool is_traced(const struct bv_json *message)
{
    bool pushed = rec_is(message, "protocol", "kafka") || rec_is(message, "protocol", "webhook");
    return !pushed || rec_has_field(message, "traceparent");
}

static bool is_signed(const struct bv_json *message)
{
    return !rec_is(message, "protocol", "webhook") ||
           (rec_has_field(message, "webhook-signature") && !rec_is(message, "signature", "bad"));
}

static const struct bv_json *first_bare(const struct look *look)
{
    for (size_t i = 0; i < look->scenario->messages.count; i++) {
        const struct bv_json *message = look->scenario->messages.list[i];
        if (is_of_step(look, message) && (!is_traced(message) || !is_signed(message)))
            return message;
    }
    return NULL;
}

static bool lacks_trace(const struct look *look, struct evidence *ret_found)
{
    ret_found->message = first_bare(look);
    return ret_found->message && !is_traced(ret_found->message);
}

static bool lacks_signature(const struct look *look, struct evidence *ret_found)
{
    ret_found->message = first_bare(look);
    return ret_found->message && is_traced(ret_found->message);
}

/* ---- a step that was not told what it asked for ---- */

static bool is_waiting(const struct bv_json *step)
{
    return rec_says(step, "text", " receives") && !rec_says(step, "text", " never ") &&
           !rec_says(step, "actual", "already");
}

static bool misses_what_is_on_kafka(const struct look *look, struct evidence *ret_found)
{
    struct bv_bytes expected = rec_text(look->cause->step, "expected");
    struct bv_bytes actor = rec_text(look->cause->step, "actor");
    if (!is_waiting(look->cause->step) || graph_topic_declared(look, actor).size)
        return false;
    ret_found->message =
        graph_undelivered(look, actor, words_key_in(expected), words_type_in(expected));
    return ret_found->message;
}

static bool misses_what_is_nowhere(const struct look *look, struct evidence *ret_found)
{
    struct bv_bytes key = words_key_in(rec_text(look->cause->step, "expected"));
    if (!is_waiting(look->cause->step))
        return false;
    ret_found->topic = graph_topic_declared(look, rec_text(look->cause->step, "actor"));
    if (!ret_found->topic.size)
        ret_found->topic = rec_topic(graph_last_arrival(look, BV_BYTES(""), key, INT64_MAX));
    ret_found->before = graph_last_change(look, key, rec_number(look->cause->step, "us"));
    return ret_found->topic.size;
}

static bool hears_twice(const struct look *look, struct evidence *ret_found)
{
    for (size_t i = 0; i < look->scenario->messages.count; i++) {
        ret_found->message = look->scenario->messages.list[i];
        if (!is_of_step(look, ret_found->message) || rec_is_refused(ret_found->message))
            continue;
        ret_found->before = graph_twin(look, ret_found->message);
        if (ret_found->before)
            return true;
    }
    return false;
}

static bool is_answered(const struct look *look, struct evidence *ret_found)
{
    const struct bv_json *ids = bv_json_get(look->cause->step, "messages");
    for (struct bv_json_iter it = bv_json_iter(ids); bv_json_next(&it);) {
        const struct bv_json *message = graph_message(look, bv_json_int(it.value, 0));
        if (message && rec_number(message, "answers"))
            ret_found->message = message;
    }
    ret_found->before = graph_message(look, rec_number(ret_found->message, "answers"));
    return ret_found->message;
}

/* ---- the rules ---- */

enum { OF_STEP, OF_SCENARIO }; /* whether it can say something without a red step */
struct hop_rule {
    int of;
    enum cause_kind kind;
    bool (*finds)(const struct look *look, struct evidence *ret_found); /* all-zero before */
    cause_teller *tell;
};
static const struct hop_rule rules[] = {
    {OF_STEP,     CAUSE_LAB,       in_lab,                  tell_lab              },
    {OF_SCENARIO, CAUSE_UNTRACED,  violates_trace,          tell_untraced         },
    {OF_SCENARIO, CAUSE_UNSIGNED,  violates_signature,      tell_unsigned         },
    {OF_SCENARIO, CAUSE_DUPLICATE, violates_once,           tell_duplicate        },
    {OF_SCENARIO, CAUSE_MISSING,   violates_order,          tell_gap              },
    {OF_SCENARIO, CAUSE_CONTRACT,  violates_contract,       tell_contract         },
    {OF_STEP,     CAUSE_UNTRACED,  lacks_trace,             tell_untraced         },
    {OF_STEP,     CAUSE_UNSIGNED,  lacks_signature,         tell_unsigned         },
    {OF_STEP,     CAUSE_MISSING,   misses_what_is_on_kafka, tell_lost_behind_kafka},
    {OF_STEP,     CAUSE_MISSING,   misses_what_is_nowhere,  tell_lost_before_kafka},
    {OF_STEP,     CAUSE_DUPLICATE, hears_twice,             tell_duplicate        },
    {OF_STEP,     CAUSE_ANSWER,    is_answered,             tell_answer           },
};

static void find_step(const struct report_scenario *scenario, struct cause *cause)
{
    for (size_t i = 0; i < scenario->steps.count && !cause->step; i++)
        if (report_is_red(report_verdict_of(scenario->steps.list[i]))) {
            cause->step = scenario->steps.list[i];
            cause->step_number = i + 1;
        }
}

void cause_find(const struct report *report,
                const struct report_scenario *scenario,
                struct cause *ret_cause)
{
    struct look look = {report, scenario, ret_cause};
    *ret_cause = (struct cause){0};
    find_step(scenario, ret_cause);
    if (!report_is_red(report_scenario_verdict(scenario)))
        return;
    for (size_t i = 0; i < BV_COUNT(rules); i++) {
        struct evidence found = {0};
        if ((!ret_cause->step && rules[i].of == OF_STEP) || !rules[i].finds(&look, &found))
            continue;
        ret_cause->kind = rules[i].kind;
        rules[i].tell(&look, &found);
        return;
    }
}
