/* Members of a message: i id, a actor (index), d direction, u microseconds, s summary, t type, k
 * key, st status, q sequence, an the id that it answers, l latency in microseconds, f fields
 * [[name, value]…], m media type, b body (JSON is compact), j 1 when b is JSON, z size of the body
 * on the wire, c size of b before it was cut, tr trace (index), sp span, sg signature, ct contract,
 * v violation. Of a span: n name, sv service, u, du, tr, sp, pa parent, e 1 when it failed. Of a
 * cause (where a red scenario breaks): k kind, h hop, s sentence, f message before it, t message
 * that shows it, a actor (index), e what is missing, u when. Absent means none. */
#include "data.h"

#include <stdlib.h>
#include <string.h>

struct body {
    struct bv_bytes text; /* arena */
    bool is_json;
    bool red; /* a red step names its message */
};

struct data {
    struct html *html;
    const struct report_data *input;
    const struct report *report; /* input's */
    struct bv_json_writer *w;
    struct bv_bytes *traces; /* arena */
    size_t trace_count;
    size_t trace_capacity;
    struct body **bodies; /* per scenario, per message; arena */
    size_t cap;
};

/* ---- traces, each once ---- */

static int64_t trace_index(struct data *data, struct bv_bytes trace)
{
    if (!trace.size)
        return -1;
    size_t i = data->trace_count;
    while (i > 0 && !bv_bytes_equal(data->traces[i - 1], trace))
        i--;
    if (i > 0)
        return (int64_t)i - 1;
    if (data->trace_count == data->trace_capacity) {
        size_t capacity = data->trace_capacity ? data->trace_capacity * 2 : 64;
        void *traces = bv_arena_resize(data->report->arena,
                                       data->traces,
                                       data->trace_capacity * sizeof(*data->traces),
                                       capacity * sizeof(*data->traces));
        if (!traces)
            return -1;
        data->traces = traces;
        data->trace_capacity = capacity;
    }
    data->traces[data->trace_count] = trace;
    return (int64_t)data->trace_count++;
}

/* ---- bodies ---- */

static struct body body_of(const struct report *report, const struct bv_json *message)
{
    struct body body = {.text = bv_json_string(bv_json_get(message, "text"))};
    const struct bv_json *json = bv_json_get(message, "json");
    if (!json)
        return body;
    bv_auto(bv_buf_release) struct bv_buf text = {.max = REPORT_DATA_BYTES_MAX};
    if (bv_json_write(&text, json) < 0)
        return body;
    body.text = bv_arena_copy(report->arena, bv_buf_view(&text));
    body.is_json = true;
    return body;
}

static void mark_red(const struct report_scenario *scenario, struct body *bodies)
{
    for (size_t s = 0; s < scenario->steps.count; s++) {
        if (!report_is_red(report_verdict_of(scenario->steps.list[s])))
            continue;
        const struct bv_json *ids = bv_json_get(scenario->steps.list[s], "messages");
        for (struct bv_json_iter it = bv_json_iter(ids); bv_json_next(&it);)
            for (size_t m = 0; m < scenario->messages.count; m++)
                if (bv_json_int(bv_json_get(scenario->messages.list[m], "id"), -1) ==
                    bv_json_int(it.value, -2))
                    bodies[m].red = true;
    }
}

static int read_bodies(struct data *data)
{
    const struct report *report = data->report;
    data->bodies = bv_arena_array(report->arena, struct body *, report->scenario_count + 1);
    for (size_t s = 0; data->bodies && s < report->scenario_count; s++) {
        const struct report_scenario *scenario = &report->scenarios[s];
        data->bodies[s] = bv_arena_array(report->arena, struct body, scenario->messages.count + 1);
        for (size_t m = 0; data->bodies[s] && m < scenario->messages.count; m++)
            data->bodies[s][m] = body_of(report, scenario->messages.list[m]);
        if (data->bodies[s])
            mark_red(scenario, data->bodies[s]);
    }
    return bv_arena_failed(report->arena) ? BV_E_LIMIT : 0;
}

