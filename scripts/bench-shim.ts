// npm run bench:shim: a shim's round trip to a resident server that answers at once, against /bin/true in the same run.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { runtimePaths } from '../src/wire/runtime-paths.ts';
import { encodeFrame, FIELD, FrameReader } from '../src/wire/shim-frames.ts';

const CALLS = 1000;

if (isMainThread) {
  const home = mkdtempSync(join(tmpdir(), 'gg-bench-'));
  mkdirSync(join(home, 'run'), { mode: 0o700 });
  const env = { PATH: '/usr/bin:/bin', XDG_RUNTIME_DIR: join(home, 'run'), GG_DIR: join(home, 'state') };
  const shim = join(home, 'ar');
  const source = fileURLToPath(new URL('../wrappers/shim.c', import.meta.url));
  const compiled = spawnSync('gcc', ['-std=gnu11', '-O2', '-static', '-o', shim, source]);
  if (compiled.status !== 0) throw new Error(compiled.stderr.toString());
  const { socketPath } = runtimePaths(env, process.getuid!());
  // The server has a thread of its own: spawnSync keeps this one busy.
  const server = new Worker(fileURLToPath(import.meta.url), { workerData: socketPath });
  await new Promise((resolve) => server.once('message', resolve));
  const measure = (file: string, args: string[]): number[] => {
    const us: number[] = [];
    for (let i = 0; i < CALLS; i++) {
      const started = process.hrtime.bigint();
      const r = spawnSync(file, args, { env, stdio: 'ignore' });
      us.push(Number(process.hrtime.bigint() - started) / 1000);
      if (r.status !== 0) throw new Error(`${file}: exit ${r.status}`);
    }
    return us.sort((a, b) => a - b);
  };
  measure('/bin/true', []);
  const nothing = measure('/bin/true', []);
  const calls = measure(shim, ['rcs', 'libx.a', 'x.o']);
  const show = (us: number[]): string =>
    `min ${(us[0]! / 1000).toFixed(2)} ms, median ${(us[CALLS >> 1]! / 1000).toFixed(2)} ms, 90 % below ${(us[Math.floor(CALLS * 0.9)]! / 1000).toFixed(2)} ms`;
  process.stdout.write(
    `${cpus()[0]?.model ?? 'unknown processor'}, ${availableParallelism()} cores; ${CALLS} calls, each with its spawn from Node\n/bin/true  ${show(nothing)}\nshim       ${show(calls)}\nthe round trip costs ${((calls[CALLS >> 1]! - nothing[CALLS >> 1]!) / 1000).toFixed(2)} ms over /bin/true; ratio ${(calls[CALLS >> 1]! / nothing[CALLS >> 1]!).toFixed(2)}\n`,
  );
  await server.terminate();
  rmSync(home, { recursive: true });
} else {
  const { parentPort } = await import('node:worker_threads');
  const answer = encodeFrame([
    [FIELD.ANSWER_KIND, 'exit'],
    [FIELD.EXIT_CODE, 0],
  ]);
  createServer((socket) => {
    const frames = new FrameReader();
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => {
      if (frames.push(chunk).length > 0) socket.end(answer);
    });
  }).listen(workerData as string, () => parentPort?.postMessage('ready'));
}
