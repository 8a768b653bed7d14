/* The interposer (LD_PRELOAD): in every dynamic process of a wrapped build, opening a placeholder waits until the real
 * artifact is in its place, and a toolchain program called by its full name goes to the shim.
 *
 * Rules it keeps in every process: no output, no child processes, no memory from malloc, no descriptor that stays, little
 * stack (signal handlers and threads have small ones), errno as the caller expects it, nothing read from `environ` after
 * the start but by exec. Without GG_SESSION, GG_SOCKET or GG_SHIM_DIR, or with GG_PRELOAD=0, it does nothing.
 *
 * Nobody reads a placeholder's bytes: what cannot be made real fails to open, with ENOENT when it is gone, else with EIO. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "environment.h"
#include "protocol.h"

/* ir/placeholder.ts: SIZE_BY_FORM, MARK, MARK_WITHIN. */
#define MARK "gg-placeholder 1 "
#define MARK_WITHIN 512
static const off_t placeholder_sizes[] = {512, 1024, 1152};

#define ENVIRONMENT_MAX 65536
/* A server that was killed is started again by the next shim; so long one waits for that. */
#define CONNECT_WAIT_MS 5000
#define CONNECT_STEP_MS 5
/* Of the libraries a program names, those looked at: a sanitizer's runtime is among the first. */
#define NEEDED_MAX 8
#define PROGRAM_HEADERS_MAX 32
/* A file may be replaced while one looks at it. */
#define TRIES_MAX 8

extern char **environ;

/* Of glibc before 2.33; programs built then still call them. */
int __xstat(int version, const char *path, struct stat *st);
int __lxstat(int version, const char *path, struct stat *st);
int __xstat64(int version, const char *path, struct stat64 *st);
int __lxstat64(int version, const char *path, struct stat64 *st);
int __fxstatat(int version, int at, const char *path, struct stat *st, int flags);
int __fxstatat64(int version, int at, const char *path, struct stat64 *st, int flags);

/* ---- the functions behind ours ------------------------------------------------------------------------------------ */

#define HOOKS(X)                                                                                                        \
  X(open) X(open64) X(openat) X(openat64) X(fopen) X(fopen64) X(freopen) X(freopen64) X(truncate) X(truncate64)         \
  X(dlopen) X(stat) X(lstat) X(stat64) X(lstat64) X(fstatat) X(fstatat64) X(statx) X(__xstat) X(__lxstat) X(__xstat64)  \
  X(__lxstat64) X(__fxstatat) X(__fxstatat64) X(chroot) X(execve) X(execvpe) X(fexecve) X(execveat) X(posix_spawn)      \
  X(posix_spawnp) X(rename) X(renameat) X(renameat2) X(link) X(linkat)

#define MEMBER(name) void *name;
static struct {
  HOOKS(MEMBER)
} found;

/* Looked up at the start, since a lookup takes locks that a signal handler or a forked child must not wait for; before
 * that, when needed: other libraries may start earlier. */
static void *look_up(void **place, const char *name) {
  int saved = errno;
  *place = dlsym(RTLD_NEXT, name);
  errno = saved;
  return *place;
}

#define REAL(name) ((__typeof__(&name))(found.name ? found.name : look_up(&found.name, #name)))

/* ---- what the environment says ------------------------------------------------------------------------------------ */

/* This process's own, as it started: another thread may change `environ` while a file is opened. */
enum { UNKNOWN, OFF, ON };
static int state;
static struct sockaddr_un server_address = {.sun_family = AF_UNIX};
static char session_entry[256];
static int rooted;

static int on(void) {
  int known = __atomic_load_n(&state, __ATOMIC_ACQUIRE);
  if (known != UNKNOWN) return known == ON;
  known = OFF;
  if (active(environ)) {
    const char *socket_path = look(environ, "GG_SOCKET"), *session = look(environ, "GG_SESSION");
    if (strlen(socket_path) < sizeof server_address.sun_path && strlen(session) < sizeof session_entry - 12) {
      strcpy(server_address.sun_path, socket_path);
      strcpy(session_entry, "GG_SESSION=");
      strcat(session_entry, session);
      known = ON;
    }
  }
  __atomic_store_n(&state, known, __ATOMIC_RELEASE);
  return known == ON;
}

__attribute__((constructor)) static void start(void) {
  int saved = errno;
  if (on()) {
#define LOOK_UP(name) found.name = dlsym(RTLD_NEXT, #name);
    HOOKS(LOOK_UP)
    /* What was not found must not be what the program's own first dlerror() tells. */
    dlerror();
  }
  errno = saved;
}

/* ---- forcing a placeholder ---------------------------------------------------------------------------------------- */