static size_t kept_of(const struct body *body, size_t cap)
{
    if (body->red && cap < REPORT_BODY_RED_BYTES)
        cap = REPORT_BODY_RED_BYTES;
    return body->text.size < cap ? body->text.size : cap;
}

static size_t sum_of(const struct data *data, size_t cap)
{
    size_t sum = 0;
    for (size_t s = 0; s < data->report->scenario_count; s++)
        for (size_t m = 0; m < data->report->scenarios[s].messages.count; m++)
            sum += kept_of(&data->bodies[s][m], cap);
    return sum;
}

static size_t choose_cap(const struct data *data)
{
    static const size_t caps[] = {SIZE_MAX, 65536, 16384, 4096, 1024, 256};
    size_t i = 0;
    while (i + 1 < BV_COUNT(caps) && sum_of(data, caps[i]) > data->input->bodies_max)
        i++;
    return caps[i];
}

/* The first size bytes or a little less, so that no UTF-8 sequence is split. */
static struct bv_bytes cut(struct bv_bytes text, size_t size)
{
    if (text.size <= size)
        return text;
    while (size > 0 && ((unsigned char)text.data[size] & 0xc0) == 0x80)
        size--;
    return (struct bv_bytes){text.data, size};
}

/* ---- writing ---- */

static void put_text(struct data *data, struct bv_bytes text)
{
    bv_jw_string(data->w, html_scrub(data->html, text));
}

/* Scrubbed before it is cut: half a secret has not the shape of one. */
static void put_cut(struct data *data, struct bv_bytes text, size_t size)
{
    bv_jw_string(data->w, cut(html_scrub(data->html, text), size));
}

static void put(struct data *data, const char *key, struct bv_bytes text)
{
    if (!text.size)
        return;
    bv_jw_key(data->w, key);
    put_cut(data, text, REPORT_VALUE_BYTES_MAX);
}

static void
put_member(struct data *data, const char *key, const struct bv_json *record, const char *member)
{
    put(data, key, bv_json_string(bv_json_get(record, member)));
}

static void
put_number(struct data *data, const char *key, const struct bv_json *record, const char *member)
{
    const struct bv_json *value = bv_json_get(record, member);
    if (bv_json_type(value) == BV_JSON_INT)
        bv_jw_kv_int(data->w, key, bv_json_int(value, 0));
}

static void put_trace(struct data *data, const struct bv_json *record)
{
    int64_t trace = trace_index(data, bv_json_string(bv_json_get(record, "traceId")));
    if (trace >= 0)
        bv_jw_kv_int(data->w, "tr", trace);
    put_member(data, "sp", record, "spanId");
}

static void put_fields(struct data *data, const struct bv_json *fields)
{
    if (!bv_json_size(fields))
        return;
    bv_jw_key(data->w, "f");
    bv_jw_array(data->w);
    for (struct bv_json_iter it = bv_json_iter(fields); bv_json_next(&it);) {
        bv_jw_array(data->w);
        struct bv_bytes name = bv_json_string(bv_json_get(it.value, "name"));
        struct bv_bytes value = bv_json_string(bv_json_get(it.value, "value"));
        put_text(data, name.data ? name : BV_BYTES(""));
        put_cut(data, value.data ? value : BV_BYTES(""), REPORT_VALUE_BYTES_MAX);
        bv_jw_end(data->w);
    }
    bv_jw_end(data->w);
}

static void put_body(struct data *data, const struct body *body)
{
    if (!body->text.data)
        return;
    size_t kept = kept_of(body, data->cap);
    bv_jw_key(data->w, "b");
    put_cut(data, body->text, kept);
    if (body->is_json)
        bv_jw_kv_int(data->w, "j", 1);
    if (kept < body->text.size)
        bv_jw_kv_int(data->w, "c", (int64_t)body->text.size);
}

