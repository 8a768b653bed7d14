// ninja's commands that are nothing but a tool call: the server is asked for them without a shell and, once ninja is known to go
// about it as expected, without a process. What ninja says, makes and ends with is what it is without us.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { processesOf, slowUnit } from './processes.ts';
import { type Ran, Rig } from './rig.ts';

const rig = new Rig();
after(() => rig.close());
const missing = ['ninja', 'strace'].filter((t) => spawnSync(t, ['--version']).error);
const skip = missing.length > 0 ? `${missing.join(', ')} not installed` : false;

/** Commands as the shell gets them, and whether it is needed. `show.c` prints its macros into the object. */
const COMMANDS: readonly (readonly [command: string, shell: boolean])[] = [
  ['gcc -c show.c -o OUT', false],
  ['/usr/bin/gcc   -g -c show.c  -o OUT ', false],
  ['gcc -DTEXT=\\"a\\ b\\" -c show.c -o OUT', false],
  ['gcc \'-DTEXT="it is $HOME `x` \\n"\' -c show.c -o OUT', false],
  ['gcc "-DTEXT=\\"two words \\\\x41 ; | & > <\\"" -c show.c -o OUT', false],
  ['gcc -DTEXT=\'"a\'\'b"\' -D"OTHER"=1 -c show.c -o OUT', false],
  ['gcc -D"" -c show.c -o OUT || true', true],
  ['gcc -DTEXT=\'"\'"$HOME"\'"\' -c show.c -o OUT', true],
  ['LC_ALL=C gcc -c show.c -o OUT', true],
  ['gcc -c sho?.c -o OUT', true],
  ['gcc -c show.c -o OUT # no more', true],
  ['gcc -c show.c -o OUT && :', true],
  ['gcc -DTEXT=\\"{a,b}\\" -c show.c -o OUT', true],
  ['gcc -DTEXT=\\"~\\" -c show.c -o OUT', true],
  ['gcc -I~ -c show.c -o OUT', true],
];
const SHOW =
  '#ifndef TEXT\n#define TEXT ""\n#endif\n#ifdef OTHER\nint other;\n#endif\nconst char *text(void) { return TEXT; }\n';
/** Ninja believes in processes only by and by; these are there to convince it. */
const FIRST = 4;
/** Bytes a pipe holds: what a tool says must not end there. */
const PIPE_BYTES = 65_536;
/** Some seconds of compiling. */
const DOUBLINGS = 14;
const WAIT_MS = 30_000;
const STEP_MS = 20;

/** An empty tree with a source for each of the first edges, and these edges behind them. */
function lay(edges: readonly (readonly [output: string, command: string, binding?: string])[]): void {
  rmSync(rig.tree, { recursive: true, force: true });
  mkdirSync(rig.tree);
  writeFileSync(join(rig.tree, 'show.c'), SHOW);
  const first = Array.from({ length: FIRST }, (_, i) => `first${i}.o`);
  const all = [
    ...first.map((o) => [o, 'gcc -c show.c -o OUT', ''] as const),
    ...edges.map(([o, c, binding = '']) => [o, c, binding] as const),
  ];
  const text = all.map(
    ([output, command, binding], i) =>
      `rule r${i}\n  command = ${command.replaceAll('$', () => '$$').replaceAll('OUT', output)}\n` +
      `build ${output}: r${i} show.c ${i < FIRST ? '' : `|| ${first.join(' ')}`}\n${binding}`,
  );
  writeFileSync(join(rig.tree, 'build.ninja'), text.join(''));
}

const write = (name: string, text: string): void => writeFileSync(join(rig.tree, name), text);
const isThere = (name: string): boolean => existsSync(join(rig.tree, name));
const objects = (): Map<string, string> => new Map([...rig.shot()].filter(([k]) => k.endsWith('.o')));
const compiling = (): boolean => processesOf(rig.home).some((p) => /cc1.*slow\.c/.test(p.what));

async function until(what: () => boolean): Promise<void> {
  const end = Date.now() + WAIT_MS;
  while (!what()) {
    assert.ok(Date.now() < end, `within ${WAIT_MS} ms: ${what}`);
    await sleep(STEP_MS);
  }
}

