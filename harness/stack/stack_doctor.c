#include "stack_doctor.h"

#include "stack_supervisor.h"
#include "stack_template.h"
#include "stack_servers.h"

#include "bv/probe.h"
#include "bv/process.h"
#include "bv/terminal.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { JARS_MIN = 40, FILES_WANTED = 4096, PROCESSES_WANTED = 512, JAVA_MIN = 17 };

static enum bv_finding
found(struct bv_diagnosis *d, enum bv_finding finding, const char *format, ...) BV_PRINTF(3, 4);
static enum bv_finding
found(struct bv_diagnosis *d, enum bv_finding finding, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(d->text, sizeof d->text, format, list);
    va_end(list);
    d->finding = finding;
    return finding;
}

/* First line of what program prints, "" when it does not run. */
static void first_line(const char *command, char *out, size_t size)
{
    out[0] = '\0';
    FILE *pipe = popen(command, "re");
    if (!pipe)
        return;
    if (!fgets(out, (int)size, pipe))
        out[0] = '\0';
    pclose(pipe);
    out[strcspn(out, "\n")] = '\0';
}

static void check_postgres(struct bv_diagnosis *d)
{
    char folder[BV_PATH_MAX], command[BV_PATH_MAX + 32], line[120];
    if (!stack_find_postgres(folder)) {
        found(d, BV_FINDING_MISSING, "no initdb in /usr/lib/postgresql or PATH");
        return;
    }
    snprintf(command, sizeof command, "%s/postgres --version", folder);
    first_line(command, line, sizeof line);
    found(d, line[0] ? BV_FINDING_OK : BV_FINDING_MISSING, "%s, %s", line, folder);
}

static void check_redis(struct bv_diagnosis *d)
{
    char path[BV_PATH_MAX];
    if (bv_program_find("redis-server", path, sizeof path))
        found(d, BV_FINDING_OK, "%s", path);
    else
        found(d, BV_FINDING_MISSING, "no redis-server in PATH");
}

static void check_java(struct bv_diagnosis *d)
{
    char path[BV_PATH_MAX], command[BV_PATH_MAX + 32], line[120];
    if (!stack_find_java(path)) {
        found(d, BV_FINDING_MISSING, "no java in JAVA_HOME or PATH");
        return;
    }
    snprintf(command, sizeof command, "%s -version 2>&1", path);
    first_line(command, line, sizeof line);
    const char *quote = strchr(line, '"');
    long version = quote ? strtol(quote + 1, NULL, 10) : 0;
    found(d, version >= JAVA_MIN ? BV_FINDING_OK : BV_FINDING_MISSING, "%s (%s)", line, path);
}

static void check_jars(struct bv_diagnosis *d)
{
    char cache[BV_PATH_MAX], folder[BV_PATH_MAX];
    struct bv_buf path = {.max = 65536};
    size_t count = 0;
    if (stack_cache_folder(cache, NULL) == 0 &&
        bv_path(folder, NULL, "%s/deps/" STACK_KAFKA_DEPS "/lib", cache) == 0 &&
        stack_class_path(folder, &path, NULL) == 0) {
        count = 1;
        for (size_t i = 0; i < path.size; i++)
            count += path.data[i] == ':';
    }
    bv_buf_release(&path);
    found(d,
          count >= JARS_MIN ? BV_FINDING_OK : BV_FINDING_MISSING,
          "%zu jars in %s",
          count,
          count ? folder : "the cache");
}

static void check_user(struct bv_diagnosis *d)
{
    uid_t uid;
    gid_t gid;
    struct bv_error error = {0};
    if (stack_server_user(&uid, &gid, &error) < 0)
        found(d, BV_FINDING_MISSING, "%s", error.text);
    else
        found(d, BV_FINDING_OK, "servers run as uid %u", uid);
}

static void check_cache(struct bv_diagnosis *d)
{
    char cache[BV_PATH_MAX], place[BV_PATH_MAX], used[BV_HUMAN_SIZE];
    uid_t uid;
    gid_t gid;
    struct bv_error error = {0};
    if (stack_cache_folder(cache, &error) < 0 || stack_server_user(&uid, &gid, &error) < 0 ||
        stack_place(cache, uid, gid, place, &error) < 0) {
        found(d, BV_FINDING_MISSING, "%s", error.text);
        return;
    }
    char templates[BV_PATH_MAX + 16];
    snprintf(templates, sizeof templates, "%s/templates", place);
    int64_t bytes = bv_fs_used_bytes(templates);
    found(d,
          BV_FINDING_OK,
          "%s, templates %s%s",
          place,
          bv_human_bytes(bytes, used),
          bytes ? "" : " (built at the first up, about 10 s)");
}

