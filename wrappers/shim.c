/* The shim: stands on PATH under the names of the toolchain, asks the session server what to do with a call, and obeys.
 * It never prints in the fast path, and when the server cannot be had it runs the real tool.
 *
 * Names: gcc, ar, ...  a tool; gg-cc, gg-ar, ...  the same tool named explicitly; gg-run  the "#!" interpreter of placeholder
 * scripts; gg-server-start  brings the server up. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "environment.h"
#include "protocol.h"
#include "request.h"
#include "trusted.h"

#define CONNECT_WAIT_MS 5000
#define POLL_STEP_MS 4

extern char **environ;

static char self_path[PATH_MAX];
static dev_t self_dev;
static ino_t self_ino;

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

static int write_all(int fd, const void *bytes, size_t length) {
  const char *at = bytes;
  while (length > 0) {
    ssize_t n = write(fd, at, length);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) {
        struct pollfd p = {fd, POLLOUT, 0};
        poll(&p, 1, -1);
        continue;
      }
      return -1;
    }
    at += n;
    length -= n;
  }
  return 0;
}

static int read_all(int fd, void *bytes, size_t length) {
  char *at = bytes;
  while (length > 0) {
    ssize_t n = read(fd, at, length);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return -1;
    at += n;
    length -= n;
  }
  return 0;
}

/* ---- where things are -------------------------------------------------------------------------------------------- */

static const char *set(const char *name) {
  const char *v = getenv(name);
  return v && *v ? v : NULL;
}

static uint64_t fnv1a(const char *text) {
  uint64_t h = 0xcbf29ce484222325ull;
  for (; *text; text++) h = (h ^ (unsigned char)*text) * 0x100000001b3ull;
  return h;
}

struct places {
  char state[PATH_MAX], run[PATH_MAX], socket[PATH_MAX], lock[PATH_MAX];
};

/* 1 when `path` is ours and closed to others, now at the latest. */
static int own_directory(const char *path) {
  struct stat st;
  if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid()) return trusted_directory(path);
  if ((st.st_mode & 077) != 0 && chmod(path, 0700) < 0) return 0;
  return trusted_directory(path);
}

static int owned(const char *path) {
  struct stat st;
  return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid();
}

/* The state directory that the command line has made: of the places it thinks of, the first that can be believed. */
static int find_state(char *out, size_t room) {
  const char *v;
  int n = 0;
  if ((v = set("GG_DIR"))) n = snprintf(out, room, "%s", v);
  else if ((v = set("XDG_CACHE_HOME"))) n = snprintf(out, room, "%s/gg", v);
  else if ((v = set("HOME"))) n = snprintf(out, room, "%s/.cache/gg", v);
  if (n > 0 && (size_t)n < room && trusted_directory(out)) return 0;
  n = snprintf(out, room, "/tmp/gg-%u/cache", (unsigned)geteuid());
  return n > 0 && (size_t)n < room && trusted_directory(out) ? 0 : -1;
}

static int find_run(char *out, size_t room, const char *state) {
  const char *v = set("XDG_RUNTIME_DIR");
  for (int place = v && owned(v) ? 0 : 1; place < 3; place++) {
    int n = place == 0   ? snprintf(out, room, "%s/gg", v)
            : place == 1 ? snprintf(out, room, "/tmp/gg-%u", (unsigned)geteuid())
                         : snprintf(out, room, "%s/run", state);
    if (n < 0 || (size_t)n >= room) continue;
    mkdir(out, 0700);
    if (own_directory(out)) return 0;
  }
  return -1;
}

/* Fills in the paths that wire/runtime-paths.ts describes; -1 when there is no place that others cannot change. */
static int find_places(struct places *p) {
  const char *v;
  int n;
  if (find_state(p->state, sizeof p->state) || find_run(p->run, sizeof p->run, p->state)) return -1;
  unsigned long long key = fnv1a(p->state);
  v = set("GG_SOCKET");
  if (v) n = snprintf(p->socket, sizeof p->socket, "%s", v);
  else n = snprintf(p->socket, sizeof p->socket, "%s/%016llx-v%d.sock", p->run, key, GG_PROTOCOL_VERSION);
  if (n < 0 || (size_t)n >= sizeof p->socket) return -1;
  n = snprintf(p->lock, sizeof p->lock, "%s/%016llx-v%d.lock", p->run, key, GG_PROTOCOL_VERSION);
  return n < 0 || (size_t)n >= sizeof p->lock ? -1 : 0;
}

