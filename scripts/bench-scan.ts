// What a scan costs beside `gcc -M`, on real projects.
//
// Usage: node scripts/bench-scan.ts [--gcc N] PLACE...   (places as for test/projects/scan.ts)
// Prints per project, in ms of CPU a unit (median, mean): first sight in a fresh scanner; again, evaluated; again, from
// memory; first sight of a scanner that finds what an earlier one wrote. `gcc -M` is measured on every Nth unit, between
// evaluated scans, so that both find the caches as a build leaves them.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { FastScanner, type FastScannerOptions } from '../src/scan/fast-scanner.ts';
import type { ScanRequest } from '../src/scan/scanner.ts';
import { query, unitsOf } from '../test/projects/compile-commands.ts';

const { values, positionals } = parseArgs({
  options: { gcc: { type: 'string', default: '10' } },
  allowPositionals: true,
});

const fallback = {
  scan: async () => ({ kind: 'incomplete', reason: 'self-check-failed', detail: 'handed over' }) as const,
};

/** What is in use after a collection, in MB. */
function heapMb(): number {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / 2 ** 20;
}

function median(list: readonly number[]): number {
  const sorted = list.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}

function mean(list: readonly number[]): number {
  return list.reduce((sum, n) => sum + n, 0) / list.length;
}

function show(list: readonly number[]): string {
  return `${median(list).toFixed(2)} / ${mean(list).toFixed(2)}`;
}

/** CPU of each scan in ms, this process only. */
async function pass(
  scanner: FastScanner,
  units: readonly ScanRequest[],
  between?: (unit: ScanRequest, i: number) => void,
): Promise<number[]> {
  const costs: number[] = [];
  for (const [i, unit] of units.entries()) {
    const before = process.cpuUsage();
    await scanner.scan(unit);
    const { user, system } = process.cpuUsage(before);
    costs.push((user + system) / 1000);
    between?.(unit, i);
  }
  return costs;
}

/** CPU of one `gcc -M` in ms, as bash's times tells it. */
function gccCost({ driver, flags, language, source, cwd }: ScanRequest): number {
  const { stdout } = spawnSync(
    'bash',
    ['-c', '"$@" >/dev/null 2>&1; times', '-', driver, ...flags, '-M', '-x', language, source],
    { cwd, encoding: 'utf8' },
  );
  const [, children] = stdout.trim().split('\n');
  return [...(children ?? '').matchAll(/(\d+)m([\d.]+)s/g)].reduce(
    (sum, [, minutes, seconds]) => sum + Number(minutes) * 60_000 + Number(seconds) * 1000,
    0,
  );
}

/** A scanner of its own that is gone when this returns, so that its memory is not counted. */
async function firstServer(options: FastScannerOptions, units: readonly ScanRequest[]) {
  const scanner = new FastScanner({ ...options, memo: false });
  const cold = await pass(scanner, units);
  const gcc: number[] = [];
  const warm = await pass(scanner, units, (unit, i) => {
    if (i % every === 0) gcc.push(gccCost(unit));
  });
  const tight = await pass(scanner, units);
  await scanner.close();
  return { cold, warm, tight, gcc };
}

const every = Number(values.gcc);
const compiler = execFileSync('gcc', ['--version'], { encoding: 'utf8' }).split('\n')[0];
console.log(
  `${cpus()[0]?.model} x ${cpus().length}, node ${process.version}, ${compiler}; median / mean CPU ms a unit`,
);
for (const place of positionals) {
  const units = unitsOf(place);
  const cacheDir = mkdtempSync(join(tmpdir(), 'bench-scan-'));
  const options = { query, fallback, cacheDir, watch: true };
  const heapBefore = heapMb();
  const { cold, warm, tight, gcc } = await firstServer(options, units);
  const second = new FastScanner(options);
  const restarted = await pass(second, units);
  const remembered = await pass(second, units);
  const held = heapMb() - heapBefore;
  const { scans, memoHits, filesLexed, watches } = second.stats();
  await second.close();
  rmSync(cacheDir, { recursive: true });
  console.log(
    `${basename(resolve(place))}: ${units.length} units\n` +
      `  first sight            ${show(cold)}, all ${cold.reduce((a, b) => a + b, 0).toFixed(0)}\n` +
      `  evaluated, gcc between ${show(warm)}\n` +
      `  evaluated, tight       ${show(tight)}\n` +
      `  second server, first   ${show(restarted)}, all ${restarted.reduce((a, b) => a + b, 0).toFixed(0)}, lexed ${filesLexed}\n` +
      `  from memory            ${show(remembered)}, ${memoHits} of ${scans} scans, ${watches} watches\n` +
      `  gcc -M                 ${show(gcc)} (${gcc.length} units): ${(mean(gcc) / mean(warm)).toFixed(0)} times an evaluation, ${(mean(gcc) / mean(remembered)).toFixed(0)} times an answer from memory\n` +
      `  memory                 ${held.toFixed(0)} MB in use for all units (second server), ${(process.memoryUsage.rss() / 2 ** 20).toFixed(0)} MB resident in this process`,
  );
}
