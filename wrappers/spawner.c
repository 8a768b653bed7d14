/* The spawner: starts processes and puts files in place for the session server, which is fat and must not fork, and which
 * cannot set a nanosecond. src/wire/spawner-frames.ts describes what travels over its stdin and stdout. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { OP_RUN = 1, OP_PLACE = 2, OP_KILL = 3, OP_SANDBOX = 4, OP_TOUCH = 5, ANSWER = 128 };
/* Beside the errno of a start: the kernel refused the root, so that nothing was tried in it. */
enum { NO_ROOT = 1 << 16 };
enum { SAME_INODE = 1, KEEP_MTIME = 2, KEEP_MODE = 4, REMOVE_SOURCE = 8 };

#define OUTPUT_BYTES_MAX (32u * 1024u * 1024u)
#define BODY_BYTES_MAX (64u * 1024u * 1024u)
#define CHILDREN_MAX 1024
#define KILL_AFTER_MS 2000

struct child {
  pid_t pid;
  uint32_t id;
  int out, err;
  long long started_us, deadline_ms, kill_ms;
  int timed_out;
};

static struct child children[CHILDREN_MAX];
static int child_count;
static unsigned serial;

static void *grab(size_t n) {
  void *p = malloc(n ? n : 1);
  if (!p) _exit(71);
  return p;
}

static long long now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000ll + t.tv_nsec / 1000;
}

static long long now_ms(void) { return now_us() / 1000; }

/* ---- answers ----------------------------------------------------------------------------------------------------- */

struct out {
  unsigned char *bytes;
  size_t length, room;
};

static void add(struct out *o, const void *bytes, size_t n) {
  if (o->length + n > o->room) {
    o->room = (o->length + n) * 2;
    o->bytes = realloc(o->bytes, o->room);
    if (!o->bytes) _exit(71);
  }
  memcpy(o->bytes + o->length, bytes, n);
  o->length += n;
}

static void add32(struct out *o, uint32_t v) { add(o, &v, 4); }
static void add64(struct out *o, uint64_t v) { add(o, &v, 8); }

static void send_answer(struct out *o, uint32_t id, unsigned char op) {
  unsigned char head[9];
  uint32_t length = o->length;
  memcpy(head, &length, 4);
  memcpy(head + 4, &id, 4);
  head[8] = op;
  struct out whole = {0};
  add(&whole, head, 9);
  add(&whole, o->bytes, o->length);
  for (size_t at = 0; at < whole.length;) {
    ssize_t n = write(1, whole.bytes + at, whole.length - at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      struct pollfd p = {1, POLLOUT, 0};
      poll(&p, 1, -1);
      continue;
    }
    if (n <= 0) break;
    at += n;
  }
  free(whole.bytes);
  free(o->bytes);
}

static void answer_errno(uint32_t id, unsigned char op, int error) {
  struct out o = {0};
  add32(&o, error);
  send_answer(&o, id, op | ANSWER);
}

/* Appends what a memory file holds; says whether it was cut. */
static uint32_t add_file(struct out *o, int fd) {
  struct stat st;
  uint64_t size = fd >= 0 && fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
  uint32_t kept = size > OUTPUT_BYTES_MAX ? OUTPUT_BYTES_MAX : size;
  add32(o, kept);
  char *bytes = grab(kept);
  uint32_t at = 0;
  while (at < kept) {
    ssize_t n = pread(fd, bytes + at, kept - at, at);
    if (n <= 0) break;
    at += n;
  }
  memset(bytes + at, 0, kept - at);
  add(o, bytes, kept);
  free(bytes);
  return size > kept;
}