/* ---- the server -------------------------------------------------------------------------------------------------- */

static int try_connect(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) return -1;
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  while (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
    if (errno == EINTR || errno == EAGAIN) {
      struct timespec t = {0, 1000000};
      nanosleep(&t, NULL);
      continue;
    }
    close(fd);
    return -1;
  }
  struct ucred peer;
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.uid != geteuid()) {
    close(fd);
    return -1;
  }
  return fd;
}

static long long now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

static void nap(void) {
  struct timespec t = {0, POLL_STEP_MS * 1000000};
  nanosleep(&t, NULL);
}

/* The directory of the shim's own file: STATE/native/ID. */
static int native_directory(char *out, size_t room) {
  const char *slash = strrchr(self_path, '/');
  if (!slash || (size_t)(slash - self_path) >= room) return -1;
  memcpy(out, self_path, slash - self_path);
  out[slash - self_path] = 0;
  return 0;
}

static void close_from(int first) {
#ifdef SYS_close_range
  if (syscall(SYS_close_range, first, ~0u, 0) == 0) return;
#endif
  DIR *d = opendir("/proc/self/fd");
  if (!d) {
    for (int fd = first; fd < 4096; fd++) close(fd);
    return;
  }
  int held = dirfd(d);
  for (struct dirent *e; (e = readdir(d));) {
    int fd = atoi(e->d_name);
    if (fd >= first && fd != held) close(fd);
  }
  closedir(d);
}

/* Names that say nothing secret. */
static const char *const harmless_names[] = {
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "NODE_OPTIONS",
};
static const char *const harmless_prefixes[] = {"LC_", "XDG_", "GG_"};
/* Of one build or of one store, which may have a password in its address. */
static const char *const others_names[] = {"GG_SESSION", "GG_REMOTE", "GG_SHIM_DIR", "GG_SOCKET", "GG_REAL_TOOL", "GG_ANSWERED"};

static int is_harmless(const char *entry) {
  size_t length = strcspn(entry, "=");
  struct stat st;
  for (size_t i = 0; i < sizeof others_names / sizeof *others_names; i++)
    if (strlen(others_names[i]) == length && memcmp(entry, others_names[i], length) == 0) return 0;
  for (size_t i = 0; i < sizeof harmless_names / sizeof *harmless_names; i++)
    if (strlen(harmless_names[i]) == length && memcmp(entry, harmless_names[i], length) == 0) return 1;
  for (size_t i = 0; i < sizeof harmless_prefixes / sizeof *harmless_prefixes; i++)
    if (strncmp(entry, harmless_prefixes[i], strlen(harmless_prefixes[i])) == 0) return 1;
  /* Where something is: a folder of certificates, of a test. A program's instructions to another are not for the server. */
  return strncmp(entry, "AWS_", 4) != 0 && strncmp(entry, "LD_", 3) != 0 && entry[length] == '=' &&
         entry[length + 1] == '/' && stat(entry + length + 1, &st) == 0;
}

/* The server outlives the build that starts it and answers others: what it inherits must be nobody's secret. */
static void keep_harmless(char **env) {
  char **kept = env;
  for (; *env; env++)
    if (is_harmless(*env)) *kept++ = *env;
  *kept = NULL;
}

/* Starts the server in a process session of its own that holds nothing of ours: an inherited pipe makes ninja hang. */
static int start_server(const struct places *p) {
  char directory[PATH_MAX], file[PATH_MAX + 8], text[2 * PATH_MAX + 4];
  if (native_directory(directory, sizeof directory) || !trusted_directory(directory)) return -1;
  snprintf(file, sizeof file, "%s/server", directory);
  int fd = open(file, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  if (n <= 0) return -1;
  text[n] = 0;
  char *script = strchr(text, '\n');
  if (!script) return -1;
  *script++ = 0;
  char *end = strchr(script, '\n');
  if (end) *end = 0;
  pid_t child = fork();
  if (child < 0) return -1;
  if (child > 0) {
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
    }
    return 0;
  }
  setsid();
  if (fork() != 0) _exit(0);
  if (chdir("/") != 0) _exit(1);
  int null = open("/dev/null", O_RDWR);
  for (int i = 0; i < 3; i++) dup2(null, i);
  close_from(3);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  for (int s = 1; s < NSIG; s++) signal(s, SIG_DFL);
  keep_harmless(environ);
  char socket_path[PATH_MAX];
  snprintf(socket_path, sizeof socket_path, "%s", p->socket);
  /* wire/server-flags.ts */
  char *argv[] = {text, "--max-semi-space-size=8", script, socket_path, directory, NULL};
  execv(text, argv);
  _exit(127);
}

