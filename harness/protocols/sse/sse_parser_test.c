#include "sse_parser.h"

#include <criterion/criterion.h>
#include <stdio.h>

/* What came out, written down: one line "type|id|data" per event, LF in data shown as \n. */
struct seen {
    struct bv_buf text;
};

static void note(void *argument, const struct sse_event *event)
{
    struct seen *seen = argument;
    (void)bv_buf_format(&seen->text, "%.*s|%.*s|", BV_ARG(event->type), BV_ARG(event->id));
    for (size_t i = 0; i < event->data.size; i++)
        (void)(event->data.data[i] == '\n' ? bv_buf_text(&seen->text, "\\n")
                                           : bv_buf_char(&seen->text, event->data.data[i]));
    (void)bv_buf_char(&seen->text, '\n');
}

static struct sse_parser opened(struct seen *seen)
{
    struct sse_parser parser;
    *seen = (struct seen){{.max = 65536}};
    sse_parser_init(&parser, &(struct sse_parser_config){4096, 4096, note, seen});
    return parser;
}

static const struct {
    const char *rule;
    struct bv_bytes stream;
    const char *events;
} rows[] = {
    {"an empty line ends an event",           BV_BYTES("data: a\n\ndata: b\n\n"),         "message||a\nmessage||b\n"},
    {"CR and CR LF end lines too",
     BV_BYTES("data: a\r\rdata: b\r\n\r\ndata: c\n\r\n"),
     "message||a\nmessage||b\nmessage||c\n"                                                                         },
    {"data lines are joined by LF",
     BV_BYTES("data: a\ndata\ndata:  b\n\n"),
     "message||a\\n\\n b\n"                                                                                         },
    {"one space after the colon is dropped",
     BV_BYTES("data:a\n\ndata:  a\n\n"),
     "message||a\nmessage|| a\n"                                                                                    },
    {"data without a colon is an empty line", BV_BYTES("data\n\n"),                       "message||\n"             },
    {"no data, no event",                     BV_BYTES("event: x\nid: 4\n\ndata: a\n\n"), "message|4|a\n"           },
    {"the type holds for one event",
     BV_BYTES("event: x\ndata: a\n\ndata: b\n\n"),
     "x||a\nmessage||b\n"                                                                                           },
    {"the id holds until the next",
     BV_BYTES("id: 7\ndata: a\n\ndata: b\n\nid\ndata: c\n\n"),
     "message|7|a\nmessage|7|b\nmessage||c\n"                                                                       },
    {"an id with NUL is ignored",
     BV_BYTES("id: 1\nid: 2\0"
              "3\ndata: a\n\n"),
     "message|1|a\n"                                                                                                },
    {"comments are no fields",                BV_BYTES(": data: x\n:\ndata: a\n: b\n\n"), "message||a\n"            },
    {"other fields are ignored, case counts",
     BV_BYTES("Data: x\ndat: y\ndata : z\ndata: a\n\n"),
     "message||a\n"                                                                                                 },
    {"a byte order mark in front is dropped",
     BV_BYTES("\xEF\xBB\xBF"
              "data: a\n\n"),
     "message||a\n"                                                                                                 },
    {"only the first one is",
     BV_BYTES("\xEF\xBB\xBF\xEF\xBB\xBF"
              "data: a\ndata: b\n\n"),
     "message||b\n"                                                                                                 },
    {"half a mark belongs to the line",
     BV_BYTES("\xEF\xBB"
              "data: a\ndata: b\n\n"),
     "message||b\n"                                                                                                 },
    {"the end cuts an unfinished event off",  BV_BYTES("data: a\n\ndata: b\n"),           "message||a\n"            },
    {"colons in values stay",                 BV_BYTES("data: {\"a\":1}\n\n"),            "message||{\"a\":1}\n"    },
    {"LF CR is two line ends",                BV_BYTES("data: a\n\rdata: b\n\n"),         "message||a\nmessage||b\n"},
};

static void feed(struct sse_parser *parser, struct bv_bytes bytes)
{
    cr_assert_eq(sse_parser_feed(parser, bytes), 0);
}

static void check(size_t row, const struct seen *seen, size_t cut)
{
    const struct bv_bytes got = bv_buf_view(&seen->text);
    cr_expect(bv_bytes_equal(got, bv_bytes_of(rows[row].events)),
              "%s (cut at %zu): %.*s",
              rows[row].rule,
              cut,
              BV_ARG(got));
}

