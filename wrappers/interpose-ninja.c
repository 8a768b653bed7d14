/* ninja's own preload library, beside interpose.c: loaded into ninja alone, since that puts it into LD_PRELOAD for nothing else
 * and it takes itself out again for what ninja starts.
 *
 * ninja hands every command to "/bin/sh -c" and waits for a pipe to end and for a process. A command that is nothing but a call of a
 * tool needs neither: this library asks the server itself, lets ninja wait for the answer in the pipe's place, and says what the
 * process would have ended with. Where the answer is to run the real tool, the shell is started then.
 *
 * It relies on how ninja goes about it (pipe, posix_spawn, ppoll or pselect, read, close, waitpid, in one thread), and only once it has
 * seen all of that of one command: the first ones, and all those of a program that does otherwise, get their shell. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "environment.h"
#include "protocol.h"
#include "request.h"

/* Longer ones are left to the shell. */
#define COMMAND_MAX (64 * 1024)
/* Above every process id that Linux gives out (2^22). */
#define FIRST_NAME 0x40000000
/* ninja that was interrupted waits so long in all for the server to let go of what it asked for. */
#define LET_GO_MS 2000

extern char **environ;

#define NEXT(name) ((__typeof__(&name))next_of(&found_##name, #name))
#define HOOK(name) static void *found_##name;
HOOK(pipe) HOOK(posix_spawn) HOOK(ppoll) HOOK(pselect) HOOK(read) HOOK(close) HOOK(waitpid) HOOK(wait4) HOOK(kill)

static void *next_of(void **place, const char *name) {
  if (!*place) *place = dlsym(RTLD_NEXT, name);
  return *place;
}

static int ninja;

__attribute__((constructor)) static void start(void) {
  char room[512];
  ninja = is_ninjas(program_name(room, sizeof room));
  /* What ninja starts is to be loaded without us; the list gets shorter where it stands. */
  for (char **e = environ; e && *e; e++)
    if (strncmp(*e, "LD_PRELOAD=", 11) == 0) preload_without(*e + 11, *e + 11, "gg-interpose-ninja");
}

/* ---- what ninja waits for ------------------------------------------------------------------------------------------ */

struct edge {
  /* What ninja knows it by in place of a process id. */
  pid_t name;
  /* What ninja polls and reads, -1 once it has closed it: the connection to the server, or the pipe of a process. */
  int fd;
  enum { ASKED, ANSWERED, RUNNING } state;
  pid_t process;
  /* As waitpid tells it. */
  int status;
  /* What has come of the answer: its head, then all the rest. */
  unsigned char head[8];
  unsigned char *answer;
  size_t got;
  const unsigned char *text[2];
  size_t left[2];
  short spawn_flags;
  sigset_t signals;
  char *command;
};

/* By name, and by descriptor. ninja has as many as commands at a time. */
static struct edge **edges, **polled;
static size_t edges_room, polled_room;
static int count;
static int last_pipe[2] = {-1, -1};

/* Commands that got their shell, until one of them has been gone about as expected. */
#define TRIES 8
enum { POLLED = 1, READ = 2, CLOSED = 4, ALL = 7 };
static struct {
  int fd;
  pid_t process;
  unsigned ways;
} tries[TRIES];
static int proven;

static void note_way(int fd, unsigned way) {
  if (proven || !ninja) return;
  for (int i = 0; i < TRIES; i++)
    if (tries[i].process && tries[i].fd == fd) {
      tries[i].ways |= way;
      if (way == CLOSED) tries[i].fd = -1;
    }
}

static void note_start(int fd, pid_t process) {
  for (int i = 0; fd >= 0 && i < TRIES; i++)
    if (!tries[i].process) {
      tries[i].fd = fd;
      tries[i].process = process;
      tries[i].ways = 0;
      return;
    }
}

static void note_end(pid_t process) {
  if (proven || process <= 0) return;
  for (int i = 0; i < TRIES; i++)
    if (tries[i].process == process) {
      tries[i].process = 0;
      if (tries[i].ways == ALL) proven = 1;
    }
}

static struct edge *by_name(pid_t name) {
  return count && name >= FIRST_NAME && (size_t)(name - FIRST_NAME) < edges_room ? edges[name - FIRST_NAME] : NULL;
}

static struct edge *by_fd(int fd) { return count && fd >= 0 && (size_t)fd < polled_room ? polled[fd] : NULL; }

