#include "cause_tell.h"

#include "cause_words.h"

/* The message is what shows it. */
static void blame(struct look *look, const struct bv_json *message)
{
    struct cause *cause = look->cause;
    cause->to = rec_number(message, "id");
    cause->us = rec_number(message, "us");
    cause->actor = rec_text(message, "actor");
    cause->hop = words_hop(look, message);
}

/* The span that sent it, and the request that started all. */
static void trail(struct look *look, const struct bv_json *message)
{
    const struct bv_json *span = graph_span(look, "spanId", rec_text(message, "spanId"));
    const struct bv_json *asked = graph_origin(look, message);
    words_fact(look, "Sent by", words_span(look, span), 0);
    if (asked) {
        look->cause->from = rec_number(asked, "id");
        words_fact(look, "Begun by", words_seen(look, asked), look->cause->from);
    }
}

/* How many more arrivals of the protocol lack the header. */
static void count_same(struct look *look, const struct bv_json *message, const char *header)
{
    size_t same = 0;
    for (size_t i = 0; i < look->scenario->messages.count; i++) {
        const struct bv_json *other = look->scenario->messages.list[i];
        if (other != message && rec_is_arrival(other) && !rec_has_field(other, header) &&
            bv_bytes_equal(rec_text(other, "protocol"), rec_text(message, "protocol")))
            same++;
    }
    if (same)
        words_fact(look,
                   "The same fault",
                   words(look, "%zu more message%s of this scenario", same, same == 1 ? "" : "s"),
                   0);
}

/* Who receives at the end of the step, and when it was given up. */
static void blame_step(struct look *look)
{
    struct cause *cause = look->cause;
    cause->actor = rec_text(cause->step, "actor");
    cause->us = rec_number(cause->step, "us") + rec_number(cause->step, "durationUs");
}

static const struct bv_json *declared(const struct look *look, struct bv_bytes actor)
{
    for (size_t i = 0; i < look->scenario->actors.count; i++)
        if (bv_bytes_equal(rec_text(look->scenario->actors.list[i], "name"), actor))
            return look->scenario->actors.list[i];
    return NULL;
}

void tell_lab(struct look *look, const struct evidence *found)
{
    (void)found;
    struct cause *cause = look->cause;
    blame_step(look);
    const struct bv_json *actor = declared(look, cause->actor);
    if (actor)
        cause->hop = words(look,
                           "lab → %s → %.*s",
                           words_protocol(rec_text(actor, "protocol")),
                           BV_ARG(cause->actor));
    cause->sentence = BV_BYTES("the lab itself could not do this; it says nothing about the "
                               "platform.");
}

void tell_untraced(struct look *look, const struct evidence *found)
{
    const struct bv_json *message = found->message;
    blame(look, message);
    struct bv_bytes sender = graph_sender(look, message);
    look->cause->sentence =
        words(look,
              "%.*s (message %d) came without the header traceparent, sent by %.*s: the trace ends "
              "here, and what follows belongs to another one.",
              BV_ARG(rec_name(message)),
              (int)rec_number(message, "id"),
              BV_ARG(sender.size ? sender : BV_BYTES("a service")));
    trail(look, message);
    count_same(look, message, "traceparent");
}

void tell_unsigned(struct look *look, const struct evidence *found)
{
    const struct bv_json *message = found->message;
    blame(look, message);
    bool bad = rec_is(message, "signature", "bad");
    look->cause->sentence = words(look,
                                  "the delivery %.*s (message %d) %s.",
                                  BV_ARG(rec_name(message)),
                                  (int)rec_number(message, "id"),
                                  bad ? "has a signature that does not fit its content and secret"
                                      : "came without the header webhook-signature");
    trail(look, message);
    if (!bad)
        count_same(look, message, "webhook-signature");
}

/* ", as number 3 and again as number 4", by what tells two arrivals apart. */
static struct bv_bytes
numbers_of(const struct look *look, const struct bv_json *message, const struct bv_json *twin)
{
    struct bv_bytes id = rec_event_id(message), first = rec_event_id(twin);
    if (rec_number(message, "sequence") != rec_number(twin, "sequence") &&
        !rec_is(message, "protocol", "kafka"))
        return words(look,
                     ", as number %d and again as number %d",
                     (int)rec_number(twin, "sequence"),
                     (int)rec_number(message, "sequence"));
    if (!id.size || !first.size)
        return BV_BYTES("");
    if (bv_bytes_equal(id, first))
        return words(look, ", the same event id %.*s", BV_ARG(id));
    return words(look, ", as event %.*s and as %.*s", BV_ARG(first), BV_ARG(id));
}

