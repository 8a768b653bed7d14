// ninja's preload library before a server that only pretends: what it asks, and what it does with answers that come in pieces, late
// or never. The programs that play ninja go about their commands as it does, with one C library call or the other.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeBody, encodeFrame, FIELD, FrameReader } from '../../src/wire/shim-frames.ts';
import { Rig } from './rig.ts';

const COMMANDS = 6;
const WAIT_MS = 10_000;

/** Runs COMMANDS calls of gcc, one after the other; prints what each says and ends with. `WAY`: how it waits for output. */
const PLAYER = `
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/select.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
extern char **environ;
static void wait_for(int fd) {
#if WAY == 0 || WAY == 3
  struct pollfd one = {.fd = fd, .events = POLLIN};
  while (ppoll(&one, 1, NULL, NULL) < 1 || !one.revents) {}
#elif WAY == 1
  fd_set all;
  do { FD_ZERO(&all); FD_SET(fd, &all); } while (pselect(fd + 1, &all, NULL, NULL, NULL, NULL) < 1 || !FD_ISSET(fd, &all));
#endif
}
static ssize_t take(int fd, char *to, size_t room) {
#if WAY == 3
  struct iovec all = {to, room};
  return readv(fd, &all, 1);
#else
  return read(fd, to, room);
#endif
}
int main(void) {
  for (int i = 0; i < ${COMMANDS}; i++) {
    int ends[2], status;
    char command[64], said[4096];
    pid_t pid;
    ssize_t n;
    sigset_t none;
    sigemptyset(&none);
    snprintf(command, sizeof command, "gcc -c u.c -o o%d.o", i);
    char *words[] = {"/bin/sh", "-c", command, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    if (pipe(ends)) return 9;
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attributes, &none);
    if (posix_spawn(&pid, "/bin/sh", &actions, &attributes, words, environ)) return 8;
    close(ends[1]);
    for (;;) {
      wait_for(ends[0]);
      n = take(ends[0], said, sizeof said);
      if (n <= 0) break;
      fwrite(said, 1, n, stdout);
    }
    close(ends[0]);
    if (waitpid(pid, &status, 0) != pid) return 7;
    printf("%d\\n", status);
    /* As ninja reads and closes other files, too. */
    int other = open("u.c", O_RDONLY);
    n = read(other, said, 1);
    close(other);
  }
  return 0;
}
`;

const rig = new Rig();
let server: Server | undefined;
const sockets = new Set<Socket>();
after(() => rig.close());
afterEach(() => {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  server?.close();
  server = undefined;
});

const skip = spawnSync('ninja', ['--version']).error ? 'ninja is not installed' : false;

interface Asked {
  readonly direct: boolean;
  readonly output: string;
  readonly socket: Socket;
}

/** What a build would have in its environment, but for the server, which is `answer`. */
async function pretend(answer: (asked: Asked) => void): Promise<Record<string, string>> {
  const path = join(rig.home, 'run', 'pretended');
  rmSync(path, { force: true });
  server = createServer({ allowHalfOpen: true }, (socket) => {
    const frames = new FrameReader();
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('end', () => socket.end());
    socket.on('data', (chunk) => {
      for (const body of frames.push(chunk)) {
        const fields = decodeBody(body);
        const words = fields.filter(([tag]) => tag === FIELD.ARG).map(([, bytes]) => bytes.toString());
        answer({ direct: fields.some(([tag]) => tag === FIELD.DIRECT), output: words.at(-1)!, socket });
      }
    });
  });
  await new Promise<void>((resolve) => server!.listen(path, resolve));
  return { ...environment, GG_SOCKET: path };
}

const exit = (text: string, code = 0): Buffer =>
  encodeFrame([
    [FIELD.ANSWER_KIND, 'exit'],
    [FIELD.EXIT_CODE, code],
    [FIELD.STDOUT, Buffer.from(text)],
    [FIELD.STDERR, Buffer.from('')],
  ]);
const run = (): Buffer => encodeFrame([[FIELD.ANSWER_KIND, 'run']]);

let environment: Record<string, string>;

