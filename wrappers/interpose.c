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
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
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
#include "reach.h"

/* ir/placeholder.ts: SIZE_BY_FORM, MARK, MARK_WITHIN. */
#define MARK "gg-placeholder 1 "
#define MARK_WITHIN 512
static const off_t placeholder_sizes[] = {512, 1024, 1152};

#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE 2
#endif
#ifndef STATX_SIZE
#define STATX_SIZE 0x200
#endif

#define ENVIRONMENT_MAX 65536
/* A server that was killed is started again by the next shim; so long one waits for that. */
#define CONNECT_WAIT_MS 5000
#define CONNECT_STEP_MS 5
/* Of a command line; the server needs the names of files in it, which come early or are found by their directories. */
#define BARRIER_BYTES_MAX 65536
/* A file may be replaced while one looks at it. */
#define TRIES_MAX 8

extern char **environ;

#ifdef __GLIBC__
/* Of glibc before 2.33; programs built then still call them. */
int __xstat(int version, const char *path, struct stat *st);
int __lxstat(int version, const char *path, struct stat *st);
int __xstat64(int version, const char *path, struct stat64 *st);
int __lxstat64(int version, const char *path, struct stat64 *st);
int __fxstatat(int version, int at, const char *path, struct stat *st, int flags);
int __fxstatat64(int version, int at, const char *path, struct stat64 *st, int flags);
#else
/* musl has these under another name, or not yet. */
int execveat(int at, const char *name, char *const argv[], char *const envp[], int flags);
int renameat2(int at, const char *old, int to_at, const char *to, unsigned flags);
#endif

/* ---- the functions behind ours ------------------------------------------------------------------------------------ */

#define HOOKS_ANYWHERE(X)                                                                                               \
  X(open) X(openat) X(fopen) X(freopen) X(truncate) X(dlopen) X(stat) X(lstat) X(fstatat) X(chroot) X(execve)           \
  X(execvpe) X(fexecve) X(execveat) X(posix_spawn) X(posix_spawnp) X(rename) X(renameat) X(renameat2) X(link)           \
  X(linkat) X(setuid) X(seteuid) X(setreuid) X(setresuid) X(system) X(popen) X(connect)

/* Where files have one kind of size and time, there is one function for each of these. */
#ifdef __GLIBC__
#define HOOKS(X)                                                                                                        \
  HOOKS_ANYWHERE(X)                                                                                                     \
  X(open64) X(openat64) X(fopen64) X(freopen64) X(truncate64) X(stat64) X(lstat64) X(fstatat64) X(statx) X(__xstat)     \
  X(__lxstat) X(__xstat64) X(__lxstat64) X(__fxstatat) X(__fxstatat64)
#else
#define HOOKS(X) HOOKS_ANYWHERE(X)
#endif

#define MEMBER(name) void *found_##name;
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

#define REAL(name) ((__typeof__(&name))(found.found_##name ? found.found_##name : look_up(&found.found_##name, #name)))

/* ---- calls without the library that `syscall` of ours would lead back to ------------------------------------------- */

#if defined __x86_64__ || defined __aarch64__
#define HAS_BY_NUMBER
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
#else
#define by_number syscall
#endif

/* Opens a file as it stands. */
static int raw_open(int at, const char *path, int flags) { return by_number(SYS_openat, at, (long)path, flags, 0, 0, 0); }

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
#define LOOK_UP(name) found.found_##name = dlsym(RTLD_NEXT, #name);
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

/* What is asked: `to` only where the kind has one; `fields`: more of the request, as they travel. */
struct question {
  const char *kind, *path, *to;
  const unsigned char *fields;
  size_t fields_length;
};

