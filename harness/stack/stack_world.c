#include "stack_world.h"

#include "stack_services.h"

#include "bv/config.h"
#include "bv/env.h"
#include "bv/log.h"
#include "bv/probe.h"
#include "bv/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COMMAND_BYTES_MAX = 1 << 18, BOOT_MS_DEFAULT = 120000, SWEEP_AGE_S = 86400 };

static const struct bv_env system_env = {.clock = &bv_clock_system, .random = &bv_random_system};

const char *stack_state_name(enum stack_state state)
{
    static const char *const names[] = {"preparing", "waiting", "starting", "ready", "ended"};
    return names[state];
}

/* ---- who, where, which programs ---- */

int stack_server_user(uid_t *ret_uid, gid_t *ret_gid, struct bv_error *error)
{
    *ret_uid = geteuid();
    *ret_gid = getegid();
    if (*ret_uid != 0)
        return 0;
    struct passwd *nobody = getpwnam("nobody");
    if (!nobody)
        return bv_fail(error, BV_E_NOT_FOUND, "no user 'nobody': servers refuse to run as root");
    *ret_uid = nobody->pw_uid;
    *ret_gid = nobody->pw_gid;
    return 0;
}

/* The supervisor works in "/": what is relative means the caller's folder. */
static int absolute_path(const char *path, char out[BV_PATH_MAX], struct bv_error *error)
{
    char here[BV_PATH_MAX];
    if (path[0] == '/')
        return bv_path(out, error, "%s", path);
    if (!getcwd(here, sizeof here))
        return bv_fail(error, BV_E_IO, "the current folder is gone: %s", strerror(errno));
    return bv_path(out, error, "%s/%s", here, path);
}

