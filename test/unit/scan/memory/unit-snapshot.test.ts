// Units that an earlier server remembered: believed as long as nothing changed while no server was there, and not longer.
import assert from 'node:assert/strict';
import {
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ScanRequest, ScanResult } from '../../../../src/scan/scanner.ts';
import { gccM, listing, makeRig, makeScanner, type Rig } from '../rig.ts';

/** Milliseconds until a file's times can be trusted. */
const SETTLE_MS = 130;

async function settle(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
}

interface Life {
  readonly results: readonly ScanResult[];
  readonly hits: number;
  readonly lexed: number;
}

/** One server's life. */
async function life(rig: Rig, requests: readonly ScanRequest[], watch = false): Promise<Life> {
  const scanner = makeScanner({ cacheDir: join(rig.directory, 'cache'), watch, watchRoots: [rig.directory] });
  const results: ScanResult[] = [];
  for (const request of requests) results.push(await scanner.scan(request));
  const { memoHits, filesLexed, lastError } = scanner.stats();
  await scanner.close();
  assert.equal(lastError, undefined);
  return { results, hits: memoHits, lexed: filesLexed };
}

const FILES = {
  'a.c': '#include <x.h>\n#include "sub/z.h"\n#if __has_include(<probe.h>)\n#include <probe.h>\n#endif\n',
  'b.c': '#include "sub/z.h"\n#define T __TIME__\n',
  'i/k': '',
  'j/x.h': '#include "y.h"\n',
  'j/y.h': 'int y;\n',
  'real/z.h': 'int z;\n',
  sub: { link: 'real' },
};
const FLAGS = ['-Ii', '-Inew', '-Ij'];

async function inRig(work: (rig: Rig, requests: readonly ScanRequest[]) => Promise<void>): Promise<void> {
  const rig = makeRig();
  try {
    rig.write(FILES);
    await settle();
    await work(rig, [rig.request('a.c', FLAGS), rig.request('b.c', FLAGS)]);
  } finally {
    rig.remove();
  }
}

for (const watch of [true, false]) {
  test(`units outlive a server, ${watch ? 'watched' : 'looked at'}, with all that belongs to them`, () =>
    inRig(async (rig, requests) => {
      const first = await life(rig, requests, watch);
      assert.equal(first.hits, 0);
      for (let i = 0; i < 2; i++) {
        const again = await life(rig, requests, watch);
        assert.deepEqual([again.hits, again.lexed], [2, 0]);
        assert.deepEqual(
          again.results.map((result) => ({ ...result })),
          first.results.map((result) => ({ ...result })),
        );
      }
    }));
}

const CHANGES: Readonly<Record<string, (at: (name: string) => string) => void>> = {
  'a header changes': (at) => writeFileSync(at('j/y.h'), '#include <stddef.h>\n'),
  'a header changes and its time is set back': (at) => {
    const { length } = readFileSync(at('j/y.h'));
    writeFileSync(at('j/y.h'), '#if 0\n'.padEnd(length, '\n'));
    utimesSync(at('j/y.h'), 1, 1);
  },
  'a header is replaced by a rename': (at) => {
    writeFileSync(at('n'), '#include "../b.c"\n');
    renameSync(at('n'), at('j/y.h'));
  },
  'a header comes to stand before another': (at) => writeFileSync(at('i/x.h'), ''),
  'a search directory appears, and has one': (at) => {
    mkdirSync(at('new'));
    writeFileSync(at('new/x.h'), '');
  },
  'a header that was asked for appears': (at) => writeFileSync(at('j/probe.h'), ''),
  'a precompiled header appears': (at) => writeFileSync(at('j/x.h.gch'), ''),
  'a header goes': (at) => {
    unlinkSync(at('j/y.h'));
    writeFileSync(at('i/y.h'), '');
  },
  'a link leads elsewhere': (at) => {
    mkdirSync(at('other'));
    writeFileSync(at('other/z.h'), '#include "../j/x.h"\n');
    rmSync(at('sub'));
    symlinkSync('other', at('sub'));
  },
  'a directory is replaced': (at) => {
    renameSync(at('j'), at('old'));
    mkdirSync(at('j'));
    writeFileSync(at('j/x.h'), 'int other;\n');
  },
  "a directory comes to stand in a header's place": (at) => mkdirSync(at('i/x.h')),
};

for (const [name, change] of Object.entries(CHANGES)) {
  test(`between two servers ${name}`, () =>
    inRig(async (rig, requests) => {
      await life(rig, requests);
      change((path) => join(rig.directory, path));
      const { results, hits } = await life(rig, requests);
      for (const [i, request] of requests.entries()) {
        const said = await gccM.scan(request);
        assert.deepEqual(listing(results[i]!), listing(said), request.source);
      }
      assert.ok(hits < requests.length, 'the change was not noticed');
    }));
}

test('another compiler, environment, flag or working directory is another unit', () =>
  inRig(async (rig, [request]) => {
    await life(rig, [request!]);
    const others: readonly Partial<ScanRequest>[] = [
      { toolchain: 'another' },
      { driver: '/usr/bin/x86_64-linux-gnu-gcc' },
      { env: new Map([['CPATH', '/nonexistent']]) },
      { flags: [...FLAGS, '-DX'] },
      { language: 'c++' },
    ];
    for (const other of others) {
      const { hits } = await life(rig, [{ ...request!, ...other }]);
      assert.equal(hits, 0, JSON.stringify(other));
    }
    assert.equal((await life(rig, [request!])).hits, 1);
  }));

test('what was too young when it was read is not written', () =>
  inRig(async (rig, requests) => {
    writeFileSync(join(rig.directory, 'j/y.h'), 'int w;\n');
    await life(rig, requests);
    const { hits } = await life(rig, requests);
    assert.equal(hits, 1);
  }));

test('damaged units are not believed', () =>
  inRig(async (rig, requests) => {
    await life(rig, requests);
    const path = join(rig.directory, 'cache/units');
    const whole = readFileSync(path);
    const damages: readonly Buffer[] = [
      whole.subarray(0, whole.length - 1),
      Buffer.concat([whole.subarray(0, -2), Buffer.from('xy')]),
      Buffer.alloc(0),
      Buffer.from(whole.toString('latin1').replace('j/x.h', 'j/y.h'), 'latin1'),
      Buffer.from(whole.toString('latin1').replace(/^gg-scan \d+/, 'gg-scan 1'), 'latin1'),
    ];
    for (const damaged of damages) {
      writeFileSync(path, damaged);
      const { hits, results } = await life(rig, requests);
      assert.equal(hits, 0);
      assert.deepEqual(listing(results[0]!), listing(await gccM.scan(requests[0]!)));
    }
  }));

test('units of three servers add up', () =>
  inRig(async (rig, [a, b]) => {
    await life(rig, [a!]);
    await life(rig, [b!]);
    const { hits, lexed } = await life(rig, [b!, a!]);
    assert.deepEqual([hits, lexed], [2, 0]);
  }));
