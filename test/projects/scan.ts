// Real projects: every translation unit's list and depfile from the fast scanner against `gcc -M`.
//
// Usage: node test/projects/scan.ts [--sample N] [--deep N] [--truth FILE] [--cache DIR] [scan] PLACE...
// A PLACE is a project already unpacked whose compile commands `make -n -k` (or `ninja -t compdb`) prints, or a compilation
// database (.json). Prints for each how many units there are, how many equal (order and duplicates too; the depfile of
// `-M -MP -MQ -MT` byte for byte), which reasons there were to hand over; every Nth unit (--deep) is also compared with
// what `-E -MD -MP`, `-E -MMD` and `-MM` write. Units the compiler itself cannot read are counted apart.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { formatDepfile } from '../../src/scan/depfile.ts';
import { FastScanner } from '../../src/scan/fast-scanner.ts';
import type { ScanFound, ScanRequest } from '../../src/scan/scanner.ts';
import { query, unitsOf } from './compile-commands.ts';
import { filesOf, run, TARGETS, Truth } from './truth.ts';

const { values, positionals } = parseArgs({
  options: {
    sample: { type: 'string', default: '1' },
    deep: { type: 'string', default: '10' },
    truth: { type: 'string' },
    cache: { type: 'string' },
    show: { type: 'string', default: '5' },
  },
  allowPositionals: true,
});
const places = positionals.filter((place, i) => i > 0 || place !== 'scan');
const truth = new Truth(values.truth);
const scratch = mkdtempSync(join(tmpdir(), 'scan-projects-'));

/** Compares what a unit's real preprocessing writes. @returns what differs. */
async function deepDifference(request: ScanRequest, ours: ScanFound): Promise<string | undefined> {
  const file = join(scratch, 'x.d');
  const own = ours.files.filter((_, i) => !ours.system[i]);
  const object = { text: 'out/a b.o', quote: true };
  const cases = [
    {
      flags: ['-E', '-MD', '-MP', '-MT', 'x', '-MF', file, '-o', '/dev/null'],
      files: ours.files,
      phony: true,
      target: { text: 'x', quote: false },
    },
    {
      flags: ['-E', '-MMD', '-MQ', object.text, '-MF', file, '-o', '/dev/null'],
      files: own,
      phony: false,
      target: object,
    },
    {
      flags: ['-MM', '-MF', file, '-MT', 'y'],
      files: own,
      phony: false,
      target: { text: 'y', quote: false },
    },
  ];
  for (const { flags, files, phony, target } of cases) {
    const { code } = await run(request, flags);
    // A full preprocessing run may fail where -M does not (#error in text, say).
    if (code !== 0) continue;
    const wrong = !readFileSync(file).equals(formatDepfile({ targets: [target], files, phony }));
    if (wrong) return `depfile of ${flags.slice(0, 2).join(' ')}`;
  }
  return undefined;
}

function listDifference(ours: ScanFound, depfile: string): string | undefined {
  const theirs = filesOf(depfile) ?? [];
  const at = theirs.findIndex((file, k) => file !== ours.files[k]);
  if (at >= 0 || theirs.length !== ours.files.length)
    return `at ${at} of ${theirs.length}: ours ${ours.files[at]}, gcc ${theirs[at]}`;
  if (formatDepfile({ targets: TARGETS, files: ours.files, phony: true }).toString() !== depfile)
    return 'depfile';
  return undefined;
}

let wrong = 0;
const sums = { units: 0, equal: 0, handed: 0, broken: 0, deep: 0 };
for (const place of places) {
  const scanner = new FastScanner({
    query,
    fallback: {
      scan: async () => ({ kind: 'incomplete', reason: 'self-check-failed', detail: 'handed over' }),
    },
    watch: true,
    ...(values.cache === undefined ? {} : { cacheDir: values.cache }),
  });
  const counts = { units: 0, equal: 0, handed: 0, broken: 0, deep: 0 };
  const reasons = new Map<string, number>();
  let shown = 0;
  let scanMs = 0;
  const show = (text: string): void => {
    if (shown++ < Number(values.show)) console.log(`  ${text}`);
  };
  const step = Number(values.sample);
  for (const [i, request] of unitsOf(place).entries()) {
    if (i % step !== 0) continue;
    const before = scanner.stats();
    const start = performance.now();
    const ours = await scanner.scan(request);
    scanMs += performance.now() - start;
    const said = await truth.of(request);
    if (said.error !== '') {
      counts.broken++;
      if (ours.kind === 'found') show(`gcc fails, the scan does not: ${request.source}: ${said.error}`);
      continue;
    }
    counts.units++;
    if (ours.kind !== 'found') {
      counts.handed++;
      const after = scanner.stats();
      const reason =
        Object.entries(after.handedOver).find(([k, n]) => before.handedOver[k as never] !== n)?.[0] ??
        ours.reason;
      reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
      show(`${reason} (${ours.detail}): ${request.source}`);
      continue;
    }
    let difference = listDifference(ours, said.depfile);
    if (difference === undefined && counts.units % Number(values.deep) === 1) {
      counts.deep++;
      difference = await deepDifference(request, ours);
    }
    if (difference === undefined) counts.equal++;
    else show(`${request.cwd}$ ${request.source} ${request.flags.join(' ')}\n    ${difference}`);
  }
  const failing = counts.units - counts.equal - counts.handed;
  wrong += failing;
  const { lastError } = scanner.stats();
  await scanner.close();
  const name =
    basename(resolve(place)) === 'b' ? basename(dirname(resolve(place))) : basename(resolve(place));
  console.log(
    `${name}: ${counts.units} units, ${counts.equal} equal, ${failing} wrong, ${counts.handed} handed over` +
      `${reasons.size > 0 ? ` (${[...reasons].map(([r, n]) => `${r} ${n}`).join(', ')})` : ''}` +
      `; ${counts.broken} more that gcc -M cannot read; ${counts.deep} compared with -MD, -MMD, -MM too` +
      `; scan ${(scanMs / Math.max(1, counts.units + counts.broken)).toFixed(2)} ms a unit` +
      (truth.runs > 0 ? `, gcc -M ${(truth.ms / truth.runs).toFixed(1)} ms` : ''),
  );
  if (lastError !== undefined) console.log(`  inside: ${String(lastError)}`);
  truth.ms = 0;
  truth.runs = 0;
  for (const key of Object.keys(sums) as (keyof typeof sums)[]) sums[key] += counts[key];
}
console.log(
  `all: ${sums.units} units, ${sums.equal} equal, ${wrong} wrong, ${sums.handed} handed over, ${sums.broken} that gcc -M cannot read, ${sums.deep} compared in depth`,
);
rmSync(scratch, { recursive: true });
process.exitCode = wrong > 0 ? 1 : 0;