int stack_cache_folder(char out[BV_PATH_MAX], struct bv_error *error)
{
    const char *own = getenv("BV_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (own && *own)
        return absolute_path(own, out, error);
    if (xdg && *xdg)
        return bv_path(out, error, "%s/bitvelocity", xdg);
    if (home && *home)
        return bv_path(out, error, "%s/.cache/bitvelocity", home);
    return bv_fail(error, BV_E_NOT_FOUND, "no place for the cache: set HOME, or BV_CACHE");
}

/* Root's cache mostly lies below a home that nobody may enter: then the servers read from a
 * stand-in beside it. */
int stack_place(
    const char *cache, uid_t uid, gid_t gid, char out[BV_PATH_MAX], struct bv_error *error)
{
    BV_TRY(bv_fs_mkdirs(cache, 0755, error));
    if (bv_fs_reachable(cache, X_OK, uid, gid))
        return bv_path(out, error, "%s", cache);
    BV_TRY(bv_path(out, error, "/var/tmp/bitvelocity-%u", geteuid()));
    return bv_fs_own_folder(out, 0711, error);
}

int stack_run_root(char out[BV_PATH_MAX], struct bv_error *error)
{
    const char *own = getenv("BV_RUN");
    if (own && *own) {
        BV_TRY(absolute_path(own, out, error));
        mode_t old = umask(022); /* another user's servers walk through it */
        int rc = bv_fs_mkdirs(out, 0711, error);
        umask(old);
        return rc;
    }
    BV_TRY(bv_path(out, error, "/tmp/bitvelocity-%u", geteuid()));
    if (bv_fs_own_folder(out, 0711, NULL) == 0)
        return 0;
    BV_TRY(bv_path(out, error, "/var/tmp/bitvelocity-%u-run", geteuid()));
    return bv_fs_own_folder(out, 0711, error);
}

bool stack_find_postgres(char out[BV_PATH_MAX])
{
    static const char *const folders[] = {
        "/usr/lib/postgresql/15/bin", "/usr/lib/postgresql/16/bin", "/usr/lib/postgresql/17/bin"};
    char program[BV_PATH_MAX];
    for (size_t i = 0; i < BV_COUNT(folders); i++)
        if (bv_path(program, NULL, "%s/initdb", folders[i]) == 0 && access(program, X_OK) == 0)
            return bv_path(out, NULL, "%s", folders[i]) == 0;
    if (!bv_program_find("initdb", program, sizeof program))
        return false;
    char *slash = strrchr(program, '/');
    *slash = '\0';
    return bv_path(out, NULL, "%s", program) == 0;
}

bool stack_find_java(char out[BV_PATH_MAX])
{
    const char *home = getenv("JAVA_HOME");
    if (home && bv_path(out, NULL, "%s/bin/java", home) == 0 && access(out, X_OK) == 0)
        return true;
    return bv_program_find("java", out, BV_PATH_MAX);
}

static int find_programs(struct stack_world *world, struct bv_error *error)
{
    char jars[BV_PATH_MAX];
    BV_TRY(bv_path(jars, error, "%s/deps/" STACK_KAFKA_DEPS "/lib", world->cache));
    if (stack_unit_find(world, "postgres") && !stack_find_postgres(world->postgres_bin))
        return bv_fail(error, BV_E_NOT_FOUND, "PostgreSQL is not installed (make deps)");
    if (stack_unit_find(world, "redis") &&
        !bv_program_find("redis-server", world->redis_server, sizeof world->redis_server))
        return bv_fail(error, BV_E_NOT_FOUND, "redis-server is not installed (make deps)");
    if (!stack_unit_find(world, "kafka"))
        return 0;
    if (!stack_find_java(world->java))
        return bv_fail(error, BV_E_NOT_FOUND, "java is not installed, Kafka needs it (make deps)");
    if (access(jars, R_OK | X_OK) != 0)
        return bv_fail(error, BV_E_NOT_FOUND, "Kafka's jars are not in %s (make deps)", jars);
    return 0;
}

static int find_services(struct stack_world *world, struct bv_error *error)
{
    for (size_t i = 0; i < world->unit_count; i++) {
        const struct stack_unit *unit = &world->units[i];
        const char *program = unit->row->kind == BV_STACK_SERVICE    ? unit->name
                              : unit->row->kind == BV_STACK_DATABASE ? "infra-service"
                                                                     : NULL;
        char path[BV_PATH_MAX];
        if (!program)
            continue;
        BV_TRY(bv_path(path, error, "%s/%s", world->bin_dir, program));
        if (access(path, X_OK) != 0)
            return bv_fail(error, BV_E_NOT_FOUND, "%s is not built (make build)", path);
    }
    return 0;
}

int bv_stack_bin_dir(char *out, size_t size, struct bv_error *error)
{
    ssize_t n = readlink("/proc/self/exe", out, size - 1);
    if (n <= 0)
        return bv_fail(error, BV_E_IO, "/proc is not mounted: say --bin-dir");
    out[n] = '\0';
    char *slash = strrchr(out, '/');
    *slash = '\0';
    return 0;
}

static bool migrations_below(const char *folder, char *out, size_t size)
{
    return snprintf(out, size, "%s/platform/deploy/migrations", folder) < (int)size &&
           access(out, R_OK | X_OK) == 0;
}

int bv_stack_migrations(char *out, size_t size, struct bv_error *error)
{
    const char *root = getenv("BV_ROOT");
    if (root && migrations_below(root, out, size))
        return 0;
    char folder[BV_PATH_MAX];
    if (!getcwd(folder, sizeof folder))
        folder[0] = '\0';
    for (char *slash; !root && folder[0];) {
        if (migrations_below(folder, out, size))
            return 0;
        slash = strrchr(folder, '/');
        *slash = '\0';
    }
    if (migrations_below(BV_SOURCE_DIR, out, size))
        return 0;
    return bv_fail(
        error, BV_E_NOT_FOUND, "platform/deploy/migrations not found: set BV_ROOT to the checkout");
}

/* ---- units ---- */

struct stack_unit *stack_unit_find(struct stack_world *world, const char *name)
{
    for (size_t i = 0; i < world->unit_count; i++)
        if (strcmp(world->units[i].name, name) == 0)
            return &world->units[i];
    return NULL;
}

uint16_t stack_port_of(const struct stack_world *world, const char *name, size_t slot)
{
    for (size_t i = 0; i < world->unit_count; i++)
        if (strcmp(world->units[i].name, name) == 0)
            return world->units[i].ports[slot];
    return 0;
}

const char *stack_secret(const struct stack_world *world, const char *key)
{
    for (size_t i = 0; i < world->secret_count; i++)
        if (strcmp(world->secrets[i].key, key) == 0)
            return world->secrets[i].value;
    return NULL;
}

static struct stack_unit *add_unit(struct stack_world *world, const struct stack_row *row)
{
    struct stack_unit *unit = &world->units[world->unit_count++];
    *unit =
        (struct stack_unit){.row = row, .database = row->database, .task_fd = -1, .ready_ms = -1};
    snprintf(unit->name, sizeof unit->name, "%s", row->name);
    return unit;
}

static int
add_units(struct stack_world *world, const struct bv_stack_spec *spec, struct bv_error *error)
{
    struct bv_stack_needs needs;
    BV_TRY(bv_stack_resolve(spec->wanted, spec->wanted_count, &needs, error));
    for (size_t i = 0; i < needs.count; i++) {
        const struct stack_row *row = stack_row_find(needs.names[i]);
        if (world->unit_count + 2 > BV_STACK_UNITS_MAX)
            return bv_fail(error, BV_E_LIMIT, "more than %d parts", BV_STACK_UNITS_MAX);
        if (row->database) {
            struct stack_unit *job = add_unit(world, &stack_database_row);
            job->database = row->database;
            snprintf(job->name, sizeof job->name, "%s-db", row->name);
        }
        add_unit(world, row);
    }
    return 0;
}

int stack_unit_ports(struct stack_world *world, struct stack_unit *unit, struct bv_error *error)
{
    uint16_t taken[BV_STACK_UNITS_MAX * STACK_PORTS];
    size_t count = 0;
    for (size_t i = 0; i < world->unit_count; i++)
        for (size_t s = 0; s < STACK_PORTS; s++)
            taken[count++] = world->units[i].ports[s];
    for (size_t s = 0; s < STACK_PORTS; s++)
        if (unit->row->fixed[s])
            BV_TRY(bv_port_pick(taken, count, &unit->ports[s], error));
    return 0;
}

static int choose_ports(struct stack_world *world, struct bv_error *error)
{
    for (size_t i = 0; i < world->unit_count; i++) {
        struct stack_unit *unit = &world->units[i];
        if (world->port_mode == BV_STACK_PORTS_RANDOM) {
            BV_TRY(stack_unit_ports(world, unit, error));
            continue;
        }
        for (size_t s = 0; s < STACK_PORTS; s++) {
            unit->ports[s] = unit->row->fixed[s];
            if (unit->ports[s] && !bv_port_free(unit->ports[s]))
                return bv_fail(error,
                               BV_E_EXISTS,
                               "port %u of %s is taken (see: ss -ltnp 'sport = :%u'); free it, or "
                               "leave out --fixed-ports",
                               unit->ports[s],
                               unit->name,
                               unit->ports[s]);
        }
    }
    return 0;
}

static void
add_secrets(struct stack_world *world, const struct stack_variable *variables, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (variables[i].source != STACK_SECRET || stack_secret(world, variables[i].of))
            continue;
        assert(world->secret_count < STACK_SECRETS_MAX);
        struct stack_secret *secret = &world->secrets[world->secret_count++];
        uint8_t bytes[(STACK_SECRET_BYTES - 1) / 2];
        bv_random_system.fill(&bv_random_system, bytes, sizeof bytes);
        secret->key = variables[i].of;
        secret->value[bv_hex_encode(bytes, sizeof bytes, secret->value)] = '\0';
    }
}

