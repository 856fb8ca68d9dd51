/* Runs a fuzz target over files and folders without a fuzzing engine, so that every old crash is
 * tried again by the ordinary tests. Usage: NAME_fuzz FILE_OR_FOLDER...   Exit 0 when the target
 * returned for each, 2 when something cannot be read. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PATH_BYTES = 4096 };

static int replay_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    /* Exactly size bytes on the heap, so that a sanitizer sees one byte too far. */
    uint8_t *data = malloc(size ? size : 1);
    if (!file || !data || fread(data, 1, size, file) != size) {
        fprintf(stderr, "%s cannot be read\n", path);
        free(data);
        if (file)
            fclose(file);
        return -1;
    }
    fclose(file);
    (void)LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 1;
}

/* Number of inputs, -1 on an error. */
static int replay(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        fprintf(stderr, "%s does not exist\n", path);
        return -1;
    }
    if (!S_ISDIR(status.st_mode))
        return replay_file(path, (size_t)status.st_size);
    DIR *folder = opendir(path);
    int count = 0;
    for (struct dirent *entry; folder && count >= 0 && (entry = readdir(folder));) {
        char inner[PATH_BYTES];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        int inside = replay(inner);
        count = inside < 0 ? -1 : count + inside;
    }
    if (folder)
        closedir(folder);
    return folder ? count : -1;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++) {
        int count = argv[i][0] == '-' ? 0 : replay(argv[i]);
        if (count < 0)
            return 2;
        total += count;
    }
    printf("%d inputs\n", total);
    return 0;
}