Test(sse_parser, reads_streams_as_the_specification_says_however_they_are_cut)
{
    for (size_t row = 0; row < BV_COUNT(rows); row++) {
        const struct bv_bytes stream = rows[row].stream;
        for (size_t cut = 0; cut <= stream.size; cut++) {
            struct seen seen;
            struct sse_parser parser = opened(&seen);
            feed(&parser, (struct bv_bytes){stream.data, cut});
            feed(&parser, (struct bv_bytes){stream.data + cut, stream.size - cut});
            check(row, &seen, cut);
            sse_parser_release(&parser);
            bv_buf_release(&seen.text);
        }
    }
}

Test(sse_parser, reads_streams_byte_by_byte)
{
    for (size_t row = 0; row < BV_COUNT(rows); row++) {
        struct seen seen;
        struct sse_parser parser = opened(&seen);
        for (size_t i = 0; i < rows[row].stream.size; i++)
            feed(&parser, (struct bv_bytes){rows[row].stream.data + i, 1});
        check(row, &seen, 1);
        sse_parser_release(&parser);
        bv_buf_release(&seen.text);
    }
}

Test(sse_parser, hands_an_event_out_at_its_cr_without_waiting_for_an_lf)
{
    struct seen seen;
    struct sse_parser parser = opened(&seen);
    feed(&parser, BV_BYTES("data: a\r\n\r"));
    cr_expect(bv_bytes_equal(bv_buf_view(&seen.text), BV_BYTES("message||a\n")));
    sse_parser_release(&parser);
    bv_buf_release(&seen.text);
}

Test(sse_parser, takes_the_retry_time_only_from_digits)
{
    static const struct {
        struct bv_bytes stream;
        int64_t retry_ms;
    } retries[] = {
        {BV_BYTES("retry: 1500\n"),                 1500},
        {BV_BYTES("retry:0\n"),                     0   },
        {BV_BYTES("retry: 15s\n"),                  -1  },
        {BV_BYTES("retry: -1\n"),                   -1  },
        {BV_BYTES("retry\n"),                       -1  },
        {BV_BYTES("retry: 10\nretry: x\n"),         10  },
        {BV_BYTES("retry: 99999999999999999999\n"), -1  },
    };
    for (size_t i = 0; i < BV_COUNT(retries); i++) {
        struct seen seen;
        struct sse_parser parser = opened(&seen);
        feed(&parser, retries[i].stream);
        cr_expect_eq(
            parser.retry_ms, retries[i].retry_ms, "row %zu: %lld", i, (long long)parser.retry_ms);
        sse_parser_release(&parser);
        bv_buf_release(&seen.text);
    }
}

Test(sse_parser, forgets_the_unfinished_event_but_not_the_id_when_the_stream_begins_anew)
{
    struct seen seen;
    struct sse_parser parser = opened(&seen);
    feed(&parser, BV_BYTES("id: 3\ndata: a\n\nid: 4\nevent: x\ndata: lost\nda"));
    sse_parser_reset(&parser);
    cr_expect(bv_bytes_equal(bv_buf_view(&parser.id), BV_BYTES("3")));
    feed(&parser,
         BV_BYTES("\xEF\xBB\xBF"
                  "data: b\n\n"));
    cr_expect(bv_bytes_equal(bv_buf_view(&seen.text), BV_BYTES("message|3|a\nmessage|3|b\n")));
    sse_parser_release(&parser);
    bv_buf_release(&seen.text);
}

Test(sse_parser, refuses_what_passes_its_limits)
{
    struct seen seen;
    struct sse_parser parser = opened(&seen);
    char block[1024];
    memset(block, 'x', sizeof block);
    int rc = 0;
    for (size_t fed = 0; rc == 0 && fed < 1u << 20; fed += sizeof block)
        rc = sse_parser_feed(&parser, (struct bv_bytes){block, sizeof block});
    cr_expect_eq(rc, BV_E_TOO_LARGE, "a line without an end");
    sse_parser_reset(&parser);
    rc = 0;
    for (size_t fed = 0; rc == 0 && fed < 1u << 20; fed += 9)
        rc = sse_parser_feed(&parser, BV_BYTES("data: abc\n"));
    cr_expect_eq(rc, BV_E_TOO_LARGE, "an event without an end");
    cr_expect_leq(parser.data.capacity, 8192);
    sse_parser_reset(&parser);
    feed(&parser, BV_BYTES("data: a\n\n"));
    cr_expect(bv_bytes_equal(bv_buf_view(&seen.text), BV_BYTES("message||a\n")),
              "sound again after a reset");
    sse_parser_release(&parser);
    bv_buf_release(&seen.text);
}
