import assert from 'node:assert/strict';
import { test } from 'node:test';
import { operandOf, RANLIB, STRIP } from '../../../../src/models/binutils/in-place.ts';
import { helpOptions } from './help.ts';

/** Options the tables leave out, each answered by a bypass: other formats, dates, another output, questions. */
const LEFT_OUT: Readonly<Record<string, readonly string[]>> = {
  strip: [
    ...['--help', '--info', '--input-target', '--output-target', '--preserve-dates', '--target', '--verbose'],
    ...['--version', '-F', '-I', '-O', '-V', '-h', '-p', '-v'],
  ],
  ranlib: ['--help', '--plugin', '--version', '-U', '-h', '-t', '-v'],
};

for (const [name, tool, column] of [
  ['strip', STRIP, 35],
  ['ranlib', RANLIB, 31],
] as const) {
  const options = helpOptions(name, column);
  test(`${name} itself lists what the table knows`, () => {
    assert.ok(options.length > 6);
    const unknown = options.filter(
      (o) => operandOf(tool, [o.spelling, ...(o.value === 'value' ? ['v'] : []), 'x']).kind !== 'operand',
    );
    assert.deepEqual(unknown.map((o) => o.spelling).sort(), LEFT_OUT[name]);
  });
  for (const { spelling, value } of options) {
    if (LEFT_OUT[name]!.includes(spelling)) continue;
    if (spelling === '-o') continue;
    test(`${name} ${spelling}: ${value}`, () => {
      const before = value === 'value' ? [spelling, 'word'] : [spelling];
      assert.deepEqual(operandOf(tool, [...before, 'x']), { kind: 'operand', index: before.length });
      if (value === 'value' && spelling.startsWith('--'))
        assert.deepEqual(operandOf(tool, [`${spelling}=word`, 'x']), { kind: 'operand', index: 1 });
      assert.deepEqual(operandOf(tool, ['x', ...before]), { kind: 'operand', index: 0 });
    });
  }
}

test('what cannot be followed is named', () => {
  assert.deepEqual(operandOf(STRIP, ['-g', 'a', 'b']), {
    kind: 'refused',
    reason: 'too-hard-flag',
    detail: '2 files',
  });
  assert.deepEqual(operandOf(STRIP, ['-g']), { kind: 'refused', reason: 'too-hard-flag', detail: '0 files' });
  assert.deepEqual(operandOf(STRIP, ['@f']), { kind: 'refused', reason: 'bad-response-file', detail: '@f' });
});

test('where the output stands', () => {
  assert.deepEqual(operandOf(STRIP, ['-o', 'b', 'a']), {
    kind: 'operand',
    index: 2,
    output: { index: 1, prefix: '' },
  });
  assert.deepEqual(operandOf(STRIP, ['a', '-ob']), {
    kind: 'operand',
    index: 0,
    output: { index: 1, prefix: '-o' },
  });
  assert.deepEqual(operandOf(STRIP, ['a', '-o']), { kind: 'refused', reason: 'unknown-flag', detail: '-o' });
  assert.deepEqual(operandOf(RANLIB, ['-o', 'a']), { kind: 'refused', reason: 'unknown-flag', detail: '-o' });
});
