/* The part of the report that its script shows on demand: messages, spans and log lines, as one
 * JSON document. Invariant: every string passes html_scrub. Bodies share REPORT_BODY_BYTES_MAX:
 * when they are more, each is cut to the largest of a few sizes that fits; those that a red step
 * names keep at least REPORT_BODY_RED_BYTES. Thread: one owner at a time. */
#ifndef BV_DATA_H
#define BV_DATA_H

#include "cause.h"
#include "html.h"
#include "logs.h"
#include "records.h"

#define REPORT_BODY_BYTES_MAX ((size_t)1100 << 10)
#define REPORT_BODY_RED_BYTES ((size_t)16 << 10)
#define REPORT_VALUE_BYTES_MAX ((size_t)4 << 10) /* of a header, key or summary */
#define REPORT_DATA_BYTES_MAX ((size_t)512 << 20)

/* Appends the document to html as the content of a script element.
 * Format:    {"traces":[hex…], "parts":[name…], "lines":[[us,part,level,text]…],
 *            "scenarios":[{"us","end","trace","actors":[[name,protocol]…],"steps":[[us,durationUs,verdict,line,[id…],[id…]]…],
 *            "messages":[{…}…],"spans":[…],"cause":{…}}…]}; members of messages, spans and causes
 * are listed at the top of data.c. Verdicts are their number in REPORT_VERDICT_LIST, directions 0
 * sent, 1 received, 2 note. Ranges:    causes has one element per scenario, or is NULL: none are
 * known. Ownership: everything is borrowed for the call; memory is taken from report->arena.
 * Outcomes:  none. *ret_cap is the size that bodies were cut to, SIZE_MAX when none was.
 * Errors:    BV_E_TOO_LARGE, BV_E_LIMIT.
 * Thread:    owner. */
BV_MUST_CHECK int report_data_write(struct html *html,
                                    const struct report *report,
                                    const struct report_logs *logs,
                                    const struct cause *causes,
                                    size_t *ret_cap);

#endif