/* ---- name and folder ---- */

int stack_name_check(const char *name, struct bv_error *error)
{
    size_t size = strlen(name);
    bool ok = size >= 1 && size <= BV_STACK_NAME_MAX && name[0] != '-';
    for (size_t i = 0; i < size; i++)
        ok = ok && ((name[i] >= 'a' && name[i] <= 'z') || (name[i] >= 'A' && name[i] <= 'Z') ||
                    (name[i] >= '0' && name[i] <= '9') || name[i] == '-');
    return ok ? 0
              : bv_fail(error,
                        BV_E_INVALID,
                        "'%.40s' is no stack name: 1 to %d letters, digits and '-'",
                        name,
                        BV_STACK_NAME_MAX);
}

int stack_lock(const char *run_root, const char *name, int *ret_fd, struct bv_error *error)
{
    char path[BV_PATH_MAX];
    BV_TRY(bv_path(path, error, "%s/%s.lock", run_root, name));
    for (;;) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
            return bv_fail(error, BV_E_IO, "cannot open %s: %s", path, strerror(errno));
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
            close(fd);
            return STACK_LOCKED;
        }
        struct stat mine, named; /* its last holder may have removed the file meanwhile */
        if (fstat(fd, &mine) == 0 && stat(path, &named) == 0 && mine.st_ino == named.st_ino) {
            (void)!ftruncate(fd, 0); /* the pid of its last holder */
            *ret_fd = fd;
            return 0;
        }
        close(fd);
    }
}

