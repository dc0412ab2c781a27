/* Put before the C library by the fault tests: a disk that can lose power, fill up or fail.
 *
 * Each sync of a file copies it to FAULTS_SHADOW; a power cut brings those copies back, so that
 * only what was synced survives. A file named "full" there makes writes fail for want of space, one
 * named "broken" makes syncs fail. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int path_of(int fd, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, size - 1);
    path[length > 0 ? length : 0] = 0;
    return strstr(path, ".sqlite") != NULL || strstr(path, ".journal") != NULL;
}

static int flag(const char *name) {
    const char *shadow = getenv("FAULTS_SHADOW");
    char path[4096];
    if (!shadow) return 0;
    snprintf(path, sizeof path, "%s/%s", shadow, name);
    return access(path, F_OK) == 0;
}

static int synced(int fd) {
    char path[4096], to[8192], half[8300], buffer[65536];
    const char *shadow = getenv("FAULTS_SHADOW");
    if (!shadow || !path_of(fd, path, sizeof path)) return 0;
    if (flag("broken")) { errno = EIO; return -1; }
    snprintf(to, sizeof to, "%s/%s", shadow, path);
    for (char *at = to + strlen(shadow) + 1; *at; at++) if (*at == '/') *at = '%';
    snprintf(half, sizeof half, "%s.half", to);
    int in = open(path, O_RDONLY);
    int out = open(half, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (in < 0 || out < 0) { errno = EIO; return -1; }
    ssize_t (*raw)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    ssize_t length;
    while ((length = read(in, buffer, sizeof buffer)) > 0)
        if (raw(out, buffer, length) != length) { errno = EIO; return -1; }
    close(in);
    close(out);
    return rename(half, to);
}

int fsync(int fd) { return synced(fd); }
int fdatasync(int fd) { return synced(fd); }

static int full(int fd) {
    char path[4096];
    if (path_of(fd, path, sizeof path) && flag("full")) { errno = ENOSPC; return 1; }
    if (strstr(path, ".part") != NULL && flag("full-target")) { errno = ENOSPC; return 1; }
    return 0;
}

ssize_t write(int fd, const void *bytes, size_t length) {
    static ssize_t (*next)(int, const void *, size_t);
    if (!next) next = dlsym(RTLD_NEXT, "write");
    return full(fd) ? -1 : next(fd, bytes, length);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
    static ssize_t (*next)(int, const void *, size_t, off_t);
    if (!next) next = dlsym(RTLD_NEXT, "pwrite");
    return full(fd) ? -1 : next(fd, bytes, length, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
    static ssize_t (*next)(int, const void *, size_t, off64_t);
    if (!next) next = dlsym(RTLD_NEXT, "pwrite64");
    return full(fd) ? -1 : next(fd, bytes, length, at);
}
