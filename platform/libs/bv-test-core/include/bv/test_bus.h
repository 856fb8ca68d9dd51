/* A bus in memory that keeps bv_bus's contract and, by seed, strains it: publishes that fail,
 * acknowledgements that get lost, duplicates, delays, records of different keys that overtake each
 * other, rebalances that redeliver. Invariant: what never happens is what the contract excludes: an
 * acknowledged publish that is lost, or a reorder within a key. Same seed and same calls: same
 * faults. Thread: loop. */
#ifndef BV_TEST_BUS_H
#define BV_TEST_BUS_H

#include "bv/bus.h"

/* All-zero: a polite bus with one partition per topic. Chances in 1/1000, for each publish. */
struct bv_test_bus_config {
    uint64_t seed;
    int32_t partitions;           /* of every topic; 0: 1 */
    uint32_t drop_per_mille;      /* not in the log; the publisher is told BV_E_UNAVAILABLE */
    uint32_t lost_ack_per_mille;  /* in the log; the publisher is told BV_E_TIMEOUT */
    uint32_t duplicate_per_mille; /* twice in the log, in a row */
    uint32_t reorder_per_mille; /* behind the next record of the partition, unless that has the same
                                   key */
    uint32_t rebalance_per_mille; /* afterwards every group rebalances: what is out goes stale and
                                     comes again */
    int64_t delay_ms_max;         /* received up to so much later, in order */
    size_t record_bytes_max;      /* larger ones end with BV_E_TOO_LARGE; 0: none is too large */
};
/* Errors: BV_E_NOMEM. Topics come into being when they are named. config is copied; loop is
 * borrowed. */
BV_MUST_CHECK int bv_test_bus_open(struct bv_loop *loop,
                                   const struct bv_test_bus_config *config,
                                   struct bv_bus **ret_bus);
/* Misbehaviour from now on; partitions stay. */
void bv_test_bus_faults(struct bv_bus *bus, const struct bv_test_bus_config *config);
/* While rc is negative every publish ends with it and ready is false; 0: works again. */
void bv_test_bus_outage(struct bv_bus *bus, int rc);
/* Everything that is out goes stale; what was not acknowledged in a row is received again. */
void bv_test_bus_rebalance(struct bv_bus *bus);

/* What is in the log of a topic, over its partitions in order of arrival. Lives as long as the bus.
 */
size_t bv_test_bus_count(const struct bv_bus *bus, const char *topic);
const struct bv_record *
bv_test_bus_record(const struct bv_bus *bus, const char *topic, size_t index);
/* Records of topic that the group has not committed yet. */
size_t bv_test_bus_lag(const struct bv_bus *bus, const char *group, const char *topic);

#endif
