// What travels between shims (C), the command line (TypeScript) and the session server. One description for both sides;
// wrappers/protocol.h carries the same constants and test/unit/session/protocol.test.ts compares the two.
//
// Frame (version 1), all integers unsigned 32-bit little-endian:
//   "GGP1"  bodyLength  body
// Body: fields one after the other, each
//   tag (1 byte)  length  bytes
// A field that holds a number holds 4 bytes. Unknown tags are skipped. A body is at most BODY_BYTES_MAX.
//
// Request, first field REQUEST_KIND; a connection carries one request and one answer, except `cli` (a stream both ways).
//   call   a tool was called: ARG* (argv, [0] first, as typed) TOOL REAL CWD ENV* UMASK PID [DIRECT] TTY [INTERPOSED] [STACK] [UNUSUAL]
//   open   somebody opens or runs a placeholder: PATH (absolute) CWD PID ENV* ; answered when the real bytes are in place
//   keep   as open, by somebody who would not take another file (inode) for it
//   move   a placeholder, or a directory, is about to get another name: PATH (absolute) TO (absolute) CWD PID ENV* ; answered when
//          the new name is promised too. The connection stays until the file has it: so long nothing is written there
//   over   another file is about to take the place of a placeholder, PATH ; answered when nothing is written there, as for move
//   settle two directories are about to change places: PATH TO CWD PID ENV* ; answered when all below both is real
//   barrier  a program is about to start that our preload library cannot be in: PATH (the program) ARG* (its argv) UNUSUAL (why) CWD PID
//          ENV* ; answered when all it can reach is real
//   cli    JSON messages of our own command line, one a frame, answered by JSON frames until either side closes
//
// Answer, first field ANSWER_KIND:
//   exit   EXIT_CODE STDOUT STDERR: write these bytes to the descriptors (stdout first), then exit
//   run    run the real tool (REAL if given, else the one the shim found) with argv, environment and descriptors untouched
//   ready  (for open) the file at PATH holds what it will hold; (for move, over, settle) carry on
//   failed (for move) it cannot be promised: make it real first; (for open) it is gone or still a placeholder: nobody may take its bytes for an artifact
//   wrong-version   the server speaks another version: run the real tool

export const PROTOCOL_VERSION = 1;
export const FRAME_MAGIC = 'GGP1';
/** 64 MiB: a command line is at most 2 MiB on Linux; answers carry diagnostics of one call. */
export const BODY_BYTES_MAX = 64 * 1024 * 1024;

export const FIELD = {
  REQUEST_KIND: 0x6b, // 'k' text: call | open | keep | move | over | settle | barrier | cli
  ANSWER_KIND: 0x4b, // 'K' text: exit | run | ready | failed | wrong-version
  ARG: 0x61, // 'a' repeated
  TOOL: 0x74, // 't' base name the shim was called by
  REAL: 0x72, // 'r' absolute path of the real tool
  CWD: 0x63, // 'c' getcwd()
  ENV: 0x65, // 'e' NAME=VALUE, repeated
  UMASK: 0x75, // 'u' number
  PID: 0x70, // 'p' number: the shim's own
  DIRECT: 0x64, // 'd' number: 1 when PID is the build tool itself, which waits without a process between; it hangs up to take the call back
  TTY: 0x79, // 'y' number: bit 0 stdin, bit 1 stdout, bit 2 stderr is a terminal
  INTERPOSED: 0x69, // 'i' number: 1 when our preload library is in LD_PRELOAD
  UNUSUAL: 0x55, // 'U' text: what the real tool would trip over and a run elsewhere would not (a closed descriptor, a limit)
  STACK: 0x73, // 's' number: kilobytes of stack that a compiler called here would have (stack-limit.ts)
  PATH: 0x66, // 'f'
  TO: 0x54, // 'T' the new name
  EXIT_CODE: 0x78, // 'x' number
  STDOUT: 0x6f, // 'o'
  STDERR: 0x45, // 'E'
  JSON: 0x6a, // 'j'
} as const;

/**
 * The environment a shim sends: these names, and every name with one of these prefixes.
 * Everything else cannot change what a tool writes.
 */
