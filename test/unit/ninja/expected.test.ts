import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { expectedCalls } from '../../../src/ninja/expected.ts';
import { loadManifest } from '../../../src/ninja/manifest.ts';
import { plainWords } from '../../../src/ninja/words.ts';

describe('words', () => {
  const cases: readonly [string, string[] | undefined][] = [
    ['cc  -c a.c', ['cc', '-c', 'a.c']],
    [`cc '-DX="a b"' -c`, ['cc', '-DX="a b"', '-c']],
    ['cc -DX=\\"y\\" "a b"c', ['cc', '-DX="y"', 'a bc']],
    ['cc "a\\nb" "\\\\" \'\'', ['cc', 'a\\nb', '\\', '']],
    ['cd x && cc -c a.c', undefined],
    ['cc -c a.c > log', undefined],
    ['cc $FLAGS', undefined],
    ['cc "$FLAGS"', undefined],
    ["cc '$FLAGS'", ['cc', '$FLAGS']],
    ['cc *.c', undefined],
    ['LANG=C cc -c a.c', undefined],
    ["cc 'open", undefined],
    ['cc "open', undefined],
    ['cc end\\', undefined],
    ['', undefined],
  ];
  for (const [text, words] of cases)
    test(JSON.stringify(text), () => assert.deepEqual(plainWords(text), words));
});

describe('expected calls', () => {
  const RULES = `rule cc
  command = cc -c $in -o $out
rule shell
  command = cd . && cc -c $in -o $out
rule gen
  command = ./gen $out
rule configure
  command = configure
  generator = 1
`;
  const calls = (builds: string, times: Record<string, number>, targets: string[] = []): string[] => {
    const manifest = loadManifest('build.ninja', { readFile: () => Buffer.from(RULES + builds) });
    return expectedCalls(manifest, targets, (path) =>
      times[path] === undefined ? undefined : BigInt(times[path]),
    ).calls.map((c) => c.at(-1)!);
  };
  const two = 'build a.o: cc a.c\nbuild b.o: cc b.c | b.h\n';
  const sources = { 'a.c': 1, 'b.c': 1, 'b.h': 1 };

  test('what is out of date, by presence and by time', () => {
    assert.deepEqual(calls(two, sources), ['a.o', 'b.o']);
    assert.deepEqual(calls(two, { ...sources, 'a.o': 2, 'b.o': 2 }), []);
    assert.deepEqual(calls(two, { ...sources, 'a.o': 2, 'b.o': 2, 'b.h': 3 }), ['b.o']);
  });
  test('only for the targets', () => assert.deepEqual(calls(two, sources, ['b.o']), ['b.o']));
  test('nothing that needs a shell', () => assert.deepEqual(calls('build a.o: shell a.c\n', sources), []));
  test('nothing that waits for a generated file, also through a phony name and order only', () => {
    const generated =
      'build g.h: gen\nbuild all_h: phony g.h\nbuild a.o: cc a.c || all_h\nbuild b.o: cc b.c\n';
    assert.deepEqual(calls(generated, sources), ['b.o']);
    assert.deepEqual(calls(generated, { ...sources, 'g.h': 1 }), ['b.o']);
    assert.deepEqual(calls('build none: phony\nbuild a.o: cc a.c || none\n', sources), ['a.o']);
  });
  test('nothing when a source is missing', () => assert.deepEqual(calls(two, { 'a.c': 1 }), ['a.o']));
  test('nothing when the manifest is about to be made anew', () => {
    const self = `${two}build build.ninja: configure configure.in\n`;
    assert.deepEqual(calls(self, { ...sources, 'build.ninja': 2, 'configure.in': 1 }), ['a.o', 'b.o']);
    assert.deepEqual(calls(self, { ...sources, 'build.ninja': 2, 'configure.in': 3 }), []);
  });
});
