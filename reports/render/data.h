/* The part of the report that its script shows on demand: messages, spans and log lines, as one
 * JSON document. Invariant: every string passes html_scrub. Bodies share their room:
 * when they are more, each is cut to the largest of a few sizes that fits; those that a red step
 * names keep at least REPORT_BODY_RED_BYTES. Thread: one owner at a time. */
#ifndef BV_DATA_H
#define BV_DATA_H

#include "cause.h"
#include "html.h"
#include "logs.h"
#include "records.h"

#define REPORT_BODY_BYTES_MAX ((size_t)8 << 20)
#define REPORT_BODY_BYTES_SHORT ((size_t)1100 << 10) /* where packing does not help */
#define REPORT_BODY_RED_BYTES ((size_t)16 << 10)
#define REPORT_VALUE_BYTES_MAX ((size_t)4 << 10) /* of a header, key or summary */
#define REPORT_DATA_BYTES_MAX ((size_t)512 << 20)

struct report_data {
    const struct report *report;
    const struct report_logs *logs;
    const struct cause *causes; /* one per scenario; NULL: none are known */
    const struct bv_bytes
        *folded;       /* markup of a scenario that is not in the page, empty: it is; NULL */
    size_t bodies_max; /* that all bodies share, in bytes */
};

/* Appends the document to html as the content of a script element.
 * Format:    {"parts":[name…], "lines":[[us,part,level,text]…],"scenarios":[
 *            {"us","end","trace","actors":[[name,protocol]…],"steps":[[us,durationUs,verdict,line,
 *            [id…],[id…],text,what was wrong]…],"messages":[{…}…],"spans":[…],"cause":{…},"html"}
 *            ,…
 *            ],"traces":[hex…],"red":[[scenario,step]…],"overview":[[us,end,verdict]…]}
 *            with a line for each scenario, so that the script parses one when it is needed.
 *            Members of messages, spans and causes are listed at the top of data.c. Verdicts are
 *            their number in REPORT_VERDICT_LIST, directions 0 sent, 1 received, 2 note.
 * Ownership: everything is borrowed for the call; memory is taken from report->arena.
 * Outcomes:  none. *ret_cap is the size that bodies were cut to, SIZE_MAX when none was.
 * Errors:    BV_E_TOO_LARGE, BV_E_LIMIT.
 * Thread:    owner. */
BV_MUST_CHECK int
report_data_write(struct html *html, const struct report_data *input, size_t *ret_cap);

#endif