static void answer_run(uint32_t id, unsigned char op, int start_errno, int status, int timed_out, uint64_t wall_us,
                       const struct rusage *use, int out, int err) {
  struct out o = {0};
  add32(&o, start_errno);
  add32(&o, WIFEXITED(status) ? WEXITSTATUS(status) : 0);
  add32(&o, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
  add32(&o, timed_out);
  add64(&o, wall_us);
  add64(&o, use ? (uint64_t)(use->ru_utime.tv_sec + use->ru_stime.tv_sec) * 1000000ull + use->ru_utime.tv_usec + use->ru_stime.tv_usec : 0);
  add64(&o, use ? (uint64_t)use->ru_maxrss : 0);
  uint32_t cut = add_file(&o, out);
  cut |= add_file(&o, err);
  add32(&o, cut);
  send_answer(&o, id, op | ANSWER);
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

struct in {
  unsigned char *at, *end;
  int bad;
};

static uint32_t get32(struct in *i) {
  uint32_t v = 0;
  if (i->end - i->at < 4) i->bad = 1;
  else memcpy(&v, i->at, 4), i->at += 4;
  return v;
}

static uint64_t get64(struct in *i) {
  uint64_t low = get32(i);
  return low | (uint64_t)get32(i) << 32;
}

/* A copy that ends in NUL. */
static char *get_text(struct in *i) {
  uint32_t n = get32(i);
  if (i->bad || (size_t)(i->end - i->at) < n) {
    i->bad = 1;
    n = 0;
  }
  char *text = grab(n + 1);
  memcpy(text, i->at, n);
  text[n] = 0;
  i->at += n;
  return text;
}

static char **get_list(struct in *i) {
  uint32_t n = get32(i);
  if (i->bad || (size_t)(i->end - i->at) / 4 < n) {
    i->bad = 1;
    n = 0;
  }
  char **list = grab((n + 1) * sizeof *list);
  for (uint32_t k = 0; k < n; k++) list[k] = get_text(i);
  list[n] = NULL;
  return list;
}

static void free_list(char **list) {
  for (char **p = list; *p; p++) free(*p);
  free(list);
}

/* ---- RUN and SANDBOX --------------------------------------------------------------------------------------------- */

static int write_text(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  ssize_t n = write(fd, text, strlen(text));
  int error = n < 0 ? errno : 0;
  close(fd);
  return error;
}

/* A mount namespace of its own, in a user namespace of its own. Root in a chroot may have the first without the second. */
static int enter_namespaces(uid_t uid, gid_t gid) {
  char text[64];
  int error;
  const char *wanted = getenv("GG_NAMESPACES");
  if (wanted && wanted[0] == '0') return EPERM;
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) {
    error = errno;
    return uid == 0 && unshare(CLONE_NEWNS) == 0 ? 0 : error;
  }
  write_text("/proc/self/setgroups", "deny");
  snprintf(text, sizeof text, "%u %u 1", uid, uid);
  if ((error = write_text("/proc/self/uid_map", text))) return error;
  snprintf(text, sizeof text, "%u %u 1", gid, gid);
  return write_text("/proc/self/gid_map", text);
}

/* In the child: a root of its own. */
static int enter_root(const char *root, char **binds, uid_t uid, gid_t gid) {
  char text[PATH_MAX * 2];
  int error = enter_namespaces(uid, gid);
  if (error) return error;
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return errno;
  for (char **b = binds; *b; b++) {
    snprintf(text, sizeof text, "%s%s", root, *b);
    if (mount(*b, text, NULL, MS_BIND | MS_REC, NULL) < 0) return errno;
  }
  if (chroot(root) < 0) return errno;
  return 0;
}

struct run {
  char *root, **binds, *cwd, *file, **argv, **env;
  uint32_t mask;
  int out, err, report;
};

static void child_main(const struct run *r, pid_t parent) {
  sigset_t none;
  sigemptyset(&none);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
  setpgid(0, 0);
  int error = 0;
  uid_t uid = geteuid();
  gid_t gid = getegid();
  int null = open("/dev/null", O_RDONLY);
  if (r->root && (error = enter_root(r->root, r->binds, uid, gid))) error |= NO_ROOT;
  if (!error && chdir(r->cwd) < 0) error = errno;
  if (!error) {
    dup2(null, 0);
    dup2(r->out, 1);
    dup2(r->err, 2);
    umask(r->mask);
    for (int s = 1; s < NSIG; s++) signal(s, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (null > 2) close(null);
    execve(r->file, r->argv, r->env);
    error = errno;
  }
  ssize_t n = write(r->report, &error, sizeof error);
  (void)n;
  _exit(127);
}

static void run(uint32_t id, unsigned char op, struct in *in) {
  struct run r = {0};
  if (op == OP_SANDBOX) {
    r.root = get_text(in);
    r.binds = get_list(in);
  }
  r.cwd = get_text(in);
  r.file = get_text(in);
  r.argv = get_list(in);
  r.env = get_list(in);
  r.mask = get32(in);
  uint32_t timeout_ms = get32(in);
  int start_errno = in->bad ? EBADMSG : child_count == CHILDREN_MAX ? EAGAIN : 0;
  int report[2] = {-1, -1};
  pid_t pid = -1;
  r.out = r.err = -1;
  if (!start_errno) {
    r.out = memfd_create("stdout", MFD_CLOEXEC);
    r.err = memfd_create("stderr", MFD_CLOEXEC);
    if (r.out < 0 || r.err < 0 || pipe2(report, O_CLOEXEC) < 0) start_errno = errno;
  }
  if (!start_errno) {
    r.report = report[1];
    pid_t self = getpid();
    pid = fork();
    if (pid == 0) child_main(&r, self);
    if (pid < 0) start_errno = errno;
    close(report[1]);
    if (pid > 0) {
      int error = 0;
      ssize_t n;
      while ((n = read(report[0], &error, sizeof error)) < 0 && errno == EINTR) {
      }
      if (n == sizeof error) {
        start_errno = error;
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
        }
      }
    }
    close(report[0]);
  }
  if (start_errno) {
    answer_run(id, op, start_errno, 0, 0, 0, NULL, -1, -1);
    if (r.out >= 0) close(r.out);
    if (r.err >= 0) close(r.err);
  } else {
    struct child *c = &children[child_count++];
    *c = (struct child){.pid = pid, .id = id, .out = r.out, .err = r.err, .started_us = now_us()};
    c->deadline_ms = timeout_ms ? now_ms() + timeout_ms : 0;
  }
  free(r.root);
  if (r.binds) free_list(r.binds);
  free(r.cwd);
  free(r.file);
  free_list(r.argv);
  free_list(r.env);
}

static void reap(void) {
  int status;
  struct rusage use;
  pid_t pid;
  while ((pid = wait4(-1, &status, WNOHANG, &use)) > 0) {
    for (int i = 0; i < child_count; i++) {
      struct child *c = &children[i];
      if (c->pid != pid) continue;
      answer_run(c->id, OP_RUN, 0, status, c->timed_out, now_us() - c->started_us, &use, c->out, c->err);
      close(c->out);
      close(c->err);
      *c = children[--child_count];
      break;
    }
  }
}

/* ---- PLACE ------------------------------------------------------------------------------------------------------- */

static int copy_bytes(int from, int to) {
  for (;;) {
    ssize_t n = copy_file_range(from, NULL, to, NULL, 1u << 30, 0);
    if (n == 0) return 0;
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP && errno != EBADF) return errno;
      break;
    }
  }
  static char bytes[1 << 18];
  for (;;) {
    ssize_t n = read(from, bytes, sizeof bytes);
    if (n == 0) return 0;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    for (ssize_t at = 0; at < n;) {
      ssize_t w = write(to, bytes + at, n - at);
      if (w < 0 && errno == EINTR) continue;
      if (w < 0) return errno;
      at += w;
    }
  }
}

