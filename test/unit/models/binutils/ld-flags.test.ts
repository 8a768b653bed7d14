import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LONG_FLAGS, SHORT_FLAGS } from '../../../../src/models/binutils/ld-flags.ts';
import { type LdCommand, type LdRefused, parseLd } from '../../../../src/models/binutils/ld-parse.ts';
import { helpOptions } from './help.ts';

/** Options of the ELF linker that the table leaves out, each answered by a bypass. */
const LEFT_OUT = ['--architecture', '-a', '-dT'];

function files(parsed: LdCommand | LdRefused): readonly string[] | LdRefused {
  return parsed.kind === 'refused'
    ? parsed
    : parsed.inputs.map((i) => (i.kind === 'file' ? i.path : `-l${i.name}`));
}

test('the tables are sorted', () => {
  for (const table of [LONG_FLAGS, SHORT_FLAGS])
    assert.deepEqual(Object.keys(table), Object.keys(table).sort());
});

/** The help shows these without a value, or in a form of its own; ld takes one. */
const VALUED = ['-O', '--default-script', '--sort-section'];
/** Theirs stands behind "=" only, which the help does not tell apart. */
const JOINED = ['-flto-partition', '-fuse-ld'];

const options = helpOptions('ld', 30, /^i386pe/);

test('ld itself lists what the table knows', () => {
  assert.ok(options.length > 200, `${options.length} options`);
  const unknown = options.flatMap((o) => {
    const parsed = parseLd([o.spelling, 'x.o']);
    return parsed.kind === 'refused' && parsed.reason === 'unknown-flag' && !parsed.detail.endsWith('value')
      ? [o.spelling]
      : [];
  });
  assert.deepEqual(unknown.sort(), LEFT_OUT);
});

for (const { spelling, value } of options)
  test(`${spelling}: ${value}`, () => {
    const parsed = files(parseLd([spelling, 'word', 'x.o']));
    if (!Array.isArray(parsed)) return assert.notEqual((parsed as LdRefused).reason, 'internal-error');
    const takes = VALUED.includes(spelling) || (value === 'value' && !JOINED.includes(spelling));
    const library = spelling === '-l' || spelling === '--library' ? ['-lword'] : [];
    assert.deepEqual(parsed, [...library, ...(takes ? [] : ['word']), 'x.o']);
    if (value === 'none' && !takes) assert.deepEqual(files(parseLd(['x.o', spelling])), ['x.o']);
  });

const PARSED: readonly (readonly [args: string, what: Partial<LdCommand>])[] = [
  ['-o out x.o', { output: 'out', outputAt: { index: 1, prefix: '' } }],
  ['-oout x.o', { output: 'out', outputAt: { index: 0, prefix: '-o' } }],
  ['--output=out x.o', { output: 'out', outputAt: { index: 0, prefix: '--output=' } }],
  ['-output=out x.o', { output: 'utput=out', outputAt: { index: 0, prefix: '-o' } }],
  ['-omagic x.o', { output: 'magic', outputAt: { index: 0, prefix: '-o' } }],
  ['-r x.o', { relocatable: true }],
  ['-Ur x.o', { relocatable: true }],
  ['--relocatable x.o', { relocatable: true }],
  ['-La -L b --library-path=c', { directories: ['a', 'b', 'c'] }],
  ['-rpath a:b --rpath=c -rpath-link d', { rpaths: ['a', 'b', 'c'], rpathLinks: ['d'] }],
  ['-Tx.ld --version-script v.map --dynamic-list=l', { files: ['x.ld', 'v.map', 'l'] }],
  ['-Ttext 0x100 x.o', { files: [] }],
  ['-plugin p.so -plugin-opt=a --plugin=q.so', { plugins: ['p.so', 'q.so'], pluginOptions: ['a'] }],
  ['-m elf_i386', { emulation: 'elf_i386' }],
  ['-melf_i386', { emulation: 'elf_i386' }],
  ['--sysroot=/s', { sysroot: '/s' }],
  [
    '-Bstatic -la -Bdynamic -lb -static --push-state -dy -lc --pop-state -ld',
    {
      inputs: [
        { kind: 'library', name: 'a', static: true },
        { kind: 'library', name: 'b', static: false },
        { kind: 'library', name: 'c', static: false },
        { kind: 'library', name: 'd', static: true },
      ],
    },
  ],
  [
    '-( a.o -l:x.a -)',
    {
      inputs: [
        { kind: 'file', path: 'a.o', static: false },
        { kind: 'library', name: ':x.a', static: false },
      ],
    },
  ],
];
for (const [args, what] of PARSED)
  test(`ld ${args}`, () => {
    const parsed = parseLd(args.split(' '));
    for (const [key, wanted] of Object.entries(what))
      assert.deepEqual((parsed as unknown as Record<string, unknown>)[key], wanted);
  });

const REFUSED: readonly (readonly [args: string, reason: string])[] = [
  ['@file', 'bad-response-file'],
  ['-Map out.map', 'output-names-itself'],
  ['-M', 'writes-stdout'],
  ['--cref', 'writes-stdout'],
  ['--version', 'asks-version'],
  ['-V', 'asks-version'],
  ['--dependency-file=d', 'side-files'],
  ['--out-implib=x', 'side-files'],
  ['-b binary', 'too-hard-flag'],
  ['-R file', 'too-hard-flag'],
  ['--frobnicate', 'unknown-flag'],
  ['-Y dir', 'too-hard-flag'],
  ['-Ydir', 'too-hard-flag'],
  ['-o', 'unknown-flag'],
  ['-nq', 'unknown-flag'],
];
for (const [args, reason] of REFUSED)
  test(`ld ${args} is left to ld`, () => {
    const parsed = parseLd(args.split(' '));
    assert.equal(parsed.kind === 'refused' ? parsed.reason : 'followed', reason);
  });