/* A connection; starts the server when nobody listens. -1: none to be had. */
static int reach_server(const struct places *p) {
  int fd = try_connect(p->socket);
  if (fd >= 0) return fd;
  long long until = now_ms() + CONNECT_WAIT_MS;
  int lock = open(p->lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) return -1;
  int holder = 0;
  while (now_ms() < until) {
    if (!holder && flock(lock, LOCK_EX | LOCK_NB) == 0) {
      holder = 1;
      fd = try_connect(p->socket);
      if (fd >= 0 || start_server(p) < 0) break;
    }
    nap();
    fd = try_connect(p->socket);
    if (fd >= 0) break;
  }
  close(lock);
  return fd;
}

/* ---- the request ------------------------------------------------------------------------------------------------- */

/* What the real tool would trip over in this process and a run of ours elsewhere would not; NULL: nothing. Asked before
 * anything is opened, while a closed descriptor's number is still free. */
static const char *unusual_process(void) {
  if (fcntl(1, F_GETFD) < 0) return "stdout is closed";
  if (fcntl(2, F_GETFD) < 0) return "stderr is closed";
  return narrow_limit();
}

static uint32_t terminals(void) { return (isatty(0) ? 1 : 0) | (isatty(1) ? 2 : 0) | (isatty(2) ? 4 : 0); }

struct answer {
  unsigned char *body;
  const unsigned char *kind, *real, *out, *err;
  uint32_t kind_length, real_length, out_length, err_length, exit_code;
};

static int receive(int fd, struct answer *a) {
  unsigned char head[8];
  if (read_all(fd, head, 8) || memcmp(head, GG_FRAME_MAGIC, 4) != 0) return -1;
  uint32_t length = get32(head + 4);
  if (length > GG_BODY_BYTES_MAX) return -1;
  memset(a, 0, sizeof *a);
  a->body = malloc(length ? length : 1);
  if (!a->body || read_all(fd, a->body, length)) return -1;
  for (uint32_t at = 0; at + 5 <= length;) {
    uint32_t size = get32(a->body + at + 1);
    const unsigned char *bytes = a->body + at + 5;
    if (size > length - at - 5) return -1;
    switch (a->body[at]) {
    case GG_FIELD_ANSWER_KIND: a->kind = bytes, a->kind_length = size; break;
    case GG_FIELD_REAL: a->real = bytes, a->real_length = size; break;
    case GG_FIELD_STDOUT: a->out = bytes, a->out_length = size; break;
    case GG_FIELD_STDERR: a->err = bytes, a->err_length = size; break;
    case GG_FIELD_EXIT_CODE:
      if (size == 4) a->exit_code = get32(bytes);
      break;
    }
    at += 5 + size;
  }
  return a->kind ? 0 : -1;
}

static int kind_is(const struct answer *a, const char *kind) {
  return a->kind_length == strlen(kind) && memcmp(a->kind, kind, a->kind_length) == 0;
}

/* Sends a request and reads the answer; a connection that breaks is tried once more. */
static int ask(const struct frame *request, struct answer *a) {
  struct places p;
  if (find_places(&p)) return -1;
  for (int attempt = 0; attempt < 2; attempt++) {
    int fd = reach_server(&p);
    if (fd < 0) return -1;
    const char *limit = set("GG_TIMEOUT");
    if (limit) {
      struct timeval t = {atol(limit), 0};
      setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    }
    int bad = write_all(fd, request->bytes, request->length) || receive(fd, a);
    close(fd);
    if (!bad) return 0;
  }
  return -1;
}

/* ---- the real tool ----------------------------------------------------------------------------------------------- */

static int is_shim(const char *path, const struct stat *st) {
  if (st->st_dev == self_dev && st->st_ino == self_ino) return 1;
  return is_beside_shim(path);
}