static int send_all(int fd, struct iovec *parts, int count) {
  while (count > 0) {
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    ssize_t n = syscall(SYS_sendmsg, fd, &message, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return -1;
    while (count > 0 && (size_t)n >= parts->iov_len) n -= parts->iov_len, parts++, count--;
    if (count > 0) parts->iov_base = (char *)parts->iov_base + n, parts->iov_len -= n;
  }
  return 0;
}

static unsigned char *put(unsigned char *at, int tag, const void *bytes, uint32_t length) {
  *at++ = tag;
  memcpy(at, &length, 4);
  if (bytes) memcpy(at + 4, bytes, length);
  return at + 4 + (bytes ? length : 0);
}

/* One question on one connection: `to` only where the kind has one. 1: ready; 0: it cannot be; -1: nobody answered. */
static int ask_once(int fd, const char *kind, const char *path, const char *to) {
  unsigned char front[32], middle[8], back[sizeof session_entry + 32], *at = front + 8, *mid = middle, *end = back;
  unsigned char answer[64];
  uint32_t pid = getpid(), length;
  size_t got = 0;
  at = put(at, GG_FIELD_REQUEST_KIND, kind, strlen(kind));
  at = put(at, GG_FIELD_PATH, NULL, strlen(path));
  if (to) mid = put(mid, GG_FIELD_TO, NULL, strlen(to));
  end = put(end, GG_FIELD_CWD, "/", 1);
  end = put(end, GG_FIELD_PID, &pid, 4);
  end = put(end, GG_FIELD_ENV, session_entry, strlen(session_entry));
  memcpy(front, GG_FRAME_MAGIC, 4);
  length = (at - front - 8) + strlen(path) + (mid - middle) + (to ? strlen(to) : 0) + (end - back);
  memcpy(front + 4, &length, 4);
  struct iovec parts[] = {{front, at - front},
                          {(void *)path, strlen(path)},
                          {middle, mid - middle},
                          {(void *)to, to ? strlen(to) : 0},
                          {back, end - back}};
  if (send_all(fd, parts, 5)) return -1;
  /* A frame, not all until the end: who moves a file keeps the connection. */
  for (length = 0; got < sizeof answer && (got < 8 || got < 8 + (size_t)length);) {
    ssize_t n = syscall(SYS_read, fd, answer + got, sizeof answer - got);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    got += n;
    if (got >= 8) memcpy(&length, answer + 4, 4);
  }
  if (got < 13 || memcmp(answer, GG_FRAME_MAGIC, 4) != 0 || answer[8] != GG_FIELD_ANSWER_KIND) return -1;
  return memmem(answer + 13, got - 13, "ready", 5) == answer + 13;
}

static void nap(void) {
  struct timespec t = {0, CONNECT_STEP_MS * 1000000};
  syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &t, NULL);
}

/* Whoever was faster may listen there. */
static int is_own_server(int fd) {
  struct ucred peer;
  socklen_t size = sizeof peer;
  return syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == (uid_t)syscall(SYS_geteuid);
}

/* Asks the server and waits for its answer.
 * @param unless_ended no server that has ended in order is waited for: what is asked for is likely nothing to it.
 * @param held takes the connection when the answer is yes; NULL: it is closed.
 * @returns 1 for yes, 0 for no, -1 with errno when there is no server or no descriptor for it. */
