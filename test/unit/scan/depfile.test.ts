import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { defaultTarget, formatDepfile } from '../../../src/scan/depfile.ts';
import { parseRule } from '../../../src/scan/gcc-m.ts';

const dir = mkdtempSync(join(tmpdir(), 'gg-depfile-'));
after(() => rmSync(dir, { recursive: true }));

/** A small generator, so that a failure can be repeated. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test('rules are byte for byte what gcc -M writes, for names of any length and with blanks, $ and #', () => {
  for (let seed = 1; seed <= 60; seed++) {
    const next = random(seed);
    const files = Array.from({ length: 1 + next(12) }, (_, i) => {
      const odd =
        seed % 4 === 0 && i % 3 === 0 ? ['sp ace', 'do$llar', 'ha#sh', 'back\\slash', 'b\\ b'][next(5)]! : '';
      return `h${i}${odd}${'x'.repeat(next(30))}.h`;
    });
    for (const file of files) writeFileSync(join(dir, file), '');
    const source = `${'s'.repeat(1 + next(20))}.c`;
    writeFileSync(join(dir, source), files.map((f) => `#include "${f}"\n`).join(''));
    const long = `${'t'.repeat(1 + next(60))}.o`;
    const [flags, targets] = [
      [[], [{ text: defaultTarget(source, '.o'), quote: true }]] as const,
      [['-MT', long], [{ text: long, quote: false }]] as const,
      [
        ['-MQ', `${long} $x`, '-MT', 'b $c'],
        [
          { text: `${long} $x`, quote: true },
          { text: 'b $c', quote: false },
        ],
      ] as const,
    ][seed % 3]!;
    const gcc = spawnSync('gcc', ['-M', '-MP', ...flags, source], { cwd: dir });
    const listed = ['/usr/include/stdc-predef.h', ...files];
    const ours = formatDepfile({ targets, files: [source, ...listed], phony: true });
    assert.equal(ours.toString(), gcc.stdout.toString(), `seed ${seed}`);
    if (seed % 3 === 0)
      assert.deepEqual(parseRule(gcc.stdout.toString()), [source, ...listed], `seed ${seed}`);
  }
});
