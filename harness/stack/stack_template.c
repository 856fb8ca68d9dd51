#include "stack_template.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

static int lock_template(const char *folder, const char *key, int *ret_fd, struct bv_error *error)
{
    char path[BV_PATH_MAX];
    BV_TRY(bv_path(path, error, "%s/.%s.lock", folder, key));
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || flock(fd, LOCK_EX) < 0) {
        int number = errno;
        if (fd >= 0)
            close(fd);
        return bv_fail(error, BV_E_IO, "cannot lock %s: %s", path, strerror(number));
    }
    *ret_fd = fd;
    return 0;
}

static int build_aside(const struct stack_world *world,
                       const char *final,
                       int (*build)(const struct stack_world *, const char *, struct bv_error *),
                       struct bv_error *error)
{
    char aside[BV_PATH_MAX];
    BV_TRY(bv_path(aside, error, "%s.part", final));
    BV_TRY(bv_fs_remove_tree(aside, error));
    BV_TRY(bv_fs_mkdirs(aside, 0755, error));
    if (chown(aside, world->uid, world->gid) < 0)
        return bv_fail(error, BV_E_IO, "cannot give %s to uid %u", aside, world->uid);
    BV_TRY(build(world, aside, error));
    if (rename(aside, final) < 0)
        return bv_fail(error, BV_E_IO, "cannot rename %s: %s", aside, strerror(errno));
    return 0;
}

int stack_template(const struct stack_world *world,
                   const char *key,
                   int (*build)(const struct stack_world *, const char *, struct bv_error *),
                   char ret_folder[BV_PATH_MAX],
                   struct bv_error *error)
{
    char folder[BV_PATH_MAX];
    BV_TRY(bv_path(folder, error, "%s/templates", world->place));
    BV_TRY(bv_fs_mkdirs(folder, 0755, error));
    BV_TRY(bv_path(ret_folder, error, "%s/%s", folder, key));
    if (access(ret_folder, F_OK) == 0)
        return 0;
    int lock = -1;
    BV_TRY(lock_template(folder, key, &lock, error));
    int rc = access(ret_folder, F_OK) == 0 ? 0 : build_aside(world, ret_folder, build, error);
    close(lock);
    return rc;
}

bool stack_template_present(const struct stack_world *world, const char *key)
{
    char path[BV_PATH_MAX];
    return bv_path(path, NULL, "%s/templates/%s", world->place, key) == 0 &&
           access(path, F_OK) == 0;
}

static int link_jars(const struct stack_world *world, const char *folder, struct bv_error *error)
{
    char from[BV_PATH_MAX];
    BV_TRY(bv_path(from, error, "%s/deps/" STACK_KAFKA_DEPS "/lib", world->cache));
    DIR *jars = opendir(from);
    if (!jars)
        return bv_fail(error, BV_E_NOT_FOUND, "cannot read %s (make deps)", from);
    int rc = 0;
    for (struct dirent *entry; rc == 0 && (entry = readdir(jars));) {
        char jar[BV_PATH_MAX], name[BV_PATH_MAX];
        if (entry->d_name[0] == '.')
            continue;
        rc = bv_path(jar, error, "%s/%s", from, entry->d_name);
        if (rc == 0)
            rc = bv_path(name, error, "%s/%s", folder, entry->d_name);
        if (rc == 0)
            rc = bv_fs_link_or_copy(jar, name, error);
    }
    closedir(jars);
    return rc;
}

int stack_jars(const struct stack_world *world,
               char ret_folder[BV_PATH_MAX],
               struct bv_error *error)
{
    if (strcmp(world->place, world->cache) == 0)
        return bv_path(ret_folder, error, "%s/deps/" STACK_KAFKA_DEPS "/lib", world->cache);
    return stack_template(world, STACK_KAFKA_DEPS "-jars", link_jars, ret_folder, error);
}