static int ask(const char *kind, const char *path, const char *to, int unless_ended, int *held) {
  for (int waited = 0; waited <= CONNECT_WAIT_MS; waited += CONNECT_STEP_MS) {
    int fd = syscall(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    int bad = syscall(SYS_connect, fd, &server_address, sizeof server_address);
    if (bad == 0 && !is_own_server(fd)) {
      syscall(SYS_close, fd);
      errno = EACCES;
      return -1;
    }
    /* An interrupted connect to a Unix socket has not happened; another error may pass when the server comes back. */
    int answer = bad ? -1 : ask_once(fd, kind, path, to);
    int error = errno;
    if (answer == 1 && held) {
      *held = fd;
      return 1;
    }
    syscall(SYS_close, fd);
    if (answer >= 0) return answer;
    if (bad && error == ENOENT && unless_ended) break;
    if (!(bad && error == EINTR)) nap();
  }
  errno = EIO;
  return -1;
}

/* Asks the server to make `path` real and waits until it says so. mv copies to other file systems only what it has looked at. */
static int ask_server(const char *path) {
  char room[512];
  return ask(strcmp(program_name(room, sizeof room), "mv") == 0 ? "keep" : "open", path, NULL, 0, NULL);
}

static int has_size_of_placeholder(off_t size) {
  for (size_t i = 0; i < sizeof placeholder_sizes / sizeof *placeholder_sizes; i++)
    if (size == placeholder_sizes[i]) return 1;
  return 0;
}

/* Answers that a file only looks like a placeholder, until it is believed. */
enum { LIKENESSES_MAX = 3 };

/* The slow path's memory, mapped for its time: the stack may be a signal handler's. */
struct room {
  char link[40], path[PATH_MAX + 16], head[MARK_WITHIN];
};

static int holds_mark(int fd, int flags, struct room *room) {
  int reading = fd;
  if ((flags & O_ACCMODE) == O_WRONLY) {
    snprintf(room->link, sizeof room->link, "/proc/self/fd/%d", fd);
    reading = syscall(SYS_openat, AT_FDCWD, room->link, O_RDONLY | O_CLOEXEC);
    if (reading < 0) return 0;
  }
  ssize_t n = syscall(SYS_pread64, reading, room->head, sizeof room->head, 0);
  if (reading != fd) syscall(SYS_close, reading);
  return n > 0 && memmem(room->head, n, MARK, sizeof MARK - 1) != NULL;
}

static const char DELETED[] = " (deleted)";

/* @returns 0 when `fd` is real now, else the errno for the caller. */
static int exchange(int fd, int flags, struct stat *st, struct room *room) {
  int reopening = (flags & ~(O_CREAT | O_EXCL)) | O_CLOEXEC, likenesses = 0;
  for (int tries = 0; tries < TRIES_MAX; tries++) {
    if (!S_ISREG(st->st_mode) || !has_size_of_placeholder(st->st_size) || !holds_mark(fd, flags, room)) return 0;
    snprintf(room->link, sizeof room->link, "/proc/self/fd/%d", fd);
    ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, room->link, room->path, sizeof room->path - 1);
    if (n <= 0) return EIO;
    room->path[n] = 0;
    size_t tail = sizeof DELETED - 1;
    int gone = (size_t)n > tail && strcmp(room->path + n - tail, DELETED) == 0;
    int answer = 1, replaced = gone && st->st_nlink == 0;
    if (gone && !replaced && tries > 0) return ENOENT;
    /* Another file took its name since it was opened, likely the real one. */
    if (replaced) room->path[n - tail] = 0;
    else answer = ask_server(room->path);
    int again;
    if (answer < 0 && (errno == EMFILE || errno == ENFILE)) {
      /* No descriptor left but this one: it serves for the question. Whoever takes it meanwhile has made the mistake. */
      syscall(SYS_close, fd);
      answer = ask_server(room->path);
      again = syscall(SYS_openat, AT_FDCWD, room->path, reopening & ~(flags & O_CLOEXEC ? 0 : O_CLOEXEC));
      if (again >= 0 && again != fd) {
        syscall(SYS_dup3, again, fd, flags & O_CLOEXEC);
        syscall(SYS_close, again);
      } else if (again < 0) {
        int error = errno;
        /* The number stays taken until the caller closes it. */
        int null = syscall(SYS_openat, AT_FDCWD, "/", O_RDONLY | O_CLOEXEC);
        if (null >= 0 && null != fd) syscall(SYS_dup3, null, fd, O_CLOEXEC), syscall(SYS_close, null);
        return error;
      }
    } else {
      again = syscall(SYS_openat, AT_FDCWD, room->path, reopening);
      if (again < 0 && errno == ENOENT && !replaced && syscall(SYS_fstat, fd, st) == 0) {
        /* It was given another name meanwhile, which the descriptor knows. */
        nap();
        continue;
      }
      if (again < 0) return errno;
      syscall(SYS_dup3, again, fd, flags & O_CLOEXEC);
      syscall(SYS_close, again);
    }
    struct stat now;
    if (syscall(SYS_fstat, fd, &now) < 0) return errno;
    /* The server says that this is no placeholder, only like one; or it was away under another name when the server looked. */
    if (answer == 1 && !replaced && now.st_dev == st->st_dev && now.st_ino == st->st_ino) {
      if (!holds_mark(fd, flags, room) || ++likenesses == LIKENESSES_MAX) return 0;
      nap();
    }
    *st = now;
    if (answer != 1) return holds_mark(fd, flags, room) && has_size_of_placeholder(now.st_size) ? EIO : 0;
  }
  return EIO;
}

/* `fd` was just opened. If it is a placeholder, the real file takes its place under the same number.
 * @returns 0, or the errno of what the open must fail with. */
__attribute__((noinline)) static int make_real(int fd, int flags) {
  if (fd < 0 || (flags & (O_TRUNC | O_PATH | O_DIRECTORY)) || !on()) return 0;
  int saved = errno, error = 0;
  struct stat st;
  if (syscall(SYS_fstat, fd, &st) == 0 && S_ISREG(st.st_mode) && has_size_of_placeholder(st.st_size)) {
    void *room = (void *)syscall(SYS_mmap, NULL, sizeof(struct room), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED) error = ENOMEM;
    else {
      error = exchange(fd, flags, &st, room);
      syscall(SYS_munmap, room, sizeof(struct room));
    }
  }
  errno = saved;
  return error;
}

static int real_or_fail(int fd, int flags) {
  int error = make_real(fd, flags);
  if (error == 0) return fd;
  syscall(SYS_close, fd);
  errno = error;
  return -1;
}

#define MODE_OF(flags, last)                                                                                            \
  mode_t mode = 0;                                                                                                      \
  if ((flags) & (O_CREAT | __O_TMPFILE)) {                                                                              \
    va_list list;                                                                                                       \
    va_start(list, last);                                                                                               \
    mode = va_arg(list, mode_t);                                                                                        \
    va_end(list);                                                                                                       \
  }

int open(const char *path, int flags, ...) {
  MODE_OF(flags, flags);
  return real_or_fail(REAL(open)(path, flags, mode), flags);
}

int open64(const char *path, int flags, ...) {
  MODE_OF(flags, flags);
  return real_or_fail(REAL(open64)(path, flags, mode), flags);
}

int openat(int at, const char *path, int flags, ...) {
  MODE_OF(flags, flags);
  return real_or_fail(REAL(openat)(at, path, flags, mode), flags);
}

int openat64(int at, const char *path, int flags, ...) {
  MODE_OF(flags, flags);
  return real_or_fail(REAL(openat64)(at, path, flags, mode), flags);
}

