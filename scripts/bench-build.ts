// npm run bench:build -- [--rounds N] [--infer] DIR COMMAND: plain, gg with nothing known, gg memoized, and ccache where
// installed and the command is make's, interleaved. With --infer: plain and `gg infer` alone, with nothing known and once
// more by the same server.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const argv = process.argv.slice(2);
let rounds = 3;
let inferOnly = false;
while (argv[0]?.startsWith('--')) {
  const flag = argv.shift();
  if (flag === '--rounds') rounds = Number(argv.shift());
  else if (flag === '--infer') inferOnly = true;
  else argv.length = 0;
}
const [project, ...words] = argv;
if (project === undefined || words.length === 0 || !(rounds > 0)) {
  process.stderr.write('usage: npm run bench:build -- [--rounds N] [--infer] DIR make -j2 ...\n');
  process.exit(64);
}
const command = words.join(' ');
const gg = join(fileURLToPath(new URL('..', import.meta.url)), 'scripts/gg');
const home = mkdtempSync(join(tmpdir(), 'gg-bench-'));
const env: Record<string, string> = {
  ...(process.env as Record<string, string>),
  GG_DIR: join(home, 'state'),
  CCACHE_DIR: join(home, 'ccache'),
};

/** CPU seconds of the session server and its children, which are no children of ours. */
function serverCpuSeconds(): number {
  const status = spawnSync(gg, ['status'], { env }).stdout.toString();
  const pid = /process (\d+)/.exec(status)?.[1];
  if (pid === undefined) return 0;
  const children = spawnSync('pgrep', ['-P', pid]).stdout.toString().split('\n').filter(Boolean);
  return [pid, ...children].reduce((sum, p) => {
    const fields = readFileSync(`/proc/${p}/stat`, 'latin1').split(') ')[1]!.split(' ');
    return sum + fields.slice(11, 15).reduce((a, f) => a + Number(f), 0) / 100;
  }, 0);
}

function measure(run: string, more: Record<string, string> = {}): { wall: number; cpu: number } {
  const tree = join(home, 'tree');
  rmSync(tree, { recursive: true, force: true });
  cpSync(resolve(project!), tree, { recursive: true, preserveTimestamps: true });
  const before = serverCpuSeconds();
  const started = process.hrtime.bigint();
  const r = spawnSync('bash', ['-c', `time -p { ${run}; } >/dev/null 2>&1`], {
    cwd: tree,
    env: { ...env, ...more, TIMEFORMAT: '%U %S' },
  });
  if (r.status !== 0) throw new Error(`${run}: exit ${r.status ?? r.signal}`);
  const wall = Number(process.hrtime.bigint() - started) / 1e9;
  const [, user, system] = /user ([\d.]+)\s+sys ([\d.]+)/.exec(r.stderr.toString()) ?? [];
  return { wall, cpu: Number(user) + Number(system) + serverCpuSeconds() - before };
}

const samples = new Map<string, { wall: number; cpu: number }[]>();
const take = (name: string, run: string, more?: Record<string, string>): void => {
  samples.set(name, [...(samples.get(name) ?? []), measure(run, more)]);
};
// Where CC is make's to set.
const ccache = words[0]!.endsWith('make') && spawnSync('ccache', ['--version']).status === 0;
for (let round = 0; round < rounds; round++) {
  take('plain', command);
  spawnSync(gg, ['stop'], { env });
  rmSync(join(home, 'state'), { recursive: true, force: true });
  spawnSync(gg, ['native'], { env });
  if (inferOnly) {
    take('gg infer, cold', `${gg} infer -- ${command}`);
    take('gg infer, warm', `${gg} infer -- ${command}`);
    continue;
  }
  take('gg cold', `${gg} ${command}`);
  take('gg memo', `${gg} ${command}`);
  if (ccache) {
    rmSync(join(home, 'ccache'), { recursive: true, force: true });
    const wrapped = `${command} CC='ccache gcc' CXX='ccache g++'`;
    take('ccache cold', wrapped);
    take('ccache hit', wrapped);
  }
}
const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;
process.stdout.write(
  `${cpus()[0]?.model ?? 'unknown processor'}, ${availableParallelism()} cores; ${command}; ${rounds} rounds\n`,
);
const base = median(samples.get('plain')!.map((s) => s.cpu));
for (const [name, taken] of samples) {
  const line = (what: 'wall' | 'cpu'): string => {
    const values = taken.map((s) => s[what]);
    return `${what} min ${Math.min(...values).toFixed(2)} median ${median(values).toFixed(2)} spread ${(Math.max(...values) - Math.min(...values)).toFixed(2)}`;
  };
  process.stdout.write(
    `${name.padEnd(14)} ${line('wall')}  ${line('cpu')}  cpu/plain ${(median(taken.map((s) => s.cpu)) / base).toFixed(3)}\n`,
  );
}
spawnSync(gg, ['stop'], { env });
rmSync(home, { recursive: true, force: true });
