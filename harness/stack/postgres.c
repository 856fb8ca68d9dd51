#include "stack_servers.h"

#include "stack_template.h"

#include "bv/probe.h"
#include "bv/process.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Small log segments make the copy of an ephemeral stack half as large; a durable one keeps
 * PostgreSQL's own size. */
static const char *template_key(const struct stack_world *world)
{
    return world->durability == BV_STACK_DURABLE ? "postgres-15-1-durable" : "postgres-15-1";
}

static int
build_template(const struct stack_world *world, const char *folder, struct bv_error *error)
{
    struct stack_command command;
    BV_TRY(stack_command_init(&command, world, error));
    char log[BV_PATH_MAX];
    int rc = bv_path(log, error, "%s/log/postgres-initdb.log", world->run);
    static const char *const flags[] = {
        "-U", "bv", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync", "--no-instructions"};
    stack_arg(&command, "%s/initdb", world->postgres_bin);
    for (size_t i = 0; i < BV_COUNT(flags); i++)
        stack_arg(&command, "%s", flags[i]);
    if (world->durability == BV_STACK_EPHEMERAL)
        stack_arg(&command, "--wal-segsize=1");
    stack_arg(&command, "-D");
    stack_arg(&command, "%s/data", folder);
    const struct bv_spawn spawn = {.argv = command.argv,
                                   .env = command.env,
                                   .folder = "/",
                                   .in_fd = -1,
                                   .uid = world->uid,
                                   .gid = world->gid};
    if (rc == 0)
        rc = bv_run(&spawn, log, error);
    stack_command_release(&command);
    return rc;
}

static int
prepare(const struct stack_world *world, const struct stack_unit *unit, struct bv_error *error)
{
    (void)unit;
    char template[BV_PATH_MAX], from[BV_PATH_MAX], to[BV_PATH_MAX];
    BV_TRY(stack_template(world, template_key(world), build_template, template, error));
    BV_TRY(bv_path(from, error, "%s/data", template));
    BV_TRY(bv_path(to, error, "%s/data/postgres", world->run));
    BV_TRY(bv_become(world->uid, world->gid, error));
    BV_TRY(bv_fs_copy_tree(from, to, error));
    if (chmod(to, 0700) < 0)
        return bv_fail(error, BV_E_IO, "cannot set the mode of %s", to);
    return 0;
}

static bool cold(const struct stack_world *world)
{
    return !stack_template_present(world, template_key(world));
}

/* synchronous_commit is on always: a reply after commit must mean what it says. Without fsync the
 * promise holds while the machine lives, which is all that a scenario's crashes touch. */
static int command(const struct stack_world *world,
                   const struct stack_unit *unit,
                   struct stack_command *cmd,
                   struct bv_error *error)
{
    (void)error;
    static const char *const settings[] = {
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "wal_level=logical",
        "max_wal_senders=8",
        "max_replication_slots=8",
        "hot_standby=on",
        "jit=off",
        "synchronous_commit=on",
        "max_connections=200",
        "dynamic_shared_memory_type=mmap", /* in the data folder, so that it goes with it after a
                                              kill */
        "log_line_prefix=%m [%p] %d ",
    };
    static const char *const ephemeral[] = {"fsync=off",
                                            "full_page_writes=off",
                                            "autovacuum=off",
                                            "shared_buffers=32MB",
                                            "min_wal_size=8MB",
                                            "max_wal_size=128MB"};
    static const char *const durable[] = {
        "fsync=on", "full_page_writes=on", "shared_buffers=128MB"};
    const bool keep = world->durability == BV_STACK_DURABLE;
    stack_arg(cmd, "%s/postgres", world->postgres_bin);
    stack_arg(cmd, "-D");
    stack_arg(cmd, "%s/data/postgres", world->run);
    stack_arg(cmd, "-p");
    stack_arg(cmd, "%u", unit->ports[0]);
    for (size_t i = 0; i < BV_COUNT(settings); i++) {
        stack_arg(cmd, "-c");
        stack_arg(cmd, "%s", settings[i]);
    }
    for (size_t i = 0; i < (keep ? BV_COUNT(durable) : BV_COUNT(ephemeral)); i++) {
        stack_arg(cmd, "-c");
        stack_arg(cmd, "%s", keep ? durable[i] : ephemeral[i]);
    }
    return 0;
}

static int ready(const struct stack_world *world,
                 const struct stack_unit *unit,
                 int64_t deadline_ms,
                 struct bv_error *error)
{
    (void)world;
    const struct stack_clients *clients = stack_clients(error);
    return clients ? clients->postgres(unit->ports[0], deadline_ms, error) : BV_E_NOT_FOUND;
}

const struct stack_ops stack_postgres = {prepare, cold, command, ready};