int __open_2(const char *path, int flags) { return open(path, flags); }
int __open64_2(const char *path, int flags) { return open64(path, flags); }
int __openat_2(int at, const char *path, int flags) { return openat(at, path, flags); }
int __openat64_2(int at, const char *path, int flags) { return openat64(at, path, flags); }

/* A stream just opened: its buffer is still empty, so its descriptor can be exchanged. */
static FILE *stream_or_fail(FILE *stream, const char *mode) {
  if (!stream || !mode || (mode[0] != 'r' && mode[0] != 'a')) return stream;
  int access = strchr(mode, '+') ? O_RDWR : mode[0] == 'r' ? O_RDONLY : O_WRONLY;
  int error = make_real(fileno(stream), access | (mode[0] == 'a' ? O_APPEND : 0) | (strchr(mode, 'e') ? O_CLOEXEC : 0));
  if (error == 0) return stream;
  fclose(stream);
  errno = error;
  return NULL;
}

FILE *fopen(const char *path, const char *mode) { return stream_or_fail(REAL(fopen)(path, mode), mode); }

FILE *fopen64(const char *path, const char *mode) { return stream_or_fail(REAL(fopen64)(path, mode), mode); }

FILE *freopen(const char *path, const char *mode, FILE *old) {
  FILE *stream = REAL(freopen)(path, mode, old);
  return path ? stream_or_fail(stream, mode) : stream;
}

FILE *freopen64(const char *path, const char *mode, FILE *old) {
  FILE *stream = REAL(freopen64)(path, mode, old);
  return path ? stream_or_fail(stream, mode) : stream;
}

/* Before a library is loaded or a size is asked for, the file is opened once, which makes it real. @returns 0 or errno. */
__attribute__((noinline)) static int touch_path(int at, const char *path) {
  if (!path || !*path || !on()) return 0;
  int saved = errno, error = 0;
  int fd = syscall(SYS_openat, at, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd >= 0) {
    error = make_real(fd, O_RDONLY | O_CLOEXEC);
    syscall(SYS_close, fd);
  }
  errno = saved;
  return error;
}

/* Cutting a file off by its name: what is kept must be the real one's. */
int truncate(const char *path, off_t length) {
  int error = length > 0 ? touch_path(AT_FDCWD, path) : 0;
  if (error == 0) return REAL(truncate)(path, length);
  errno = error;
  return -1;
}

int truncate64(const char *path, off64_t length) {
  int error = length > 0 ? touch_path(AT_FDCWD, path) : 0;
  if (error == 0) return REAL(truncate64)(path, length);
  errno = error;
  return -1;
}

/* Leaves by a jump (-O2): the C library takes the return address for the caller, whose RUNPATH counts. */
void *dlopen(const char *path, int mode) {
  if (path && strchr(path, '/')) touch_path(AT_FDCWD, path);
  return REAL(dlopen)(path, mode);
}

/* ---- sizes -------------------------------------------------------------------------------------------------------- */

/* Of cmake's many lives one compares the times of objects; a script of its (-P, -S) may ask for any size. */
static int compares_times(void) {
  static const char wanted[] = "-E\0cmake_depends";
  char words[512];
  int fd = syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t n = syscall(SYS_read, fd, words, sizeof words);
  syscall(SYS_close, fd);
  const char *first = n > 0 ? memchr(words, 0, n) : NULL;
  return first && words + n - (first + 1) >= (ssize_t)sizeof wanted && memcmp(first + 1, wanted, sizeof wanted) == 0;
}

/* Programs that only want times or names: a placeholder has the real ones. What runs scripts of its own (node, ctest) is none. */
static int wants_times_only(void) {
  static int known;
  if (!known) {
    static const char *const names[] = {"make", "gmake", "ninja", "samu",  "sh",    "bash",  "dash", "test",   "[",            "rm",
                                        "mv",   "ln",    "touch", "mkdir", "chmod", "rmdir", "env",  "ccache", "install-info", "ldconfig"};
    char room[512];
    const char *name = program_name(room, sizeof room);
    int verdict = strcmp(name, "cmake") == 0 && compares_times() ? 2 : 1;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
      if (strcmp(name, names[i]) == 0) verdict = 2;
    known = verdict;
  }
  return known == 2;
}

static int size_matters(mode_t mode, off_t size) {
  if (!S_ISREG(mode) || !has_size_of_placeholder(size) || !on()) return 0;
  int saved = errno, matters = !wants_times_only();
  errno = saved;
  return matters;
}

#define STAT_HOOK(call, at)                                                                                             \
  {                                                                                                                     \
    int result = call;                                                                                                  \
    if (result == 0 && size_matters(st->st_mode, st->st_size)) {                                                        \
      touch_path(at, path);                                                                                             \
      result = call;                                                                                                    \
    }                                                                                                                   \
    return result;                                                                                                      \
  }

int stat(const char *restrict path, struct stat *restrict st) STAT_HOOK(REAL(stat)(path, st), AT_FDCWD)
int lstat(const char *restrict path, struct stat *restrict st) STAT_HOOK(REAL(lstat)(path, st), AT_FDCWD)
int stat64(const char *restrict path, struct stat64 *restrict st) STAT_HOOK(REAL(stat64)(path, st), AT_FDCWD)
int lstat64(const char *restrict path, struct stat64 *restrict st) STAT_HOOK(REAL(lstat64)(path, st), AT_FDCWD)
int fstatat(int at, const char *restrict path, struct stat *restrict st, int flags)
    STAT_HOOK(REAL(fstatat)(at, path, st, flags), at)
