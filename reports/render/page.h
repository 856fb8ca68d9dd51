/* The report of one run: results.jsonl and the logs folder in, one HTML page out that needs nothing
 * else. Invariants: the page loads nothing (its Content-Security-Policy allows only its own style
 * and scripts, by hash); what a record holds reaches it through html.h only. Thread: one owner at a
 * time. */
#ifndef BV_PAGE_H
#define BV_PAGE_H

#include "html.h"

#define REPORT_PAGE_BYTES_MAX ((size_t)768 << 20)

/* Renders the run in folder into html->out.
 * Effect:    reads folder/results.jsonl and the logs that it names.
 * Ranges:    results.jsonl up to REPORT_FILE_BYTES_MAX; a broken line, an unknown record, a missing
 * end are notes on the page. Ownership: the caller releases html; folder is borrowed for the call.
 * Outcomes:  none.
 * Errors:    BV_E_NOT_FOUND, BV_E_IO, BV_E_TOO_LARGE, BV_E_NOMEM, BV_E_LIMIT, with detail.
 * Thread:    owner; blocks. */
BV_MUST_CHECK int report_page(const char *folder, struct html *html, struct bv_error *error);
/* The same from the content of results.jsonl; folder may be NULL: no logs. */
BV_MUST_CHECK int report_page_of(struct bv_bytes results,
                                 const char *folder,
                                 struct html *html,
                                 struct bv_error *error);

/* The SHA-256 of a style or script, in hexadecimal, as a Content-Security-Policy source:
 * "sha256-…". */
void report_csp_source(const char sha256[65], char ret_source[64]);

#endif
