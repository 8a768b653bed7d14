import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type NinjaArgs, parseNinjaArgs } from '../../../src/ninja/ninja-args.ts';

const PLAIN: NinjaArgs = {
  kind: 'build',
  directory: undefined,
  file: 'build.ninja',
  jobs: undefined,
  keepGoing: 1,
  maxLoad: undefined,
  dryRun: false,
  verbosity: 'normal',
  debug: [],
  dupbuild: 'err',
  phonycycle: 'warn',
  targets: [],
};

const BUILDS: readonly (readonly [line: string, expected: Partial<NinjaArgs>])[] = [
  ['', {}],
  ['all', { targets: ['all'] }],
  ['-C out -f x.ninja', { directory: 'out', file: 'x.ninja' }],
  ['-Cout -Cother -fx', { directory: 'other', file: 'x' }],
  ['-j4', { jobs: 4 }],
  ['-j 0', { jobs: Infinity }],
  ['-j +7', { jobs: 7 }],
  ['-k0', { keepGoing: Infinity }],
  ['-k -3', { keepGoing: Infinity }],
  ['-k 5', { keepGoing: 5 }],
  ['-l 2.5x', { maxLoad: 2.5 }],
  ['-nv', { dryRun: true, verbosity: 'verbose' }],
  ['-nvj3 a', { dryRun: true, verbosity: 'verbose', jobs: 3, targets: ['a'] }],
  ['--verbose', { verbosity: 'verbose' }],
  ['--verb', { verbosity: 'verbose' }],
  ['--q', { verbosity: 'quiet' }],
  ['-v --quiet', { verbosity: 'quiet' }],
  ['-d stats -dexplain', { debug: ['stats', 'explain'] }],
  ['-w dupbuild=warn -w phonycycle=err', { dupbuild: 'warn', phonycycle: 'err' }],
  ['-w depfilemulti=err', {}],
  ['a -j2 b -- -v c', { jobs: 2, targets: ['a', 'b', '-v', 'c'] }],
  ['- a^', { targets: ['-', 'a^'] }],
];

for (const [line, expected] of BUILDS) {
  test(`ninja ${line}`, () => {
    const args = line === '' ? [] : line.split(' ');
    assert.deepEqual(parseNinjaArgs(args), { ...PLAIN, ...expected });
  });
}

test('an empty number is 0, as strtol has it', () => {
  assert.deepEqual(parseNinjaArgs(['-j', '']), { ...PLAIN, jobs: Infinity });
});

test('everything behind -t belongs to the tool, targets before it are lost', () => {
  assert.deepEqual(parseNinjaArgs(['x', '-C', 'out', '-t', 'commands', '-s', 'all', '-v']), {
    kind: 'tool',
    directory: 'out',
    file: 'build.ninja',
    tool: 'commands',
    args: ['-s', 'all', '-v'],
  });
  assert.deepEqual(parseNinjaArgs(['-vtclean']), {
    kind: 'tool',
    directory: undefined,
    file: 'build.ninja',
    tool: 'clean',
    args: [],
  });
});

const NO_BUILD = [
  ['--version', 'version'],
  ['a --vers', 'version'],
  ['-h', 'help'],
  ['--help', 'help'],
  ['-d list', 'list'],
  ['-w list', 'list'],
  ['-t list', 'list'],
  ['-x', 'usage'],
  ['-nx', 'usage'],
  ['--nope', 'usage'],
  ['--ver', 'usage'],
  ['--verbose=1', 'usage'],
  ['-j', 'usage'],
  ['-j x', 'usage'],
  ['-j -1', 'usage'],
  ['-j 4x', 'usage'],
  ['-k x', 'usage'],
  ['-l x', 'usage'],
  ['-C', 'usage'],
  ['-d nope', 'usage'],
  ['-w nope', 'usage'],
] as const;

for (const [line, reason] of NO_BUILD) {
  test(`ninja ${line} builds nothing: ${reason}`, () => {
    const result = parseNinjaArgs(line.split(' '));
    assert.equal(result.kind, 'no-build');
    assert.equal(result.kind === 'no-build' && result.reason, reason);
  });
}