/* Whether this is the file that was looked at, unchanged since. */
static int is_same(const struct stat *st, uint64_t inode, const struct timespec *mtime, uint32_t flags) {
  return st->st_ino == inode && ((flags & KEEP_MTIME) || (st->st_mtim.tv_sec == mtime->tv_sec && st->st_mtim.tv_nsec == mtime->tv_nsec));
}

static int place(const char *source, const char *asked, mode_t mode, const struct timespec *mtime, uint64_t inode, uint32_t flags) {
  char dest[PATH_MAX], temporary[PATH_MAX + 32];
  struct stat st;
  if (strlen(asked) >= sizeof dest) return ENAMETOOLONG;
  strcpy(dest, asked);
  if (lstat(asked, &st) == 0 && S_ISLNK(st.st_mode) && !realpath(asked, dest)) return errno;
  if (inode && (stat(dest, &st) < 0 || !is_same(&st, inode, mtime, flags))) return ESTALE;
  /* Another name for the file is to go on naming it. */
  if (stat(dest, &st) == 0 && st.st_nlink > 1) flags |= SAME_INODE;
  int from = open(source, O_RDONLY | O_CLOEXEC);
  if (from < 0) return errno;
  int to;
  int restore_mode = -1;
  if (flags & SAME_INODE) {
    to = open(dest, O_WRONLY | O_CLOEXEC);
    if (to < 0 && errno == EACCES && stat(dest, &st) == 0 && chmod(dest, st.st_mode | 0200) == 0) {
      restore_mode = st.st_mode & 07777;
      to = open(dest, O_WRONLY | O_CLOEXEC);
    }
    int other = to >= 0 && inode && (fstat(to, &st) < 0 || !is_same(&st, inode, mtime, flags));
    if (to >= 0 && (other || ftruncate(to, 0) < 0)) {
      int error = other ? ESTALE : errno;
      close(to);
      close(from);
      return error;
    }
  } else {
    const char *slash = strrchr(dest, '/');
    snprintf(temporary, sizeof temporary, "%.*s/.gg-%d-%u", slash ? (int)(slash - dest) : 1, slash ? dest : ".", getpid(), serial++);
    to = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  }
  if (to < 0) {
    int error = errno;
    close(from);
    return error;
  }
  int error = copy_bytes(from, to);
  if (!error && !(flags & KEEP_MODE) && fchmod(to, mode) < 0) error = errno;
  if (!error && (flags & KEEP_MODE) && restore_mode >= 0 && fchmod(to, restore_mode) < 0) error = errno;
  if (!error && !(flags & KEEP_MTIME)) {
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, *mtime};
    if (futimens(to, times) < 0) error = errno;
  }
  if (close(to) < 0 && !error) error = errno;
  close(from);
  if (!(flags & SAME_INODE)) {
    int there = lstat(dest, &st) == 0;
    if (!error && inode && (!there || !is_same(&st, inode, mtime, flags))) error = ESTALE;
    /* Somebody gave it another mode since: who asks looks again. */
    if (!error && inode && !(flags & KEEP_MODE) && (st.st_mode & 07777) != mode) error = ESTALE;
    if (!error && there && st.st_nlink > 1) {
      unlink(temporary);
      return place(source, asked, mode, mtime, inode, flags | SAME_INODE);
    }
    if (!error && rename(temporary, dest) < 0) error = errno;
    if (error) unlink(temporary);
  }
  if (!error && (flags & REMOVE_SOURCE)) unlink(source);
  return error;
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static void handle(uint32_t id, unsigned char op, unsigned char *body, size_t length) {
  struct in in = {body, body + length, 0};
  switch (op) {
  case OP_RUN:
  case OP_SANDBOX:
    run(id, op, &in);
    return;
  case OP_PLACE: {
    char *source = get_text(&in), *dest = get_text(&in);
    uint32_t mode = get32(&in);
    struct timespec mtime = {0};
    mtime.tv_sec = get64(&in);
    mtime.tv_nsec = get32(&in);
    uint64_t inode = get64(&in);
    uint32_t flags = get32(&in);
    answer_errno(id, op, in.bad ? EBADMSG : place(source, dest, mode, &mtime, inode, flags));
    free(source);
    free(dest);
    return;
  }
  case OP_KILL: {
    uint32_t target = get32(&in);
    int error = ESRCH;
    for (int i = 0; i < child_count; i++) {
      if (children[i].id != target) continue;
      kill(-children[i].pid, SIGTERM);
      children[i].kill_ms = now_ms() + KILL_AFTER_MS;
      error = 0;
    }
    answer_errno(id, op, error);
    return;
  }
  case OP_TOUCH: {
    char *dest = get_text(&in);
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {0}};
    times[1].tv_sec = get64(&in);
    times[1].tv_nsec = get32(&in);
    answer_errno(id, op, in.bad ? EBADMSG : utimensat(AT_FDCWD, dest, times, 0) < 0 ? errno : 0);
    free(dest);
    return;
  }
  default:
    answer_errno(id, op, ENOSYS);
  }
}

