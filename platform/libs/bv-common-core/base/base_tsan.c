/* What threads share in bv-base (log, metrics, randomness) under the thread sanitizer; exits 0
 * when all counts are right. */
#include "bv/log.h"
#include "bv/metrics.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

enum { THREADS = 4, ROUNDS = 2000 };

static const struct bv_metric counter = {"c_total", BV_COUNTER, "C.", "k", NULL, 0};
static const struct bv_metric histogram = {"h", BV_HISTOGRAM, "H.", "", NULL, 0};

struct shared {
    struct bv_log *log;
    struct bv_metrics *metrics;
};

static void *work(void *argument)
{
    static const struct bv_env env = {&bv_clock_system, &bv_random_system, NULL};
    struct shared *shared = argument;
    for (int i = 0; i < ROUNDS; i++) {
        const char *const label = i % 2 == 0 ? "even" : "odd";
        bv_count(bv_metrics_series(shared->metrics, &counter, &label, 1), 1);
        bv_observe(bv_metrics_series(shared->metrics, &histogram, NULL, 0), 0.25);
        bv_log_level_set(shared->log, i % 2 == 0 ? BV_INFO : BV_DEBUG);
        bv_log(shared->log, BV_INFO, "tick", NULL, BV_F_INT("n", bv_random_below(&env, 10)));
        if (i % 500 == 0) {
            struct bv_buf buf = {.max = 1 << 16};
            (void)bv_metrics_print(shared->metrics, &buf);
            bv_buf_release(&buf);
            bv_log_flush(shared->log);
        }
    }
    return NULL;
}

int main(void)
{
    struct shared shared = {NULL, NULL};
    pthread_t threads[THREADS];
    const struct bv_log_config config = {
        "tsan", NULL, open("/dev/null", O_WRONLY | O_CLOEXEC), BV_INFO, 4096};
    if (bv_log_open(&config, &bv_clock_system, &shared.log) < 0 ||
        bv_metrics_open(8, &shared.metrics) < 0)
        return 2;
    for (size_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, work, &shared) != 0)
            return 2;
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    double observed = bv_series_value(bv_metrics_series(shared.metrics, &histogram, NULL, 0));
    bv_log_close(&shared.log);
    bv_metrics_close(&shared.metrics);
    close(config.fd);
    if (observed != THREADS * ROUNDS) {
        fprintf(stderr, "%.0f of %d observations\n", observed, THREADS * ROUNDS);
        return 1;
    }
    return 0;
}
