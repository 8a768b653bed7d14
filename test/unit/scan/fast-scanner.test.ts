// What a scan tells beyond the list: negative lookups, further inputs, time, reasons; memory, persistence, self-check.
import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ScanFound, ScanResult } from '../../../src/scan/scanner.ts';
import { gccM, listing, makeRig, makeScanner, query, type Rig } from './rig.ts';

async function inRig(files: Parameters<Rig['write']>[0], then: (rig: Rig) => Promise<void>): Promise<void> {
  const rig = makeRig();
  try {
    rig.write(files);
    await then(rig);
  } finally {
    rig.remove();
  }
}

function found(result: ScanResult): ScanFound {
  assert.equal(result.kind, 'found', result.kind === 'found' ? '' : `${result.reason}: ${result.detail}`);
  return result as ScanFound;
}

test('names looked up in vain are told, a missing directory once', () =>
  inRig(
    {
      'a.c': '#include <x/y.h>\n#include "z.h"\n#if __has_include("n.h")\n#endif\n',
      'j/x/y.h': '',
      'j/z.h': '',
      'i/k': '',
    },
    async (rig) => {
      const { absent } = found(await makeScanner().scan(rig.request('a.c', ['-nostdinc', '-Ii', '-Ij'])));
      assert.deepEqual(absent, ['i/x', 'z.h', 'i/z.h', 'n.h', 'i/n.h', 'j/n.h']);
    },
  ));

test('what __has_include finds is an input, and so is a precompiled header', () =>
  inRig(
    { 'a.c': '#include "x.h"\n#if __has_include("p.h")\n#endif\n', 'x.h': '', 'x.h.gch': '', 'p.h': '' },
    async (rig) => {
      const { extra, files } = found(await makeScanner().scan(rig.request('a.c', ['-nostdinc'])));
      assert.deepEqual([...extra].sort(), ['p.h', 'x.h.gch']);
      assert.deepEqual(files, ['a.c', 'x.h']);
    },
  ));

test('files of inline assembler, .S and .s are inputs', () =>
  inRig(
    {
      'a.c': 'asm(".incbin \\"d.bin\\"");\nstruct { int include; } x; int f(void) { return x.include; }\n',
      'b.S': '#include "h.h"\n.include "i.inc"\n',
      'h.h': '.incbin "d.bin"\n',
      'c.s': '.include "i.inc" # comment\n',
      'd.bin': 'x',
      'inc/i.inc': '.incbin "e.bin"\n',
      'inc/e.bin': '',
      'm.c': '#define F "d.bin"\nasm(".incbin \\"" F "\\"");\n',
      'n.c': 'asm(".incbin \\"nope.bin\\"");\n',
    },
    async (rig) => {
      for (const scanner of [makeScanner(), gccM]) {
        const scan = (source: string) => scanner.scan(rig.request(source, ['-Iinc']));
        assert.deepEqual(found(await scan('a.c')).extra, ['d.bin']);
        assert.deepEqual([...found(await scan('b.S')).extra].sort(), ['d.bin', 'inc/e.bin', 'inc/i.inc']);
        assert.deepEqual([...found(await scan('c.s')).extra].sort(), ['inc/e.bin', 'inc/i.inc']);
        for (const source of ['m.c', 'n.c']) {
          const result = await scan(source);
          assert.equal(result.kind === 'incomplete' && result.reason, 'asm-include');
        }
      }
    },
  ));

test('the time is used where it is mentioned outside of comments', () =>
  inRig(
    {
      'a.c': '#include "t.h"\n',
      'b.c': '// __DATE__\n/* __TIME__ */\n',
      't.h': 'char *t = __TIME__;\n',
      'c.c': 'int __TIME_T;\n',
    },
    async (rig) => {
      for (const scanner of [makeScanner(), gccM]) {
        const uses: boolean[] = [];
        for (const source of ['a.c', 'b.c', 'c.c'])
          uses.push(found(await scanner.scan(rig.request(source))).usesTime);
        assert.deepEqual(uses, [true, false, false]);
      }
    },
  ));

const REASONS: readonly (readonly [reason: string, text: string, header?: string])[] = [
  ['missing-file', '#include "nope.h"\n'],
  ['preprocessor-error', '#error no\n'],
  ['unsupported-directive', '#pragma GCC target("avx2")\n'],
  ['unsupported-directive', '#pragma GCC optimize("O0")\n'],
  ['unsupported-directive', '_Pragma("once")\n'],
  ['unsupported-directive', '#define X 1\n_Pragma("push_macro(\\"X\\")")\n'],
  ['unsupported-directive', '#define P _Pragma("push_macro(\\"X\\")")\nP\n'],
  ['too-deep', '#include "a.c"\n'],
];
for (const [reason, text] of REASONS) {
  test(`${reason}, and gcc is not asked: ${JSON.stringify(text)}`, () =>
    inRig({ 'a.c': text }, async (rig) => {
      const scanner = makeScanner();
      const result = await scanner.scan(rig.request('a.c'));
      assert.equal(result.kind === 'incomplete' && result.reason, reason);
      assert.deepEqual(scanner.stats().handedOver, {});
      assert.deepEqual(scanner.stats().incomplete, { [reason]: 1 });
    }));
}

test('a _Pragma in a definition that is not reached does no harm', () =>
  inRig({ 'a.c': '#if 0\n#define X \\\n _Pragma("once")\n#endif\n' }, async (rig) => {
    found(await makeScanner().scan(rig.request('a.c')));
  }));