static void check_run_folder(struct bv_diagnosis *d)
{
    char root[BV_PATH_MAX];
    struct bv_error error = {0};
    if (stack_run_root(root, &error) < 0)
        found(d, BV_FINDING_MISSING, "%s", error.text);
    else
        found(d, BV_FINDING_OK, "%s", root);
}

static void check_leftovers(struct bv_diagnosis *d)
{
    char **names = NULL;
    size_t count = 0;
    if (bv_stack_dead(&names, &count, NULL) < 0 || !count)
        found(d, BV_FINDING_OK, "none");
    else
        found(d,
              BV_FINDING_NOTE,
              "%zu folder%s of dead stacks, such as of '%s'",
              count,
              count == 1 ? "" : "s",
              names[0]);
    free(names);
}

static void check_programs(struct bv_diagnosis *d)
{
    char folder[BV_PATH_MAX], missing[160] = "";
    if (bv_stack_bin_dir(folder, sizeof folder, NULL) < 0) {
        found(d, BV_FINDING_MISSING, "cannot tell where bv lies: /proc is not mounted");
        return;
    }
    for (size_t i = 0; i <= stack_row_count; i++) {
        const char *name = i < stack_row_count ? stack_rows[i].name : "infra-service";
        char path[BV_PATH_MAX];
        if ((i < stack_row_count && stack_rows[i].kind != BV_STACK_SERVICE) ||
            (bv_path(path, NULL, "%s/%s", folder, name) == 0 && access(path, X_OK) == 0))
            continue;
        size_t used = strlen(missing);
        snprintf(missing + used, sizeof missing - used, " %s", name);
    }
    found(d,
          missing[0] ? BV_FINDING_NOTE : BV_FINDING_OK,
          missing[0] ? "not in %s:%s" : "%s%s",
          folder,
          missing);
}

static void check_migrations(struct bv_diagnosis *d)
{
    char folder[BV_PATH_MAX];
    if (bv_stack_migrations(folder, sizeof folder, NULL) < 0)
        found(d, BV_FINDING_NOTE, "platform/deploy/migrations not found from here");
    else
        found(d, BV_FINDING_OK, "%s", folder);
}

static void check_namespaces(struct bv_diagnosis *d)
{
    if (stack_can_isolate())
        found(
            d, BV_FINDING_OK, "PID namespace%s", geteuid() == 0 ? "" : " inside a user namespace");
    else
        found(d, BV_FINDING_NOTE, "refused: stacks are held by a subreaper instead");
}

static void check_proc(struct bv_diagnosis *d)
{
    bool there = access("/proc/self/stat", R_OK) == 0;
    found(d, there ? BV_FINDING_OK : BV_FINDING_MISSING, there ? "mounted" : "not mounted");
}

static void check_limits(struct bv_diagnosis *d)
{
    struct rlimit files, processes;
    getrlimit(RLIMIT_NOFILE, &files);
    getrlimit(RLIMIT_NPROC, &processes);
    bool ok = files.rlim_max >= FILES_WANTED && processes.rlim_cur >= PROCESSES_WANTED;
    found(d,
          ok ? BV_FINDING_OK : BV_FINDING_NOTE,
          "descriptors %llu (hard %llu), processes %lld",
          (unsigned long long)files.rlim_cur,
          (unsigned long long)files.rlim_max,
          processes.rlim_cur == RLIM_INFINITY ? -1LL : (long long)processes.rlim_cur);
}

static void check_ports(struct bv_diagnosis *d)
{
    uint16_t port;
    unsigned first = 0;
    FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    if (file && fscanf(file, "%u", &first) != 1)
        first = 0;
    if (file)
        fclose(file);
    if (bv_port_pick(NULL, 0, &port, NULL) < 0)
        found(d,
              BV_FINDING_MISSING,
              "no free port on 127.0.0.1 between %d and %d",
              BV_PORT_MIN,
              BV_PORT_BELOW);
    else if (first && first < BV_PORT_BELOW)
        found(d,
              BV_FINDING_NOTE,
              "the kernel gives ports from %u on to clients, inside the range of servers",
              first);
    else
        found(d,
              BV_FINDING_OK,
              "%d to %d on 127.0.0.1, clients from %u on",
              BV_PORT_MIN,
              BV_PORT_BELOW - 1,
              first);
}

