/* `bv scenario --steps`: the grammar as the tables have it. */
#include "plan.h"

static const char *const arg_words[] = {
#define BV_X_(name, word) word,
    BV_ARG_LIST(BV_X_)
#undef BV_X_
};

static void print_args(struct bv_buf *buf, const struct bv_arg *args, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool optional = args[i].presence == BV_OPTIONAL;
        (void)bv_buf_format(buf,
                            " %s%s%s%s%s",
                            optional ? "[" : "",
                            args[i].words ? args[i].words : "",
                            args[i].words && arg_words[args[i].type][0] ? " " : "",
                            arg_words[args[i].type],
                            optional ? "]" : "");
    }
}

static void print_help(struct bv_buf *buf, const struct bv_arg *args, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (args[i].help)
            (void)bv_buf_format(buf,
                                "        %-18s %s\n",
                                args[i].words ? args[i].words : args[i].name,
                                args[i].help);
}

static void print_protocol(struct bv_buf *buf, const struct bv_protocol *protocol)
{
    static const char *const probe_words[] = {"", " NAME", " PATH"};
    (void)bv_buf_format(
        buf, "\n%s: %s\n    actor NAME is %s", protocol->name, protocol->summary, protocol->name);
    print_args(buf, protocol->open_args, protocol->open_arg_count);
    (void)bv_buf_char(buf, '\n');
    print_help(buf, protocol->open_args, protocol->open_arg_count);
    for (size_t i = 0; i < protocol->verb_count; i++) {
        const struct bv_verb *verb = &protocol->verbs[i];
        (void)bv_buf_format(buf, "    NAME %s", verb->name);
        print_args(buf, verb->args, verb->arg_count);
        if (verb->takes & BV_TAKES_DOC)
            (void)bv_buf_text(buf,
                              (verb->takes & BV_NEEDS_DOC) == BV_NEEDS_DOC ? "  + doc string"
                                                                           : "  [+ doc string]");
        if (verb->takes & BV_TAKES_TABLE)
            (void)bv_buf_text(buf,
                              (verb->takes & BV_NEEDS_TABLE) == BV_NEEDS_TABLE ? "  + table"
                                                                               : "  [+ table]");
        (void)bv_buf_format(buf,
                            "%s   %s\n",
                            (verb->takes & BV_ASKS) ? " [until ...]" : "",
                            verb->help ? verb->help : "");
        print_help(buf, verb->args, verb->arg_count);
    }
    for (size_t i = 0; i < protocol->probe_count; i++)
        (void)bv_buf_format(buf,
                            "    NAME %s%s OP VALUE   %s\n",
                            protocol->probes[i].name,
                            probe_words[protocol->probes[i].argument],
                            protocol->probes[i].help ? protocol->probes[i].help : "");
    for (size_t i = 0; i < protocol->variable_count; i++)
        (void)bv_buf_format(buf, "    ${NAME.%s}\n", protocol->variables[i]);
}

int plan_print_grammar(struct bv_buf *buf, const struct plan_tables *tables)
{
    (void)bv_buf_text(
        buf,
        "Steps speak of actors. An actor records from its declaration on; waits search what it "
        "recorded.\n"
        "\n"
        "    actor NAME is PROTOCOL ...                 declare it; recording begins\n"
        "    NAME VERB ...                              do something\n"
        "    NAME PROBE [ARGUMENT] OP VALUE [and ...]   look at its current message: the last "
        "answer, or what it last received\n"
        "    save VARIABLE from NAME PROBE [ARGUMENT]   afterwards ${VARIABLE}\n"
        "    [within DURATION] NAME receives WHAT       the next match after what was received "
        "before; 5s when left out\n"
        "    within DURATION NAME receives exactly N WHAT    counted since the declaration, when "
        "the time is over\n"
        "    within DURATION NAME receives in order WHAT + table   one match per cell, one after "
        "the other\n"
        "    never within DURATION NAME receives WHAT   no match until the time is over\n"
        "    [within DURATION] NAME VERB ... until PROBE [ARGUMENT] OP VALUE [and ...]    ask "
        "again "
        "until the answer is\n"
        "                                               as it should be, 10 ms after the first "
        "time, then ever later\n"
        "                                               up to 250 ms; verbs marked \"until\"; 5s "
        "when left out\n"
        "    barrier NAME [within DURATION]             wait here for every selected scenario of "
        "the "
        "file that names it;\n"
        "                                               they run at the same time, whatever --jobs "
        "says; 30s when left out\n"
        "\n"
        "    WHAT      [\"TYPE\"] [for key KEY] [[with|and] PROBE [ARGUMENT] OP VALUE]... "
        "[signed]\n"
        "              in order: the cells are types, or the values of a PROBE [ARGUMENT] that has "
        "no OP\n"
        "    DURATION  250ms, 5s, 2m\n"
        "    TEXT      \"in quotes\" or one bare word\n"
        "    IDENTITY  nobody, customer, other-customer, staff, admin, lab, partner; new customer: "
        "one of "
        "the scenario's own;\n"
        "              token TEXT: whoever that bearer token names\n"
        "    PATH      $.member['member'][0][-1]\n"
        "    variables ${run} unique per run and scenario, ${run.id} the same in all scenarios of "
        "the run,\n"
        "              ${uuid} a new one each time, ${now} RFC 3339,\n"
        "              ${trace} id of the scenario's trace, ${stack.BV_...}, ${ACTOR.url}, saved "
        "ones;\n"
        "              ${filler.1000} so many letters x, ${deep.1000} so many [ and then so many "
        "]\n"
        "\n"
        "operators:\n");
    for (int i = 0; i < BV_OP_COUNT; i++)
        (void)bv_buf_format(
            buf, "    %-9s %s\n", bv_op_text((enum bv_op)i), bv_op_help((enum bv_op)i));
    for (size_t i = 0; i < tables->protocol_count; i++) {
        const struct bv_protocol *protocol = tables->protocols[i];
        struct bv_error error = {0};
        if (protocol->load)
            protocol = protocol->load(protocol, &error);
        if (protocol)
            print_protocol(buf, protocol);
        else
            (void)bv_buf_format(buf, "\n%s\n", error.text);
    }
    return buf->failed ? BV_E_TOO_LARGE : 0;
}
