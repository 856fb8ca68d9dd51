#include "html.h"

#include <criterion/criterion.h>

static struct html html;

static void setup(void)
{
    html = (struct html){.out.max = 1 << 20, .scratch.max = 1 << 20};
}

static void teardown(void)
{
    html_release(&html);
}

TestSuite(html, .init = setup, .fini = teardown);

static void wrote(const char *wanted)
{
    struct bv_bytes got = bv_buf_view(&html.out);
    cr_expect(bv_bytes_equal(got, bv_bytes_of(wanted)),
              "got \"%.*s\", wanted \"%s\"",
              BV_ARG(got),
              wanted);
}

Test(html, values_are_escaped_for_text_and_attributes)
{
    html_put(
        &html, "<a title=\"{}\">{}</a>", BV_BYTES("\" onclick='x()'"), BV_BYTES("<b>&amp;</b>"));
    wrote("<a title=\"&quot; onclick=&#39;x()&#39;\">&lt;b&gt;&amp;amp;&lt;/b&gt;</a>");
}

Test(html, braces_in_a_value_are_no_placeholder)
{
    html_put(&html, "[{}|{}]", BV_BYTES("{}"), BV_BYTES("x"));
    wrote("[{}|x]");
}

Test(html, control_characters_and_bad_utf8_become_the_replacement_character)
{
    html_text(&html, BV_BYTES("a\0b\x01\x7f\tc\n\xff\xc3(\xe2\x82 \xe2\x82\xac"));
    wrote("a\xef\xbf\xbd"
          "b\xef\xbf\xbd\xef\xbf\xbd\tc\n\xef\xbf\xbd\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd "
          "\xe2\x82\xac");
}

Test(html, json_cannot_end_its_script)
{
    html_json(&html, BV_BYTES("{\"a\":\"</script><!--\"}"));
    wrote("{\"a\":\"\\u003c/script>\\u003c!--\"}");
}

static const struct {
    const char *text;
    const char *wanted;
} secrets[] = {
    {"authorization: Bearer eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl, next",
     "authorization: Bearer [redacted], next"                                                                        },
    {"bearer abcdefgh12345678",                                                       "bearer [redacted]"            },
    {"{\"token\":\"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.AAAA-_aa\"}",                 "{\"token\":\"[redacted]\"}"   },
    {"cut off eyJhbGciOiJSUzI1NiIsImtpZCI6",                                          "cut off [redacted]"           },
    {"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD/x=",                                     "[redacted]"                   },
    {"postgresql://shop:s3cret@127.0.0.1:5432/orders",
     "postgresql://[redacted]@127.0.0.1:5432/orders"                                                                 },
    {"two whsec_abcd and whsec_efgh.",                                                "two [redacted] and [redacted]"},
};

Test(html, what_has_the_shape_of_a_secret_is_taken_out)
{
    for (size_t i = 0; i < BV_COUNT(secrets); i++) {
        struct bv_bytes got = html_scrub(&html, bv_bytes_of(secrets[i].text));
        cr_expect(bv_bytes_equal(got, bv_bytes_of(secrets[i].wanted)),
                  "got \"%.*s\", wanted \"%s\"",
                  BV_ARG(got),
                  secrets[i].wanted);
    }
    cr_expect_eq(html.redacted, BV_COUNT(secrets) + 1);
}

static const char *const harmless[] = {
    "Bearer",
    "tokenType: Bearer",
    "eye of the storm",
    "they.are.fine",
    "\"tokenType\":\"Bearer\",\"expiresIn\":900",
    "http://127.0.0.1:14018/v1/orders?at=2026-11-23T01:15:00Z",
    "mail a@b.example at http://x/y:1@",
    "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
    "",
};

Test(html, what_only_looks_similar_stays)
{
    for (size_t i = 0; i < BV_COUNT(harmless); i++) {
        struct bv_bytes text = bv_bytes_of(harmless[i]);
        struct bv_bytes got = html_scrub(&html, text);
        cr_expect(got.data == text.data && got.size == text.size,
                  "\"%s\" became \"%.*s\"",
                  harmless[i],
                  BV_ARG(got));
    }
}

Test(html, running_out_of_room_marks_the_page_failed)
{
    html.out.max = 16;
    html_put(&html, "<p>{}</p>", BV_BYTES("more than sixteen bytes"));
    cr_expect(html.out.failed);
}

static const struct {
    int64_t us;
    const char *wanted;
} durations[] = {
    {-5,        "0 \xc2\xb5s" },
    {99,        "99 \xc2\xb5s"},
    {100,       "0.1 ms"      },
    {9949,      "9.9 ms"      },
    {9950,      "10 ms"       },
    {999499,    "999 ms"      },
    {999500,    "1.00 s"      },
    {5000410,   "5.00 s"      },
    {9995000,   "10.0 s"      },
    {59994999,  "60.0 s"      },
    {59995000,  "1 min 00 s"  },
    {125000000, "2 min 05 s"  },
    {119500000, "2 min 00 s"  },
};

Test(html, durations_keep_three_figures)
{
    for (size_t i = 0; i < BV_COUNT(durations); i++) {
        struct bv_bytes got = html_duration(&html, durations[i].us);
        cr_expect(bv_bytes_equal(got, bv_bytes_of(durations[i].wanted)),
                  "%lld us: \"%.*s\", wanted \"%s\"",
                  (long long)durations[i].us,
                  BV_ARG(got),
                  durations[i].wanted);
    }
}

Test(html, sizes_are_in_powers_of_a_thousand)
{
    html_put(&html,
             "{} {} {} {} {}",
             html_size(&html, 999),
             html_size(&html, 1000),
             html_size(&html, 431000000),
             html_size(&html, 999999),
             html_size(&html, 25180000000));
    wrote("999 B 1.0 kB 431 MB 1.0 MB 25 GB");
}

Test(html, counted_nouns_take_their_plural)
{
    html_put(&html,
             "{}, {}, {}",
             html_count(&html, 1, "step"),
             html_count(&html, 0, "step"),
             html_count(&html, 2, "process"));
    wrote("1 step, 0 steps, 2 processes");
}