void stack_lock_sign(int fd, pid_t supervisor)
{
    char text[16];
    int size = snprintf(text, sizeof text, "%d\n", (int)supervisor);
    (void)!pwrite(fd, text, (size_t)size, 0);
}

pid_t stack_lock_holder(const char *run_root, const char *name)
{
    char path[BV_PATH_MAX], text[16] = "", comm[16] = "";
    struct bv_buf bytes = {.max = sizeof text - 1};
    if (bv_path(path, NULL, "%s/%s.lock", run_root, name) == 0 &&
        bv_fs_read(path, &bytes, NULL) == 0)
        snprintf(text, sizeof text, "%.*s", BV_ARG(bv_buf_view(&bytes)));
    pid_t pid = (pid_t)strtol(text, NULL, 10);
    bv_buf_reset(&bytes);
    if (pid > 1 && bv_path(path, NULL, "/proc/%d/comm", (int)pid) == 0 &&
        bv_fs_read(path, &bytes, NULL) == 0)
        snprintf(comm, sizeof comm, "%.*s", BV_ARG(bv_buf_view(&bytes)));
    bv_buf_release(&bytes);
    return strcmp(comm, STACK_SUPERVISOR_COMM "\n") == 0 ? pid : 0;
}

void stack_control_address(const char *run, struct sockaddr_un *ret_address)
{
    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(ret_address->sun_path,
             sizeof ret_address->sun_path,
             "%.*s/control",
             STACK_RUN_BYTES_MAX,
             run);
}

int stack_folder_check(const char *run, struct bv_error *error)
{
    static const char *const own[] = {
        ".", "..", "log", "env", "describe", "bin", "data", "migrations", "stack.json", "control"};
    DIR *folder = opendir(run);
    if (!folder)
        return errno == ENOENT ? 0 : bv_fail(error, BV_E_IO, "%s: %s", run, strerror(errno));
    bool ours = true;
    for (struct dirent *entry; ours && (entry = readdir(folder));) {
        ours = strncmp(entry->d_name, "stack.json.tmp", 14) == 0; /* see bv_fs_write */
        for (size_t i = 0; !ours && i < BV_COUNT(own); i++)
            ours = strcmp(entry->d_name, own[i]) == 0;
    }
    closedir(folder);
    return ours ? 0
                : bv_fail(error,
                          BV_E_EXISTS,
                          "%s is no folder of a stack and stays as it is: choose another --name or "
                          "BV_RUN",
                          run);
}

