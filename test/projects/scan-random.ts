// Units made of random headers of this system, scanned and listed by gcc -M.
//
// Usage: node test/projects/scan-random.ts [--units N] [--seed N] [--dir DIR]...
// Headers come from /usr/include, the compiler's own directories and every --dir (boost, for example, if it is elsewhere).
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { FastScanner } from '../../src/scan/fast-scanner.ts';
import { GccMScanner } from '../../src/scan/gcc-m.ts';
import { query } from './compile-commands.ts';

const { values } = parseArgs({
  options: {
    units: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
    dir: { type: 'string', multiple: true, default: [] },
  },
});

let state = Number(values.seed);
function random(below: number): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
}
function pick<T>(list: readonly T[]): T {
  return list[random(list.length)]!;
}

function headersIn(directory: string, pattern: RegExp): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((name) => pattern.test(name));
}

const cHeaders = ['/usr/include', '/usr/include/x86_64-linux-gnu', ...values.dir].flatMap((directory) =>
  headersIn(directory, /\.h$/).filter((name) => !name.startsWith('c++/')),
);
const gccHeaders = headersIn('/usr/lib/gcc/x86_64-linux-gnu/12/include', /\.h$/);
const cxxHeaders = [
  ...headersIn('/usr/include/c++/12', /^[a-z_]+$/).filter((name) => !name.includes('/')),
  ...headersIn('/usr/include/c++/12', /^(?:ext|bits|tr1|experimental|backward)\/[\w.]+$/),
  ...values.dir.flatMap((directory) => headersIn(directory, /\.hpp$/)),
];

const FLAGS_C = [
  [],
  ['-std=c11'],
  ['-std=gnu89'],
  ['-ansi'],
  ['-O2'],
  ['-D_GNU_SOURCE'],
  ['-std=gnu2x'],
  ['-D_FORTIFY_SOURCE=2', '-O1'],
];
const FLAGS_CXX = [
  [],
  ['-std=c++11'],
  ['-std=c++17'],
  ['-std=gnu++20'],
  ['-std=c++98'],
  ['-fopenmp'],
  ['-std=c++23', '-O2'],
  ['-fno-exceptions', '-fno-rtti'],
];

const directory = mkdtempSync(join(tmpdir(), 'scan-random-'));
const truth = new GccMScanner(query);
const scanner = new FastScanner({
  query,
  fallback: {
    scan: async () => ({ kind: 'incomplete', reason: 'self-check-failed', detail: 'handed over' }),
  },
  watch: true,
});
let equal = 0;
let unequal = 0;
let broken = 0;
const units = Number(values.units);
for (let i = 0; i < units; i++) {
  const language = pick(['c', 'c++', 'assembler-with-cpp'].slice(0, random(8) === 0 ? 3 : 2));
  const own =
    language === 'c++'
      ? [...cxxHeaders, ...cHeaders.slice(0, cxxHeaders.length)]
      : [...cHeaders, ...gccHeaders];
  const headers = Array.from({ length: 1 + random(4) }, () => pick(own));
  const source = `u${i}.${language === 'c' ? 'c' : language === 'c++' ? 'cc' : 'S'}`;
  writeFileSync(join(directory, source), headers.map((name) => `#include <${name}>\n`).join(''));
  const request = {
    driver: '/usr/bin/gcc',
    toolchain: 'test',
    flags: [
      ...(language === 'c++' ? pick(FLAGS_CXX) : pick(FLAGS_C)),
      ...values.dir.map((path) => `-I${path}`),
    ],
    language,
    source,
    cwd: directory,
    env: new Map<string, string>(),
  };
  const ours = await scanner.scan(request);
  const theirs = await truth.scan(request);
  if (theirs.kind !== 'found') {
    broken++;
    if (ours.kind === 'found')
      console.log(`gcc fails, the scan does not: ${headers.join(' ')}: ${theirs.detail}`);
    continue;
  }
  const same =
    ours.kind === 'found' &&
    JSON.stringify(ours.files) === JSON.stringify(theirs.files) &&
    JSON.stringify(ours.files.filter((_, k) => !ours.system[k])) ===
      JSON.stringify(theirs.files.filter((_, k) => !theirs.system[k]));
  if (same) equal++;
  else {
    unequal++;
    const at = ours.kind === 'found' ? theirs.files.findIndex((file, k) => file !== ours.files[k]) : -1;
    console.log(`${language} ${request.flags.join(' ')}: ${headers.join(' ')}`);
    console.log(
      ours.kind === 'found'
        ? `  at ${at} of ${theirs.files.length}: ours ${ours.files[at]}, gcc ${theirs.files[at]}`
        : `  ${ours.reason}: ${ours.detail}`,
    );
  }
}
console.log(`${equal} of ${equal + unequal} units equal, ${broken} that gcc -M cannot read`);
console.log(JSON.stringify(scanner.stats()));
await scanner.close();
rmSync(directory, { recursive: true });
process.exitCode = unequal > 0 ? 1 : 0;