test('a name that is not UTF-8', () =>
  inRig({ 'a.c': Buffer.from('#include "\xff.h"\n', 'latin1') }, async (rig) => {
    const result = await makeScanner().scan(rig.request('a.c'));
    assert.equal(result.kind === 'incomplete' && result.reason, 'not-utf8');
  }));

test('a compiler that is not ours to model is handed over', () =>
  inRig({ 'a.c': '' }, async (rig) => {
    const scanner = makeScanner({
      query: async (file, args, options) => {
        const run = await query(file, args, options);
        const stdout = run.stdout.toString('latin1').replace('#define __GNUC__ 12', '#define __GNUC__ 99');
        return { ...run, stdout: Buffer.from(stdout, 'latin1') };
      },
    });
    assert.equal(listing(await scanner.scan(rig.request('a.c'))), 'handed over');
    assert.deepEqual(scanner.stats().handedOver, { 'unsupported-compiler': 1 });
  }));

for (const watch of [true, false]) {
  test(`an unchanged unit is answered from memory, ${watch ? 'watched' : 'looked at'}`, () =>
    inRig({ 'a.c': '#include "x.h"\n', 'x.h': '', 'y.h': '' }, async (rig) => {
      const scanner = makeScanner({ watch });
      const request = rig.request('a.c');
      const first = await scanner.scan(request);
      writeFileSync(join(rig.directory, 'a.o'), '');
      assert.deepEqual({ ...(await scanner.scan(request)) }, { ...first });
      assert.equal(scanner.stats().memoHits, 1);
      writeFileSync(join(rig.directory, 'x.h'), '#include "y.h"\n');
      assert.deepEqual(listing(await scanner.scan(request)), listing(await gccM.scan(request)));
      await scanner.close();
    }));
}

test('requests at once are answered as one after the other', () =>
  inRig(
    { 'a.c': '#include <stdio.h>\n', 'b.c': '#include <stdlib.h>\n#include "x.h"\n', 'x.h': '' },
    async (rig) => {
      const scanner = makeScanner();
      const requests = Array.from({ length: 100 }, (_, i) =>
        rig.request(i % 2 ? 'a.c' : 'b.c', [`-DN=${i % 7}`]),
      );
      const results = await Promise.all(requests.map((request) => scanner.scan(request)));
      const alone = makeScanner();
      for (const [i, request] of requests.entries())
        assert.deepEqual(listing(results[i]!), listing(await alone.scan(request)));
    },
  ));

test('answers and lexed files outlive the scanner; damaged ones do not count', () =>
  inRig(
    {
      'a.c': '#include <stdio.h>\n#include "x.h"\n#if __has_attribute(nonsense_x)\n#endif\n',
      'x.h': '#include "y.h"\n',
      'y.h': '',
    },
    async (rig) => {
      const cacheDir = join(rig.directory, 'cache');
      const request = rig.request('a.c');
      const scan = async () => {
        const scanner = makeScanner({ cacheDir });
        const result = listing(await scanner.scan(request));
        await scanner.close();
        return { result, ...scanner.stats() };
      };
      // Files must be old enough to be trusted by their times.
      await new Promise((resolve) => setTimeout(resolve, 150));
      const first = await scan();
      assert.ok(first.filesLexed > 5 && first.compilerRuns > 0);
      const second = await scan();
      assert.deepEqual([second.result, second.filesLexed, second.compilerRuns], [first.result, 0, 0]);
      writeFileSync(join(rig.directory, 'x.h'), '#include "nope/../y.h"\n#include "y.h"\n');
      rig.write({ 'nope/k': '' });
      assert.deepEqual((await scan()).result, listing(await gccM.scan(request)));
      for (const name of ['answers', 'programs']) {
        const path = join(cacheDir, name);
        for (const damage of [
          (bytes: Buffer) => bytes.subarray(0, bytes.length >> 1),
          (bytes: Buffer) => Buffer.concat([bytes.subarray(0, -3), Buffer.from('xyz')]),
          () => Buffer.alloc(0),
          (bytes: Buffer) =>
            Buffer.from(bytes.toString('latin1').replace(/gg-scan \d+/, 'gg-scan 0'), 'latin1'),
        ]) {
          // Units would be answered without lexing.
          rmSync(join(cacheDir, 'units'), { force: true });
          writeFileSync(path, damage(readFileSync(path)));
          const again = await scan();
          assert.deepEqual(again.result, listing(await gccM.scan(request)));
          assert.ok(name === 'answers' ? again.compilerRuns > 0 : again.filesLexed > 5);
        }
      }
    },
  ));

test('a self-check tells what differs; a directory out of trust is handed over, with all below', () =>
  inRig({ 'a.c': '#include "x.h"\n', 'x.h': '' }, async (rig) => {
    const scanner = makeScanner();
    const request = rig.request('a.c', ['-nostdinc']);
    assert.equal(await scanner.selfCheck(request, ['a.c', 'x.h']), undefined);
    assert.equal(
      await scanner.selfCheck(request, ['a.c', 'other.h']),
      'a.c: file 2 is other.h, the scan says x.h',
    );
    scanner.distrust(rig.directory);
    assert.equal(listing(await scanner.scan(request)), 'handed over');
    assert.equal(listing(await scanner.scan({ ...request, cwd: `${rig.directory}/below` })), 'handed over');
    assert.deepEqual(scanner.stats().handedOver, { 'self-check-failed': 2 });
  }));