static int make_folder(struct stack_world *world, struct bv_error *error)
{
    static const struct {
        const char *name;
        mode_t mode;
        bool servers; /* belongs to the servers' user */
    } folders[] = {
        {"log",      0755, false},
        {"env",      0700, false},
        {"describe", 0755, false},
        {"bin",      0755, false},
        {"data",     0700, true },
        {"data/tmp", 0700, true },
    };
    BV_TRY(stack_folder_check(world->run, error));
    BV_TRY(bv_fs_remove_tree(world->run, error)); /* what a killed supervisor left */
    BV_TRY(bv_fs_own_folder(world->run, 0711, error));
    if (!bv_fs_reachable(world->run, X_OK, world->uid, world->gid)) {
        (void)rmdir(world->run);
        return bv_fail(error,
                       BV_E_FORBIDDEN,
                       "%s cannot be entered by uid %u, who runs the servers: chmod o+x, or set "
                       "BV_RUN",
                       world->run,
                       world->uid);
    }
    for (size_t i = 0; i < BV_COUNT(folders); i++) {
        char path[BV_PATH_MAX];
        BV_TRY(bv_path(path, error, "%s/%s", world->run, folders[i].name));
        BV_TRY(bv_fs_mkdirs(path, folders[i].mode, error));
        if (folders[i].servers && chown(path, world->uid, world->gid) < 0)
            return bv_fail(error, BV_E_IO, "cannot give %s to uid %u", path, world->uid);
    }
    return 0;
}

/* Nameless stacks leave their folder behind when their supervisor is killed (data and all) or their
 * boot fails (logs, kept for a day). */
static void sweep(const char *root)
{
    DIR *folder = opendir(root);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        char run[BV_PATH_MAX], data[BV_PATH_MAX];
        struct stat st;
        int lock = -1;
        if (strncmp(entry->d_name, "run-", 4) != 0 || strchr(entry->d_name, '.') ||
            bv_path(run, NULL, "%s/%s", root, entry->d_name) < 0 ||
            bv_path(data, NULL, "%s/data", run) < 0 || stat(run, &st) < 0 ||
            stack_folder_check(run, NULL) < 0 || stack_lock(root, entry->d_name, &lock, NULL) != 0)
            continue;
        if (access(data, F_OK) == 0 ||
            st.st_mtime + SWEEP_AGE_S < bv_wall_us(&system_env) / 1000000)
            (void)!bv_fs_remove_tree(run, NULL);
        if (bv_path(data, NULL, "%s.lock", run) == 0)
            unlink(data);
        close(lock);
    }
    if (folder)
        closedir(folder);
}

static int
take_name(struct stack_world *world, const struct bv_stack_spec *spec, struct bv_error *error)
{
    char root[BV_PATH_MAX];
    BV_TRY(stack_run_root(root, error));
    sweep(root);
    if (spec->name)
        snprintf(world->name, sizeof world->name, "%.*s", BV_STACK_NAME_MAX, spec->name);
    else if (spec->life == BV_STACK_DETACHED)
        snprintf(world->name, sizeof world->name, "default");
    else
        snprintf(world->name,
                 sizeof world->name,
                 "run-%08x",
                 (unsigned)bv_random_below(&system_env, 0xffffffffu));
    BV_TRY(stack_name_check(spec->name ? spec->name : world->name, error));
    BV_TRY(bv_path(world->run, error, "%s/%s", root, world->name));
    if (strlen(world->run) > STACK_RUN_BYTES_MAX)
        return bv_fail(error,
                       BV_E_LIMIT,
                       "the run folder's path is too long for a socket, %zu bytes instead of %d: "
                       "set BV_RUN to a shorter one",
                       strlen(world->run),
                       STACK_RUN_BYTES_MAX);
    int rc = stack_lock(root, world->name, &world->lock_fd, error);
    if (rc == STACK_LOCKED)
        return bv_fail(
            error,
            BV_E_EXISTS,
            "stack '%s' is running already: `bv down --name %s`, or choose another --name",
            world->name,
            world->name);
    return rc;
}

