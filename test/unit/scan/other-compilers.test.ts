// The odd corners again with other compilers: what the scanner answers must be what that compiler lists; it may hand over.
import assert from 'node:assert/strict';
import { accessSync, constants } from 'node:fs';
import { test } from 'node:test';
import { EDGE_CASES } from './edge-cases.ts';
import { gccM, listing, makeRig, makeScanner } from './rig.ts';

/** `exact`: the scanner reads for it; else every unit is handed over. */
const COMPILERS: readonly { readonly driver: string; readonly exact: boolean }[] = [
  { driver: '/usr/bin/gcc-11', exact: true },
  { driver: '/usr/bin/gcc-13', exact: false },
  { driver: '/usr/bin/aarch64-linux-gnu-gcc', exact: true },
  { driver: '/usr/bin/clang', exact: false },
];

const HEADERS = Object.fromEntries(['yes.h', 'no.h', 'one.h', 'two.h', 'three.h'].map((name) => [name, '']));

function installed(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

for (const { driver, exact } of COMPILERS)
  test(`${driver}: equal or handed over`, {
    skip: installed(driver) ? false : `${driver} is not installed`,
  }, async () => {
    const scanner = makeScanner();
    let equal = 0;
    let handedOver = 0;
    try {
      for (const { name, files, source, flags, env, cwd } of EDGE_CASES) {
        const rig = makeRig();
        try {
          rig.write({ ...HEADERS, ...files });
          const request = rig.request(source ?? Object.keys(files)[0]!, flags ?? [], {
            driver,
            env: new Map(Object.entries(env ?? {})),
            ...(cwd === undefined ? {} : { cwd: `${rig.directory}/${cwd}` }),
          });
          const ours = listing(await scanner.scan(request));
          if (ours === 'handed over') {
            handedOver++;
            continue;
          }
          assert.deepEqual(ours, listing(await gccM.scan(request)), name);
          equal++;
        } finally {
          rig.remove();
        }
      }
    } finally {
      await scanner.close();
    }
    // A compiler without a C++ front end cannot say how it would read C++.
    if (exact) assert.ok(equal > handedOver, `${equal} equal, ${handedOver} handed over`);
    else assert.equal(equal, 0);
  });