/** Starts ninja on a unit that takes long, for tools that answer at once, and acts when it is being compiled. */
async function whileNinjaWaits(act: (ninja: number) => void): Promise<number | null> {
  const run = spawn('bash', ['-c', 'exec gg ninja -j1'], {
    cwd: rig.tree,
    env: { ...rig.env, GG_MODE: 'sync' },
    stdio: 'ignore',
    detached: true,
  });
  const ended = new Promise<number | null>((resolve) => run.once('exit', resolve));
  await until(compiling);
  act(run.pid!);
  return ended;
}

describe("ninja's edges", { skip }, () => {
  describe('the words of a command', () => {
    const outputs = COMMANDS.map((_, i) => `o${i}.o`);
    const edges = COMMANDS.map(([command], i) => [outputs[i]!, command] as const);
    let plain: Map<string, string>;
    before(() => {
      lay(edges);
      const ran = rig.sh('ninja -k 0 2>&1');
      plain = objects();
      // The words of an empty -D are refused by gcc; the shell goes on.
      assert.equal(plain.size, FIRST + COMMANDS.length - 1, ran.out);
    });
    beforeEach(() => lay(edges));

    test('the objects are those of plain ninja', () => {
      const ran = rig.sh('gg ninja -k 0');
      assert.deepEqual(objects(), plain, ran.out + ran.err);
    });

    test('a shell for those that need one, no process for the others', () => {
      assert.equal(rig.sh('gg status --json').code, 0);
      rig.sh('strace -f -qq -s 4096 -e trace=execve -o ../execs gg infer -- ninja -k 0 -j1');
      const lines = readFileSync(join(rig.home, 'execs'), 'utf8').split('\n');
      for (const [i, [command, shell]] of COMMANDS.entries()) {
        const runs = lines.filter((l) => l.includes(outputs[i]!) && !l.includes('ENOENT'));
        assert.equal(
          runs.some((l) => l.includes('execve("/bin/sh"')),
          shell,
          `${command}:\n${runs.join('\n')}`,
        );
        assert.equal(
          runs.some((l) => /execve\("[^"]*\/gcc"/.test(l)),
          shell,
          `${command}:\n${runs.join('\n')}`,
        );
        // The shell's || true: gcc refuses its words.
        if (i !== 6) assert.ok(isThere(outputs[i]!), `${command} was deferred`);
      }
    });
  });

  /** What ninja prints and ends with, plain and wrapped; tools answer at once. */
  function bothWays(command: string, prepare: () => void): [plain: Ran, wrapped: Ran] {
    const runs = [false, true].map((wrapped) => {
      prepare();
      return wrapped ? rig.sh(command.replace('ninja', 'gg ninja'), { GG_MODE: 'sync' }) : rig.sh(command);
    });
    return [runs[0]!, runs[1]!];
  }

  test('what a tool says comes whole and in order, however long', () => {
    const [plain, wrapped] = bothWays('ninja -j1', () => {
      lay([['loud.o', 'gcc -Wall -c loud.c -o OUT']]);
      write('loud.c', Array.from({ length: 1500 }, (_, i) => `static int unused_${i};\n`).join(''));
    });
    assert.ok(plain.out.length > 2 * PIPE_BYTES, `${plain.out.length} bytes`);
    assert.deepEqual(wrapped, plain);
  });

  test('a failure is ninja’s to tell, and -k goes on', () => {
    for (const flags of ['', '-k 0']) {
      const [plain, wrapped] = bothWays(`ninja -j1 ${flags}`, () => {
        lay([
          ['bad.o', 'gcc -c bad.c -o OUT'],
          ['good.o', 'gcc -c good.c -o OUT'],
        ]);
        write('bad.c', 'int f(void) { return nothing; }\n');
        write('good.c', 'int g;\n');
      });
      assert.equal(plain.code, 1);
      assert.deepEqual({ code: wrapped.code, out: wrapped.out }, { code: plain.code, out: plain.out });
      assert.equal(isThere('bad.o'), false);
    }
  });

  test('a tool that a signal ends: the shell has words for it, and ninja goes on being asked', () => {
    for (const signal of ['SEGV', 'TERM', 'INT']) {
      const [plain, wrapped] = bothWays('ninja -j1 -k 0', () => {
        lay([
          ['ends.o', `gcc -wrapper ./end,${signal} -c show.c -o OUT`],
          ['good.o', 'gcc -c show.c -o OUT'],
        ]);
        write('end', '#!/bin/sh\nkill -$1 $PPID\nsleep 0.2\n');
        rig.sh('chmod +x end');
      });
      assert.notEqual(plain.code, 0);
      assert.deepEqual({ code: wrapped.code, out: wrapped.out }, { code: plain.code, out: plain.out });
    }
  });

  test('a tool that is a script without a first line', () => {
    const [plain, wrapped] = bothWays('PATH=$PWD/own:$PATH ninja -j1', () => {
      lay([]);
      mkdirSync(join(rig.tree, 'own'));
      write('own/gcc', 'echo script "$@"\nexec /usr/bin/gcc "$@"\n');
      rig.sh('chmod +x own/gcc');
    });
    assert.equal(plain.code, 0, plain.out);
    assert.deepEqual(wrapped, plain);
  });

  test('what the real tool has to do it does, beside others', () => {
    // Each waits for the other: run one after the other they fail.
    const meet = (own: string, other: string): string =>
      `gcc -wrapper ./meet,${own},${other} -c show.c -o OUT`;
    const [plain, wrapped] = bothWays('ninja -j2', () => {
      lay([
        ['a.o', meet('a', 'b')],
        ['b.o', meet('b', 'a')],
        ['says.o', 'gcc -print-prog-name=as'],
        ['own.o', 'gcc -v -pipe -c show.c -o OUT', '  pool = console\n'],
      ]);
      write(
        'meet',
        '#!/bin/sh\ntouch here-$1\ni=0\nwhile [ ! -e here-$2 ]; do i=$((i+1)); [ $i -lt 200 ] || exit 1; sleep 0.1; done\nshift 2\nexec "$@"\n',
      );
      rig.sh('chmod +x meet');
    });
    assert.equal(plain.code, 0, plain.out);
    assert.equal(wrapped.code, 0, wrapped.out + wrapped.err);
    assert.ok(wrapped.out.includes('/as\n') || /^as$/m.test(wrapped.out), wrapped.out);
  });

  test('hundreds at a time', () => {
    const many = Array.from({ length: 300 }, (_, i) => `m${i}`);
    const prepare = (): void => {
      lay(many.map((m) => [`${m}.o`, `gcc -c ${m}.c -o OUT`]));
      for (const [i, m] of many.entries()) write(`${m}.c`, `int ${m} = ${i};\n`);
    };
    prepare();
    assert.equal(rig.sh('ninja').code, 0);
    const plain = objects();
    prepare();
    const ran = rig.sh('gg ninja -j200');
    assert.equal(ran.code, 0, ran.err);
    assert.deepEqual(objects(), plain);
    assert.match(rig.sh('ninja').out, /no work to do/);
  });

  test('Ctrl-C: ninja ends, and nothing appears afterwards', async () => {
    lay([['slow.o', 'gcc -c slow.c -o OUT']]);
    write('slow.c', slowUnit(1, DOUBLINGS));
    const code = await whileNinjaWaits((group) => void process.kill(-group, 'SIGINT'));
    assert.notEqual(code, 0);
    // The compile may go on in the server, for the memo; nobody gets a file of it.
    await until(() => !compiling());
    await sleep(10 * STEP_MS);
    assert.equal(isThere('slow.o'), false);
  });

  test('a server that is killed while ninja waits: the tool runs after all', async () => {
    const prepare = (): void => {
      lay([['slow.o', 'gcc -c slow.c -o OUT']]);
      write('slow.c', slowUnit(2, DOUBLINGS));
    };
    prepare();
    assert.equal(rig.sh('ninja').code, 0);
    const plain = objects();
    prepare();
    await whileNinjaWaits(() => {
      const server = processesOf(rig.home).find((p) => /gg-server/.test(p.what));
      process.kill(server!.pid, 'SIGKILL');
    });
    assert.equal(rig.sh('gg force').code, 0);
    assert.deepEqual(objects(), plain);
  });
});
