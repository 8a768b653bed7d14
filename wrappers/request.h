/* The request that shims and ninja's preload library send: its frame, and what they tell of the process that calls a tool. */
#ifndef GG_REQUEST_H
#define GG_REQUEST_H

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "environment.h"

#include "protocol.h"

/* What does not fit, or finds no memory, spoils the whole. */
struct frame {
  unsigned char *bytes;
  size_t length, room;
  int spoilt;
};

static inline uint32_t get32(const unsigned char *at) {
  return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static inline void put32(unsigned char *at, uint32_t v) {
  at[0] = v;
  at[1] = v >> 8;
  at[2] = v >> 16;
  at[3] = v >> 24;
}

static inline void put_bytes(struct frame *f, const void *bytes, size_t length) {
  if (f->spoilt || f->length + length > GG_BODY_BYTES_MAX) {
    f->spoilt = 1;
    return;
  }
  if (f->length + length > f->room) {
    size_t room = f->room ? f->room : 8192;
    while (room < f->length + length) room *= 2;
    unsigned char *grown = realloc(f->bytes, room);
    if (!grown) {
      f->spoilt = 1;
      return;
    }
    f->bytes = grown;
    f->room = room;
  }
  memcpy(f->bytes + f->length, bytes, length);
  f->length += length;
}

static inline void put_field(struct frame *f, int tag, const void *bytes, size_t length) {
  unsigned char head[5] = {tag};
  put32(head + 1, length);
  put_bytes(f, head, sizeof head);
  put_bytes(f, bytes, length);
}

static inline void put_text(struct frame *f, int tag, const char *text) { put_field(f, tag, text, strlen(text)); }

static inline void put_number(struct frame *f, int tag, uint32_t v) {
  unsigned char bytes[4];
  put32(bytes, v);
  put_field(f, tag, bytes, sizeof bytes);
}

static inline struct frame begin_frame(const char *kind) {
  static const unsigned char head[8] = GG_FRAME_MAGIC;
  struct frame f = {0};
  put_bytes(&f, head, sizeof head);
  put_text(&f, GG_FIELD_REQUEST_KIND, kind);
  return f;
}

/* @returns 0 when it can be sent. */
static inline int end_frame(struct frame *f) {
  if (!f->spoilt) put32(f->bytes + 4, f->length - 8);
  return f->spoilt ? -1 : 0;
}

/* Whether an entry of the environment is among those that are sent. */
static inline int matters(const char *entry) {
  const char *eq = strchr(entry, '=');
  if (!eq) return 0;
  size_t length = eq - entry;
  for (size_t i = 0; i < sizeof gg_env_prefixes / sizeof *gg_env_prefixes; i++)
    if (strncmp(entry, gg_env_prefixes[i], strlen(gg_env_prefixes[i])) == 0) return 1;
  for (size_t i = 0; i < sizeof gg_env_names / sizeof *gg_env_names; i++)
    if (strlen(gg_env_names[i]) == length && strncmp(entry, gg_env_names[i], length) == 0) return 1;
  return 0;
}

/* A limit that the real tool would trip over here and a run of ours elsewhere would not; NULL: none. */
static inline const char *narrow_limit(void) {
  static const struct {
    int resource;
    rlim_t enough;
    const char *name;
  } limits[] = {
      {RLIMIT_FSIZE, (rlim_t)1 << 30, "RLIMIT_FSIZE"},
      {RLIMIT_AS, (rlim_t)1 << 33, "RLIMIT_AS"},
      {RLIMIT_DATA, (rlim_t)1 << 33, "RLIMIT_DATA"},
      {RLIMIT_CPU, 60, "RLIMIT_CPU"},
      {RLIMIT_NOFILE, 64, "RLIMIT_NOFILE"},
      {RLIMIT_NPROC, 64, "RLIMIT_NPROC"},
  };
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
    struct rlimit now;
    if (getrlimit(limits[i].resource, &now) == 0 && now.rlim_cur < limits[i].enough) return limits[i].name;
  }
  return NULL;
}

/* Kilobytes of stack a compiler called here would have; src/caller/stack-limit.ts compares them with the server's. gcc raises
 * its limit to 64 MB where it may. */
static inline uint32_t stack_kilobytes(void) {
  const rlim_t wanted = (rlim_t)64 << 20;
  struct rlimit now;
  if (getrlimit(RLIMIT_STACK, &now) < 0) return 0;
  if (now.rlim_cur < wanted) now.rlim_cur = now.rlim_max < wanted ? now.rlim_max : wanted;
  return now.rlim_cur == RLIM_INFINITY || now.rlim_cur >> 10 > UINT32_MAX ? UINT32_MAX : (uint32_t)(now.rlim_cur >> 10);
}

/* What has been said to this process alone is left out. */
static inline void put_surroundings(struct frame *f, char *const env[], uint32_t terminals) {
  char cwd[PATH_MAX];
  const char *preload = look(env, "LD_PRELOAD");
  if (getcwd(cwd, sizeof cwd)) put_text(f, GG_FIELD_CWD, cwd);
  else f->spoilt = 1;
  for (char *const *e = env; *e; e++)
    if (matters(*e) && strncmp(*e, "GG_REAL_TOOL=", 13) != 0) put_text(f, GG_FIELD_ENV, *e);
  mode_t mask = umask(0);
  umask(mask);
  put_number(f, GG_FIELD_UMASK, mask);
  put_number(f, GG_FIELD_PID, getpid());
  put_number(f, GG_FIELD_TTY, terminals);
  put_number(f, GG_FIELD_INTERPOSED, preload && strstr(preload, "gg-interpose") != NULL);
  put_number(f, GG_FIELD_STACK, stack_kilobytes());
}

#endif
