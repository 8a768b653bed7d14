/* What shims and ninja's preload library tell the server of the process that calls a tool. */
#ifndef GG_REQUEST_H
#define GG_REQUEST_H

#include <stdint.h>
#include <string.h>
#include <sys/resource.h>

#include "protocol.h"

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

/* Kilobytes of stack a compiler called here would have; src/session/stack-limit.ts compares them with the server's. gcc raises
 * its limit to 64 MB where it may. */
static inline uint32_t stack_kilobytes(void) {
  const rlim_t wanted = (rlim_t)64 << 20;
  struct rlimit now;
  if (getrlimit(RLIMIT_STACK, &now) < 0) return 0;
  if (now.rlim_cur < wanted) now.rlim_cur = now.rlim_max < wanted ? now.rlim_max : wanted;
  return now.rlim_cur == RLIM_INFINITY || now.rlim_cur >> 10 > UINT32_MAX ? UINT32_MAX : (uint32_t)(now.rlim_cur >> 10);
}

#endif