/* Actors by name; one that was never declared comes after the declared ones. */
struct cast {
    struct bv_bytes *names; /* arena */
    struct bv_bytes *protocols;
    size_t count;
};

static size_t actor_index(struct cast *cast, struct bv_bytes name, struct bv_bytes protocol)
{
    for (size_t i = 0; i < cast->count; i++)
        if (bv_bytes_equal(cast->names[i], name))
            return i;
    cast->names[cast->count] = name;
    cast->protocols[cast->count] = protocol;
    return cast->count++;
}

static bool make_cast(const struct report *report,
                      const struct report_scenario *scenario,
                      struct cast *ret_cast)
{
    size_t most = scenario->actors.count + scenario->messages.count + 1;
    *ret_cast = (struct cast){bv_arena_array(report->arena, struct bv_bytes, most),
                              bv_arena_array(report->arena, struct bv_bytes, most),
                              0};
    if (!ret_cast->names || !ret_cast->protocols)
        return false;
    const struct report_items *const sources[] = {&scenario->actors, &scenario->messages};
    static const char *const members[] = {"name", "actor"};
    for (size_t s = 0; s < BV_COUNT(sources); s++)
        for (size_t i = 0; i < sources[s]->count; i++)
            actor_index(ret_cast,
                        bv_json_string(bv_json_get(sources[s]->list[i], members[s])),
                        bv_json_string(bv_json_get(sources[s]->list[i], "protocol")));
    return true;
}

static int64_t direction_of(const struct bv_json *message)
{
    struct bv_bytes word = bv_json_string(bv_json_get(message, "direction"));
    if (bv_bytes_equal(word, BV_BYTES("sent")))
        return 0;
    return bv_bytes_equal(word, BV_BYTES("received")) ? 1 : 2;
}

static void put_message(struct data *data,
                        struct cast *cast,
                        const struct bv_json *message,
                        const struct body *body)
{
    bv_jw_object(data->w);
    bv_jw_kv_int(data->w, "i", bv_json_int(bv_json_get(message, "id"), 0));
    bv_jw_kv_int(
        data->w,
        "a",
        (int64_t)actor_index(cast, bv_json_string(bv_json_get(message, "actor")), BV_BYTES("")));
    bv_jw_kv_int(data->w, "d", direction_of(message));
    bv_jw_kv_int(data->w, "u", bv_json_int(bv_json_get(message, "us"), 0));
    put_member(data, "s", message, "summary");
    put_member(data, "t", message, "type");
    put_member(data, "k", message, "key");
    put_number(data, "st", message, "status");
    put_number(data, "q", message, "sequence");
    put_number(data, "an", message, "answers");
    put_number(data, "l", message, "latencyUs");
    put_fields(data, bv_json_get(message, "fields"));
    put_member(data, "m", message, "mediaType");
    put_body(data, body);
    put_number(data, "z", message, "bodyBytes");
    put_trace(data, message);
    put_member(data, "sg", message, "signature");
    put_member(data, "ct", message, "contract");
    put_member(data, "v", message, "violation");
    bv_jw_end(data->w);
}

static void put_span(struct data *data, const struct bv_json *span)
{
    bv_jw_object(data->w);
    put_member(data, "n", span, "name");
    put_member(data, "sv", span, "service");
    bv_jw_kv_int(data->w, "u", bv_json_int(bv_json_get(span, "us"), 0));
    put_number(data, "du", span, "durationUs");
    put_trace(data, span);
    put_member(data, "pa", span, "parentSpanId");
    if (bv_bytes_equal(bv_json_string(bv_json_get(span, "status")), BV_BYTES("error")))
        bv_jw_kv_int(data->w, "e", 1);
    bv_jw_end(data->w);
}