static void check_fixed_ports(struct bv_diagnosis *d)
{
    char taken[120] = "";
    for (size_t i = 0; i < stack_row_count; i++)
        for (size_t s = 0; s < STACK_PORTS; s++)
            if (stack_rows[i].fixed[s] && !bv_port_free(stack_rows[i].fixed[s])) {
                size_t used = strlen(taken);
                snprintf(taken + used,
                         sizeof taken - used,
                         " %u (%s)",
                         stack_rows[i].fixed[s],
                         stack_rows[i].name);
            }
    found(
        d, taken[0] ? BV_FINDING_NOTE : BV_FINDING_OK, taken[0] ? "taken:%s" : "all free%s", taken);
}

static void check_room(struct bv_diagnosis *d)
{
    char root[BV_PATH_MAX], text[BV_HUMAN_SIZE];
    struct bv_stack_needs needs = {0};
    if (stack_run_root(root, NULL) < 0 || bv_stack_resolve(NULL, 0, &needs, NULL) < 0)
        return;
    int64_t bytes = bv_fs_free_bytes(root);
    bool ok = bytes > (int64_t)needs.disk_mb * 3000000; /* the data grows while it is used */
    found(d,
          ok ? BV_FINDING_OK : BV_FINDING_MISSING,
          "%s free below %s, a full stack begins with %d MB",
          bv_human_bytes(bytes, text),
          root,
          needs.disk_mb);
}

static void check_memory(struct bv_diagnosis *d)
{
    char line[128], text[BV_HUMAN_SIZE];
    long long kib = -1;
    struct bv_stack_needs needs = {0};
    FILE *file = fopen("/proc/meminfo", "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %lld kB", &kib) == 1)
            break;
    if (file)
        fclose(file);
    bool ok = bv_stack_resolve(NULL, 0, &needs, NULL) == 0 &&
              kib * 1024 > (int64_t)needs.memory_mb * 1000000;
    found(d,
          ok ? BV_FINDING_OK : BV_FINDING_NOTE,
          "%s available, a full stack takes about %d MB",
          bv_human_bytes(kib * 1024, text),
          needs.memory_mb);
}

static const struct {
    const char *what;
    void (*check)(struct bv_diagnosis *d);
    const char *fix;
} checks[] = {
    {"PostgreSQL",  check_postgres,   "make deps (apt install postgresql-15)"                                               },
    {"Redis",       check_redis,      "make deps (apt install redis-server)"                                                },
    {"Java 17",     check_java,       "make deps (apt install openjdk-17-jre-headless)"                                     },
    {"Kafka",       check_jars,       "make deps"                                                                           },
    {"server user", check_user,       "run as an ordinary user, or create the user nobody"                                  },
    {"cache",       check_cache,      "set BV_CACHE to a folder you may write"                                              },
    {"run folder",  check_run_folder, "set BV_RUN to a folder of yours with a short path"                                   },
    {"leftovers",   check_leftovers,  "bv down --all removes them (and stops what runs)"                                    },
    {"programs",    check_programs,   "make build"                                                                          },
    {"migrations",  check_migrations, "set BV_ROOT to the checkout"                                                         },
    {"namespaces",
     check_namespaces,                "sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000; not needed"},
    {"/proc",       check_proc,       "mount -t proc proc /proc"                                                            },
    {"limits",      check_limits,     "ulimit -n 4096 -u 4096 (or limits.conf)"                                             },
    {"ports",       check_ports,      "sysctl net.ipv4.ip_local_port_range='32768 60999'"                                   },
    {"fixed ports",
     check_fixed_ports,               "needed for --fixed-ports only: ss -ltnp shows who has them"                          },
    {"disk",        check_room,       "free some space, or set BV_RUN to another file system"                               },
    {"memory",      check_memory,     "stop something, or start fewer parts: bv up postgres redis"                          },
};

size_t bv_doctor_count(void)
{
    return BV_COUNT(checks);
}

struct bv_diagnosis bv_doctor_check(size_t index)
{
    struct bv_diagnosis diagnosis = {.what = checks[index].what};
    checks[index].check(&diagnosis);
    diagnosis.fix = diagnosis.finding == BV_FINDING_OK ? "" : checks[index].fix;
    return diagnosis;
}