static int grow(struct edge ***list, size_t *room, size_t wanted) {
  if (wanted < *room) return 0;
  size_t more = *room ? *room : 64;
  while (more <= wanted) more *= 2;
  struct edge **grown = realloc(*list, more * sizeof **list);
  if (!grown) return -1;
  memset(grown + *room, 0, (more - *room) * sizeof *grown);
  *list = grown;
  *room = more;
  return 0;
}

static void forget(struct edge *e) {
  edges[e->name - FIRST_NAME] = NULL;
  if (e->fd >= 0) polled[e->fd] = NULL;
  count--;
  free(e->answer);
  free(e->command);
  free(e);
}

/* ---- the words of a command ---------------------------------------------------------------------------------------- */

/* Length of the command that `argv` hands to a shell; 0 when it is no such call, or too long. */
static size_t shell_command(const char *path, char *const argv[], char *const env[]) {
  if (!ninja || env != environ || !path || !argv || strcmp(path, "/bin/sh") != 0 || !argv[0] || !argv[1] || strcmp(argv[1], "-c") != 0 || !argv[2] || argv[3])
    return 0;
  if (!active(env) || !look(env, "GG_SHIM_DIR") || look(env, "COLLECT_GCC")) return 0;
  size_t length = strnlen(argv[2], COMMAND_MAX + 1);
  return length > COMMAND_MAX ? 0 : length;
}

static int means_itself(unsigned char c) {
  return c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c && strchr("_-+=./,:@%^", c));
}

/* Splits a command into words as a shell does. `text`: as long as the command; `words`: one more than half of that, and two.
 * @returns 0 when it is more than words. */
static int split(const char *at, char *text, char **words) {
  size_t count = 0;
  while (*at == ' ' || *at == '\t') at++;
  while (*at) {
    words[count++] = text;
    while (*at && *at != ' ' && *at != '\t') {
      if (*at == '\'') {
        const char *end = strchr(++at, '\'');
        if (!end) return 0;
        text = mempcpy(text, at, end - at);
        at = end + 1;
      } else if (*at == '"') {
        for (at++; *at != '"'; at++) {
          if (!*at || *at == '$' || *at == '`') return 0;
          if (*at == '\\' && at[1] && strchr("\"\\$`", at[1])) at++;
          else if (*at == '\\' && (at[1] == '\n' || !at[1])) return 0;
          *text++ = *at;
        }
        at++;
      } else if (*at == '\\') {
        if (!at[1] || at[1] == '\n') return 0;
        *text++ = at[1];
        at += 2;
      } else if (means_itself((unsigned char)*at)) *text++ = *at++;
      else return 0;
    }
    *text++ = 0;
    while (*at == ' ' || *at == '\t') at++;
  }
  words[count] = NULL;
  /* An assignment is no program. */
  return count > 0 && !strchr(words[0], '=');
}

/* ---- the question -------------------------------------------------------------------------------------------------- */

static struct frame question(const char *tool, char *const words[], char *const env[]) {
  struct frame f = begin_frame("call");
  const char *limit = narrow_limit();
  for (; *words; words++) put_text(&f, GG_FIELD_ARG, *words);
  put_text(&f, GG_FIELD_TOOL, strrchr(tool, '/') + 1);
  put_text(&f, GG_FIELD_REAL, tool);
  if (limit) put_text(&f, GG_FIELD_UNUSUAL, limit);
  /* ninja gives a command /dev/null to read from and a pipe to write to. */
  put_surroundings(&f, env, 0);
  put_number(&f, GG_FIELD_DIRECT, 1);
  return f;
}

static int send_all(int fd, const void *bytes, size_t length) {
  for (const char *at = bytes; length > 0;) {
    /* A server that does not read now may be one that never will; ninja must not wait for it here. */
    ssize_t n = send(fd, at, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return -1;
    at += n;
    length -= n;
  }
  return 0;
}

/* A connection that carries the question; -1 when there is no server, or one too busy to be asked. */
static int ask(const struct frame *f, char *const env[]) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  struct ucred peer;
  socklen_t size = sizeof peer;
  const char *path = look(env, "GG_SOCKET");
  if (strlen(path) >= sizeof address.sun_path) return -1;
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 && fcntl(fd, F_SETFL, 0) == 0 &&
      getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid() && send_all(fd, f->bytes, f->length) == 0)
    return fd;
  NEXT(close)(fd);
  return -1;
}