static void put_ids(struct data *data, const struct bv_json *ids)
{
    bv_jw_array(data->w);
    for (struct bv_json_iter it = bv_json_iter(ids); bv_json_next(&it);)
        if (bv_json_type(it.value) == BV_JSON_INT)
            bv_jw_int(data->w, bv_json_int(it.value, 0));
    bv_jw_end(data->w);
}

/* Two members of a step in one text. */
static struct bv_bytes text_of(const struct data *data,
                               const struct bv_json *step,
                               const char *format,
                               const char *first,
                               const char *second)
{
    struct bv_bytes a = bv_json_string(bv_json_get(step, first));
    struct bv_bytes b = bv_json_string(bv_json_get(step, second));
    char *text = bv_arena_format(data->report->arena, format, BV_ARG(a), BV_ARG(b));
    return bv_bytes_of(text ? text : "");
}

static void put_step(struct data *data, const struct bv_json *step)
{
    bv_jw_array(data->w);
    bv_jw_int(data->w, bv_json_int(bv_json_get(step, "us"), 0));
    bv_jw_int(data->w, bv_json_int(bv_json_get(step, "durationUs"), 0));
    bv_jw_int(data->w, report_verdict_of(step));
    bv_jw_int(data->w, bv_json_int(bv_json_get(step, "line"), 0));
    put_ids(data, bv_json_get(step, "messages"));
    put_ids(data, bv_json_get(step, "violations"));
    put_text(data, text_of(data, step, "%.*s %.*s", "keyword", "text"));
    if (report_is_red(report_verdict_of(step)))
        put_text(data, text_of(data, step, "%.*s\n%.*s", "expected", "actual"));
    bv_jw_end(data->w);
}

static void put_cause(struct data *data, struct cast *cast, const struct cause *cause)
{
    bv_jw_key(data->w, "cause");
    bv_jw_object(data->w);
    put(data, "k", bv_bytes_of(cause_word(cause->kind)));
    put(data, "h", cause->hop);
    put(data, "s", cause->sentence);
    if (cause->from)
        bv_jw_kv_int(data->w, "f", cause->from);
    if (cause->to)
        bv_jw_kv_int(data->w, "t", cause->to);
    if (cause->actor.size)
        bv_jw_kv_int(data->w, "a", (int64_t)actor_index(cast, cause->actor, BV_BYTES("")));
    put(data, "e", cause->expected);
    bv_jw_kv_int(data->w, "u", cause->us);
    bv_jw_end(data->w);
}

static void put_scenario(struct data *data, size_t index)
{
    const struct report_scenario *scenario = &data->report->scenarios[index];
    struct cast cast;
    if (!make_cast(data->report, scenario, &cast))
        return;
    bv_jw_object(data->w);
    bv_jw_kv_int(data->w, "us", scenario->us);
    bv_jw_kv_int(data->w, "end", scenario->end_us);
    bv_jw_kv_int(data->w,
                 "trace",
                 trace_index(data, bv_json_string(bv_json_get(scenario->record, "traceId"))));
    bv_jw_key(data->w, "actors");
    bv_jw_array(data->w);
    for (size_t i = 0; i < cast.count; i++) {
        bv_jw_array(data->w);
        put_text(data, cast.names[i].data ? cast.names[i] : BV_BYTES("?"));
        put_text(data, cast.protocols[i].data ? cast.protocols[i] : BV_BYTES(""));
        bv_jw_end(data->w);
    }
    bv_jw_end(data->w);
    bv_jw_key(data->w, "steps");
    bv_jw_array(data->w);
    for (size_t i = 0; i < scenario->steps.count; i++)
        put_step(data, scenario->steps.list[i]);
    bv_jw_end(data->w);
    bv_jw_key(data->w, "messages");
    bv_jw_array(data->w);
    for (size_t i = 0; i < scenario->messages.count; i++)
        put_message(data, &cast, scenario->messages.list[i], &data->bodies[index][i]);
    bv_jw_end(data->w);
    bv_jw_key(data->w, "spans");
    bv_jw_array(data->w);
    for (size_t i = 0; i < scenario->spans.count; i++)
        put_span(data, scenario->spans.list[i]);
    bv_jw_end(data->w);
    if (data->input->causes && data->input->causes[index].kind != CAUSE_NONE)
        put_cause(data, &cast, &data->input->causes[index]);
    if (data->input->folded && data->input->folded[index].size)
        bv_jw_kv_string(data->w, "html", data->input->folded[index]);
    bv_jw_end(data->w);
}