/* What would otherwise fail a service after seconds of booting, or never be noticed. */
static int check_words(const struct bv_stack_spec *spec, struct bv_error *error)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    enum bv_level level;
    if (spec->log_level && bv_level_parse(bv_bytes_of(spec->log_level), &level) < 0) {
        const char *near = bv_nearest(spec->log_level, levels, BV_COUNT(levels));
        return bv_fail(error,
                       BV_E_INVALID,
                       "'%.40s' is no log level (debug, info, warn, error)%s%s%s",
                       spec->log_level,
                       near ? ": did you mean '" : "",
                       near ? near : "",
                       near ? "'?" : "");
    }
    if (spec->otlp_url && !bv_bytes_starts(bv_bytes_of(spec->otlp_url), BV_BYTES("http://")) &&
        !bv_bytes_starts(bv_bytes_of(spec->otlp_url), BV_BYTES("https://")))
        return bv_fail(error,
                       BV_E_INVALID,
                       "'%.80s' is no URL of a trace collector: http://HOST:PORT",
                       spec->otlp_url);
    return 0;
}

static int check_settings(struct stack_world *world, const char *settings, struct bv_error *error)
{
    struct bv_bytes rest = bv_bytes_of(settings);
    struct stack_setting setting;
    if (rest.size >= sizeof world->settings)
        return bv_fail(
            error, BV_E_LIMIT, "settings longer than %d bytes", STACK_SETTINGS_BYTES - 1);
    snprintf(world->settings, sizeof world->settings, "%s", settings ? settings : "");
    for (;;) {
        int rc = stack_setting_next(&rest, &setting, error);
        if (rc != 0)
            return rc == STACK_SETTINGS_END ? 0 : rc;
    }
}

static int fill(struct stack_world *world, const struct bv_stack_spec *spec, struct bv_error *error)
{
    world->life = spec->life;
    world->durability = spec->durability;
    world->port_mode = spec->ports;
    world->restart = spec->restart;
    world->began_ms = bv_now_ms();
    world->boot_ms_max = spec->boot_ms_max ? spec->boot_ms_max : BOOT_MS_DEFAULT;
    snprintf(world->log_level,
             sizeof world->log_level,
             "%s",
             spec->log_level ? spec->log_level : "info");
    snprintf(world->otlp_url, sizeof world->otlp_url, "%s", spec->otlp_url ? spec->otlp_url : "");
    BV_TRY(check_words(spec, error));
    BV_TRY(check_settings(world, spec->settings, error));
    BV_TRY(add_units(world, spec, error));
    BV_TRY(stack_server_user(&world->uid, &world->gid, error));
    BV_TRY(stack_cache_folder(world->cache, error));
    BV_TRY(find_programs(world, error));
    if (spec->bin_dir) {
        if (!realpath(spec->bin_dir, world->bin_dir))
            return bv_fail(error, BV_E_NOT_FOUND, "no folder %s", spec->bin_dir);
    } else {
        BV_TRY(bv_stack_bin_dir(world->bin_dir, sizeof world->bin_dir, error));
    }
    BV_TRY(find_services(world, error));
    for (size_t i = 0; i < world->unit_count; i++) {
        add_secrets(world, world->units[i].row->variables, world->units[i].row->variable_count);
        if (world->units[i].row->kind == BV_STACK_DATABASE && !world->migrations[0]) {
            if (spec->migrations)
                BV_TRY(bv_path(world->migrations, error, "%s", spec->migrations));
            else
                BV_TRY(bv_stack_migrations(world->migrations, sizeof world->migrations, error));
        }
    }
    BV_TRY(stack_place(world->cache, world->uid, world->gid, world->place, error));
    BV_TRY(take_name(world, spec, error));
    BV_TRY(choose_ports(world, error));
    return make_folder(world, error);
}