export const ENV_NAMES = [
  'AR',
  'COLORTERM',
  'COLUMNS',
  'COMPILER_PATH',
  'CPATH',
  'CPLUS_INCLUDE_PATH',
  'C_INCLUDE_PATH',
  'DEPENDENCIES_OUTPUT',
  'GNUTARGET',
  'HOME',
  'LANG',
  'LANGUAGE',
  'LDEMULATION',
  'LD_LIBRARY_PATH',
  'LD_PRELOAD',
  'LD_RUN_PATH',
  'LIBRARY_PATH',
  'MAKEFLAGS',
  'MAKELEVEL',
  'NASMENV',
  'OBJCPLUS_INCLUDE_PATH',
  'OBJC_INCLUDE_PATH',
  'PATH',
  'POSIXLY_CORRECT',
  'PWD',
  'SOURCE_DATE_EPOCH',
  'SUNPRO_DEPENDENCIES',
  'SYSROOT',
  'TERM',
  'TERM_URLS',
  'TMPDIR',
  'TZ',
  'ZERO_AR_DATE',
] as const;
export const ENV_PREFIXES = ['COLLECT_', 'GCC_', 'GG_', 'LC_'] as const;

// Where things are. STATE is $GG_DIR, else $XDG_CACHE_HOME/gg, else $HOME/.cache/gg (an empty variable counts as unset), else, and
// where that one is not to be believed, /tmp/gg-UID/cache. RUN is $XDG_RUNTIME_DIR/gg when XDG_RUNTIME_DIR is an existing directory owned
// by the user, else /tmp/gg-UID, else STATE/run. A place is believed when it is the user's and only the user and root can put
// another one there (base/trusted-path.ts); it is made, or closed, with mode 0700.
//   RUN/HEX-v1.sock  HEX: FNV-1a 64 of STATE, 16 hex digits     the socket; $GG_SOCKET overrides its path
//   RUN/HEX-v1.lock  flock()ed by whoever starts the server
//   STATE/native/ID/bin/…      the shims (links to STATE/native/ID/gg-shim), ID: content hash of wrappers/ and the compiler
//   STATE/native/ID/server     two lines: absolute path of node, absolute path of the server's script
// The server is started as: node SCRIPT SOCKETPATH, in a new process session, /dev/null on 0-2, all else closed, cwd /.

/** One frame from its fields. */
export function encodeFrame(fields: readonly (readonly [number, Uint8Array | string | number])[]): Buffer {
  const parts: Buffer[] = [];
  let length = 0;
  for (const [tag, value] of fields) {
    let bytes: Buffer;
    if (typeof value === 'number') {
      bytes = Buffer.alloc(4);
      bytes.writeUInt32LE(value >>> 0);
    } else
      bytes =
        typeof value === 'string'
          ? Buffer.from(value)
          : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    const head = Buffer.alloc(5);
    head[0] = tag;
    head.writeUInt32LE(bytes.length, 1);
    parts.push(head, bytes);
    length += 5 + bytes.length;
  }
  if (length > BODY_BYTES_MAX)
    throw new RangeError(`frame of ${length} bytes, the most is ${BODY_BYTES_MAX}`);
  const head = Buffer.alloc(8);
  head.write(FRAME_MAGIC, 'latin1');
  head.writeUInt32LE(length, 4);
  return Buffer.concat([head, ...parts], 8 + length);
}

export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

/** Fields of one body, in order. @throws ProtocolError on a body that does not add up. */
export function decodeBody(body: Buffer): [number, Buffer][] {
  const fields: [number, Buffer][] = [];
  let at = 0;
  while (at < body.length) {
    if (at + 5 > body.length) throw new ProtocolError('field head cut off');
    const length = body.readUInt32LE(at + 1);
    const end = at + 5 + length;
    if (end > body.length) throw new ProtocolError('field cut off');
    fields.push([body[at]!, body.subarray(at + 5, end)]);
    at = end;
  }
  return fields;
}

/** Collects bytes of a connection into bodies; bounded by BODY_BYTES_MAX. */
export class FrameReader {
  #held: Buffer = Buffer.alloc(0);

  /** @returns the bodies that are complete now. @throws ProtocolError on a wrong magic or an oversized frame. */
  push(chunk: Buffer): Buffer[] {
    this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const bodies: Buffer[] = [];
    while (this.#held.length >= 8) {
      if (this.#held.toString('latin1', 0, 4) !== FRAME_MAGIC)
        throw new ProtocolError('not a frame of this version');
      const length = this.#held.readUInt32LE(4);
      if (length > BODY_BYTES_MAX) throw new ProtocolError(`frame of ${length} bytes`);
      if (this.#held.length < 8 + length) break;
      bodies.push(this.#held.subarray(8, 8 + length));
      this.#held = this.#held.subarray(8 + length);
    }
    return bodies;
  }
}