static int find_real(const char *tool, char *out, size_t room) {
  const char *path = getenv("PATH");
  if (!path) path = "/usr/local/bin:/usr/bin:/bin";
  while (1) {
    size_t length = strcspn(path, ":");
    int n = snprintf(out, room, "%.*s%s%s", (int)length, path, length ? "/" : "./", tool);
    struct stat st;
    if (n > 0 && (size_t)n < room && stat(out, &st) == 0 && S_ISREG(st.st_mode) && access(out, X_OK) == 0 &&
        !is_shim(out, &st)) {
      if (out[0] == '/') return 0;
      char full[PATH_MAX];
      if (realpath(out, full) && strlen(full) < room) {
        strcpy(out, full);
        return 0;
      }
    }
    if (!path[length]) return -1;
    path += length + 1;
  }
}

static void say(const char *a, const char *b, const char *c) {
  char line[PATH_MAX + 256];
  int n = snprintf(line, sizeof line, "gg: %s%s%s\n", a, b, c);
  if (n > 0) write_all(2, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

/* Takes our directories out of PATH: a gcc called by its bare name looks for itself there to find its parts, and must not
 * find us. */
static void clean_path(void) {
  const char *path = getenv("PATH");
  if (!path) return;
  char *kept = malloc(strlen(path) + 1), *end = kept;
  if (!kept) return;
  int first = 1;
  while (1) {
    size_t length = strcspn(path, ":");
    char marker[PATH_MAX];
    struct stat st;
    int ours = 0;
    if (length > 0 && length < PATH_MAX - 32 && memmem(path, length, "/native/", 8)) {
      snprintf(marker, sizeof marker, "%.*s/../gg-shim", (int)length, path);
      ours = stat(marker, &st) == 0;
    }
    if (!ours) {
      /* An empty entry, also the first one, is the working directory. */
      if (!first) *end++ = ':';
      first = 0;
      memcpy(end, path, length);
      end += length;
    }
    if (!path[length]) break;
    path += length + 1;
  }
  *end = 0;
  setenv("PATH", kept, 1);
  free(kept);
}

/* A program of another class or machine: its loader would complain of the preload library, which is as we are. */
static void spare_foreign(const char *path) {
  unsigned char theirs[20], ours[20];
  const char *preload = getenv("LD_PRELOAD");
  if (!preload || !strstr(preload, "gg-interpose")) return;
  int fd = open(path, O_RDONLY | O_CLOEXEC), self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  int elf = fd >= 0 && self >= 0 && read_all(fd, theirs, sizeof theirs) == 0 && read_all(self, ours, sizeof ours) == 0 &&
            memcmp(theirs, "\177ELF", 4) == 0;
  if (fd >= 0) close(fd);
  if (self >= 0) close(self);
  /* e_ident[EI_CLASS]; e_machine. */
  if (!elf || (theirs[4] == ours[4] && memcmp(theirs + 18, ours + 18, 2) == 0)) return;
  char *kept = malloc(strlen(preload) + 1);
  if (!kept) return;
  if (preload_without(kept, preload, "gg-interpose") == kept) unsetenv("LD_PRELOAD");
  else setenv("LD_PRELOAD", kept, 1);
  free(kept);
}

static int run_real(const char *real, char **argv) {
  struct stat st;
  clean_path();
  spare_foreign(real);
  /* gcc looks for its parts beside argv[0] when that is a path: ours would lead it astray. */
  if (strchr(argv[0], '/') && stat(argv[0], &st) == 0 && is_shim(argv[0], &st)) argv[0] = (char *)real;
  execv(real, argv);
  int error = errno;
  if (error == ENOEXEC) {
    /* Who called us would have run it as a script. */
    size_t n = 0;
    while (argv[n]) n++;
    char **words = calloc(n + 2, sizeof *words);
    if (words) {
      words[0] = "sh";
      words[1] = (char *)real;
      if (n > 0) memcpy(words + 2, argv + 1, (n - 1) * sizeof *words);
      execv("/bin/sh", words);
    }
  }
  say(real, ": ", strerror(error));
  return error == ENOENT ? 127 : 126;
}

static int obey_exit(const struct answer *a) {
  signal(SIGPIPE, SIG_IGN);
  write_all(1, a->out, a->out_length);
  write_all(2, a->err, a->err_length);
  return a->exit_code;
}

/* ---- the three programs ------------------------------------------------------------------------------------------ */

/* `named`: called as gg-cc or the like. */
static int as_tool(const char *tool, char **argv, int named) {
  const char *unusual = unusual_process();
  static char real[PATH_MAX];
  struct stat st;
  /* Sent here by the interposer or by `gg /usr/bin/cc ...`, which say what was called. */
  const char *told = set("GG_REAL_TOOL");
  if (told && told[0] == '/' && strlen(told) < sizeof real && stat(told, &st) == 0 && !is_shim(told, &st)) {
    strcpy(real, told);
    tool = strrchr(real, '/') + 1;
    /* A driver outside of its configured place finds its parts by the name it was called by. */
    if (named) argv[0] = real;
    /* A driver called by a name that leads nowhere does not find its parts, and it says that name in its messages. */
    else if (argv[0] && !strchr(argv[0], '/') && strcmp(argv[0], tool) != 0) unusual = "called by another name";
    unsetenv("GG_REAL_TOOL");
  } else if (find_real(tool, real, sizeof real)) {
    say(tool, ": command not found", "");
    return 127;
  }
  const char *mode = getenv("GG_MODE");
  int answered = set("GG_ANSWERED") != NULL;
  unsetenv("GG_ANSWERED");
  if (answered || (mode && strcmp(mode, "off") == 0)) return run_real(real, argv);
  struct frame request = begin_frame("call");
  struct answer answer;
  for (char **a = argv; *a; a++) put_text(&request, GG_FIELD_ARG, *a);
  put_text(&request, GG_FIELD_TOOL, tool);
  put_text(&request, GG_FIELD_REAL, real);
  if (unusual) put_text(&request, GG_FIELD_UNUSUAL, unusual);
  put_surroundings(&request, environ, terminals());
  if (end_frame(&request)) return run_real(real, argv);
  if (ask(&request, &answer)) return run_real(real, argv);
  if (kind_is(&answer, "exit")) return obey_exit(&answer);
  if (answer.real_length > 0 && answer.real_length < sizeof real) {
    memcpy(real, answer.real, answer.real_length);
    real[answer.real_length] = 0;
  }
  return run_real(real, argv);
}

static int still_placeholder(const char *path) {
  char head[512];
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t n = read(fd, head, sizeof head - 1);
  close(fd);
  if (n < 2 || head[0] != '#' || head[1] != '!') return 0;
  head[n] = 0;
  const char *second = strchr(head, '\n');
  return second && strncmp(second + 1, "# gg-placeholder ", 17) == 0;
}

/* argv: gg-run, the script, its arguments. */
static int as_interpreter(int argc, char **argv) {
  if (argc < 2) {
    say("gg-run runs placeholders", "", "");
    return 64;
  }
  char path[PATH_MAX];
  if (!realpath(argv[1], path)) {
    say(argv[1], ": ", strerror(errno));
    return 127;
  }
  if (still_placeholder(path)) {
    struct frame request = begin_frame("open");
    struct answer answer;
    put_text(&request, GG_FIELD_PATH, path);
    put_surroundings(&request, environ, terminals());
    if (end_frame(&request) == 0) ask(&request, &answer);
    if (still_placeholder(path) || access(path, F_OK) != 0) {
      say(argv[1], ": cannot be forced; 'gg force' tells why", "");
      return 126;
    }
  }
  spare_foreign(path);
  execv(argv[1], argv + 1);
  int error = errno;
  say(argv[1], ": ", strerror(error));
  return 126;
}

static int as_starter(void) {
  struct places p;
  if (find_places(&p)) {
    say("no directory for state and socket that others cannot change; set GG_DIR to one of yours", "", "");
    return 1;
  }
  int fd = reach_server(&p);
  if (fd < 0) {
    say("the server does not answer on ", p.socket, "");
    return 1;
  }
  close(fd);
  return 0;
}

int main(int argc, char **argv) {
  ssize_t n = readlink("/proc/self/exe", self_path, sizeof self_path - 1);
  if (n > 0) self_path[n] = 0;
  struct stat st;
  if (n > 0 && stat(self_path, &st) == 0) {
    self_dev = st.st_dev;
    self_ino = st.st_ino;
  }
  const char *slash = strrchr(argv[0] ? argv[0] : "", '/');
  const char *name = slash ? slash + 1 : argv[0] ? argv[0] : "";
  if (strcmp(name, "gg-run") == 0) return as_interpreter(argc, argv);
  if (strcmp(name, "gg-server-start") == 0) return as_starter();
  int named = strncmp(name, "gg-", 3) == 0;
  if (named) {
    name += 3;
    argv[0] = (char *)name;
  }
  return as_tool(name, argv, named);
}