void tell_duplicate(struct look *look, const struct evidence *found)
{
    const struct bv_json *message = found->message, *twin = found->before;
    blame(look, message);
    struct bv_bytes key = rec_text(message, "key");
    struct bv_bytes ids = numbers_of(look, message, twin);
    look->cause->sentence = words(look,
                                  "%.*s of %.*s arrives twice: messages %d and %d%.*s.",
                                  BV_ARG(rec_name(message)),
                                  BV_ARG(words_brief(look, key)),
                                  (int)rec_number(twin, "id"),
                                  (int)rec_number(message, "id"),
                                  BV_ARG(ids));
    size_t sources = rec_is(message, "protocol", "kafka") ? 0 : graph_count_on_kafka(look, message);
    if (sources)
        words_fact(look,
                   "On Kafka",
                   words(look,
                         "%zu record%s of it%s",
                         sources,
                         sources == 1 ? "" : "s",
                         sources == 1 ? ", so the effect was doubled behind Kafka"
                                      : ": a repeated one must not count again"),
                   0);
    trail(look, message);
    look->cause->from = rec_number(twin, "id");
}

void tell_gap(struct look *look, const struct evidence *found)
{
    const struct bv_json *message = found->message;
    struct bv_bytes key = rec_text(message, "key"), sender = graph_sender(look, message);
    const struct bv_json *before =
        graph_last_arrival(look, rec_text(message, "actor"), key, rec_number(message, "us"));
    int64_t version = rec_version(message), last = before ? rec_version(before) : 0;
    blame(look, message);
    if (rec_topic(message).size && sender.size)
        look->cause->hop =
            words(look, "%.*s → Kafka %.*s", BV_ARG(sender), BV_ARG(rec_topic(message)));
    look->cause->expected = words(look, "version %d", (int)last + 1);
    look->cause->sentence =
        words(look,
              "version %d of %.*s never came: %.*s (message %d) is version %d and follows version "
              "%d, so an outbox row of %.*s never became a record.",
              (int)last + 1,
              BV_ARG(words_brief(look, key)),
              BV_ARG(rec_name(message)),
              (int)rec_number(message, "id"),
              (int)version,
              (int)last,
              BV_ARG(sender.size ? sender : BV_BYTES("the service")));
    const struct bv_json *asked =
        graph_last_change(look, key, before ? rec_number(before, "us") : rec_number(message, "us"));
    if (asked)
        words_fact(look, "Begun by", words_seen(look, asked), rec_number(asked, "id"));
    if (before) {
        look->cause->from = rec_number(before, "id");
        words_fact(look, "Last before it", rec_text(before, "summary"), look->cause->from);
    }
    words_fact(look, "Next after it", rec_text(message, "summary"), rec_number(message, "id"));
}

void tell_contract(struct look *look, const struct evidence *found)
{
    const struct bv_json *message = found->message;
    blame(look, message);
    look->cause->sentence = words(look,
                                  "%.*s (message %d) breaks its contract: %.*s.",
                                  BV_ARG(rec_name(message)),
                                  (int)rec_number(message, "id"),
                                  BV_ARG(rec_text(message, "violation")));
    words_fact(look, "Contract", rec_text(message, "contract"), 0);
    if (rec_is_arrival(message))
        trail(look, message);
}

