#include "testing_protocol.h"

#include <stdio.h>
#include <stdlib.h>

static const struct bv_arg open_args[] = {
    {"mood",   "in mood", BV_ARG_TEXT, BV_OPTIONAL, "\"bad\": refuses to open"},
    {"shouty", "loudly",  BV_ARG_FLAG, BV_OPTIONAL, ""                        },
};

static int open_echo(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    actor->state = calloc(1, 1);
    if (!actor->state)
        return BV_E_NOMEM;
    if (call->values[0].present && bv_bytes_equal(call->values[0].text, BV_BYTES("bad"))) {
        (void)bv_fail(error, BV_E_UNAVAILABLE, "not today");
        return BV_MISMATCH;
    }
    return actor->lab->ops->set_variable(actor->lab, actor, "url", BV_BYTES("echo://here"));
}

static void close_echo(struct bv_actor *actor)
{
    free(actor->state);
    actor->state = NULL;
}

enum { SAY_TYPE, SAY_KEY, SAY_SEQUENCE };
static const struct bv_arg say_args[] = {
    {"type",     NULL,       BV_ARG_TEXT, BV_REQUIRED, ""},
    {"key",      "for key",  BV_ARG_TEXT, BV_OPTIONAL, ""},
    {"sequence", "numbered", BV_ARG_INT,  BV_OPTIONAL, ""},
};

static int say(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    (void)error;
    struct bv_message message = {.direction = BV_RECEIVED,
                                 .summary = call->values[SAY_TYPE].text,
                                 .type = call->values[SAY_TYPE].text,
                                 .key = call->values[SAY_KEY].text,
                                 .body = call->doc,
                                 .status = BV_NO_NUMBER,
                                 .sequence = call->values[SAY_SEQUENCE].present
                                                 ? call->values[SAY_SEQUENCE].number
                                                 : BV_NO_NUMBER};
    return bv_actor_record(actor, &message, NULL);
}

static int list(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    (void)actor, (void)call, (void)error;
    return 0;
}

static int take_note(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    (void)call, (void)error;
    return bv_actor_note(actor, "the connection broke");
}

/* More than a recording keeps. */
static int flood(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    const struct bv_message message = {
        .direction = BV_RECEIVED, .status = BV_NO_NUMBER, .sequence = BV_NO_NUMBER};
    (void)call, (void)error;
    while (bv_actor_record(actor, &message, NULL) == 0)
        ;
    return 0;
}

static int refuse(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    (void)actor, (void)call;
    (void)bv_fail(error, BV_E_FORBIDDEN, "refused");
    return BV_MISMATCH;
}

static int break_down(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    (void)actor, (void)call;
    return bv_fail(error, BV_E_INTERNAL, "broken down");
}

static const struct bv_arg offend_args[] = {
    {"actor", "for", BV_ARG_TEXT, BV_OPTIONAL, "who receives it; else who says it"},
};

/* What an inspector would find wrong. */
static int offend(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    (void)error;
    const char *receiver =
        call->values[0].present ? bv_arena_text(actor->lab->arena, call->values[0].text) : NULL;
    struct bv_message message = {.actor = receiver ? receiver : actor->name,
                                 .protocol = actor->protocol->name,
                                 .direction = BV_RECEIVED,
                                 .summary = BV_BYTES("x"),
                                 .status = BV_NO_NUMBER,
                                 .sequence = BV_NO_NUMBER,
                                 .contract = BV_BYTES("the law"),
                                 .violation = BV_BYTES("/a: is missing")};
    return bv_recording_append(actor->lab->recording, &message, NULL);
}

static const struct bv_arg count_args[] = {
    {"from",  "from",     BV_ARG_INT, BV_OPTIONAL, "first number, else 1"                    },
    {"gaps",  "refusing", BV_ARG_INT, BV_OPTIONAL, "every so many times nobody answers"      },
    {"stall", "stalling", BV_ARG_INT, BV_OPTIONAL, "that time nobody answers to its deadline"},
    {"flaw",  "offends",  BV_ARG_INT, BV_OPTIONAL, "the number that breaks its contract"     },
};