/* @returns 0 when ninja waits for the server now, -1 when the command needs a process at once. */
static int begin(pid_t *name, const char *tool, char *const words[], const char *command, const posix_spawnattr_t *attributes,
                 char *const env[]) {
  const char *mode = look(env, "GG_MODE");
  short flags = 0;
  size_t slot = 0;
  int fd = last_pipe[0];
  /* Without a process group of its own it has ninja's terminal. */
  if (!proven || fd < 0 || !attributes || posix_spawnattr_getflags(attributes, &flags) || !(flags & POSIX_SPAWN_SETPGROUP)) return -1;
  if ((mode && strcmp(mode, "off") == 0) || look(env, "GG_TIMEOUT") || is_beside_shim(tool)) return -1;
  while (slot < edges_room && edges[slot]) slot++;
  if (grow(&edges, &edges_room, slot) || grow(&polled, &polled_room, fd) || polled[fd]) return -1;
  struct edge *e = calloc(1, sizeof *e);
  struct frame f = question(tool, words, env);
  int connection = -1;
  if (e) e->command = strdup(command);
  if (end_frame(&f) == 0 && e && e->command && posix_spawnattr_getsigmask(attributes, &e->signals) == 0) connection = ask(&f, env);
  free(f.bytes);
  if (connection < 0 || dup3(connection, fd, O_CLOEXEC) < 0) {
    if (connection >= 0) NEXT(close)(connection);
    if (e) free(e->command);
    free(e);
    return -1;
  }
  NEXT(close)(connection);
  e->fd = fd;
  e->name = FIRST_NAME + slot;
  e->spawn_flags = flags;
  edges[slot] = polled[fd] = e;
  count++;
  *name = e->name;
  return 0;
}

/* ---- the answer ---------------------------------------------------------------------------------------------------- */

