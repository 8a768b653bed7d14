/* The constants of src/wire/shim-frames.ts, which describes the frames; a unit test compares the two. */
#ifndef GG_PROTOCOL_H
#define GG_PROTOCOL_H

#define GG_PROTOCOL_VERSION 1
#define GG_FRAME_MAGIC "GGP1"
#define GG_BODY_BYTES_MAX (64u * 1024u * 1024u)

#define GG_FIELD_REQUEST_KIND 0x6b
#define GG_FIELD_ANSWER_KIND 0x4b
#define GG_FIELD_ARG 0x61
#define GG_FIELD_TOOL 0x74
#define GG_FIELD_REAL 0x72
#define GG_FIELD_CWD 0x63
#define GG_FIELD_ENV 0x65
#define GG_FIELD_UMASK 0x75
#define GG_FIELD_PID 0x70
#define GG_FIELD_DIRECT 0x64
#define GG_FIELD_TTY 0x79
#define GG_FIELD_INTERPOSED 0x69
#define GG_FIELD_UNUSUAL 0x55
#define GG_FIELD_STACK 0x73
#define GG_FIELD_PATH 0x66
#define GG_FIELD_TO 0x54
#define GG_FIELD_EXIT_CODE 0x78
#define GG_FIELD_STDOUT 0x6f
#define GG_FIELD_STDERR 0x45
#define GG_FIELD_JSON 0x6a

static const char *const gg_env_names[] = {
    "AR", "COLORTERM", "COLUMNS", "COMPILER_PATH", "CPATH", "CPLUS_INCLUDE_PATH",
    "C_INCLUDE_PATH", "DEPENDENCIES_OUTPUT", "GNUTARGET", "HOME", "LANG", "LANGUAGE",
    "LDEMULATION", "LD_LIBRARY_PATH", "LD_PRELOAD", "LD_RUN_PATH", "LIBRARY_PATH", "MAKEFLAGS",
    "MAKELEVEL", "NASMENV", "OBJCPLUS_INCLUDE_PATH", "OBJC_INCLUDE_PATH", "PATH",
    "POSIXLY_CORRECT", "PWD", "SOURCE_DATE_EPOCH", "SUNPRO_DEPENDENCIES", "SYSROOT", "TERM",
    "TERM_URLS", "TMPDIR", "TZ", "ZERO_AR_DATE",
};
static const char *const gg_env_prefixes[] = {"COLLECT_", "GCC_", "GG_", "LC_"};

#endif