/* A name that was taken for nothing leaves no file. */
static void drop_name(const struct stack_world *world)
{
    char path[BV_PATH_MAX];
    if (world->lock_fd >= 0 && access(world->run, F_OK) < 0 &&
        bv_path(path, NULL, "%s.lock", world->run) == 0)
        unlink(path);
}

int stack_world_build(const struct bv_stack_spec *spec,
                      struct stack_world **ret_world,
                      struct bv_error *error)
{
    struct stack_world *world = calloc(1, sizeof *world);
    if (!world)
        return bv_fail(error, BV_E_NOMEM, "out of memory");
    world->lock_fd = -1;
    mode_t old = umask(022); /* what is secret has its own mode, everywhere */
    int rc = fill(world, spec, error);
    umask(old);
    if (rc < 0) {
        drop_name(world);
        stack_world_free(&world);
        return rc;
    }
    *ret_world = world;
    return 0;
}

void stack_world_free(struct stack_world **world)
{
    if (!*world)
        return;
    if ((*world)->lock_fd >= 0)
        close((*world)->lock_fd);
    explicit_bzero((*world)->secrets, sizeof(*world)->secrets);
    free(*world);
    *world = NULL;
}

/* ---- command lines ---- */

static const char *command_text(struct stack_command *command, const char *format, va_list list)
{
    char *text = NULL;
    int n = vasprintf(&text, format, list);
    const char *kept =
        n < 0 ? NULL : bv_arena_text(command->arena, (struct bv_bytes){text, (size_t)n});
    free(text);
    command->failed = command->failed || !kept;
    return kept;
}

void stack_arg(struct stack_command *command, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    const char *text = command_text(command, format, list);
    va_end(list);
    if (command->argc + 1 < STACK_ARGS_MAX)
        command->argv[command->argc++] = text;
    else
        command->failed = true;
}

void stack_env(struct stack_command *command, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    const char *text = command_text(command, format, list);
    va_end(list);
    if (command->envc + 1 < STACK_ENV_MAX)
        command->env[command->envc++] = text;
    else
        command->failed = true;
}

int stack_command_init(struct stack_command *command,
                       const struct stack_world *world,
                       struct bv_error *error)
{
    static const char *const passed[] = {
        "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS", "LD_LIBRARY_PATH", "TZ"};
    *command = (struct stack_command){0};
    if (bv_arena_open(COMMAND_BYTES_MAX, &command->arena) < 0)
        return bv_fail(error, BV_E_NOMEM, "out of memory");
    const char *path = getenv("PATH");
    stack_env(command, "PATH=%s", path ? path : "/usr/local/bin:/usr/bin:/bin");
    stack_env(command, "LC_ALL=C.UTF-8");
    stack_env(command, "HOME=%s/data", world->run);
    stack_env(command, "TMPDIR=%s/data/tmp", world->run);
    for (size_t i = 0; i < BV_COUNT(passed); i++)
        if (getenv(passed[i]))
            stack_env(command, "%s=%s", passed[i], getenv(passed[i]));
    return 0;
}

void stack_command_release(struct stack_command *command)
{
    bv_arena_close(&command->arena);
    *command = (struct stack_command){0};
}

static int is_jar(const struct dirent *entry)
{
    size_t size = strlen(entry->d_name);
    return size > 4 && strcmp(entry->d_name + size - 4, ".jar") == 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

int stack_class_path(const char *folder, struct bv_buf *buf, struct bv_error *error)
{
    struct dirent **names = NULL;
    int count = scandir(folder, &names, is_jar, by_bytes);
    for (int i = 0; i < count; i++) {
        bv_buf_format(buf, "%s%s/%s", i ? ":" : "", folder, names[i]->d_name);
        free(names[i]);
    }
    free(names);
    if (count <= 0 || buf->failed || bv_buf_char(buf, '\0') < 0)
        return bv_fail(error, BV_E_NOT_FOUND, "no jars in %s (make deps)", folder);
    buf->size--;
    return 0;
}