/* Takes what has come by now. @returns 1: the whole frame; 0: more is to come; -1: nobody answers any more. */
static int receive(struct edge *e) {
  for (;;) {
    uint32_t length = 0;
    unsigned char *to = e->head + e->got;
    size_t wanted = sizeof e->head - e->got;
    if (e->got >= sizeof e->head) {
      memcpy(&length, e->head + 4, 4);
      if (memcmp(e->head, GG_FRAME_MAGIC, 4) != 0 || length > GG_BODY_BYTES_MAX) return -1;
      if (!e->answer && !(e->answer = malloc(length + 1))) return -1;
      to = e->answer + (e->got - sizeof e->head);
      wanted = length - (e->got - sizeof e->head);
      if (wanted == 0) return 1;
    }
    ssize_t n = recv(e->fd, to, wanted, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return 0;
    if (n <= 0) return -1;
    e->got += n;
  }
}

/* Reads the whole frame. @returns 1: the command has ended; 0: the real tool is to run; -1: that was no answer. */
static int read_answer(struct edge *e) {
  uint32_t length, size;
  int exits = 0, code = 0;
  memcpy(&length, e->head + 4, 4);
  for (uint32_t at = 0; at + 5 <= length; at += 5 + size) {
    const unsigned char *bytes = e->answer + at + 5;
    memcpy(&size, e->answer + at + 1, 4);
    if (size > length - at - 5) return -1;
    switch (e->answer[at]) {
    case GG_FIELD_ANSWER_KIND: exits = size == 4 && memcmp(bytes, "exit", 4) == 0; break;
    case GG_FIELD_STDOUT: e->text[0] = bytes, e->left[0] = size; break;
    case GG_FIELD_STDERR: e->text[1] = bytes, e->left[1] = size; break;
    case GG_FIELD_EXIT_CODE:
      if (size == 4) memcpy(&code, bytes, 4);
      break;
    }
  }
  /* As wait() gives the status of a process that ended by exit(). */
  e->status = (code & 0xff) << 8;
  return exits;
}

/* Starts the shell as ninja would have (it has its own words for a tool that a signal ends), and has ninja read what it says from
 * where it listens already. That descriptor is given up first: ninja may have no other left. */
static int start_process(struct edge *e, int answered) {
  size_t entries = 0;
  int ends[2], error = -1;
  char *const words[] = {"/bin/sh", "-c", e->command, NULL};
  while (environ[entries]) entries++;
  char **env = malloc((entries + 2) * sizeof *env);
  if (!env) return -1;
  memcpy(env, environ, entries * sizeof *env);
  if (answered) env[entries++] = "GG_ANSWERED=1";
  env[entries] = NULL;
  NEXT(close)(e->fd);
  if (pipe2(ends, O_CLOEXEC)) {
    ends[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
  } else {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    if (!posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0) && !posix_spawn_file_actions_adddup2(&actions, ends[1], 1) &&
        !posix_spawn_file_actions_adddup2(&actions, ends[1], 2) && !posix_spawnattr_setflags(&attributes, e->spawn_flags) &&
        !posix_spawnattr_setsigmask(&attributes, &e->signals))
      error = NEXT(posix_spawn)(&e->process, words[0], &actions, &attributes, words, env);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    NEXT(close)(ends[1]);
  }
  if (ends[0] >= 0 && ends[0] != e->fd) {
    dup3(ends[0], e->fd, O_CLOEXEC);
    NEXT(close)(ends[0]);
  }
  free(env);
  if (error == 0) e->state = RUNNING;
  return error;
}

/* There is something to be read from the server. @returns 1 when ninja may read, 0 when it has to wait: for the rest, or for a
 * process. */
static int hear(struct edge *e) {
  int answer = receive(e);
  if (answer == 0) return 0;
  if (answer == 1) answer = read_answer(e);
  if (answer != 1) {
    free(e->answer);
    e->answer = NULL;
    e->left[0] = e->left[1] = 0;
    if (start_process(e, answer == 0) == 0) return 0;
    static const unsigned char said[] = "gg: cannot start the command's process\n";
    e->text[1] = said;
    e->left[1] = sizeof said - 1;
    e->status = 126 << 8;
  }
  e->state = ANSWERED;
  /* There is something to be read from now on, whether or not the server closes its end. */
  shutdown(e->fd, SHUT_RDWR);
  return 1;
}

/* For who does not wait until there is something to be read. */
static void hear_all(struct edge *e) {
  while (e->state == ASKED && !hear(e)) {
    struct pollfd one = {.fd = e->fd, .events = POLLIN};
    if (e->state == ASKED) poll(&one, 1, -1);
  }
}

/* ninja was interrupted. The server takes what it hung up on for cancelled as soon as it hangs up too: no placeholder appears then
 * behind the back of a ninja that is cleaning up. */
static void hang_up(struct edge *e, int signal) {
  if (e->state != ASKED) return;
  shutdown(e->fd, SHUT_WR);
  e->status = signal;
}

static void wait_for_the_end(const struct edge *e) {
  static long long until;
  struct timespec t;
  char rest[512];
  clock_gettime(CLOCK_MONOTONIC, &t);
  long long now = t.tv_sec * 1000ll + t.tv_nsec / 1000000;
  if (!until) until = now + LET_GO_MS;
  if (now >= until) return;
  struct timeval limit = {(until - now) / 1000, (until - now) % 1000 * 1000};
  setsockopt(e->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  while (NEXT(read)(e->fd, rest, sizeof rest) > 0) {
  }
}

/* ---- in the place of the C library's ------------------------------------------------------------------------------- */

int pipe(int ends[2]) {
  int result = NEXT(pipe)(ends);
  if (result == 0 && ninja) memcpy(last_pipe, ends, sizeof last_pipe);
  return result;
}

/* @returns 0 when `command` is a call of a tool and ninja waits for the server now. */
static int begin_command(pid_t *pid, const char *command, size_t length, const posix_spawnattr_t *attributes, char *const env[]) {
  /* Each word but the last takes a byte and a blank at least. */
  char spelled[length + 2], *words[length / 2 + 3];
  if (!split(command, spelled, words)) return -1;
  const char *tool = words[0], *along = strchr(tool, '/') ? "" : search_path(env);
  char place[strlen(along) + strlen(words[0]) + 3];
  if (*along) tool = search(along, words[0], place, sizeof place, 1);
  if (!tool || tool[0] != '/' || !has_shim(tool, look(env, "GG_SHIM_DIR"))) return -1;
  return begin(pid, tool, words, command, attributes, env);
}

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
                char *const argv[], char *const envp[]) {
  size_t length = pid ? shell_command(path, argv, envp) : 0;
  if (proven && length && actions && begin_command(pid, argv[2], length, attributes, envp) == 0) {
    last_pipe[0] = last_pipe[1] = -1;
    return 0;
  }
  int fd = last_pipe[0], error = NEXT(posix_spawn)(pid, path, actions, attributes, argv, envp);
  last_pipe[0] = last_pipe[1] = -1;
  if (length && !proven && error == 0) note_start(fd, *pid);
  return error;
}

int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *signals) {
  for (nfds_t i = 0; i < n && !proven; i++) note_way(fds[i].fd, POLLED);
  for (;;) {
    int ready = NEXT(ppoll)(fds, n, timeout, signals);
    if (ready <= 0 || !count) return ready;
    for (nfds_t i = 0; i < n; i++) {
      struct edge *e = fds[i].revents ? by_fd(fds[i].fd) : NULL;
      if (!e || e->state != ASKED || hear(e)) continue;
      fds[i].revents = 0;
      ready--;
    }
    if (ready > 0) return ready;
  }
}

