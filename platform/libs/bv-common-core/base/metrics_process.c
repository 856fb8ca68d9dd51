/* The process metrics of the Prometheus client guidelines, from /proc. */
#include "bv/metrics.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Reads the head of a file as text; "" when it cannot be read. */
static void read_head(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);
    text[got < 0 ? 0 : got] = '\0';
    if (fd >= 0)
        close(fd);
}

static double cpu_seconds(void *argument)
{
    (void)argument;
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static double resident_bytes(void *argument)
{
    (void)argument;
    char text[128];
    read_head("/proc/self/statm", text, sizeof(text));
    const char *second = strchr(text, ' ');
    return second ? strtod(second, NULL) * (double)sysconf(_SC_PAGESIZE) : 0;
}

static double open_fds(void *argument)
{
    (void)argument;
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return 0;
    double count = -1; /* the directory itself is open now */
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        count += entry->d_name[0] != '.' ? 1 : 0;
    closedir(dir);
    return count;
}

/* Seconds since 1970: now minus the age, which is uptime minus the start since boot (field 22 of
 * stat, in ticks). */
static double start_time_seconds(void)
{
    char text[1024];
    read_head("/proc/self/stat", text, sizeof(text));
    const char *at = strrchr(text, ')'); /* the command name may hold anything */
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    double started = at ? strtod(at, NULL) / (double)sysconf(_SC_CLK_TCK) : 0;
    struct timespec now;
    struct timespec uptime;
    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_BOOTTIME, &uptime);
    return (double)(now.tv_sec - uptime.tv_sec) + (double)(now.tv_nsec - uptime.tv_nsec) / 1e9 +
           started;
}

static const struct bv_metric start_row = {
    "process_start_time_seconds", BV_GAUGE, "Start time since the epoch in seconds.", "", NULL, 0};

static const struct bv_metric rows[] = {
    {"process_cpu_seconds_total",     BV_COUNTER, "CPU time spent in seconds.", "", NULL, 0},
    {"process_resident_memory_bytes", BV_GAUGE,   "Resident memory in bytes.",  "", NULL, 0},
    {"process_open_fds",              BV_GAUGE,   "Open file descriptors.",     "", NULL, 0},
};
static double (*const readers[])(void *argument) = {cpu_seconds, resident_bytes, open_fds};
static_assert(BV_COUNT(rows) == BV_COUNT(readers), "one reader per row");

int bv_metrics_process(struct bv_metrics *metrics)
{
    for (size_t i = 0; i < BV_COUNT(rows); i++)
        BV_TRY(bv_metrics_callback(metrics, &rows[i], readers[i], NULL));
    bv_gauge_set(bv_metrics_series(metrics, &start_row, NULL, 0), start_time_seconds());
    return 0;
}
