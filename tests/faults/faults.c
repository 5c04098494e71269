/* Lets writes below one folder fail, fall short or be the last of the process, and
 * shifts the clock of the wall. Loaded before libc.
 *
 * FAULTS_DIR is the folder; FAULTS_CONTROL a file with the numbers of `struct
 * control`, which the test changes while the process runs. With FAULTS_NOTES all
 * that is written at a place, as SQLite does, is noted in this file with what was
 * there before, and each sync: a test can then take back what was not synced.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { WRITE = 1, SYNC = 2, RENAME = 4, TRUNCATE = 8 };
enum { FAIL = 0, SHORTEN = 1, KILL = 2 };

struct control {
    int64_t clock_offset; /* ns that CLOCK_REALTIME is ahead */
    int64_t operations;   /* which ones are hit; none: no faults */
    int64_t after;        /* so many of them pass first */
    int64_t count;        /* so many are hit then; -1: all */
    int64_t chance;       /* each with this probability, in millionths */
    int64_t random;       /* state of the generator; begins as the seed */
    int64_t action;
    int64_t error; /* errno of FAIL */
    int64_t seen;  /* operations of the kind, since the control was set */
    int64_t hit;
};

static struct control nothing;
static struct control *control = &nothing;
static char folder[4096];
static size_t folder_length;

/* One note; the path and the bytes before and after follow it. */
enum { WRITTEN = 1, TRUNCATED = 2, SYNC_BEGINS = 3, SYNC_ENDED = 4 };
struct note {
    int64_t kind, offset, size_before; /* of the file */
    int64_t path, before, after;       /* bytes of each */
};

static int notes = -1;
static pthread_mutex_t noting = PTHREAD_MUTEX_INITIALIZER;

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_pwrite64)(int, const void *, size_t, off64_t);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static ssize_t (*real_pwritev64)(int, const struct iovec *, int, off64_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_rename)(const char *, const char *);
static int (*real_ftruncate64)(int, off64_t);
static int (*real_clock_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void) {
    real_write = dlsym(RTLD_NEXT, "write");
    real_writev = dlsym(RTLD_NEXT, "writev");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite");
    real_pwrite64 = dlsym(RTLD_NEXT, "pwrite64");
    real_pwritev = dlsym(RTLD_NEXT, "pwritev");
    real_pwritev64 = dlsym(RTLD_NEXT, "pwritev64");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_rename = dlsym(RTLD_NEXT, "rename");
    real_ftruncate64 = dlsym(RTLD_NEXT, "ftruncate64");
    real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("FAULTS_CONTROL"), *dir = getenv("FAULTS_DIR");
    const char *noted = getenv("FAULTS_NOTES");
    if (noted)
        notes = open(noted, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (!path || !dir || strlen(dir) >= sizeof folder)
        return;
    folder_length = strlen(strcpy(folder, dir));
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    void *found = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (found != MAP_FAILED)
        control = found;
    close(fd);
}

static int is_below(const char *path) {
    return strncmp(path, folder, folder_length) == 0 && path[folder_length] == '/';
}

/* Whether the file is below the folder, and its path. */
static int find(int fd, char path[4096]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, 4095);
    if (length <= 0)
        return 0;
    path[length] = 0;
    return is_below(path);
}

static int is_watched(int fd) {
    char path[4096];
    return find(fd, path);
}

/* Note what is about to be done to a file from some place on. */
static void note(int kind, int fd, off64_t offset, const void *data, size_t size) {
    char path[4096];
    struct stat facts;
    if (notes < 0 || !find(fd, path) || fstat(fd, &facts))
        return;
    size_t end = kind == TRUNCATED ? (size_t)facts.st_size : (size_t)offset + size;
    size_t room = end > (size_t)offset ? end - (size_t)offset : 0;
    char *before = malloc(room + 1);
    ssize_t found = before && room ? pread64(fd, before, room, offset) : 0;
    struct note note = {kind, offset, facts.st_size, (int64_t)strlen(path),
                        found > 0 ? found : 0, (int64_t)size};
    struct iovec parts[] = {{&note, sizeof note},
                            {path, (size_t)note.path},
                            {before, (size_t)note.before},
                            {(void *)data, size}};
    if (real_writev(notes, parts, 4) < 0)
        abort();
    free(before);
}

/* Held from the note to the write, so that both have one order. */
static void begin_noting(void) {
    if (notes >= 0)
        pthread_mutex_lock(&noting);
}

static void end_noting(void) {
    if (notes >= 0)
        pthread_mutex_unlock(&noting);
}

static int by_chance(void) {
    int64_t chance = __atomic_load_n(&control->chance, __ATOMIC_RELAXED);
    if (chance >= 1000000)
        return 1;
    /* splitmix64 */
    uint64_t z = (uint64_t)__atomic_add_fetch(
        &control->random, (int64_t)0x9e3779b97f4a7c15, __ATOMIC_RELAXED);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return (int64_t)((z ^ (z >> 31)) % 1000000) < chance;
}

