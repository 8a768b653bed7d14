import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { Decomposer, readTemplate } from '../../../../src/engine/local/without-driver.ts';
import type { ForceJob } from '../../../../src/engine/engine.ts';
import type { ProcessRunner } from '../../../../src/base/process-runner.ts';
import type { ObjectName } from '../../../../src/ir/name.ts';
import type { Arg } from '../../../../src/ir/thunk.ts';

let asked = 0;
const runner: ProcessRunner = {
  run: async (request) => {
    asked++;
    const r = spawnSync(request.file, request.argv.slice(1), { cwd: request.cwd, argv0: request.argv[0]! });
    return {
      startErrno: 0,
      exitCode: r.status ?? -1,
      signal: 0,
      timedOut: false,
      wallUs: 0,
      cpuUs: 0,
      stdout: r.stdout,
      stderr: r.stderr,
    };
  },
  close: async () => {},
};

const out: Arg = { prefix: '', output: 'out' };
function job(tool: string, args: readonly Arg[], source: string): ForceJob {
  const name = `V${'0'.repeat(64)}-0` as ObjectName;
  return {
    name,
    thunk: {
      tool,
      toolchain: 't',
      args,
      env: [],
      cwd: '',
      inputs: [{ path: source, name }],
      absent: [],
      outputs: [{ tag: 'out', path: 'x.o' }],
      salt: [],
    },
    placement: {
      realTool: `/usr/bin/${tool}`,
      cwd: '/p',
      pwd: '/p',
      searchPath: '/usr/bin:/bin',
      label: 'x.o',
      stage: 'compile',
      command: '',
      sandbox: 'none',
    },
  };
}

const parts = async (tool: string, args: readonly Arg[], source: string) =>
  new Decomposer(runner).commands(job(tool, args, source), tool, [], '/run/x.o', '/run/t.s');

test('the compiler and the assembler get the words the driver would give them', async () => {
  const args = ['-O2', '-g', '-DX="a \\b"', '-I', 'inc dir', '-c', 'src/a.c', '-o'];
  const [compile, assemble] = (await parts('gcc', [...args, out], 'src/a.c'))!;
  const r = spawnSync('gcc', ['-###', ...args, '/run/x.o']).stderr.toString();
  const theirs = r.split('\n').filter((line) => line.startsWith(' '));
  const quoted = (argv: readonly string[]): string =>
    ` ${argv.map((w) => (/^[\w./+,-]*$/.test(w) ? w : JSON.stringify(w))).join(' ')}`;
  const plain = (line: string): string => line.replace(/\S+\/cc\w{6}\.s/, '/run/t.s').replaceAll('"', '');
  assert.equal(plain(quoted(compile.argv)), plain(theirs[0]!));
  assert.equal(plain(quoted(assemble.argv)), plain(theirs[1]!));
  assert.ok(compile.argv.includes('X="a \\b"') && compile.argv.includes('inc dir'));
  assert.match(compile.file, /\/cc1$/);
  assert.equal(assemble.file, '/usr/bin/as');
});

test('one question a set of flags', async () => {
  const decomposer = new Decomposer(runner);
  asked = 0;
  for (const source of ['a.c', 'b.c', 'd/e.c'])
    assert.ok(
      await decomposer.commands(job('gcc', ['-c', source, '-o', out], source), 'gcc', [], '/r/x.o', '/r/t.s'),
    );
  assert.equal(asked, 1);
  assert.ok(
    await decomposer.commands(
      job('gcc', ['-O1', '-c', 'a.c', '-o', out], 'a.c'),
      'gcc',
      [],
      '/r/x.o',
      '/r/t.s',
    ),
  );
  assert.equal(asked, 2);
});

const WHOLE: readonly (readonly Arg[])[] = [
  ['-flto', '-c', 'a.c', '-o', out],
  ['-pipe', '-c', 'a.c', '-o', out],
  ['-save-temps', '-c', 'a.c', '-o', out],
  ['-v', '-c', 'a.c', '-o', out],
  ['-fdump-tree-all', '-c', 'a.c', '-o', out],
  ['-g', '-gsplit-dwarf', '-c', 'a.c', '-o', out],
  ['-DA=gg-source-mark', '-c', 'a.c', '-o', out],
  ['-c', 'a.c', { prefix: '-o', output: 'out' }],
  ['-c', 'a.c', 'a.c', '-o', out],
  ['-no-such-flag', '-c', 'a.c', '-o', out],
  // The driver itself warns.
  ['-mcpu=generic', '-c', 'a.c', '-o', out],
];
for (const args of WHOLE)
  test(`left to the driver: ${args.map(String).join(' ')}`, async () => {
    assert.equal(await parts('gcc', args, 'a.c'), undefined);
  });

test('C++ and assembler text', async () => {
  assert.match((await parts('g++', ['-c', 'a.cc', '-o', out], 'a.cc'))![0].file, /\/cc1plus$/);
  assert.equal(await parts('gcc', ['-c', 'a.s', '-o', out], 'a.s'), undefined);
});

test('an answer of another shape is not taken apart', () => {
  for (const printed of [
    '',
    ' /x/cc1 a\n',
    ' /x/cc1 a -o /tmp/ccabcdef.s\n as -o b /tmp/ccabcdef.s\n objcopy\n',
  ])
    assert.equal(readTemplate(printed, '.c', '/usr/bin'), undefined);
});
