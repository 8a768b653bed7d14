// Real projects: every translation unit's list from the fast scanner against `gcc -M`.
//
// Usage: node test/projects/scan.ts [--mm] [--sample N] DIR-OR-COMMANDS...
// A DIR is a project already unpacked whose compile commands `make -n -k` (or `ninja -t compdb`) prints; a file ending in
// .json is a compilation database. Prints for each how many units there are and how many equal.
import { basename, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { FastScanner } from '../../src/scan/fast-scanner.ts';
import { GccMScanner } from '../../src/scan/gcc-m.ts';
import { query, unitsOf } from './compile-commands.ts';

const { values, positionals } = parseArgs({
  options: {
    mm: { type: 'boolean', default: false },
    sample: { type: 'string', default: '1' },
    cache: { type: 'string' },
    show: { type: 'string', default: '5' },
  },
  allowPositionals: true,
});

const truth = new GccMScanner(query);
const scanner = new FastScanner({
  query,
  fallback: {
    scan: async () => ({ kind: 'incomplete', reason: 'self-check-failed', detail: 'handed over' }),
  },
  watch: true,
  ...(values.cache === undefined ? {} : { cacheDir: values.cache }),
});

let failed = 0;
for (const place of positionals) {
  const requests = unitsOf(place);
  const step = Number(values.sample);
  let units = 0;
  let equal = 0;
  let broken = 0;
  let shown = 0;
  let scanMs = 0;
  let gccMs = 0;
  for (let i = 0; i < requests.length; i += step) {
    const request = requests[i]!;
    let start = performance.now();
    const ours = await scanner.scan(request);
    scanMs += performance.now() - start;
    start = performance.now();
    const theirs = await truth.scan(request);
    gccMs += performance.now() - start;
    if (theirs.kind !== 'found') {
      broken++;
      if (ours.kind === 'found' && shown++ < Number(values.show))
        console.log(`  gcc fails, the scan does not: ${request.source}: ${theirs.detail}`);
      continue;
    }
    units++;
    const same =
      ours.kind === 'found' &&
      ours.files.length === theirs.files.length &&
      ours.files.every((file, k) => file === theirs.files[k]) &&
      (!values.mm || ours.system.every((system, k) => system === theirs.system[k])) &&
      ours.usesTime === theirs.usesTime;
    if (same) equal++;
    else if (shown++ < Number(values.show)) {
      console.log(`  ${request.cwd}$ ${request.source} ${request.flags.join(' ')}`);
      if (ours.kind !== 'found') console.log(`    ${ours.reason}: ${ours.detail}`);
      else {
        const at = theirs.files.findIndex((file, k) => file !== ours.files[k]);
        console.log(
          `    time ${ours.usesTime} ${theirs.usesTime}; ours ${ours.files.length}, gcc ${theirs.files.length}`,
        );
        if (at >= 0) console.log(`    at ${at}: ours ${ours.files[at]}, gcc ${theirs.files[at]}`);
      }
    }
  }
  failed += units - equal;
  console.log(
    `${basename(resolve(place))}: ${equal} of ${units} units equal` +
      (broken > 0 ? `, ${broken} that gcc -M cannot read` : '') +
      `; scan ${(scanMs / units).toFixed(2)} ms a unit, gcc -M and -MM ${(gccMs / units).toFixed(1)} ms`,
  );
}
console.log(JSON.stringify(scanner.stats()));
await scanner.close();
process.exitCode = failed > 0 ? 1 : 0;
