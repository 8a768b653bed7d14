// What travels between the server and wrappers/spawner.c over the spawner's stdin and stdout. The server is fat and must
// not fork (a fork of 1 GB costs 30 ms with the event loop standing still); the spawner is small and does it for it.
//
// Frame, integers little-endian: bodyLength (u32)  id (u32)  op (u8)  body. Strings: length (u32) bytes. Lists: count (u32) items.
// Requests (op):
//   1 RUN     cwd:str  file:str(absolute)  argv:list(str)  env:list(str, the whole environment)  umask:u32  timeoutMs:u32 (0: none)
//             stdin /dev/null; stdout and stderr each into an anonymous memory file, sent back; own process group
//   2 PLACE   source:str  dest:str  mode:u32  mtimeSec:u64  mtimeNsec:u32  inode:u64 (0: any)  flags:u32 (1: into the same inode, 2: set no mtime, 4: set no mode,
//             8: remove source afterwards)
//             copies source to dest: by default into an exclusive temporary file beside dest, then rename; sets mode and mtime (to the
//             nanosecond) before the rename. ESTALE when dest is not `inode` any more. Through a symlink: dest is resolved first (the link stays).
//   3 KILL    target:u32 (id of a RUN)   SIGTERM to its process group, SIGKILL after 2 s
//   4 SANDBOX root:str binds:list(str) then as RUN: unshare(user, mount) with the caller's uid and gid mapped to themselves, bind-mounts
//             each of `binds` (absolute) at the same path under root, chroot to root, then as RUN. The environment's GG_NAMESPACES=0
//             stands for a kernel that refuses
//   5 TOUCH   dest:str  mtimeSec:u64  mtimeNsec:u32
// Answers, same id, op + 128:
//   RUN/SANDBOX  startError:u32 (errno, 0 when it ran; 65536 added: the kernel refused the root)  exitCode:u32  signal:u32 (0: exited)  timedOut:u32  wallUs:u64  cpuUs:u64  maxRssKb:u64
//                stdout:str  stderr:str  (each at most 32 MiB; longer is cut with truncated:u32 = 1, which is the last field)
//   PLACE/TOUCH  errno:u32
//   KILL         errno:u32
// The spawner runs any number of children at once, ends all of them (process groups, SIGKILL) when its stdin closes, and exits.

export const OP = { RUN: 1, PLACE: 2, KILL: 3, SANDBOX: 4, TOUCH: 5 } as const;
export const PLACE_FLAG = { SAME_INODE: 1, KEEP_MTIME: 2, KEEP_MODE: 4, REMOVE_SOURCE: 8 } as const;
/** Added to the errno of a SANDBOX for which the kernel gave no namespace. */
export const NO_ROOT = 0x10000;
/** Bytes of stdout or stderr kept of one run. */
export const OUTPUT_BYTES_MAX = 32 * 1024 * 1024;
