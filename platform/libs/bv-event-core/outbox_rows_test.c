#include <criterion/criterion.h>
#include <stdlib.h>

#include "bv/outbox.h"
#include "bv/test_loop.h"

static struct bv_event example(const char *payload)
{
    struct bv_event event = {.type = BV_BYTES("a.b.c.v1"),
                             .producer = BV_BYTES("it"),
                             .partition_key = BV_BYTES("k"),
                             .correlation_id = BV_BYTES("c \"1\""),
                             .payload_text = bv_bytes_of(payload)};
    bv_event_stamp(&bv_test_env_system, &event);
    return event;
}

Test(outbox_rows, each_column_has_one_element_per_row)
{
    struct bv_outbox_rows rows;
    struct bv_pg_param params[BV_OUTBOX_PARAMS];
    bv_outbox_rows_open(&rows, 65536);
    struct bv_event event = example("{}");
    cr_assert_eq(bv_outbox_rows_add(&rows, "t", 7, &event), 0);
    cr_assert_eq(bv_outbox_rows_add(&rows, "t", 8, &event), 0);
    bv_outbox_rows_close(&rows);
    bv_outbox_rows_params(&rows, params);
    cr_assert_eq(rows.count, 2);
    cr_assert(bv_bytes_equal(params[1].bytes, BV_BYTES("{\"t\",\"t\"}")));
    cr_assert(bv_bytes_equal(params[3].bytes, BV_BYTES("{7,8}")));
    for (int i = 0; i < BV_OUTBOX_PARAMS; i++)
        cr_assert_eq(params[i].kind, BV_PG_TEXT);
    bv_outbox_rows_release(&rows);
}

Test(outbox_rows, a_row_that_does_not_fit_leaves_the_others_as_they_were)
{
    struct bv_outbox_rows rows;
    bv_outbox_rows_open(&rows, 700);
    char *long_payload = calloc(1, 500);
    memset(long_payload, ' ', 498);
    long_payload[0] = '{';
    long_payload[498] = '}';
    struct bv_event small = example("{}"), large = example(long_payload), bad = example("{}");
    bad.type = BV_BYTES("nonsense");
    cr_assert_eq(bv_outbox_rows_add(&rows, "t", 1, &small), 0);
    size_t size = rows.id.size;
    cr_assert_eq(bv_outbox_rows_add(&rows, "t", 2, &large), BV_E_TOO_LARGE);
    cr_assert_eq(bv_outbox_rows_add(&rows, "t", 2, &bad), BV_E_INVALID);
    cr_assert_eq(rows.id.size, size);
    cr_assert_eq(rows.count, 1);
    bv_outbox_rows_close(&rows);
    cr_assert(bv_bytes_equal(bv_buf_view(&rows.sequence), BV_BYTES("{1}")));
    cr_assert_not(rows.envelope.failed);
    free(long_payload);
    bv_outbox_rows_release(&rows);
}

Test(outbox_rows, headers_carry_what_the_contract_lists)
{
    struct bv_event event = example("{}");
    struct bv_event_headers headers;
    event.correlation_id = BV_BYTES_NONE;
    bv_event_headers(&event, &headers);
    const struct bv_record record = {.headers = headers.rows, .header_count = BV_EVENT_HEADERS};
    struct bv_trace trace;
    cr_assert_eq(bv_trace_parse(bv_record_header(&record, "traceparent"), &trace), 0);
    cr_assert_eq(memcmp(trace.trace_id, event.trace.trace_id, 16), 0);
    cr_assert_eq(bv_record_header(&record, "correlation-id").size,
                 32); /* the trace id, as in the envelope */
    cr_assert(bv_bytes_equal(bv_record_header(&record, "event-type"), event.type));
    cr_assert_eq(bv_record_header(&record, "event-id").size, 36);
}