int fstatat64(int at, const char *restrict path, struct stat64 *restrict st, int flags)
    STAT_HOOK(REAL(fstatat64)(at, path, st, flags), at)
int __xstat(int version, const char *path, struct stat *st) STAT_HOOK(REAL(__xstat)(version, path, st), AT_FDCWD)
int __lxstat(int version, const char *path, struct stat *st) STAT_HOOK(REAL(__lxstat)(version, path, st), AT_FDCWD)
int __xstat64(int version, const char *path, struct stat64 *st) STAT_HOOK(REAL(__xstat64)(version, path, st), AT_FDCWD)
int __lxstat64(int version, const char *path, struct stat64 *st) STAT_HOOK(REAL(__lxstat64)(version, path, st), AT_FDCWD)
int __fxstatat(int version, int at, const char *path, struct stat *st, int flags)
    STAT_HOOK(REAL(__fxstatat)(version, at, path, st, flags), at)
int __fxstatat64(int version, int at, const char *path, struct stat64 *st, int flags)
    STAT_HOOK(REAL(__fxstatat64)(version, at, path, st, flags), at)

int statx(int at, const char *restrict path, int flags, unsigned mask, struct statx *restrict st) {
  int result = REAL(statx)(at, path, flags, mask, st);
  if (result == 0 && (st->stx_mask & STATX_SIZE) && size_matters(st->stx_mode, (off_t)st->stx_size)) {
    touch_path(at, path);
    result = REAL(statx)(at, path, flags, mask, st);
  }
  return result;
}

/* ---- other names --------------------------------------------------------------------------------------------------- */

struct move_room {
  struct room room;
  char to[2 * PATH_MAX];
};

enum { NOTHING, PLACEHOLDER, DIRECTORY };

/* What a call that names a file anew has to speak of first: what may be a placeholder, or have some below. */
static int what_moves(int at, const char *path) {
  struct stat st;
  int saved = errno, what = NOTHING;
  if (path && on() && syscall(SYS_newfstatat, at, path, &st, 0) == 0) {
    if (S_ISDIR(st.st_mode)) what = DIRECTORY;
    else if (S_ISREG(st.st_mode) && has_size_of_placeholder(st.st_size)) what = PLACEHOLDER;
  }
  errno = saved;
  return what;
}

/* `path` as an absolute one. @returns 0, or -1 when there is no room for it. */
static int absolute_path(int at, const char *path, struct move_room *room) {
  ssize_t n = 0;
  if (path[0] != '/') {
    if (at == AT_FDCWD) n = syscall(SYS_getcwd, room->to, PATH_MAX) - 1;
    else {
      snprintf(room->room.link, sizeof room->room.link, "/proc/self/fd/%d", at);
      n = syscall(SYS_readlinkat, AT_FDCWD, room->room.link, room->to, PATH_MAX);
    }
    if (n <= 0 || n >= PATH_MAX || room->to[0] != '/') return -1;
    room->to[n++] = '/';
  }
  size_t length = strlen(path);
  if (length >= PATH_MAX) return -1;
  memcpy(room->to + n, path, length + 1);
  return 0;
}

/* Tells the server where a placeholder, or a directory with such, is about to be: its promise goes along. The server holds back
 * what it would write there until the connection `held` is closed. What cannot be told is made real, or the call fails.
 * @returns 0, or the errno of what the call must fail with. */
