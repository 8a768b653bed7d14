// A caller that hangs up takes its call back: once the server has hung up too, nothing appears in the tree any more.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeFrame, FIELD } from '../../src/wire/shim-frames.ts';
import { Rig } from './rig.ts';

const ROUNDS = 60;
/** The longest that a round waits before it hangs up; an answer from the memo mostly takes less. The last waits for its answer. */
const DELAY_MS_MAX = 12;
const AFTERWARDS_MS = 15;

const rig = new Rig();
after(() => rig.close());

test('no file appears after the server has hung up, whenever the caller did', async () => {
  mkdirSync(rig.tree);
  writeFileSync(join(rig.tree, 'u.c'), 'int u;\n');
  const lines = rig.sh('GG_MODE=sync gg infer -- sh -c "gcc -c u.c -o u.o; env"').out.split('\n');
  const env = lines.filter((l) => /^(?:GG_|PATH=)/.test(l));
  const socketPath = env.find((l) => l.startsWith('GG_SOCKET='))!.slice('GG_SOCKET='.length);
  const output = join(rig.tree, 'u.o');
  const request = encodeFrame([
    [FIELD.REQUEST_KIND, 'call'],
    ...['gcc', '-c', 'u.c', '-o', 'u.o'].map((word) => [FIELD.ARG, word] as const),
    [FIELD.TOOL, 'gcc'],
    [FIELD.REAL, '/usr/bin/gcc'],
    [FIELD.CWD, rig.tree],
    ...env.map((entry) => [FIELD.ENV, entry] as const),
    [FIELD.UMASK, 0o022],
    [FIELD.PID, process.pid],
    [FIELD.DIRECT, 1],
  ]);
  let made = 0;
  let late = 0;
  for (let round = 0; round < ROUNDS; round++) {
    rmSync(output, { force: true });
    const socket = connect({ path: socketPath, allowHalfOpen: true });
    const ended = new Promise<void>((resolve) => socket.once('end', () => resolve()));
    const answered = new Promise<void>((resolve) => socket.once('data', () => resolve()));
    socket.write(request);
    await (round + 1 < ROUNDS ? sleep((round * DELAY_MS_MAX) / ROUNDS) : answered);
    socket.end();
    await ended;
    const there = existsSync(output);
    await sleep(AFTERWARDS_MS);
    if (there) made++;
    else if (existsSync(output)) late++;
  }
  assert.equal(late, 0, `${late} of ${ROUNDS} appeared late; ${made} were made in time`);
  assert.ok(made > 0, 'no call was answered');
});
