// Depfile text against the real gcc's, on random names.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { type DepfileTarget, defaultTarget, formatDepfile } from '../../../src/scan/depfile.ts';

const directory = mkdtempSync(join(tmpdir(), 'depfile-'));
after(() => rmSync(directory, { recursive: true }));

/** Small deterministic generator, so that a failure can be repeated. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function gcc(args: readonly string[]): Buffer {
  const run = spawnSync('gcc', args, { cwd: directory });
  assert.equal(run.status, 0, run.stderr.toString());
  return run.stdout;
}

const LETTERS = ['a', 'b', 'header', '.', '-', ' ', '\t', '#', '$', '\\', '\\ ', ':', '%', '&', 'ü', 'x/y'];

test('quoting, wrapping and phony rules are gcc’s', () => {
  for (let seed = 1; seed <= 25; seed++) {
    const next = random(seed);
    const names = new Set<string>();
    for (let i = next(60); i >= 0; i--) {
      let name = 'h';
      for (let j = next(12); j > 0; j--) name += LETTERS[next(LETTERS.length)];
      names.add(`${name}z.h`);
    }
    const headers = [...names];
    for (const header of headers) {
      mkdirSync(dirname(join(directory, header)), { recursive: true });
      writeFileSync(join(directory, header), '');
    }
    const source = `s${seed}.c`;
    writeFileSync(join(directory, source), headers.map((header) => `#include "${header}"\n`).join(''));
    const targets: DepfileTarget[] = [];
    const flags: string[] = [];
    for (let i = next(4); i > 0; i--) {
      const quote = next(2) === 0;
      const text = `${next(4) === 0 ? './/./' : ''}t${i}${LETTERS[next(LETTERS.length)]}${'long'.repeat(next(12))}`;
      targets.push({ text, quote });
      flags.push(quote ? '-MQ' : '-MT', text);
    }
    const phony = next(2) === 0;
    const told = gcc(['-nostdinc', '-M', ...(phony ? ['-MP'] : []), ...flags, source]);
    const ours = formatDepfile({
      targets: targets.length > 0 ? targets : [{ text: defaultTarget(source, '.o'), quote: true }],
      files: [source, ...headers],
      phony,
    });
    assert.equal(ours.toString(), told.toString(), `seed ${seed}`);
  }
});

test('a header listed twice has two phony rules', () => {
  const text = formatDepfile({
    targets: [{ text: 'a.o', quote: true }],
    files: ['a.c', 'b.h', 'b.h'],
    phony: true,
  });
  assert.equal(text.toString(), 'a.o: a.c b.h b.h\nb.h:\nb.h:\n');
});

test('the default target drops directory and last suffix', () => {
  for (const source of ['x.c', 'd/x.c', 'x y.c.c', 'noext', '.c', 'd.x/foo']) {
    mkdirSync(dirname(join(directory, source)), { recursive: true });
    writeFileSync(join(directory, source), '');
    const rule = gcc(['-nostdinc', '-M', '-x', 'c', source]).toString();
    const expected = formatDepfile({
      targets: [{ text: defaultTarget(source, '.o'), quote: true }],
      files: [source],
      phony: false,
    });
    assert.equal(rule, expected.toString());
  }
});

test('DEPENDENCIES_OUTPUT and SUNPRO_DEPENDENCIES hold the same text', () => {
  writeFileSync(join(directory, 'env.h'), '');
  writeFileSync(join(directory, 'env.c'), '#include "env.h"\n#include <stddef.h>\n');
  const files = ['env.c', 'env.h'];
  const expected = formatDepfile({ targets: [{ text: 'some target', quote: false }], files, phony: false });
  const env = { ...process.env, DEPENDENCIES_OUTPUT: 'env.d some target' };
  const run = spawnSync('gcc', ['-c', 'env.c', '-o', 'env.o'], { cwd: directory, env });
  assert.equal(run.status, 0);
  assert.equal(readFileSync(join(directory, 'env.d'), 'utf8'), expected.toString());
});
