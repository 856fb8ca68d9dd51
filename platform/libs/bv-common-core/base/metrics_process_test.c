#include "bv/metrics.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double printed(struct bv_metrics *metrics, const char *name)
{
    struct bv_buf buf = {.max = 1 << 16};
    cr_assert_eq(bv_metrics_print(metrics, &buf), 0);
    bv_buf_char(&buf, '\0');
    const char *at = buf.data;
    size_t size = strlen(name);
    while (at && (strncmp(at, name, size) != 0 || at[size] != ' ')) {
        at = strchr(at, '\n');
        at = at ? at + 1 : NULL;
    }
    cr_assert_not_null(at, "%s", name);
    double value = strtod(at + size, NULL);
    bv_buf_release(&buf);
    return value;
}

Test(metrics_process, values_are_those_of_this_process)
{
    struct bv_metrics *metrics;
    cr_assert_eq(bv_metrics_open(4, &metrics), 0);
    cr_assert_eq(bv_metrics_process(metrics), 0);
    cr_assert_gt(printed(metrics, "process_resident_memory_bytes"), 100000);
    cr_assert_gt(printed(metrics, "process_cpu_seconds_total"), 0);
    double age = (double)time(NULL) - printed(metrics, "process_start_time_seconds");
    cr_assert(age > -2 && age < 100, "%f", age);
    double open_before = printed(metrics, "process_open_fds");
    int fd = open("/dev/null", O_RDONLY);
    cr_assert_eq(printed(metrics, "process_open_fds"), open_before + 1);
    close(fd);
    cr_assert_eq(printed(metrics, "process_open_fds"), open_before);
    bv_metrics_close(&metrics);
}