static int next_wait_ms(void) {
  long long soonest = -1, now = now_ms();
  for (int i = 0; i < child_count; i++) {
    struct child *c = &children[i];
    long long due = c->kill_ms ? c->kill_ms : c->deadline_ms;
    if (due && (soonest < 0 || due < soonest)) soonest = due;
  }
  if (soonest < 0) return -1;
  return soonest <= now ? 0 : (int)(soonest - now);
}

static void enforce_deadlines(void) {
  long long now = now_ms();
  for (int i = 0; i < child_count; i++) {
    struct child *c = &children[i];
    if (c->kill_ms && now >= c->kill_ms) {
      kill(-c->pid, SIGKILL);
      c->kill_ms = 0;
      c->deadline_ms = 0;
    } else if (c->deadline_ms && now >= c->deadline_ms) {
      c->timed_out = 1;
      kill(-c->pid, SIGTERM);
      c->kill_ms = now + KILL_AFTER_MS;
      c->deadline_ms = 0;
    }
  }
}

int main(void) {
  /* Nothing inherited but the two pipes. */
  int null = open("/dev/null", O_WRONLY);
  if (null >= 0 && null != 2) dup2(null, 2);
  for (int fd = 3; fd < 1024; fd++) close(fd);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGINT, SIG_IGN);
  sigset_t chld;
  sigemptyset(&chld);
  sigaddset(&chld, SIGCHLD);
  sigprocmask(SIG_BLOCK, &chld, NULL);
  int signals = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
  size_t room = 1 << 16, held = 0;
  unsigned char *bytes = grab(room);
  for (;;) {
    struct pollfd polls[2] = {{0, POLLIN, 0}, {signals, POLLIN, 0}};
    poll(polls, 2, next_wait_ms());
    struct signalfd_siginfo info;
    while (read(signals, &info, sizeof info) > 0) {
    }
    reap();
    enforce_deadlines();
    if (!polls[0].revents) continue;
    if (held == room) {
      bytes = realloc(bytes, room *= 2);
      if (!bytes) _exit(71);
    }
    ssize_t n = read(0, bytes + held, room - held);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n <= 0) break;
    held += n;
    size_t at = 0;
    while (held - at >= 9) {
      uint32_t length, id;
      memcpy(&length, bytes + at, 4);
      memcpy(&id, bytes + at + 4, 4);
      if (length > BODY_BYTES_MAX) _exit(65);
      if (held - at < 9 + (size_t)length) break;
      handle(id, bytes[at + 8], bytes + at + 9, length);
      at += 9 + length;
    }
    memmove(bytes, bytes + at, held - at);
    held -= at;
  }
  for (int i = 0; i < child_count; i++) kill(-children[i].pid, SIGKILL);
  return 0;
}