describe("ninja's library", { skip }, () => {
  before(() => {
    mkdirSync(rig.tree);
    writeFileSync(join(rig.tree, 'u.c'), 'int u;\n');
    const shown = rig.sh('gg infer -- env').out.split('\n');
    environment = Object.fromEntries(
      shown.filter((l) => /^(?:GG_|LD_PRELOAD=)/.test(l)).map((l) => l.split(/=(.*)/s).slice(0, 2)),
    );
    for (const way of [0, 1, 2, 3]) {
      mkdirSync(join(rig.home, `way${way}`));
      writeFileSync(join(rig.home, 'player.c'), PLAYER);
      const ran = rig.sh(`gcc -DWAY=${way} -o ../way${way}/ninja ../player.c`);
      assert.equal(ran.code, 0, ran.err);
    }
  });

  for (const [way, name, known] of [
    [0, 'ppoll', true],
    [1, 'pselect', true],
    [2, 'nothing but read', false],
    [3, 'readv', false],
  ] as const)
    test(`a program that waits with ${name} ${known ? 'needs no process' : 'gets its processes'}`, async () => {
      const asked: Asked[] = [];
      const env = await pretend((a) => {
        asked.push(a);
        // Byte by byte.
        if (a.direct) for (const byte of exit(`says ${a.output}\n`, 3)) a.socket.write(Buffer.of(byte));
        else a.socket.end(exit(`says ${a.output}\n`, 3));
      });
      const ran = await rig.run(`exec sh -c '../way${way}/ninja; exit $?'`, env);
      assert.equal(ran.code, 0, ran.err);
      const texts = Array.from({ length: COMMANDS }, (_, i) => `says o${i}.o\n${3 << 8}\n`);
      assert.equal(ran.out, texts.join(''));
      assert.equal(asked.length, COMMANDS);
      assert.equal(asked.filter((a) => a.direct).length, known ? COMMANDS - 1 : 0);
    });

  /** build.ninja: some edges to convince ninja, then these at a time. */
  function lay(outputs: readonly string[]): void {
    const first = ['f0.o', 'f1.o', 'f2.o'];
    const text = [...first, ...outputs].map(
      (o) => `build ${o}: cc u.c${first.includes(o) ? '' : ` || ${first.join(' ')}`}\n`,
    );
    writeFileSync(join(rig.tree, 'build.ninja'), `rule cc\n  command = gcc -c $in -o $out\n${text.join('')}`);
    rmSync(join(rig.tree, '.ninja_log'), { force: true });
  }

  interface Ninja {
    readonly pid: number;
    /** All it has said, at its end. */
    readonly ended: Promise<string>;
    /** Until it has said that. */
    readonly says: (what: string) => Promise<void>;
  }

  function ninja(flags: string[], env: Record<string, string>): Ninja {
    const child = spawn('sh', ['-c', 'ninja "$@"; echo "ends with $?"', '-', ...flags], {
      cwd: rig.tree,
      env: { ...rig.env, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    });
    let out = '';
    child.stdout.on('data', (chunk: Buffer) => (out += chunk));
    const ended = new Promise<string>((resolve) => child.once('close', () => resolve(out)));
    const says = async (what: string): Promise<void> => {
      while (!out.includes(what)) await once(child.stdout, 'data');
    };
    return { pid: child.pid!, ended, says };
  }

  async function within<T>(promise: Promise<T>): Promise<T> {
    const late = sleep(WAIT_MS, undefined, { ref: false }).then(() =>
      assert.fail(`not within ${WAIT_MS} ms`),
    );
    return Promise.race([promise, late]);
  }

  test('half an answer holds nobody else up, and Ctrl-C ends the wait for the rest', async () => {
    lay(['half.o', 'whole.o']);
    const env = await pretend(({ direct, output, socket }) => {
      const bytes = exit(`says ${output}\n`);
      if (output === 'half.o') socket.write(bytes.subarray(0, bytes.length / 2));
      else if (direct && output === 'whole.o') setTimeout(() => socket.write(bytes), 200);
      else socket.end(bytes);
    });
    const run = ninja(['-j2'], env);
    await within(run.says('says whole.o'));
    process.kill(-run.pid, 'SIGINT');
    const out = await within(run.ended);
    assert.match(out, /interrupted by user/);
    assert.doesNotMatch(out, /says half/);
  });

  test('a server that reads nothing is given up for a command that it cannot hold', async () => {
    lay(['long.o']);
    const env = await pretend(({ output, socket }) => {
      if (output === 'f2.o') stopped = true;
      socket.end(exit(''));
    });
    let stopped = false;
    server!.on('connection', (socket) => stopped && socket.pause());
    const run = ninja(['-j1'], {
      ...env,
      CPATH: '/x'.repeat(60_000),
      GCC_EXEC: 'y'.repeat(120_000),
      GCC_MORE: 'z'.repeat(120_000),
    });
    await sleep(1500);
    process.kill(-run.pid, 'SIGINT');
    assert.match(await within(run.ended), /interrupted by user/);
  });

  test('the real tool runs where ninja has no descriptor left', async () => {
    const many = Array.from({ length: 80 }, (_, i) => `m${i}.o`);
    lay(many);
    const env = await pretend(({ output, direct, socket }) => {
      if (direct) setTimeout(() => socket.end(run()), 100);
      else socket.end(output.startsWith('m') ? run() : exit(''));
    });
    // As many at a time as plain ninja can have.
    const limit = 'ulimit -n 64; ';
    let most = 0;
    for (let jobs = 62; jobs > 40 && most === 0; jobs--) {
      lay(many);
      if (rig.sh(`${limit}ninja -j${jobs}`).code === 0) most = jobs;
      await sleep(100);
      rig.sh('rm -f *.o');
    }
    assert.ok(most > 40);
    lay(many);
    const ran = await rig.run(`${limit}ninja -j${most}; exit $?`, env);
    assert.equal(ran.code, 0, ran.out);
    for (const m of many) assert.ok(existsSync(join(rig.tree, m)), m);
  });
});
