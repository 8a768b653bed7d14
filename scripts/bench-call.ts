// npm run bench:call: what a tool call costs from exec to placeholder, warm, inside a real make.
//
// Usage: node scripts/bench-call.ts [--rounds N] [--profile DIR] PLACE...   (places as for test/projects/scan.ts)
// A makefile with one rule per unit of the project runs its compile commands with -c, -MD and an object of ours: by a program
// that does nothing, by `gcc -M`, and below `gg infer`. The differences are what the calls cost: wall, CPU of shims, CPU of
// the server, and how much of that one `gcc -M` is.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { unitsOf } from '../test/projects/compile-commands.ts';

const { values, positionals } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    profile: { type: 'string' },
    units: { type: 'string', default: '200' },
  },
  allowPositionals: true,
});
/** Kernel ticks of /proc/PID/stat in ms. */
const TICK_MS = 10;

const home = mkdtempSync(join(tmpdir(), 'gg-bench-'));
mkdirSync(join(home, 'run'), { mode: 0o700 });
const scripts = fileURLToPath(new URL('.', import.meta.url));
const env = {
  PATH: `${scripts}:${process.env['PATH']}`,
  HOME: home,
  XDG_RUNTIME_DIR: join(home, 'run'),
  GG_DIR: join(home, 'state'),
  ...(values.profile === undefined
    ? {}
    : { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${resolve(values.profile)}` }),
};
const quote = (word: string): string => `'${word.replaceAll("'", "'\\''").replaceAll('$', '$$$$')}'`;

interface Cost {
  readonly wallMs: number;
  /** Of make and all below it. */
  readonly cpuMs: number;
}

/** One build; `times` of the shell tells the CPU of its children. */
function build(command: string): Cost {
  rmSync(join(home, 'out'), { recursive: true, force: true });
  mkdirSync(join(home, 'out'));
  const started = performance.now();
  const run = spawnSync('bash', ['-c', `${command} >/dev/null || exit; times`], {
    cwd: home,
    env,
    encoding: 'utf8',
  });
  const wallMs = performance.now() - started;
  if (run.status !== 0) throw new Error(`${command}: ${run.stderr}`);
  const children = run.stdout.trim().split('\n')[1] ?? '';
  const cpuMs = [...children.matchAll(/(\d+)m([\d.]+)s/g)].reduce(
    (sum, [, minutes, seconds]) => sum + Number(minutes) * 60_000 + Number(seconds) * 1000,
    0,
  );
  return { wallMs, cpuMs };
}

function serverCpuMs(pid: number): number {
  const words = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(words[11]) + Number(words[12])) * TICK_MS;
}

function best(costs: readonly Cost[]): Cost {
  return costs.toSorted((a, b) => a.wallMs - b.wallMs)[0]!;
}

console.log(
  `${cpus()[0]?.model} x ${cpus().length}, node ${process.version}; the fastest of ${values.rounds} rounds, make -j1`,
);
for (const place of positionals) {
  const units = unitsOf(place).slice(0, Number(values.units));
  const makefile = (rest: (source: string, out: string) => readonly string[]): string =>
    `all: ${units.map((_, i) => `out/${i}.o`).join(' ')}\n${units
      .map(({ driver, cwd, flags, source }, i) => {
        const words = [...flags, ...rest(source, `${home}/out/${i}`)];
        return `out/${i}.o:\n\t@cd ${quote(cwd)} && $(BY)${basename(driver)} ${words.map(quote).join(' ')}\n`;
      })
      .join('')}`;
  writeFileSync(
    join(home, 'Makefile'),
    makefile((source, out) => ['-MD', '-MF', `${out}.d`, '-c', source, '-o', `${out}.o`]),
  );
  writeFileSync(
    join(home, 'Depend'),
    makefile((source, out) => ['-M', '-MF', `${out}.d`, source]),
  );
  const rounds = Number(values.rounds);
  const nothing = Array.from({ length: rounds }, () => build('make -j1 BY="/bin/true "'));
  const listed = Array.from({ length: rounds }, () => build('make -k -j1 -f Depend 2>&1 || true'));
  build('gg infer -- make -j1');
  build('gg infer -- make -j1');
  const { pid } = JSON.parse(execFileSync('gg', ['status', '--json'], { cwd: home, env, encoding: 'utf8' }));
  const before = serverCpuMs(pid);
  const inferred = Array.from({ length: rounds }, () => build('gg infer -- make -j1'));
  const serverMs = (serverCpuMs(pid) - before) / rounds;
  const idle = best(Array.from({ length: 3 }, () => build('gg infer -- true')));
  const a = best(nothing);
  const b = best(inferred);
  const m = best(listed);
  const per = (ms: number): string => (ms / units.length).toFixed(2);
  const callMs = b.cpuMs - a.cpuMs - idle.cpuMs + serverMs;
  const walls = inferred.map((c) => c.wallMs).toSorted((x, y) => x - y);
  console.log(
    `${basename(resolve(place))}: ${units.length} units; a call ${per(b.wallMs - a.wallMs - idle.wallMs)} ms wall over /bin/true` +
      ` (${per(a.wallMs)} ms), CPU ${per(b.cpuMs - a.cpuMs - idle.cpuMs)} ms shim over /bin/true + ${per(serverMs)} ms server;` +
      ` gcc -M: CPU ${per(m.cpuMs - a.cpuMs)} ms, ${((m.cpuMs - a.cpuMs) / callMs).toFixed(1)} times a call;` +
      ` gg's rounds: wall min ${per(walls[0]!)}, median ${per(walls[walls.length >> 1]!)}, spread ${per(walls.at(-1)! - walls[0]!)} ms a unit`,
  );
}
spawnSync('gg', ['stop'], { env, cwd: home });
rmSync(home, { recursive: true, force: true });