/* One question on one connection. 1: ready; 0: it cannot be; -1: nobody answered. */
static int ask_once(int fd, const struct question *q) {
  const char *kind = q->kind, *path = q->path, *to = q->to;
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
  length = (at - front - 8) + strlen(path) + (mid - middle) + (to ? strlen(to) : 0) + (end - back) + q->fields_length;
  memcpy(front + 4, &length, 4);
  struct iovec parts[] = {{front, at - front},
                          {(void *)path, strlen(path)},
                          {middle, mid - middle},
                          {(void *)to, to ? strlen(to) : 0},
                          {back, end - back},
                          {(void *)q->fields, q->fields_length}};
  if (send_all(fd, parts, 6)) return -1;
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
static int ask(const struct question *q, int unless_ended, int *held) {
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
    int answer = bad ? -1 : ask_once(fd, q);
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
  struct question q = {.kind = strcmp(program_name(room, sizeof room), "mv") == 0 ? "keep" : "open", .path = path};
  return ask(&q, 0, NULL);
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
    reading = raw_open(AT_FDCWD, room->link, O_RDONLY | O_CLOEXEC);
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
      again = raw_open(AT_FDCWD, room->path, reopening & ~(flags & O_CLOEXEC ? 0 : O_CLOEXEC));
      if (again >= 0 && again != fd) {
        syscall(SYS_dup3, again, fd, flags & O_CLOEXEC);
        syscall(SYS_close, again);
      } else if (again < 0) {
        int error = errno;
        /* The number stays taken until the caller closes it. */
        int null = raw_open(AT_FDCWD, "/", O_RDONLY | O_CLOEXEC);
        if (null >= 0 && null != fd) syscall(SYS_dup3, null, fd, O_CLOEXEC), syscall(SYS_close, null);
        return error;
      }
    } else {
      again = raw_open(AT_FDCWD, room->path, reopening);
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
  if (((flags) & O_CREAT) || ((flags) & O_TMPFILE) == O_TMPFILE) {                                                                              \
    va_list list;                                                                                                       \
    va_start(list, last);                                                                                               \
    mode = va_arg(list, mode_t);                                                                                        \
    va_end(list);                                                                                                       \
  }

int open(const char *path, int flags, ...) {
  MODE_OF(flags, flags);
  return real_or_fail(REAL(open)(path, flags, mode), flags);
}

#ifdef __GLIBC__
int open64(const char *path, int flags, ...) {
  MODE_OF(flags, flags);
  return real_or_fail(REAL(open64)(path, flags, mode), flags);
}
#endif

int openat(int at, const char *path, int flags, ...) {
  MODE_OF(flags, flags);
  return real_or_fail(REAL(openat)(at, path, flags, mode), flags);
}

#ifdef __GLIBC__
int openat64(int at, const char *path, int flags, ...) {
  MODE_OF(flags, flags);
  return real_or_fail(REAL(openat64)(at, path, flags, mode), flags);
}

int __open_2(const char *path, int flags) { return open(path, flags); }
int __open64_2(const char *path, int flags) { return open64(path, flags); }
int __openat_2(int at, const char *path, int flags) { return openat(at, path, flags); }
int __openat64_2(int at, const char *path, int flags) { return openat64(at, path, flags); }
#endif

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

#ifdef __GLIBC__
FILE *fopen64(const char *path, const char *mode) { return stream_or_fail(REAL(fopen64)(path, mode), mode); }
#endif

FILE *freopen(const char *path, const char *mode, FILE *old) {
  FILE *stream = REAL(freopen)(path, mode, old);
  return path ? stream_or_fail(stream, mode) : stream;
}

#ifdef __GLIBC__
FILE *freopen64(const char *path, const char *mode, FILE *old) {
  FILE *stream = REAL(freopen64)(path, mode, old);
  return path ? stream_or_fail(stream, mode) : stream;
}
#endif

/* Before a library is loaded or a size is asked for, the file is opened once, which makes it real. @returns 0 or errno. */
__attribute__((noinline)) static int touch_path(int at, const char *path) {
  if (!path || !*path || !on()) return 0;
  int saved = errno, error = 0;
  int fd = raw_open(at, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
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

#ifdef __GLIBC__
int truncate64(const char *path, off64_t length) {
  int error = length > 0 ? touch_path(AT_FDCWD, path) : 0;
  if (error == 0) return REAL(truncate64)(path, length);
  errno = error;
  return -1;
}
#endif

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
  int fd = raw_open(AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
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
int fstatat(int at, const char *restrict path, struct stat *restrict st, int flags)
    STAT_HOOK(REAL(fstatat)(at, path, st, flags), at)
#ifdef __GLIBC__
int stat64(const char *restrict path, struct stat64 *restrict st) STAT_HOOK(REAL(stat64)(path, st), AT_FDCWD)
int lstat64(const char *restrict path, struct stat64 *restrict st) STAT_HOOK(REAL(lstat64)(path, st), AT_FDCWD)
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
#endif

/* ---- barriers ----------------------------------------------------------------------------------------------------- */

struct barrier_room {
  struct room room;
  unsigned char fields[BARRIER_BYTES_MAX];
};

/* Whether a process with this environment gets our library. */
static int is_guarded(char *const *env) {
  const char *preload = look(env, "LD_PRELOAD");
  return active(env) && preload && strstr(preload, "gg-interpose");
}

/* Whether an argument is still a placeholder: then nobody who cannot wait for it may have it. */
static int names_placeholder(char *const argv[], struct room *room) {
  for (; argv && *argv; argv++) {
    int fd = raw_open(AT_FDCWD, *argv, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) continue;
    struct stat st;
    int is = syscall(SYS_fstat, fd, &st) == 0 && S_ISREG(st.st_mode) && has_size_of_placeholder(st.st_size) && holds_mark(fd, O_RDONLY, room);
    syscall(SYS_close, fd);
    if (is) return 1;
  }
  return 0;
}

/* Something is about to run that does not wait for placeholders: all it can reach is made real first.
 * @param why a word for people (src/session/barrier.ts). `argv`: with the program's name first; its words may be files.
 * @returns 0, or EIO when there is no server to make an argument real. */
__attribute__((noinline)) static int barrier(const char *why, const char *program, char *const argv[]) {
  if (!on() || look(environ, "COLLECT_GCC")) return 0;
  int saved = errno, error = 0;
  struct barrier_room *b = (void *)syscall(SYS_mmap, NULL, sizeof *b, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if ((void *)b == MAP_FAILED) return 0;
  unsigned char *at = b->fields, *end = b->fields + sizeof b->fields;
  ssize_t n = syscall(SYS_getcwd, b->room.path, PATH_MAX);
  if (n > 1) at = put(at, GG_FIELD_CWD, b->room.path, n - 1);
  at = put(at, GG_FIELD_UNUSUAL, why, strlen(why));
  for (char *const *word = argv; word && *word; word++) {
    size_t length = strlen(*word);
    if (length < PATH_MAX && (size_t)(end - at) > length + 5) at = put(at, GG_FIELD_ARG, *word, length);
  }
  struct question q = {.kind = "barrier", .path = program, .fields = b->fields, .fields_length = at - b->fields};
  if (ask(&q, 1, NULL) < 0 && names_placeholder(argv, &b->room)) error = EIO;
  syscall(SYS_munmap, b, sizeof *b);
  errno = saved;
  return error;
}

/* Another user reads neither our library nor the server's socket: who becomes one does so behind a barrier. */
static void before_user(uid_t uid) {
  if (uid != (uid_t)-1 && on() && uid != (uid_t)syscall(SYS_geteuid)) barrier("other-user", "", NULL);
}

int setuid(uid_t uid) { return before_user(uid), REAL(setuid)(uid); }
int seteuid(uid_t uid) { return before_user(uid), REAL(seteuid)(uid); }
int setreuid(uid_t ruid, uid_t euid) { return before_user(euid), REAL(setreuid)(ruid, euid); }
int setresuid(uid_t ruid, uid_t euid, uid_t suid) { return before_user(euid), REAL(setresuid)(ruid, euid, suid); }

/* Whether a process of this machine listens there, which may read what stands in the tree. Our own server is none. */
static int is_local(const struct sockaddr *address, socklen_t length) {
  const struct sockaddr_in *four = (const void *)address;
  const struct sockaddr_in6 *six = (const void *)address;
  switch (length >= sizeof address->sa_family ? address->sa_family : AF_UNSPEC) {
  case AF_UNIX:
    return strncmp(((const struct sockaddr_un *)address)->sun_path, server_address.sun_path, length - offsetof(struct sockaddr_un, sun_path)) != 0;
  case AF_INET:
    return length >= sizeof *four && ntohl(four->sin_addr.s_addr) >> 24 == 127;
  case AF_INET6:
    return length >= sizeof *six && IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
  default:
    return 0;
  }
}

/* A daemon that was there before us works for a build: a compile server, a cache. */
int connect(int fd, const struct sockaddr *address, socklen_t length) {
  if (on() && address && is_local(address, length)) barrier("daemon", "", NULL);
  return REAL(connect)(fd, address, length);
}

/* The C library starts the shell of these by itself, with what `environ` says. */
static void before_shell(const char *command) {
  char *words[] = {"sh", (char *)command, NULL};
  if (on() && !is_guarded(environ)) barrier("cleared-environment", "sh", words);
}

int system(const char *command) {
  if (command) before_shell(command);
  return REAL(system)(command);
}

FILE *popen(const char *command, const char *mode) { return before_shell(command), REAL(popen)(command, mode); }

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
  int fd = raw_open(at, old, what == DIRECTORY ? O_PATH | O_CLOEXEC : O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return 0;
  ssize_t n = 0;
  if (what == DIRECTORY || holds_mark(fd, O_RDONLY, &room->room)) {
    snprintf(room->room.link, sizeof room->room.link, "/proc/self/fd/%d", fd);
    n = syscall(SYS_readlinkat, AT_FDCWD, room->room.link, path, sizeof room->room.path - 1);
  }
  syscall(SYS_close, fd);
  if (n <= 0 || absolute_path(to_at, to, room)) return 0;
  path[n] = 0;
  struct question q = {.kind = kind, .path = path, .to = room->to};
  int answer = ask(&q, what == DIRECTORY, held);
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
static int really_renameat2(int at, const char *old, int to_at, const char *to, unsigned flags) {
  __typeof__(&renameat2) real = REAL(renameat2);
  return real ? real(at, old, to_at, to, flags) : by_number(SYS_renameat2, at, (long)old, to_at, (long)to, flags, 0);
}
int renameat2(int at, const char *old, int to_at, const char *to, unsigned flags) {
  if (flags & RENAME_EXCHANGE) {
    int error = exchange_names(at, old, to_at, to);
    if (error) return errno = error, -1;
    return really_renameat2(at, old, to_at, to, flags);
  }
  MOVE_HOOK(at, old, to_at, to, really_renameat2(at, old, to_at, to, flags))
}
int link(const char *old, const char *to) LINK_HOOK(AT_FDCWD, old, AT_FDCWD, to, REAL(link)(old, to))
int linkat(int at, const char *old, int to_at, const char *to, int flags)
    LINK_HOOK(at, old, to_at, to, REAL(linkat)(at, old, to_at, to, flags))

/* ---- calls by number ----------------------------------------------------------------------------------------------- */

/* Node's library asks for sizes so, and older programs for renameat2. All else goes on as it is, without a word to the loader:
 * allocators call this before anything is ready. Our own calls pass here too. */
#ifdef HAS_BY_NUMBER
/* `struct statx`, as far as it matters here; not every C library has it. */
struct sized {
  uint32_t mask;
  unsigned char more[24];
  uint16_t mode;
  unsigned char other[10];
  uint64_t size;
};

__attribute__((noinline)) static long statx_by_number(int at, const char *path, long flags, long mask, struct sized *st) {
  long result = by_number(SYS_statx, at, (long)path, flags, mask, (long)st, 0);
  if (result != 0 || !(st->mask & STATX_SIZE) || !size_matters(st->mode, (off_t)st->size)) return result;
  touch_path(at, path);
  return by_number(SYS_statx, at, (long)path, flags, mask, (long)st, 0);
}

long any_call(long number, long a, long b, long c, long d, long e, long f) __asm__("syscall");
long any_call(long number, long a, long b, long c, long d, long e, long f) {
  if (number == SYS_execve) return execve((const char *)a, (char *const *)b, (char *const *)c);
  if (number == SYS_execveat) return execveat(a, (const char *)b, (char *const *)c, (char *const *)d, e);
  if (number == SYS_setuid) return setuid(a);
  if (number == SYS_setreuid) return setreuid(a, b);
  if (number == SYS_setresuid) return setresuid(a, b, c);
  if (number == SYS_chroot) return chroot((const char *)a);
  if (number == SYS_pivot_root) barrier("chroot", "", NULL);
  if (__atomic_load_n(&state, __ATOMIC_ACQUIRE) == ON) {
    if (number == SYS_openat) return real_or_fail(by_number(number, a, b, c, d, e, f), c);
#ifdef SYS_open
    if (number == SYS_open) return real_or_fail(by_number(number, a, b, c, d, e, f), b);
#endif
  }
  if (number == SYS_statx) return statx_by_number(a, (const char *)b, c, d, (struct sized *)e);
  if (number == SYS_renameat2) return renameat2(a, (const char *)b, c, (const char *)d, e);
  return by_number(number, a, b, c, d, e, f);
}
#endif

/* ---- exec --------------------------------------------------------------------------------------------------------- */

/* Below another root neither our library nor the server's socket is where it was. */
int chroot(const char *path) {
  char *words[] = {"chroot", (char *)path, NULL};
  barrier("chroot", "", words);
  int result = REAL(chroot)(path);
  if (result == 0 && on()) {
    rooted = 1;
    __atomic_store_n(&state, OFF, __ATOMIC_RELEASE);
  }
  return result;
}

/* What an exec changes. There is no heap after vfork, and a thread's stack may be small: the caller makes room for just that. */
struct plan {
  enum { AS_IS, TO_SHIM, WITHOUT_US, AS_NINJA, SYNC_BELOW } kind;
  /* Bytes for the changed strings; entries for the changed environment. */
  size_t text, entries;
  /* Other than 0: the call must fail with this errno. */
  int error;
};

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

/* Whether the loader of a program started now could read our library, which is named in `preload`. Its owner is who may speak to
 * the server; a process that has become another user may still have the rights to open it, and lose them with the exec. */
static int can_load_ours(const char *preload) {
  char path[PATH_MAX];
  const char *ours = strstr(preload, "gg-interpose"), *start = ours;
  if (!ours) return 1;
  while (start > preload && start[-1] != ':' && start[-1] != ' ') start--;
  size_t length = (ours - start) + strcspn(ours, ": ");
  if (length >= sizeof path) return 1;
  memcpy(path, start, length);
  path[length] = 0;
  int fd = raw_open(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno != EACCES && errno != ENOENT && errno != ENOTDIR;
  struct stat st;
  int is_ours = syscall(SYS_fstat, fd, &st) < 0 || st.st_uid == (uid_t)syscall(SYS_geteuid);
  syscall(SYS_close, fd);
  return is_ours;
}

/* Libraries that the loader opens before ours can wait for them: the user's own preload and audit libraries. */
static void make_listed_real(const char *list) {
  char path[PATH_MAX];
  for (; list && *list; list += strspn(list, ": ")) {
    size_t length = strcspn(list, ": ");
    if (length < sizeof path && memchr(list, '/', length) && !memmem(list, length, "gg-interpose", 12)) {
      memcpy(path, list, length);
      path[length] = 0;
      touch_path(AT_FDCWD, path);
    }
    list += length;
  }
}

/* Why a program is about to start that does not wait for placeholders; NULL: it does. */
static const char *why_unguarded(const char *path, char *const *env, enum reach reach, int has_search_path) {
  if (!is_guarded(env)) return "cleared-environment";
  if (look(env, "LD_TRACE_LOADED_OBJECTS")) return "loader";
  switch (reach) {
  case FOREIGN:
    return "other-class";
  case WANTS_TO_BE_FIRST:
    return "sanitizer";
  case LOADER:
    return "loader";
  case STATIC:
    return "static-program";
  case SECURE:
    return "setuid-program";
  case REACHED:
    break;
  }
  if (!can_load_ours(look(env, "LD_PRELOAD"))) return "other-user";
  int packaged = strncmp(path, "/usr/", 5) == 0 || strncmp(path, "/bin/", 5) == 0;
  return !packaged && (has_search_path || look(env, "LD_LIBRARY_PATH")) ? "libraries" : NULL;
}

/* Whether our library is taken from a program's environment, since its loader would say something about it. */
static int wants_clean_preload(const char *why, enum reach reach) {
  if (rooted) return 1;
  if (!why || reach == STATIC || reach == SECURE) return 0;
  return strcmp(why, "libraries") != 0 && strcmp(why, "cleared-environment") != 0;
}

static struct plan plan_exec(const char *path, char *const argv[], char *const *env) {
  struct plan plan = {AS_IS, 1, 1, 0};
  size_t entries;
  if (!path || !(on() || rooted || active(env)) || (entries = entries_of(env)) > ENVIRONMENT_MAX) return plan;
  int saved = errno, has_search_path = 0;
  struct stat st;
  /* A program still to be built is made real first, so that it starts as itself. */
  if (syscall(SYS_newfstatat, AT_FDCWD, path, &st, 0) == 0 && has_size_of_placeholder(st.st_size)) touch_path(AT_FDCWD, path);
  const char *shims = look(env, "GG_SHIM_DIR"), *preload = look(env, "LD_PRELOAD");
  if (path[0] == '/' && shims && active(env) && !rooted && !look(env, "COLLECT_GCC") && has_shim(path, shims)) {
    plan.kind = TO_SHIM;
    plan.text = strlen(shims) + strlen(strrchr(path, '/')) + 1 + sizeof "GG_REAL_TOOL=" + strlen(path);
    plan.entries = entries + 2;
    errno = saved;
    return plan;
  }
  enum reach reach = reach_of(path, &has_search_path);
  const char *why = why_unguarded(path, env, reach, has_search_path);
  if (reach == STATIC && is_beside_shim(path)) why = NULL;
  make_listed_real(preload);
  make_listed_real(look(env, "LD_AUDIT"));
  if (why) plan.error = barrier(why, path, argv);
  if (preload && wants_clean_preload(why, reach)) {
    plan.kind = WITHOUT_US;
    plan.text = sizeof "LD_PRELOAD=" + strlen(preload);
    plan.entries = entries + 1;
  } else if (why && reach == STATIC && is_guarded(env) && look(env, "GG_MODE")) {
    /* What it starts has our library, and may defer; but it reads in between, and does not wait. */
    plan.kind = SYNC_BELOW;
    plan.entries = entries + 1;
  } else if (shims && preload && active(env) && wants_edges(path, shims, preload)) {
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
  static const char sync_mode[] = "GG_MODE=sync";
  const char *dropped = plan->kind == TO_SHIM ? "GG_REAL_TOOL=" : plan->kind == SYNC_BELOW ? "GG_MODE=" : "LD_PRELOAD=";
  if (plan->kind == AS_IS) return;
  for (char *const *e = *env; *e; e++)
    if (strncmp(*e, dropped, strlen(dropped)) != 0) list[n++] = *e;
  if (plan->kind == TO_SHIM) {
    /* The shim must run the very program that was called, whatever its PATH says. */
    char *told = stpcpy(stpcpy(text, look(*env, "GG_SHIM_DIR")), strrchr(*path, '/')) + 1;
    stpcpy(stpcpy(told, "GG_REAL_TOOL="), *path);
    list[n++] = told;
    *path = text;
  } else if (plan->kind == SYNC_BELOW) {
    list[n++] = (char *)sync_mode;
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
  struct plan plan = plan_exec(path, argv, env);                                                                             \
  char text[plan.text], *entries[plan.entries];                                                                         \
  carry_out(&plan, &path, &env, text, entries)

/* For the calls that say errno, and for those that return it. */
#define STOPS                                                                                                           \
  if (plan.error) return errno = plan.error, -1
#define STOPS_SPAWN                                                                                                     \
  if (plan.error) return plan.error

/* `path`: where `file` is found, or `file` itself when it has a slash or is nowhere. `moves`: in another directory, perhaps. */
#define SEARCHED(path, file, moves)                                                                                     \
  const char *path = file, *along = !strchr(file, '/') && on() ? search_path(environ) : "";                            \
  char place[strlen(along) + strlen(file) + 3];                                                                          \
  if (*along && !(path = search(along, file, place, sizeof place, moves))) path = file

int execve(const char *path, char *const argv[], char *const envp[]) {
  CHANGED(path, envp);
  STOPS;
  return REAL(execve)(path, argv, envp);
}

int execv(const char *path, char *const argv[]) { return execve(path, argv, environ); }

int execvpe(const char *file, char *const argv[], char *const envp[]) {
  SEARCHED(path, file, 0);
  CHANGED(path, envp);
  STOPS;
  return REAL(execvpe)(plan.kind == TO_SHIM ? path : file, argv, envp);
}

int execvp(const char *file, char *const argv[]) { return execvpe(file, argv, environ); }

/* What `fd` has open was opened by us or is no placeholder; a tool is called by its name, not so. */
int fexecve(int fd, char *const argv[], char *const envp[]) {
  char link[40];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const char *path = link;
  CHANGED(path, envp);
  STOPS;
  return REAL(fexecve)(fd, argv, envp);
}

int execveat(int at, const char *name, char *const argv[], char *const envp[], int flags) {
  size_t length = strlen(name);
  char place[length + 40];
  const char *path = name;
  if (name[0] != '/' && at != AT_FDCWD) {
    snprintf(place, sizeof place, "/proc/self/fd/%d%s%s", at, length ? "/" : "", name);
    path = place;
  }
  CHANGED(path, envp);
  STOPS;
  if (plan.kind == TO_SHIM) return REAL(execve)(path, argv, envp);
  __typeof__(&execveat) real = REAL(execveat);
  return real ? real(at, name, argv, envp, flags) : by_number(SYS_execveat, at, (long)name, (long)argv, (long)envp, flags, 0);
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
  STOPS_SPAWN;
  return REAL(posix_spawn)(pid, path, actions, attributes, argv, envp);
}

int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
                 char *const argv[], char *const envp[]) {
  SEARCHED(path, file, actions != NULL);
  CHANGED(path, envp);
  STOPS_SPAWN;
  if (plan.kind == TO_SHIM) return REAL(posix_spawn)(pid, path, actions, attributes, argv, envp);
  return REAL(posix_spawnp)(pid, file, actions, attributes, argv, envp);
}
