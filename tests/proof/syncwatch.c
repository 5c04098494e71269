/* Records, in the order in which they happen, what a process writes to a
 * write-ahead log, when it syncs it, and what it reports. Loaded before libc.
 *
 * SYNCWATCH_TRACE names the file for the records; each is one line:
 *   W n   the mark "MARK-n-" has been written to a file whose name ends in "-wal"
 *   B k   the k-th sync of such a file begins
 *   E k   it has ended successfully
 *   A n   "ACCEPTED n" is about to be written to any other file
 *
 * So a write that is recorded has happened, and a report that is recorded has not
 * happened yet: what the records prove is true of the process.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int trace = -1;
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_pwrite64)(int, const void *, size_t, off64_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);

__attribute__((constructor)) static void begin(void) {
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite");
    real_pwrite64 = dlsym(RTLD_NEXT, "pwrite64");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    const char *path = getenv("SYNCWATCH_TRACE");
    if (path)
        trace = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void record(char kind, long number) {
    char line[32];
    int length = snprintf(line, sizeof line, "%c %ld\n", kind, number);
    if (real_write(trace, line, (size_t)length) != length)
        abort();
}

static int is_wal(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    return length > 4 && memcmp(path + length - 4, "-wal", 4) == 0;
}

static void find(char kind, const char *mark, const void *data, size_t size) {
    size_t width = strlen(mark);
    const char *at = data, *end = at + size;
    while ((at = memmem(at, (size_t)(end - at), mark, width))) {
        at += width;
        char digits[16] = {0};
        for (int i = 0; i < 15 && at < end && *at >= '0' && *at <= '9'; i++)
            digits[i] = *at++;
        record(kind, atol(digits));
    }
}

static long syncs = 0;

static ssize_t written(int fd, const void *data, ssize_t size) {
    if (trace < 0 || fd == trace || size <= 0)
        return size;
    pthread_mutex_lock(&lock);
    if (is_wal(fd))
        find('W', "MARK-", data, (size_t)size);
    pthread_mutex_unlock(&lock);
    return size;
}

static void about_to_write(int fd, const void *data, size_t size) {
    if (trace < 0 || fd == trace)
        return;
    pthread_mutex_lock(&lock);
    if (!is_wal(fd))
        find('A', "ACCEPTED ", data, size);
    pthread_mutex_unlock(&lock);
}

static int sync_with(int (*real)(int), int fd) {
    if (trace < 0 || !is_wal(fd))
        return real(fd);
    pthread_mutex_lock(&lock);
    long number = ++syncs;
    record('B', number);
    pthread_mutex_unlock(&lock);
    int result = real(fd);
    if (result == 0) {
        pthread_mutex_lock(&lock);
        record('E', number);
        pthread_mutex_unlock(&lock);
    }
    return result;
}

ssize_t write(int fd, const void *data, size_t size) {
    about_to_write(fd, data, size);
    return written(fd, data, real_write(fd, data, size));
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    return written(fd, data, real_pwrite(fd, data, size, offset));
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    return written(fd, data, real_pwrite64(fd, data, size, offset));
}

int fsync(int fd) { return sync_with(real_fsync, fd); }

int fdatasync(int fd) { return sync_with(real_fdatasync, fd); }
