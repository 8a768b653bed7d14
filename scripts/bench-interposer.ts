// npm run bench:interposer: what the preload library costs a process, an open, a stat and a rename, with and without it by turns.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROUNDS = 15;
const CALLS = 10_000;
/** Programs that one shell starts in a round. */
const EXECS = 200;

const home = mkdtempSync(join(tmpdir(), 'gg-bench-'));
const at = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));

function compile(...args: string[]): void {
  const r = spawnSync('gcc', ['-std=gnu11', '-O2', ...args], { cwd: home });
  if (r.status !== 0) throw new Error(r.stderr.toString());
}

mkdirSync(join(home, 'files'));
for (let i = 0; i < 100; i++) writeFileSync(join(home, 'files', `FILE.${i}`), 'x'.repeat(i + 1));
compile('-shared', '-fPIC', '-o', 'gg-interpose.so', at('wrappers/interpose.c'), '-ldl', '-lpthread');
compile('-o', 'opens', at('test/e2e/interpose/opens.c'));

const plain = { PATH: '/usr/bin:/bin' };
const under = {
  ...plain,
  GG_SESSION: 'bench',
  GG_SOCKET: join(home, 'none.sock'),
  GG_SHIM_DIR: join(home, 'none'),
  LD_PRELOAD: join(home, 'gg-interpose.so'),
};

function run(argv: readonly string[], env: Record<string, string>): number {
  const started = process.hrtime.bigint();
  const r = spawnSync(argv[0]!, argv.slice(1), { cwd: join(home, 'files'), env, stdio: 'ignore' });
  if (r.status !== 0) throw new Error(`${argv.join(' ')}: exit ${r.status ?? r.signal}`);
  return Number(process.hrtime.bigint() - started) / 1e6;
}

const loop = `i=0; while [ $i -lt ${EXECS} ]; do /bin/true; i=$((i+1)); done`;
const SUBJECTS: readonly (readonly [what: string, argv: readonly string[], each: number])[] = [
  [`exec of /bin/true (${EXECS} from one sh)`, ['/bin/sh', '-c', loop], EXECS],
  [`${CALLS} opens and closes`, [join(home, 'opens'), `${CALLS}`, 'open'], CALLS],
  [`${CALLS} stats`, [join(home, 'opens'), `${CALLS}`, 'stat'], CALLS],
  [`${CALLS} renames`, [join(home, 'opens'), `${CALLS}`, 'rename'], CALLS],
];

process.stdout.write(
  `${cpus()[0]?.model ?? 'unknown processor'}, ${availableParallelism()} cores, Linux ${release()}; ${ROUNDS} rounds by turns; ms\n`,
);
for (const [what, argv, each] of SUBJECTS) {
  const times: [number[], number[]] = [[], []];
  run(argv, plain);
  run(argv, under);
  for (let i = 0; i < ROUNDS; i++) {
    times[0].push(run(argv, plain));
    times[1].push(run(argv, under));
  }
  const [a, b] = times.map((t) => t.sort((x, y) => x - y)) as [number[], number[]];
  const middle = ROUNDS >> 1;
  const show = (t: number[]): string =>
    `min ${t[0]!.toFixed(2)}, median ${t[middle]!.toFixed(2)}, spread ${(t.at(-1)! - t[0]!).toFixed(2)}`;
  const moreUs = ((b[0]! - a[0]!) * 1000) / each;
  process.stdout.write(
    `${what}\n  plain    ${show(a)}\n  preload  ${show(b)}\n  ratio of minima ${(b[0]! / a[0]!).toFixed(2)}, of medians ${(b[middle]! / a[middle]!).toFixed(2)}; ${moreUs.toFixed(2)} us more each\n`,
  );
}
rmSync(home, { recursive: true });