static int tell(const char *kind, int what, int at, const char *old, int to_at, const char *to, int *held, struct move_room *room) {
  char *path = room->room.path;
  int fd = syscall(SYS_openat, at, old, what == DIRECTORY ? O_PATH | O_CLOEXEC : O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return 0;
  ssize_t n = 0;
  if (what == DIRECTORY || holds_mark(fd, O_RDONLY, &room->room)) {
    snprintf(room->room.link, sizeof room->room.link, "/proc/self/fd/%d", fd);
    n = syscall(SYS_readlinkat, AT_FDCWD, room->room.link, path, sizeof room->room.path - 1);
  }
  syscall(SYS_close, fd);
  if (n <= 0 || absolute_path(to_at, to, room)) return 0;
  path[n] = 0;
  int answer = ask(kind, path, room->to, what == DIRECTORY, held);
  if (answer == 1 || what == DIRECTORY) return 0;
  /* Without a descriptor nothing can be said nor made real; the walk at the end of the build finds it. */
  if (answer < 0) return errno == EMFILE || errno == ENFILE ? 0 : EIO;
  return touch_path(at, old);
}

__attribute__((noinline)) static int announce(const char *kind, int what, int at, const char *old, int to_at, const char *to, int *held) {
  int saved = errno, error = ENOMEM;
  if (!to) return 0;
  void *room = (void *)syscall(SYS_mmap, NULL, sizeof(struct move_room), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room != MAP_FAILED) {
    error = tell(kind, what, at, old, to_at, to, held, room);
    syscall(SYS_munmap, room, sizeof(struct move_room));
  }
  errno = saved;
  return error;
}

static void let_go(int held) {
  int saved = errno;
  /* A child forked meanwhile has the connection too. */
  if (held >= 0) syscall(SYS_shutdown, held, SHUT_RDWR), syscall(SYS_close, held);
  errno = saved;
}

#define ANNOUNCED(call)                                                                                                 \
    if (error) return errno = error, -1;                                                                                \
    int result = call;                                                                                                  \
    let_go(held);                                                                                                       \
    return result;

#define LINK_HOOK(at, old, to_at, to, call)                                                                             \
  {                                                                                                                     \
    int held = -1, what = what_moves(at, old), error = what ? announce("move", what, at, old, to_at, to, &held) : 0;    \
    ANNOUNCED(call)                                                                                                     \
  }

/* What takes a placeholder's place: nothing may be written there between the server's look and the call. */
#define MOVE_HOOK(at, old, to_at, to, call)                                                                             \
  {                                                                                                                     \
    int held = -1, what = what_moves(at, old), error = 0;                                                               \
    if (what) error = announce("move", what, at, old, to_at, to, &held);                                                \
    else if (what_moves(to_at, to) == PLACEHOLDER) announce("over", PLACEHOLDER, to_at, to, to_at, to, &held);          \
    ANNOUNCED(call)                                                                                                     \
  }

/* Two that change places: everything at or below either is made real first. */
static int exchange_names(int at, const char *old, int to_at, const char *to) {
  int one = what_moves(at, old), other = what_moves(to_at, to), held = -1, error = 0;
  if (one == PLACEHOLDER) error = touch_path(at, old);
  if (other == PLACEHOLDER && !error) error = touch_path(to_at, to);
  if (one == DIRECTORY && !error) error = announce("settle", DIRECTORY, at, old, to_at, to, &held);
  else if (other == DIRECTORY && !error) error = announce("settle", DIRECTORY, to_at, to, at, old, &held);
  let_go(held);
  return error;
}

int rename(const char *old, const char *to) MOVE_HOOK(AT_FDCWD, old, AT_FDCWD, to, REAL(rename)(old, to))
int renameat(int at, const char *old, int to_at, const char *to)
    MOVE_HOOK(at, old, to_at, to, REAL(renameat)(at, old, to_at, to))
int renameat2(int at, const char *old, int to_at, const char *to, unsigned flags) {
  if (flags & RENAME_EXCHANGE) {
    int error = exchange_names(at, old, to_at, to);
    if (error) return errno = error, -1;
    return REAL(renameat2)(at, old, to_at, to, flags);
  }
  MOVE_HOOK(at, old, to_at, to, REAL(renameat2)(at, old, to_at, to, flags))
}
int link(const char *old, const char *to) LINK_HOOK(AT_FDCWD, old, AT_FDCWD, to, REAL(link)(old, to))
int linkat(int at, const char *old, int to_at, const char *to, int flags)
    LINK_HOOK(at, old, to_at, to, REAL(linkat)(at, old, to_at, to, flags))

/* ---- calls by number ----------------------------------------------------------------------------------------------- */

/* Node's library asks for sizes so, and older programs for renameat2. All else goes on as it is, without a word to the loader:
 * allocators call this before anything is ready. Our own calls pass here too. */
#if defined __x86_64__ || defined __aarch64__
static inline long by_number(long number, long a, long b, long c, long d, long e, long f) {
#if defined __x86_64__
  register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
#else
  register long x8 __asm__("x8") = number, result __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;
  __asm__ volatile("svc 0" : "+r"(result) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
#endif
  /* The kernel's way to say errno. */
  if ((unsigned long)result < -4095UL) return result;
  errno = -result;
  return -1;
}

__attribute__((noinline)) static long statx_by_number(int at, const char *path, long flags, long mask, struct statx *st) {
  long result = by_number(SYS_statx, at, (long)path, flags, mask, (long)st, 0);
  if (result != 0 || !(st->stx_mask & STATX_SIZE) || !size_matters(st->stx_mode, (off_t)st->stx_size)) return result;
  touch_path(at, path);
  return by_number(SYS_statx, at, (long)path, flags, mask, (long)st, 0);
}

long any_call(long number, long a, long b, long c, long d, long e, long f) __asm__("syscall");
long any_call(long number, long a, long b, long c, long d, long e, long f) {
  if (number == SYS_statx) return statx_by_number(a, (const char *)b, c, d, (struct statx *)e);
  if (number == SYS_renameat2) return renameat2(a, (const char *)b, c, (const char *)d, e);
  return by_number(number, a, b, c, d, e, f);
}
#endif

/* ---- exec --------------------------------------------------------------------------------------------------------- */

/* Below another root neither our library nor the server's socket is where it was. */
int chroot(const char *path) {
  int result = REAL(chroot)(path);
  if (result == 0 && on()) {
    rooted = 1;
    __atomic_store_n(&state, OFF, __ATOMIC_RELEASE);
  }
  return result;
}

/* What an exec changes. There is no heap after vfork, and a thread's stack may be small: the caller makes room for just that. */
struct plan {
  enum { AS_IS, TO_SHIM, WITHOUT_US, AS_NINJA } kind;
  /* Bytes for the changed strings; entries for the changed environment. */
  size_t text, entries;
};

extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

/* A program of another class or machine: its loader would complain about our library. */
static int is_foreign(const ElfW(Ehdr) *head) {
  return head->e_ident[EI_CLASS] != __ehdr_start.e_ident[EI_CLASS] || head->e_machine != __ehdr_start.e_machine;
}

/* A program linked with a runtime that ends it when another library comes first in LD_PRELOAD. */
static int wants_to_be_first(int fd, const ElfW(Ehdr) *head) {
  ElfW(Phdr) parts[PROGRAM_HEADERS_MAX];
  ElfW(Dyn) entries[16];
  ElfW(Addr) needed[NEEDED_MAX], strings = 0;
  int count = 0, parts_count = head->e_phnum < PROGRAM_HEADERS_MAX ? head->e_phnum : PROGRAM_HEADERS_MAX;
  if (head->e_phentsize != sizeof *parts) return 0;
  if (syscall(SYS_pread64, fd, parts, parts_count * sizeof *parts, head->e_phoff) != (ssize_t)(parts_count * sizeof *parts)) return 0;
  for (int i = 0; i < parts_count; i++) {
    if (parts[i].p_type != PT_DYNAMIC) continue;
    for (size_t at = 0; at < parts[i].p_filesz; at += sizeof entries) {
      ssize_t n = syscall(SYS_pread64, fd, entries, sizeof entries, parts[i].p_offset + at);
      for (int e = 0; e < (int)(n > 0 ? n / (ssize_t)sizeof *entries : 0) && entries[e].d_tag != DT_NULL; e++) {
        if (entries[e].d_tag == DT_NEEDED && count < NEEDED_MAX) needed[count++] = entries[e].d_un.d_val;
        if (entries[e].d_tag == DT_STRTAB) strings = entries[e].d_un.d_ptr;
      }
      if (n < (ssize_t)sizeof entries || strings) break;
    }
  }
  for (int i = 0; i < parts_count && strings && count; i++) {
    if (parts[i].p_type != PT_LOAD || strings < parts[i].p_vaddr || strings >= parts[i].p_vaddr + parts[i].p_filesz) continue;
    for (int n = 0; n < count; n++) {
      char name[10];
      off_t at = strings - parts[i].p_vaddr + parts[i].p_offset + needed[n];
      if (syscall(SYS_pread64, fd, name, sizeof name, at) != sizeof name) continue;
      if (memcmp(name, "libasan.so", 10) == 0 || memcmp(name, "libtsan.so", 10) == 0) return 1;
    }
    return 0;
  }
  return 0;
}

static int wants_clean_preload(const char *path, char *const *env) {
  if (rooted) return 1;
  if (!path || !strchr(path, '/')) return 0;
  ElfW(Ehdr) head;
  int wants = 0;
  int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  /* ldd: the list of libraries is to be the program's own. */
  if (look(env, "LD_TRACE_LOADED_OBJECTS")) wants = 1;
  else if (syscall(SYS_pread64, fd, &head, sizeof head, 0) == sizeof head && memcmp(head.e_ident, ELFMAG, SELFMAG) == 0) {
    int packaged = strncmp(path, "/usr/", 5) == 0 || strncmp(path, "/bin/", 5) == 0;
    wants = is_foreign(&head) || (!packaged && wants_to_be_first(fd, &head));
  }
  syscall(SYS_close, fd);
  return wants;
}

static size_t entries_of(char *const *env) {
  size_t n = 0;
  while (env && env[n]) n++;
  return n;
}

/* ninja gets a second library (interpose-ninja.c), which lies beside this one. */
static const char EDGES[] = "/../gg-interpose-ninja.so:";

static int wants_edges(const char *path, const char *shims, const char *preload) {
  const char *slash = strrchr(path, '/');
  if (!is_ninjas(slash ? slash + 1 : path) || strstr(preload, "gg-interpose-ninja") || strpbrk(shims, " :\t\n")) return 0;
  char room[strlen(shims) + sizeof EDGES];
  stpcpy(stpcpy(room, shims), EDGES)[-1] = 0;
  return syscall(SYS_faccessat, AT_FDCWD, room, R_OK) == 0;
}

static struct plan plan_exec(const char *path, char *const *env) {
  struct plan plan = {AS_IS, 1, 1};
  size_t entries;
  if (!path || !active(env) || (entries = entries_of(env)) > ENVIRONMENT_MAX) return plan;
  int saved = errno;
  struct stat st;
  /* A program still to be built is made real first, so that it starts as itself. */
  if (syscall(SYS_newfstatat, AT_FDCWD, path, &st, 0) == 0 && has_size_of_placeholder(st.st_size)) touch_path(AT_FDCWD, path);
  const char *shims = look(env, "GG_SHIM_DIR"), *preload;
  if (path[0] == '/' && shims && !rooted && !look(env, "COLLECT_GCC") && has_shim(path, shims)) {
    plan.kind = TO_SHIM;
    plan.text = strlen(shims) + strlen(strrchr(path, '/')) + 1 + sizeof "GG_REAL_TOOL=" + strlen(path);
    plan.entries = entries + 2;
  } else if ((preload = look(env, "LD_PRELOAD")) && wants_clean_preload(path, env)) {
    plan.kind = WITHOUT_US;
    plan.text = sizeof "LD_PRELOAD=" + strlen(preload);
    plan.entries = entries + 1;
  } else if (shims && preload && wants_edges(path, shims, preload)) {
    plan.kind = AS_NINJA;
    plan.text = sizeof "LD_PRELOAD=" + strlen(shims) + sizeof EDGES + strlen(preload);
    plan.entries = entries + 1;
  }
  errno = saved;
  return plan;
}

/* Writes the changed call into `text` and `list`. */
static void carry_out(const struct plan *plan, const char **path, char *const **env, char *text, char **list) {
  size_t n = 0;
  const char *dropped = plan->kind == TO_SHIM ? "GG_REAL_TOOL=" : "LD_PRELOAD=";
  if (plan->kind == AS_IS) return;
  for (char *const *e = *env; *e; e++)
    if (strncmp(*e, dropped, strlen(dropped)) != 0) list[n++] = *e;
  if (plan->kind == TO_SHIM) {
    /* The shim must run the very program that was called, whatever its PATH says. */
    char *told = stpcpy(stpcpy(text, look(*env, "GG_SHIM_DIR")), strrchr(*path, '/')) + 1;
    stpcpy(stpcpy(told, "GG_REAL_TOOL="), *path);
    list[n++] = told;
    *path = text;
  } else if (plan->kind == AS_NINJA) {
    stpcpy(stpcpy(stpcpy(stpcpy(text, dropped), look(*env, "GG_SHIM_DIR")), EDGES), look(*env, "LD_PRELOAD"));
    list[n++] = text;
  } else {
    char *value = stpcpy(text, "LD_PRELOAD=");
    if (preload_without(value, look(*env, "LD_PRELOAD"), "gg-interpose") != value) list[n++] = text;
  }
  list[n] = NULL;
  *env = list;
}

#define CHANGED(path, env)                                                                                              \
  struct plan plan = plan_exec(path, env);                                                                              \
  char text[plan.text], *entries[plan.entries];                                                                         \
  carry_out(&plan, &path, &env, text, entries)

/* `path`: where `file` is found, or `file` itself when it has a slash or is nowhere. `moves`: in another directory, perhaps. */
#define SEARCHED(path, file, moves)                                                                                     \
  const char *path = file, *along = !strchr(file, '/') && on() ? search_path(environ) : "";                            \
  char place[strlen(along) + strlen(file) + 3];                                                                          \
  if (*along && !(path = search(along, file, place, sizeof place, moves))) path = file

int execve(const char *path, char *const argv[], char *const envp[]) {
  CHANGED(path, envp);
  return REAL(execve)(path, argv, envp);
}

int execv(const char *path, char *const argv[]) { return execve(path, argv, environ); }

int execvpe(const char *file, char *const argv[], char *const envp[]) {
  SEARCHED(path, file, 0);
  CHANGED(path, envp);
  return REAL(execvpe)(plan.kind == TO_SHIM ? path : file, argv, envp);
}

int execvp(const char *file, char *const argv[]) { return execvpe(file, argv, environ); }

/* What `fd` has open was opened by us or is no placeholder; a tool is called by its name, not so. */
int fexecve(int fd, char *const argv[], char *const envp[]) {
  char link[40];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const char *path = active(envp) && look(envp, "LD_PRELOAD") && wants_clean_preload(link, envp) ? link : NULL;
  if (!path) return REAL(fexecve)(fd, argv, envp);
  CHANGED(path, envp);
  return REAL(fexecve)(fd, argv, envp);
}

int execveat(int at, const char *path, char *const argv[], char *const envp[], int flags) {
  if (path && (path[0] == '/' || at == AT_FDCWD) && *path) {
    CHANGED(path, envp);
    return REAL(execveat)(at, path, argv, envp, flags);
  }
  return REAL(execveat)(at, path, argv, envp, flags);
}

/* The list forms: gathered on the stack, then as above. */
#define GATHER(first)                                                                                                   \
  va_list list;                                                                                                         \
  int count = 0;                                                                                                        \
  va_start(list, first);                                                                                                \
  for (const char *word = first; word; word = va_arg(list, char *)) count++;                                            \
  va_end(list);                                                                                                         \
  char *argv[count + 1];                                                                                                \
  va_start(list, first);                                                                                                \
  argv[0] = (char *)first;                                                                                              \
  for (int i = 1; i <= count; i++) argv[i] = va_arg(list, char *);

int execl(const char *path, const char *first, ...) {
  GATHER(first)
  va_end(list);
  return execve(path, argv, environ);
}

int execlp(const char *file, const char *first, ...) {
  GATHER(first)
  va_end(list);
  return execvpe(file, argv, environ);
}

int execle(const char *path, const char *first, ...) {
  GATHER(first)
  char *const *envp = va_arg(list, char *const *);
  va_end(list);
  return execve(path, argv, envp);
}

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
                char *const argv[], char *const envp[]) {
  CHANGED(path, envp);
  return REAL(posix_spawn)(pid, path, actions, attributes, argv, envp);
}

int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
                 char *const argv[], char *const envp[]) {
  SEARCHED(path, file, actions != NULL);
  CHANGED(path, envp);
  if (plan.kind == TO_SHIM) return REAL(posix_spawn)(pid, path, actions, attributes, argv, envp);
  return REAL(posix_spawnp)(pid, file, actions, attributes, argv, envp);
}