/* Whether an operation on a watched file is hit. */
static int strikes(void) {
    __atomic_add_fetch(&control->seen, 1, __ATOMIC_RELAXED);
    if (__atomic_load_n(&control->after, __ATOMIC_RELAXED) > 0 &&
        __atomic_fetch_sub(&control->after, 1, __ATOMIC_RELAXED) > 0)
        return 0;
    if (__atomic_load_n(&control->count, __ATOMIC_RELAXED) == 0 || !by_chance())
        return 0;
    if (__atomic_load_n(&control->count, __ATOMIC_RELAXED) > 0 &&
        __atomic_fetch_sub(&control->count, 1, __ATOMIC_RELAXED) <= 0)
        return 0;
    __atomic_add_fetch(&control->hit, 1, __ATOMIC_RELAXED);
    return 1;
}

static int is_wanted(int operation) {
    int64_t wanted = __atomic_load_n(&control->operations, __ATOMIC_ACQUIRE);
    return (wanted & operation) != 0;
}

static int hits(int operation, int fd) {
    return is_wanted(operation) && is_watched(fd) && strikes();
}

static int failed(void) {
    if (control->action == KILL)
        kill(getpid(), SIGKILL);
    errno = control->action == FAIL ? (int)control->error : EIO;
    return -1;
}

/* How much of a write that was hit is done. */
static size_t part(size_t size) { return control->action == FAIL ? 0 : size / 2; }

static ssize_t after_part(ssize_t done) {
    return control->action == SHORTEN && done > 0 ? done : failed();
}

ssize_t write(int fd, const void *data, size_t size) {
    if (!hits(WRITE, fd))
        return real_write(fd, data, size);
    size_t some = part(size);
    return after_part(some ? real_write(fd, data, some) : 0);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    int is_hit = hits(WRITE, fd);
    size_t some = is_hit ? part(size) : size;
    begin_noting();
    note(WRITTEN, fd, offset, data, some);
    ssize_t done = some ? real_pwrite(fd, data, some, offset) : 0;
    end_noting();
    return is_hit ? after_part(done) : done;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    int is_hit = hits(WRITE, fd);
    size_t some = is_hit ? part(size) : size;
    begin_noting();
    note(WRITTEN, fd, offset, data, some);
    ssize_t done = some ? real_pwrite64(fd, data, some, offset) : 0;
    end_noting();
    return is_hit ? after_part(done) : done;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (!hits(WRITE, fd))
        return real_writev(fd, parts, count);
    int some = (int)part((size_t)count);
    return after_part(some ? real_writev(fd, parts, some) : 0);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    if (!hits(WRITE, fd))
        return real_pwritev(fd, parts, count, offset);
    int some = (int)part((size_t)count);
    return after_part(some ? real_pwritev(fd, parts, some, offset) : 0);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
    if (!hits(WRITE, fd))
        return real_pwritev64(fd, parts, count, offset);
    int some = (int)part((size_t)count);
    return after_part(some ? real_pwritev64(fd, parts, some, offset) : 0);
}

static int synced(int fd, int (*real)(int)) {
    if (hits(SYNC, fd))
        return failed();
    begin_noting();
    note(SYNC_BEGINS, fd, 0, NULL, 0);
    end_noting();
    int result = real(fd);
    begin_noting();
    if (result == 0)
        note(SYNC_ENDED, fd, 0, NULL, 0);
    end_noting();
    return result;
}

int fsync(int fd) { return synced(fd, real_fsync); }

int fdatasync(int fd) { return synced(fd, real_fdatasync); }

static int truncated(int fd, off64_t size, int (*real)(int, off64_t)) {
    if (hits(TRUNCATE, fd))
        return failed();
    begin_noting();
    note(TRUNCATED, fd, size, NULL, 0);
    int result = real(fd, size);
    end_noting();
    return result;
}

int ftruncate(int fd, off_t size) { return truncated(fd, size, real_ftruncate64); }

int ftruncate64(int fd, off64_t size) { return truncated(fd, size, real_ftruncate64); }

int rename(const char *from, const char *to) {
    if (is_wanted(RENAME) && is_below(to) && strikes())
        return failed();
    return real_rename(from, to);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = real_clock_gettime(clock, time);
    int64_t offset = __atomic_load_n(&control->clock_offset, __ATOMIC_RELAXED);
    if (result || !offset || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
        return result;
    int64_t now = (int64_t)time->tv_sec * 1000000000 + time->tv_nsec + offset;
    time->tv_sec = now / 1000000000;
    time->tv_nsec = now % 1000000000;
    return 0;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    (void)zone;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result)
        *result = now.tv_sec;
    return now.tv_sec;
}
