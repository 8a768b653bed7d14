import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { MARK, MARK_WITHIN, SIZE_BY_FORM } from '../../../src/ir/placeholder.ts';
import { runtimePaths } from '../../../src/wire/runtime-paths.ts';
import { SERVER_NODE_FLAGS } from '../../../src/wire/server-flags.ts';
import { Spawner } from '../../../src/native/spawner.ts';
import {
  BODY_BYTES_MAX,
  decodeBody,
  ENV_NAMES,
  ENV_PREFIXES,
  encodeFrame,
  FIELD,
  FRAME_MAGIC,
  FrameReader,
  PROTOCOL_VERSION,
  ProtocolError,
} from '../../../src/wire/shim-frames.ts';
import { ESTALE } from '../../../src/tree/write-back.ts';

const wrappers = fileURLToPath(new URL('../../../wrappers', import.meta.url));
const header = readFileSync(join(wrappers, 'protocol.h'), 'utf8');
const root = mkdtempSync(join(tmpdir(), 'gg-native-'));
after(() => rmSync(root, { recursive: true, force: true }));

test('the header has the constants of the description', () => {
  for (const [name, value] of Object.entries(FIELD)) {
    const m = new RegExp(`#define GG_FIELD_${name} (0x[0-9a-f]+)`).exec(header);
    assert.equal(Number(m?.[1]), value, name);
  }
  assert.equal(Number(/GG_PROTOCOL_VERSION (\d+)/.exec(header)?.[1]), PROTOCOL_VERSION);
  assert.equal(/GG_FRAME_MAGIC "(.*)"/.exec(header)?.[1], FRAME_MAGIC);
  assert.match(header, /GG_BODY_BYTES_MAX \(64u \* 1024u \* 1024u\)/);
  assert.equal(BODY_BYTES_MAX, 64 * 1024 * 1024);
  const list = (name: string): string[] =>
    [...(new RegExp(`${name}\\[\\] = \\{([^}]*)\\}`).exec(header)?.[1] ?? '').matchAll(/"([^"]+)"/g)].map(
      (m) => m[1]!,
    );
  assert.deepEqual(list('gg_env_names'), [...ENV_NAMES]);
  assert.deepEqual(list('gg_env_prefixes'), [...ENV_PREFIXES]);
  const interposer = readFileSync(join(wrappers, 'interpose.c'), 'utf8');
  assert.equal(/#define MARK "(.*)"/.exec(interposer)?.[1], MARK);
  assert.equal(Number(/#define MARK_WITHIN (\d+)/.exec(interposer)?.[1]), MARK_WITHIN);
  const sizes = /placeholder_sizes\[\] = \{([^}]*)\}/.exec(interposer)?.[1]?.split(',').map(Number);
  assert.deepEqual(new Set(sizes), new Set(Object.values(SIZE_BY_FORM)));
});

test('frames survive any cut; damaged ones are refused', () => {
  const frame = encodeFrame([
    [FIELD.ARG, 'gcc'],
    [FIELD.ARG, Buffer.from([0xff, 0x00, 0x0a])],
    [FIELD.PID, 0xffffffff],
  ]);
  const two = Buffer.concat([frame, frame]);
  for (let cut = 0; cut <= two.length; cut++) {
    const reader = new FrameReader();
    const bodies = [...reader.push(two.subarray(0, cut)), ...reader.push(two.subarray(cut))];
    assert.equal(bodies.length, 2);
    const fields = decodeBody(bodies[1]!);
    assert.deepEqual(fields[1]![1], Buffer.from([0xff, 0x00, 0x0a]));
    assert.equal(fields[2]![1].readUInt32LE(), 0xffffffff);
  }
  assert.throws(() => new FrameReader().push(Buffer.from('HTTP/1.1 200')), ProtocolError);
  assert.throws(() => decodeBody(frame.subarray(8, frame.length - 1)), ProtocolError);
});

function compile(source: string, output: string, ...flags: string[]): string {
  const r = spawnSync('gcc', [
    '-std=gnu11',
    '-O2',
    '-Wall',
    '-Wextra',
    '-Werror',
    ...flags,
    '-o',
    join(root, output),
    join(wrappers, source),
  ]);
  assert.equal(r.status, 0, r.stderr.toString());
  return join(root, output);
}

test('the shim passes bytes through and obeys: exit, run, a server that breaks, a wrong version', async () => {
  const shim = compile('shim.c', 'gg-shim');
  const bin = join(root, 'tools', 'bin');
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, 'ar'), '#!/bin/sh\necho "real $*"; cat; exit 7\n', { mode: 0o755 });
  const run = join(root, 'run');
  mkdirSync(run, { mode: 0o700 });
  const env = {
    PATH: `${bin}:/usr/bin:/bin`,
    XDG_RUNTIME_DIR: run,
    GG_DIR: join(root, 'state'),
    LANG: 'C.UTF-8',
    SECRET: 'x',
  };
  const { socketPath } = runtimePaths(env, process.getuid!());
  let answer: Buffer | 'break' = encodeFrame([]);
  const seen: [number, Buffer][][] = [];
  const server = createServer((socket) => {
    // A shim that was answered garbage goes away with bytes unread.
    socket.on('error', () => socket.destroy());
    const reader = new FrameReader();
    socket.on('data', (chunk) => {
      for (const body of reader.push(chunk)) {
        seen.push(decodeBody(body));
        if (answer === 'break') socket.destroy();
        else socket.end(answer);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  server.unref();
  const { spawn } = await import('node:child_process');
  const call = (
    args: string[],
    more: Record<string, string> = {},
  ): Promise<{ code: number | null; out: string; err: string }> =>
    new Promise((resolve) => {
      const child = spawn(shim, args, { argv0: 'ar', env: { ...env, ...more } });
      let [out, err] = ['', ''];
      child.stdout.on('data', (d) => (out += d));
      child.stderr.on('data', (d) => (err += d));
      child.stdin.end('from stdin\n');
      child.on('close', (code) => resolve({ code, out, err }));
    });
  const kind = (k: string): [number, string] => [FIELD.ANSWER_KIND, k];
  answer = encodeFrame([kind('exit'), [FIELD.EXIT_CODE, 42], [FIELD.STDOUT, 'o\n'], [FIELD.STDERR, 'e\n']]);
  assert.deepEqual(await call(['cr', 'ü x', '']), { code: 42, out: 'o\n', err: 'e\n' });
  const fields = seen[0]!;
  const all = (tag: number): string[] => fields.filter(([t]) => t === tag).map(([, b]) => b.toString());
  assert.deepEqual(all(FIELD.ARG), ['ar', 'cr', 'ü x', '']);
  assert.deepEqual(all(FIELD.REAL), [join(bin, 'ar')]);
  assert.ok(all(FIELD.ENV).includes('LANG=C.UTF-8'));
  assert.ok(!all(FIELD.ENV).some((e) => e.startsWith('SECRET')));
  const real = { code: 7, out: 'real t x.a\nfrom stdin\n', err: '' };
  for (const told of [
    encodeFrame([kind('run')]),
    encodeFrame([kind('wrong-version')]),
    Buffer.from('garbage, not a frame'),
    'break',
  ] as const) {
    answer = told;
    assert.deepEqual(await call(['t', 'x.a']), real);
  }
  const asked = seen.length;
  assert.deepEqual(await call(['t', 'x.a'], { GG_MODE: 'off' }), real);
  assert.equal(seen.length, asked, 'off does not ask');
  await new Promise((resolve) => server.close(resolve));
  assert.deepEqual(await call(['t', 'x.a']), real, 'no server and none to start');
});

test('the spawner runs, kills, and puts files in place to the nanosecond', async () => {
  const spawner = new Spawner(compile('spawner.c', 'gg-spawner'));
  const request = (script: string) => ({
    file: '/bin/sh',
    argv: ['sh', '-c', script],
    cwd: root,
    env: ['A=1'],
  });
  const r = await spawner.run(request('echo "$A $(pwd)"; echo err >&2; exit 3'));
  assert.deepEqual([r.exitCode, r.stdout.toString(), r.stderr.toString()], [3, `1 ${root}\n`, 'err\n']);
  assert.equal((await spawner.run({ ...request(''), file: '/nonexistent' })).startErrno, 2);
  const big = await spawner.run(request('head -c 3000000 /dev/zero'));
  assert.equal(big.stdout.length, 3_000_000);
  const abort = new AbortController();
  const slow = spawner.run(request('sleep 60'), abort.signal);
  setTimeout(() => abort.abort(), 50);
  assert.equal((await slow).signal, 15);
  const many = await Promise.all(Array.from({ length: 50 }, (_, i) => spawner.run(request(`exit ${i}`))));
  assert.deepEqual(
    many.map((m) => m.exitCode),
    Array.from({ length: 50 }, (_, i) => i),
  );

  const { statSync, symlinkSync, linkSync, lstatSync } = await import('node:fs');
  const [source, dest] = [join(root, 'source'), join(root, 'dest')];
  writeFileSync(source, 'the value');
  writeFileSync(dest, 'placeholder');
  const mtimeNs = 1_700_000_000_123_456_789n;
  assert.equal(await spawner.place({ source, dest, mode: 0o751, mtimeNs, sameInode: false }), 0);
  const placed = statSync(dest, { bigint: true });
  assert.equal(placed.mtimeNs, mtimeNs);
  assert.equal(Number(placed.mode & 0o777n), 0o751);
  // Another mode than the one that was looked at: somebody ran chmod meanwhile.
  const seen = { mtimeNs, inode: placed.ino, sameInode: false };
  assert.equal(await spawner.place({ source, dest, mode: 0o755, ...seen }), ESTALE);
  assert.equal(await spawner.place({ source, dest, mode: 0o751, ...seen }), 0);
  linkSync(dest, `${dest}2`);
  symlinkSync('dest', `${dest}3`);
  writeFileSync(source, 'another');
  assert.equal(await spawner.place({ source, dest: `${dest}3`, mode: 0o644, mtimeNs, sameInode: true }), 0);
  assert.equal(readFileSync(`${dest}2`, 'utf8'), 'another');
  assert.ok(lstatSync(`${dest}3`).isSymbolicLink());
  assert.equal(
    await spawner.place({ source, dest: join(root, 'no', 'dir'), mode: 0o644, mtimeNs, sameInode: false }),
    2,
  );
  await spawner.close();
});

test('the shim starts the server with the flags that are written down', () => {
  const shim = readFileSync(new URL('../../../wrappers/shim.c', import.meta.url), 'utf8');
  const given = /char \*argv\[\] = \{text, (.*), script,/.exec(shim)?.[1];
  assert.equal(given, SERVER_NODE_FLAGS.map((flag) => `"${flag}"`).join(', '));
});

test('a spawner that is killed is started anew, and what it was running runs again', async () => {
  const spawner = new Spawner(compile('spawner.c', 'gg-spawner'));
  const marks = join(root, 'marks');
  const pidOf = (): number =>
    Number(
      spawnSync('pgrep', ['-P', String(process.pid), '-x', 'gg-spawner'])
        .stdout.toString()
        .trim(),
    );
  const request = (script: string) => ({ file: '/bin/sh', argv: ['sh', '-c', script], cwd: root, env: [] });
  const running = spawner.run(request(`echo begun >>${marks}; sleep 0.5; exit 7`));
  while (!existsSync(marks)) await new Promise((resolve) => setTimeout(resolve, 10));
  const first = pidOf();
  process.kill(first, 'SIGKILL');
  assert.equal((await running).exitCode, 7);
  assert.equal(readFileSync(marks, 'utf8'), 'begun\nbegun\n');
  assert.notEqual(pidOf(), first);
  process.kill(pidOf(), 'SIGKILL');
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal((await spawner.run(request('exit 3'))).exitCode, 3);
  await spawner.close();
});
