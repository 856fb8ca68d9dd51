#include "page.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct html html;

static void setup(void)
{
    html = (struct html){.out.max = 64 << 20, .scratch.max = 64 << 20};
}

static void teardown(void)
{
    html_release(&html);
}

TestSuite(page, .init = setup, .fini = teardown);

static void render(const char *records)
{
    struct bv_error error = {0};
    cr_assert_eq(report_page_of(bv_bytes_of(records), NULL, &html, &error), 0, "%s", error.text);
}

static size_t count(const char *needle)
{
    size_t found = 0;
    size_t size = strlen(needle);
    const char *end = html.out.data + html.out.size;
    for (const char *at = html.out.data; (at = memmem(at, (size_t)(end - at), needle, size));
         at += size)
        found++;
    return found;
}

static void has(const char *needle)
{
    cr_expect(count(needle) > 0, "the page has no \"%s\"", needle);
}

static void lacks(const char *needle)
{
    cr_expect_eq(count(needle), 0, "the page has \"%s\"", needle);
}

static const char *const fixtures[] = {BV_TESTDATA "/green", BV_TESTDATA "/red"};
static const char *const outside[] = {"src=",
                                      "href=\"http",
                                      "href='http",
                                      "href=\"//",
                                      "url(h",
                                      "url(/",
                                      "url('",
                                      "url(\"",
                                      "@import",
                                      "fetch(",
                                      "XMLHttpRequest",
                                      "<link",
                                      "<iframe",
                                      "<img",
                                      "import("};
static const char *const leaks[] = {"Bearer ey", "bearer ey", "whsec_", "eyJ"};

Test(page, a_story_renders_to_one_small_file_that_loads_nothing_and_leaks_nothing)
{
    for (size_t i = 0; i < BV_COUNT(fixtures); i++) {
        struct bv_error error = {0};
        cr_assert_eq(report_page(fixtures[i], &html, &error), 0, "%s", error.text);
        cr_expect(html.out.size < 2000000, "%zu bytes", html.out.size);
        for (size_t n = 0; n < BV_COUNT(outside); n++)
            lacks(outside[n]);
        for (size_t n = 0; n < BV_COUNT(leaks); n++)
            lacks(leaks[n]);
        cr_expect(bv_bytes_utf8(bv_buf_view(&html.out)));
        has("http.request");           /* logs are in it */
        lacks("class=\"notes\" aria"); /* and nothing had to be left out */
        html_release(&html);
        setup();
    }
}

Test(page, a_green_run_says_so)
{
    struct bv_error error = {0};
    cr_assert_eq(report_page(fixtures[0], &html, &error), 0, "%s", error.text);
    has("5 scenarios passed</h1>");
    has("<title>order-flow: passed</title>");
    lacks("What went wrong");
}

Test(page, a_red_run_shows_what_was_expected_what_came_and_how_to_run_it_again)
{
    struct bv_error error = {0};
    cr_assert_eq(report_page(fixtures[1], &html, &error), 0, "%s", error.text);
    has("1 of 5 scenarios failed, 1 broken</h1>");
    has("<dt>Expected</dt><dd><pre>in order within 5s:");
    has("<dt>Actual</dt><dd><pre>2 messages:");
    has("data-copy=\"make scenario STORY=order-flow ARGS=&#39;--tags @step-2&#39;\"");
    has("<a class=\"title\" href=\"#s2-13\">");
    has("id=\"s2-13\" data-v=\"failed\"");
    has("Skipped: an earlier step of the scenario failed");
}

#define EVIL "\\\"'><script>alert(1)</script><img src=x onerror=alert(1)>&{}</script><!--"

