import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { splitCommand } from '../../../../src/driver/dry-run.ts';
import { expandResponseFiles, splitResponse } from '../../../../src/models/gcc/response.ts';

const TEXTS: readonly (readonly [text: string, words: readonly string[] | undefined])[] = [
  ['', []],
  [' \n\t\v\f\r', []],
  ['a b\nc', ['a', 'b', 'c']],
  ['\'a b\' "c d"', ['a b', 'c d']],
  ['a\'b c\'d"e f"g', ['ab cde fg']],
  ['-DX=\\"q\\"', ['-DX="q"']],
  ['a\\ b', ['a b']],
  ["''", ['']],
  ['"it\'s"', ["it's"]],
  ['a\\\\b', ['a\\b']],
  ['"a\\b"', undefined],
  ["'a\\b'", undefined],
  ['a\\\nb', undefined],
  ['a\\', undefined],
  ['"open', undefined],
];

for (const [text, words] of TEXTS)
  test(`splits ${JSON.stringify(text)}`, () => {
    assert.deepEqual(splitResponse(text), words);
  });

test('splits as the real gcc does', () => {
  const dir = mkdtempSync(join(tmpdir(), 'gg-response-'));
  try {
    for (const [text, words] of TEXTS) {
      if (!words) continue;
      writeFileSync(join(dir, 'r'), text.replaceAll('-DX', 'x'));
      // Every word is a source, and every source has a compiler command of its own.
      const expected = words.map((word) => word.replaceAll('-DX', 'x'));
      const run = spawnSync('gcc', ['-###', '-E', '-x', 'c', '@r', 'last.c'], { cwd: dir, encoding: 'utf8' });
      const commands = run.stderr.split('\n').flatMap((line) => {
        const command = splitCommand(line);
        return command?.[0]?.endsWith('/cc1') ? [command] : [];
      });
      assert.equal(commands.length, expected.length + 1, JSON.stringify(text));
      for (const [i, word] of expected.entries())
        assert.ok(commands[i]!.includes(word), `${JSON.stringify(text)}: ${commands[i]!.join(' ')}`);
    }
  } finally {
    rmSync(dir, { recursive: true });
  }
});

const FILES: Readonly<Record<string, string>> = {
  a: '-c @b c',
  b: '-O2 "x y"',
  loop: '@loop',
  lost: '@nowhere',
};

function read(path: string): { readonly text: string } | 'odd' | undefined {
  if (path === 'binary') return 'odd';
  const text = FILES[path];
  return text === undefined ? undefined : { text };
}

const EXPANSIONS: readonly (readonly [args: readonly string[], words: readonly string[] | undefined])[] = [
  [['-c'], ['-c']],
  [
    ['p', '@a', 'q'],
    ['p', '-c', '-O2', 'x y', 'c', 'q'],
  ],
  [['@nowhere'], ['@nowhere']],
  [['@lost'], ['@nowhere']],
  [['@loop'], undefined],
  [['@binary'], undefined],
];

for (const [args, words] of EXPANSIONS)
  test(`expands ${args.join(' ')}`, () => {
    const expanded = expandResponseFiles(args, read);
    if (words) assert.deepEqual(expanded, { kind: 'words', words });
    else assert.equal(expanded.kind, 'bad');
  });
