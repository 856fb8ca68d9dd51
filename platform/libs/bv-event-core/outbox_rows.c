#include "bv/outbox.h"

void bv_outbox_rows_open(struct bv_outbox_rows *rows, size_t bytes_max_each)
{
    *rows = (struct bv_outbox_rows){0};
    struct bv_buf *columns[] = {&rows->id,
                                &rows->topic,
                                &rows->partition_key,
                                &rows->sequence,
                                &rows->event_type,
                                &rows->headers,
                                &rows->envelope};
    for (size_t i = 0; i < BV_COUNT(columns); i++) {
        columns[i]->max = bytes_max_each;
        bv_pg_array_open(columns[i]);
    }
}

void bv_event_headers(const struct bv_event *event, struct bv_event_headers *ret_headers)
{
    bv_trace_format(&event->trace, ret_headers->traceparent);
    bv_trace_id_format(&event->trace, ret_headers->trace_id);
    bv_uuid_format(event->id, ret_headers->id);
    struct bv_bytes correlation = event->correlation_id;
    if (correlation.size == 0)
        correlation = bv_bytes_of(ret_headers->trace_id);
    ret_headers->rows[0] =
        (struct bv_header){BV_BYTES("traceparent"), bv_bytes_of(ret_headers->traceparent)};
    ret_headers->rows[1] = (struct bv_header){BV_BYTES("correlation-id"), correlation};
    ret_headers->rows[2] = (struct bv_header){BV_BYTES("event-type"), event->type};
    ret_headers->rows[3] = (struct bv_header){BV_BYTES("event-id"), bv_bytes_of(ret_headers->id)};
}

static int write_headers(struct bv_buf *buf, const struct bv_event_headers *headers)
{
    struct bv_json_writer w = bv_json_writer(buf);
    bv_jw_object(&w);
    for (size_t i = 0; i < BV_COUNT(headers->rows); i++) {
        bv_jw_key_bytes(&w, headers->rows[i].key);
        bv_jw_string(&w, headers->rows[i].value);
    }
    bv_jw_end(&w);
    return buf->failed ? BV_E_TOO_LARGE : 0;
}

static bool any_failed(const struct bv_outbox_rows *rows)
{
    return rows->id.failed || rows->topic.failed || rows->partition_key.failed ||
           rows->sequence.failed || rows->event_type.failed || rows->headers.failed ||
           rows->envelope.failed;
}

/* The sizes of `before` hold again; memory that grew stays. */
static void restore(struct bv_outbox_rows *rows, const struct bv_outbox_rows *before)
{
    struct bv_buf *columns[] = {&rows->id,
                                &rows->topic,
                                &rows->partition_key,
                                &rows->sequence,
                                &rows->event_type,
                                &rows->headers,
                                &rows->envelope};
    const struct bv_buf *old[] = {&before->id,
                                  &before->topic,
                                  &before->partition_key,
                                  &before->sequence,
                                  &before->event_type,
                                  &before->headers,
                                  &before->envelope};
    for (size_t i = 0; i < BV_COUNT(columns); i++) {
        columns[i]->size = old[i]->size;
        columns[i]->failed = old[i]->failed;
    }
}

int bv_outbox_rows_add(struct bv_outbox_rows *rows,
                       const char *topic,
                       int64_t sequence,
                       const struct bv_event *event)
{
    struct bv_buf headers_text = {.max = 4096}, envelope = {.max = BV_EVENT_BYTES_MAX};
    struct bv_event_headers headers;
    bv_event_headers(event, &headers);
    int rc = write_headers(&headers_text, &headers);
    if (rc == 0)
        rc = bv_event_encode(&envelope, event);
    if (rc == 0) {
        struct bv_outbox_rows before = *rows;
        bv_pg_array_text(&rows->id, bv_bytes_of(headers.id));
        bv_pg_array_text(&rows->topic, bv_bytes_of(topic));
        bv_pg_array_text(&rows->partition_key, event->partition_key);
        bv_pg_array_int(&rows->sequence, sequence);
        bv_pg_array_text(&rows->event_type, event->type);
        bv_pg_array_text(&rows->headers, bv_buf_view(&headers_text));
        bv_pg_array_text(&rows->envelope, bv_buf_view(&envelope));
        if (any_failed(rows)) {
            restore(rows, &before);
            rc = BV_E_TOO_LARGE;
        } else {
            rows->count++;
        }
    }
    bv_buf_release(&headers_text);
    bv_buf_release(&envelope);
    return rc;
}

void bv_outbox_rows_close(struct bv_outbox_rows *rows)
{
    struct bv_buf *columns[] = {&rows->id,
                                &rows->topic,
                                &rows->partition_key,
                                &rows->sequence,
                                &rows->event_type,
                                &rows->headers,
                                &rows->envelope};
    for (size_t i = 0; i < BV_COUNT(columns); i++) {
        columns[i]->max += 8; /* the end always fits */
        bv_pg_array_close(columns[i]);
    }
}

void bv_outbox_rows_params(const struct bv_outbox_rows *rows,
                           struct bv_pg_param params[BV_OUTBOX_PARAMS])
{
    const struct bv_buf *columns[] = {&rows->id,
                                      &rows->topic,
                                      &rows->partition_key,
                                      &rows->sequence,
                                      &rows->event_type,
                                      &rows->headers,
                                      &rows->envelope};
    for (size_t i = 0; i < BV_COUNT(columns); i++)
        params[i] = BV_PG_P_TEXT(bv_buf_view(columns[i]));
}

void bv_outbox_rows_release(struct bv_outbox_rows *rows)
{
    struct bv_buf *columns[] = {&rows->id,
                                &rows->topic,
                                &rows->partition_key,
                                &rows->sequence,
                                &rows->event_type,
                                &rows->headers,
                                &rows->envelope};
    for (size_t i = 0; i < BV_COUNT(columns); i++)
        bv_buf_release(columns[i]);
    *rows = (struct bv_outbox_rows){0};
}