/* Each answer is one higher than the one before: something that is pulled. */
static int count(struct bv_actor *actor, const struct bv_call *call, struct bv_error *error)
{
    char body[64];
    uint64_t id = 0;
    unsigned char *calls = actor->state;
    const struct bv_value *values = call->values;
    int64_t number = ++*calls + (values[0].present ? values[0].number - 1 : 0);
    struct bv_message message = {.direction = BV_SENT,
                                 .summary = BV_BYTES("count?"),
                                 .status = BV_NO_NUMBER,
                                 .sequence = BV_NO_NUMBER};
    BV_TRY(bv_actor_record(actor, &message, &id));
    const struct bv_message *none = NULL;
    if (values[2].present && *calls == values[2].number)
        (void)!bv_actor_await(actor, id, call->deadline_mono_us, &none);
    if ((values[1].present && *calls % values[1].number == 0) ||
        (values[2].present && *calls == values[2].number)) {
        (void)bv_fail(error, BV_E_UNAVAILABLE, "nobody there");
        return BV_MISMATCH;
    }
    int size = snprintf(
        body, sizeof body, "{\"n\":%lld,\"half\":%lld}", (long long)number, (long long)number / 2);
    message = (struct bv_message){
        .direction = BV_RECEIVED,
        .summary = BV_BYTES("count"),
        .body = {body, (size_t)size},
        .answers = id,
        .status = BV_NO_NUMBER,
        .sequence = number
    };
    if (values[3].present && values[3].number == number)
        message.violation = BV_BYTES("/n: is wrong");
    BV_TRY(bv_actor_record(actor, &message, &id));
    actor->current = bv_recording_at(actor->lab->recording, id);
    return 0;
}

static const struct bv_verb verbs[] = {
    {"counts",  count_args,  BV_COUNT(count_args),  BV_ASKS,          count,      "one more than the last time"},
    {"says",    say_args,    BV_COUNT(say_args),    BV_TAKES_DOC,     say,        "record"                     },
    {"notes",   NULL,        0,                     BV_TAKES_NOTHING, take_note,  "a note"                     },
    {"floods",  NULL,        0,                     BV_TAKES_NOTHING, flood,      "fills the recording"        },
    {"lists",   NULL,        0,                     BV_NEEDS_TABLE,   list,       "nothing"                    },
    {"refuses", NULL,        0,                     BV_TAKES_NOTHING, refuse,     "red"                        },
    {"offends", offend_args, BV_COUNT(offend_args), BV_TAKES_NOTHING, offend,     "violate"                    },
    {"breaks",  NULL,        0,                     BV_TAKES_NOTHING, break_down, "fault"                      },
};
static int check(struct bv_check *check, struct bv_error *error)
{
    const struct bv_call *call = check->call;
    if (!check->verb)
        return call->values[0].present && call->values[0].text.data &&
                       bv_bytes_equal(call->values[0].text, BV_BYTES("odd"))
                   ? BV_CHECK_FAIL(check, BV_CHECK_ARGUMENT, 0, error, "no such mood")
                   : 0;
    for (size_t i = 0; i < call->table.rows * call->table.columns; i++)
        if (call->table.cells[i].data && bv_bytes_equal(call->table.cells[i], BV_BYTES("odd")))
            return BV_CHECK_FAIL(check, BV_CHECK_CELL, i, error, "no such cell");
    if (check->verb->run == say && call->values[SAY_SEQUENCE].number == 13)
        return BV_CHECK_FAIL(check, BV_CHECK_ARGUMENT, SAY_SEQUENCE, error, "an unlucky number");
    return check->verb->run == say && call->doc.size && call->doc.data[0] == '!'
               ? BV_CHECK_FAIL(check, BV_CHECK_DOC, 0, error, "do not shout")
               : 0;
}

static const struct bv_probe probes[] = {
    {"type",     BV_PROBE_PLAIN, bv_probe_type,     ""},
    {"key",      BV_PROBE_PLAIN, bv_probe_key,      ""},
    {"json",     BV_PROBE_PATH,  bv_probe_json,     ""},
    {"header",   BV_PROBE_NAME,  bv_probe_header,   ""},
    {"sequence", BV_PROBE_PLAIN, bv_probe_sequence, ""},
    {"signed",   BV_PROBE_PLAIN, bv_probe_signed,   ""},
    {"count",    BV_PROBE_PLAIN, bv_probe_count,    ""},
};
static const char *const variables[] = {"url"};

const struct bv_protocol testing_protocol = {
    .name = "echo",
    .summary = "talks to itself",
    .open_args = open_args,
    .open_arg_count = BV_COUNT(open_args),
    .open = open_echo,
    .close = close_echo,
    .verbs = verbs,
    .verb_count = BV_COUNT(verbs),
    .probes = probes,
    .probe_count = BV_COUNT(probes),
    .check = check,
    .variables = variables,
    .variable_count = BV_COUNT(variables),
};