void tell_lost_behind_kafka(struct look *look, const struct evidence *found)
{
    const struct bv_json *record = found->message;
    blame_step(look);
    struct cause *cause = look->cause;
    const struct bv_json *arrived = graph_last_arrival(look, cause->actor, BV_BYTES(""), INT64_MAX);
    const struct bv_json *span = graph_span(look, "parentSpanId", rec_text(record, "spanId"));
    struct bv_bytes type = rec_text(record, "type"), topic = rec_topic(record);
    struct bv_bytes service = rec_text(span, "service");
    const char *protocol =
        words_protocol(rec_text(arrived ? arrived : declared(look, cause->actor), "protocol"));
    if (!service.size && arrived)
        service = graph_sender(look, arrived);
    if (!service.size)
        service = BV_BYTES("the consumer");
    cause->from = rec_number(record, "id");
    cause->expected = type;
    if (span) {
        cause->hop =
            words(look, "%.*s → %s → %.*s", BV_ARG(service), protocol, BV_ARG(cause->actor));
        cause->sentence = words(look,
                                "%.*s took %.*s from Kafka (message %d), but it never reached "
                                "%.*s.",
                                BV_ARG(service),
                                BV_ARG(type),
                                (int)cause->from,
                                BV_ARG(cause->actor));
        words_fact(look,
                   "Taken in",
                   words(look,
                         "%.*s, %.*s, span %.*s",
                         BV_ARG(service),
                         BV_ARG(rec_text(span, "name")),
                         BV_ARG(rec_text(span, "spanId"))),
                   0);
        return;
    }
    cause->hop = words(look, "Kafka %.*s → %.*s", BV_ARG(topic), BV_ARG(service));
    cause->sentence = words(look,
                            "%.*s is on Kafka (message %d), but no span of %.*s shows that it was "
                            "taken.",
                            BV_ARG(type),
                            (int)cause->from,
                            BV_ARG(service));
}

void tell_lost_before_kafka(struct look *look, const struct evidence *found)
{
    blame_step(look);
    const struct bv_json *asked = found->before;
    struct bv_bytes expected = rec_text(look->cause->step, "expected"), topic = found->topic;
    struct bv_bytes key = words_key_in(expected), type = words_type_in(expected);
    struct cause *cause = look->cause;
    cause->expected = type;
    struct bv_bytes producer = graph_producer(look, type, topic, asked);
    const struct bv_json *answer = graph_answer(look, asked);
    const struct bv_json *kafka = graph_last_arrival(look, BV_BYTES(""), key, INT64_MAX);
    int64_t told = rec_version(answer), published = kafka ? rec_version(kafka) : 0;
    struct bv_bytes what = type.size ? type : BV_BYTES("the next event");
    if (!producer.size)
        producer = BV_BYTES("the service");
    cause->hop = words(look, "%.*s → Kafka %.*s", BV_ARG(producer), BV_ARG(topic));
    if (told > published)
        cause->sentence = words(look,
                                "%.*s of %.*s never came: %.*s answered version %d, but Kafka has "
                                "version %d, so the outbox row never became a record.",
                                BV_ARG(what),
                                BV_ARG(words_brief(look, key)),
                                BV_ARG(producer),
                                (int)told,
                                (int)published);
    else
        cause->sentence = words(look,
                                "%.*s of %.*s never came: nothing of it is on Kafka.",
                                BV_ARG(what),
                                BV_ARG(words_brief(look, key)));
    if (asked) {
        cause->from = rec_number(answer ? answer : asked, "id");
        words_fact(look, "Last seen", words_seen(look, asked), cause->from);
    }
    if (kafka)
        words_fact(look, "Last on Kafka", rec_text(kafka, "summary"), rec_number(kafka, "id"));
}

/* The last span that failed while the request was under way. */
static const struct bv_json *
failed_inside(const struct look *look, const struct bv_json *asked, const struct bv_json *answer)
{
    enum { CLOCKS_DIFFER_US = 3000 };
    const struct bv_json *deepest = NULL;
    for (size_t i = 0; i < look->scenario->spans.count; i++) {
        const struct bv_json *span = look->scenario->spans.list[i];
        if (rec_is(span, "status", "error") &&
            rec_number(span, "us") >= rec_number(asked, "us") - CLOCKS_DIFFER_US &&
            rec_number(span, "us") <= rec_number(answer, "us") &&
            (!deepest || rec_number(span, "us") >= rec_number(deepest, "us")))
            deepest = span;
    }
    return deepest;
}

void tell_answer(struct look *look, const struct evidence *found)
{
    const struct bv_json *answer = found->message, *asked = found->before;
    struct bv_bytes server = graph_server(look, asked);
    blame(look, answer);
    look->cause->from = rec_number(asked, "id");
    look->cause->sentence = words(look,
                                  "%.*s answered %.*s (message %d), which is not what the step "
                                  "asks for.",
                                  BV_ARG(server.size ? server : BV_BYTES("the service")),
                                  BV_ARG(rec_text(answer, "summary")),
                                  (int)rec_number(answer, "id"));
    words_fact(look, "Failed inside", words_span(look, failed_inside(look, asked, answer)), 0);
}