Test(page, no_value_of_any_record_becomes_markup)
{
    render("{\"record\":\"run\",\"run\":\"" EVIL "\",\"startedAt\":\"" EVIL "\",\"story\":\"" EVIL
           "\",\"reproduce\":\"" EVIL "\",\"commit\":\"" EVIL "\"}\n"
           "{\"record\":\"environment\",\"stack\":{\"name\":\"" EVIL
           "\",\"bootMs\":1,\"isolation\":\"" EVIL "\"},\"parts\":[{\"name\":\"" EVIL
           "\",\"kind\":\"" EVIL "\",\"url\":\"" EVIL "\",\"version\":\"" EVIL
           "\",\"readyMs\":2}],\"host\":{\"os\":\"" EVIL "\",\"kernel\":\"" EVIL "\",\"cpus\":2}}\n"
           "{\"record\":\"" EVIL "\"}\n{" EVIL "\n"
           "{\"record\":\"feature\",\"id\":\"f1\",\"file\":\"" EVIL "\",\"name\":\"" EVIL "\"}\n"
           "{\"record\":\"scenario\",\"id\":\"" EVIL "\",\"feature\":\"f1\",\"name\":\"" EVIL
           "\",\"description\":\"" EVIL "\",\"tags\":[\"" EVIL "\"]}\n"
           "{\"record\":\"actor\",\"scenario\":\"" EVIL "\",\"name\":\"" EVIL
           "\",\"protocol\":\"" EVIL "\"}\n"
           "{\"record\":\"message\",\"scenario\":\"" EVIL "\",\"id\":1,\"actor\":\"" EVIL
           "\",\"direction\":\"sent\",\"summary\":\"" EVIL "\",\"key\":\"" EVIL
           "\",\"fields\":[{\"name\":\"" EVIL "\",\"value\":\"" EVIL "\"}],\"json\":{\"" EVIL
           "\":\"" EVIL "\"},\"traceId\":\"" EVIL "\",\"violation\":\"" EVIL "\"}\n"
           "{\"record\":\"step\",\"scenario\":\"" EVIL "\",\"keyword\":\"" EVIL
           "\",\"text\":\"a " EVIL " b\",\"docString\":\"" EVIL "\",\"table\":[[\"" EVIL
           "\"]],\"verdict\":\"failed\",\"expected\":\"" EVIL "\",\"actual\":\"" EVIL
           "\",\"error\":\"" EVIL "\",\"reason\":\"" EVIL "\",\"file\":\"" EVIL "\"}\n"
           "{\"record\":\"scenario-end\",\"scenario\":\"" EVIL
           "\",\"verdict\":\"failed\",\"error\":\"" EVIL "\",\"reproduce\":\"" EVIL "\"}\n"
           "{\"record\":\"log\",\"part\":\"" EVIL "\",\"path\":\"" EVIL "\"}\n"
           "{\"record\":\"end\",\"verdict\":\"" EVIL "\",\"error\":\"" EVIL "\"}\n");
    cr_expect_eq(
        count("<script"), 4, "%zu scripts", count("<script")); /* theme, data, latency, report */
    cr_expect_eq(count("</script"), 4);
    lacks("<img");
    lacks("<!--");
    has("&lt;script&gt;alert(1)&lt;/script&gt;");
    has("\\u003cscript>alert(1)\\u003c/script>");
}

Test(page, what_could_not_be_read_is_told)
{
    render("{\"record\":\"run\",\"story\":\"x\"}\nnonsense\n{\"record\":\"metric\"}\n{\"record\":"
           "\"step\",\"scenario\":\"s7\"}\n");
    has("1 line of results.jsonl could not be read and is left out (line 2:");
    has("<code>metric</code> (1)");
    has("1 record of scenarios that never began left out.");
    has("The results have no end");
    has("The run did not finish: 0 of 0 scenarios passed");
}

Test(page, nothing_at_all_is_still_a_page)
{
    render("");
    has("</html>");
    has("The run did not finish");
}

Test(page, a_body_that_does_not_fit_is_cut_and_the_page_says_so)
{
    bv_auto(bv_buf_release) struct bv_buf records = {.max = 32 << 20};
    bv_buf_text(&records, "{\"record\":\"scenario\",\"id\":\"s1\"}\n");
    for (int i = 1; i <= 80; i++)
        bv_buf_format(&records,
                      "{\"record\":\"message\",\"scenario\":\"s1\",\"id\":%d,\"actor\":\"a\","
                      "\"direction\":\"sent\",\"text\":\"%0250000d\"}\n",
                      i,
                      i);
    bv_buf_char(&records, '\0');
    render(records.data);
    has("Bodies over 66 kB are cut in this page");
    cr_expect(html.out.size < 2000000, "%zu bytes", html.out.size);
}

Test(page, secrets_that_slipped_into_the_results_are_taken_out_and_counted)
{
    render("{\"record\":\"run\",\"story\":\"x\",\"reproduce\":\"curl -H 'authorization: Bearer "
           "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.c2ln' postgresql://a:b@c\"}\n");
    lacks("eyJ");
    lacks("a:b@c");
    has("authorization: Bearer [redacted]");
    has(" redacted by the report");
}

Test(page, only_its_own_style_and_scripts_may_run)
{
    render("{\"record\":\"end\",\"verdict\":\"passed\"}\n");
    char source[64];
    report_csp_source("ab39cb72c44ec7818008fd9d9b4502282cc21be1e267582eaba6590e86ff4e78", source);
    cr_expect_str_eq(
        source,
        "sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng="); /* alert('Hello, world.');, the
                                                                   example of CSP Level 3, 8.3 */
    has("default-src 'none'; img-src data:; base-uri 'none'");
    cr_expect_eq(count("sha256-"), 4);
    lacks("unsafe-inline");
    lacks(" style=\"");
    lacks(" onclick=");
}

Test(page, a_missing_run_is_an_error_with_its_path)
{
    struct bv_error error = {0};
    cr_expect_eq(report_page(BV_TESTDATA "/absent", &html, &error), BV_E_NOT_FOUND);
    cr_expect(strstr(error.text, "absent/results.jsonl"), "%s", error.text);
}
