// Never a stale answer: headers are made, replaced, renamed and removed between scans that follow at once, and every answer
// is compared with the real gcc's.
import assert from 'node:assert/strict';
import {
  existsSync,
  linkSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gccM, listing, makeRig, makeScanner } from './rig.ts';

function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const DIRECTORIES = ['.', 'i', 'j', 'i/sub', 'j/sub', 'real', 'link'];
const NAMES = ['a.h', 'b.h', 'sub/c.h', 'd.h'];
const FLAGS = ['-Ii', '-Ij', '-Ilink', '-Inew'];
const STEPS = 80;

const BODIES = [
  '#include <b.h>\n',
  '#ifndef Y\n#define Y\n#include "b.h"\n#include <d.h>\n#endif\n',
  '#ifndef X\n#define X\n#include <sub/c.h>\n#endif\n',
  '#if __has_include(<d.h>)\n#include <d.h>\n#endif\n',
  'int x;\n',
  '#include_next <d.h>\n',
  '#define X 1\n',
  '#define X 2\n',
  '#pragma once\n',
];

/** Milliseconds until a file's times can be trusted, so that it is written for the next server. */
const SETTLE_MS = 110;

for (const [watch, restart, seeds] of [
  [true, false, [3, 9, 10]],
  [false, false, [3, 9, 10]],
  [true, true, [4, 5]],
  [false, true, [6]],
] as const) {
  for (const seed of seeds) {
    const between = restart ? 'servers' : 'scans';
    test(`changes between ${between}, ${watch ? 'watched' : 'looked at'}, seed ${seed}`, async () => {
      const rig = makeRig();
      const next = random(seed * 7919);
      const pick = <T>(list: readonly T[]): T => list[next(list.length)]!;
      const cacheDir = join(rig.directory, 'cache');
      const start = () =>
        makeScanner({ watch, watchRoots: [rig.directory], ...(restart ? { cacheDir } : {}) });
      let scanner = start();
      let hits = 0;
      try {
        rig.write({
          'x.c': '#include <a.h>\n#include "d.h"\n#include <sub/c.h>\n',
          'y.c': '#include "b.h"\n#include <a.h>\n',
          'i/k': '',
          'j/k': '',
          'real/k': '',
          link: { link: 'real' },
        });
        for (const name of ['a.h', 'b.h', 'd.h', 'sub/c.h']) rig.write({ [`real/${name}`]: 'int y;\n' });
        const log: string[] = [];
        for (let step = 0; step < STEPS; step++) {
          const path = join(rig.directory, pick(DIRECTORIES), pick(NAMES));
          const other = join(rig.directory, pick(DIRECTORIES), pick(NAMES));
          const what = next(11);
          log.push(`${what} ${path} ${other}`);
          try {
            mkdirSync(join(path, '..'), { recursive: true });
            if (what < 5) writeFileSync(path, pick(BODIES));
            else if (what === 5) {
              writeFileSync(`${path}.new`, pick(BODIES));
              renameSync(`${path}.new`, path);
            } else if (what === 6) unlinkSync(path);
            else if (what === 7) renameSync(path, other);
            else if (what === 8 && path !== other) {
              rmSync(path, { force: true });
              // A write through another hard link makes no event: watches are for packages, which do no such thing.
              if (watch || next(2) === 0) symlinkSync(other, path);
              else linkSync(other, path);
            } else if (what === 9) {
              const directory = join(rig.directory, pick(['j', 'real', 'new', 'i/sub']));
              if (existsSync(directory) && next(3) > 0) {
                renameSync(directory, `${directory}.old`);
                if (next(2) === 0) renameSync(`${directory}.old`, directory);
                else rmSync(`${directory}.old`, { recursive: true });
              } else mkdirSync(directory, { recursive: true });
            } else utimesSync(path, 1_000_000_000, 1_000_000_000 + next(2));
          } catch {
            // The step cannot be done; another one will.
          }
          if (restart && step % 4 === 0) {
            await scanner.scan(rig.request('x.c', FLAGS));
            await scanner.scan(rig.request('y.c', FLAGS));
            await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
            await scanner.scan(rig.request('x.c', FLAGS));
            await scanner.scan(rig.request('y.c', FLAGS));
          }
          if (restart) {
            hits += scanner.stats().memoHits;
            await scanner.close();
            scanner = start();
          }
          const request = rig.request(pick(['x.c', 'y.c']), FLAGS);
          const ours = await scanner.scan(request);
          assert.deepEqual(
            listing(ours),
            listing(await gccM.scan(request)),
            `step ${step} ${request.source}\n${log.slice(-6).join('\n')}\n${ours.kind === 'incomplete' ? ours.detail : ''}`,
          );
        }
        if (restart) assert.ok(hits > 0);
      } finally {
        await scanner.close();
        rig.remove();
      }
    });
  }
}