int pselect(int n, fd_set *reads, fd_set *writes, fd_set *others, const struct timespec *timeout, const sigset_t *signals) {
  if (!ninja || !reads || writes || others) return NEXT(pselect)(n, reads, writes, others, timeout, signals);
  fd_set asked = *reads;
  for (int fd = 0; fd < n && !proven; fd++)
    if (FD_ISSET(fd, &asked)) note_way(fd, POLLED);
  for (;;) {
    int ready = NEXT(pselect)(n, reads, NULL, NULL, timeout, signals);
    if (ready <= 0 || !count) return ready;
    for (int fd = 0; fd < n; fd++) {
      struct edge *e = FD_ISSET(fd, reads) ? by_fd(fd) : NULL;
      if (!e || e->state != ASKED || hear(e)) continue;
      FD_CLR(fd, reads);
      ready--;
    }
    if (ready > 0) return ready;
    *reads = asked;
  }
}

ssize_t read(int fd, void *bytes, size_t length) {
  struct edge *e = by_fd(fd);
  note_way(fd, READ);
  if (e) hear_all(e);
  if (!e || e->state == RUNNING) return NEXT(read)(fd, bytes, length);
  int from = e->left[0] ? 0 : 1;
  size_t n = length < e->left[from] ? length : e->left[from];
  if (n == 0) return 0;
  memcpy(bytes, e->text[from], n);
  e->text[from] += n;
  e->left[from] -= n;
  return n;
}

int close(int fd) {
  struct edge *e = by_fd(fd);
  note_way(fd, CLOSED);
  if (fd >= 0 && (fd == last_pipe[0] || fd == last_pipe[1])) last_pipe[0] = last_pipe[1] = -1;
  if (e) {
    if (e->state == ASKED) {
      hang_up(e, SIGINT);
      wait_for_the_end(e);
      e->state = ANSWERED;
    }
    polled[fd] = NULL;
    e->fd = -1;
  }
  return NEXT(close)(fd);
}

static pid_t wait_for(struct edge *e, int *status, int options, struct rusage *usage) {
  pid_t name = e->name;
  if (e->state == ASKED && options & WNOHANG && !hear(e) && e->state == ASKED) return 0;
  hear_all(e);
  if (e->state == RUNNING) {
    pid_t ended = NEXT(wait4)(e->process, status, options, usage);
    if (ended != e->process) return ended;
  } else {
    if (status) *status = e->status;
    if (usage) memset(usage, 0, sizeof *usage);
  }
  forget(e);
  return name;
}

pid_t waitpid(pid_t pid, int *status, int options) {
  struct edge *e = by_name(pid);
  if (e) return wait_for(e, status, options, NULL);
  pid_t ended = NEXT(waitpid)(pid, status, options);
  note_end(ended);
  return ended;
}

pid_t wait4(pid_t pid, int *status, int options, struct rusage *usage) {
  struct edge *e = by_name(pid);
  return e ? wait_for(e, status, options, usage) : NEXT(wait4)(pid, status, options, usage);
}

int kill(pid_t pid, int signal) {
  struct edge *e = by_name(pid < 0 ? -pid : pid);
  if (!e) return NEXT(kill)(pid, signal);
  if (e->state == RUNNING) return NEXT(kill)(pid < 0 ? -e->process : e->process, signal);
  if (signal) hang_up(e, signal);
  return 0;
}