static void put_logs(struct data *data)
{
    const struct report_logs *logs = data->input->logs;
    bv_jw_key(data->w, "parts");
    bv_jw_array(data->w);
    for (size_t i = 0; i < logs->part_count; i++)
        put_text(data, logs->parts[i].name.data ? logs->parts[i].name : BV_BYTES("?"));
    bv_jw_end(data->w);
    bv_jw_key(data->w, "lines");
    bv_jw_array(data->w);
    for (size_t i = 0; i < logs->line_count; i++) {
        bv_jw_array(data->w);
        bv_jw_int(data->w, logs->lines[i].us);
        bv_jw_int(data->w, (int64_t)logs->lines[i].part);
        bv_jw_int(data->w, logs->lines[i].level);
        put_text(data, logs->lines[i].text);
        bv_jw_end(data->w);
    }
    bv_jw_end(data->w);
}

/* What the script needs of every scenario before it looks into one. */
static void put_index(struct data *data)
{
    bv_jw_key(data->w, "red");
    bv_jw_array(data->w);
    for (size_t i = 0; i < data->report->scenario_count; i++)
        for (size_t n = 0; n < data->report->scenarios[i].steps.count; n++)
            if (report_is_red(report_verdict_of(data->report->scenarios[i].steps.list[n]))) {
                bv_jw_array(data->w);
                bv_jw_int(data->w, (int64_t)i + 1);
                bv_jw_int(data->w, (int64_t)n + 1);
                bv_jw_end(data->w);
            }
    bv_jw_end(data->w);
    bv_jw_key(data->w, "overview");
    bv_jw_array(data->w);
    for (size_t i = 0; i < data->report->scenario_count; i++) {
        bv_jw_array(data->w);
        bv_jw_int(data->w, data->report->scenarios[i].us);
        bv_jw_int(data->w, data->report->scenarios[i].end_us);
        bv_jw_int(data->w, report_scenario_verdict(&data->report->scenarios[i]));
        bv_jw_end(data->w);
    }
    bv_jw_end(data->w);
}

int report_data_write(struct html *html, const struct report_data *input, size_t *ret_cap)
{
    const struct report *report = input->report;
    bv_auto(bv_buf_release) struct bv_buf text = {.max = REPORT_DATA_BYTES_MAX};
    struct bv_json_writer w = bv_json_writer(&text);
    struct data data = {.html = html, .input = input, .report = report, .w = &w};
    BV_TRY(read_bodies(&data));
    data.cap = choose_cap(&data);
    bv_jw_object(&w);
    put_logs(&data);
    bv_jw_key(&w, "scenarios");
    bv_jw_array(&w);
    bv_buf_char(&text, '\n');
    for (size_t i = 0; i < report->scenario_count; i++) {
        put_scenario(&data, i);
        bv_buf_char(&text, '\n');
    }
    bv_jw_end(&w);
    bv_jw_key(&w, "traces");
    bv_jw_array(&w);
    for (size_t i = 0; i < data.trace_count; i++)
        put_text(&data, data.traces[i]);
    bv_jw_end(&w);
    put_index(&data);
    bv_jw_end(&w);
    if (bv_arena_failed(report->arena))
        return BV_E_LIMIT;
    if (text.failed)
        return BV_E_TOO_LARGE;
    html_json(html, bv_buf_view(&text));
    *ret_cap = data.cap;
    return html->out.failed ? BV_E_TOO_LARGE : 0;
}
