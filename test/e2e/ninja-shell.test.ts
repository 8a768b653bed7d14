// ninja's commands that are nothing but a tool call reach the shim without a shell, with the words the shell would have made.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Rig } from './rig.ts';

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

const outputs = COMMANDS.map((_, i) => `o${i}.o`);

function lay(): void {
  rmSync(rig.tree, { recursive: true, force: true });
  mkdirSync(rig.tree);
  writeFileSync(
    join(rig.tree, 'show.c'),
    '#ifndef TEXT\n#define TEXT ""\n#endif\n#ifdef OTHER\nint other;\n#endif\nconst char *text(void) { return TEXT; }\n',
  );
  const edges = COMMANDS.map(
    ([command], i) =>
      `rule r${i}\n  command = ${command.replaceAll('$', () => '$$').replaceAll('OUT', outputs[i]!)}\nbuild ${outputs[i]}: r${i} show.c\n`,
  );
  writeFileSync(join(rig.tree, 'build.ninja'), edges.join(''));
}

describe("ninja's shell", { skip }, () => {
  let plain: Map<string, string>;
  const objects = (): Map<string, string> => new Map([...rig.shot()].filter(([k]) => k.endsWith('.o')));
  before(() => {
    lay();
    const ran = rig.sh('ninja -k 0 2>&1');
    plain = objects();
    // The words of an empty -D are refused by gcc; the shell goes on.
    assert.equal(plain.size, COMMANDS.length - 1, ran.out);
  });

  test('the objects are those of plain ninja', () => {
    lay();
    const ran = rig.sh('gg ninja -k 0');
    assert.deepEqual(objects(), plain, ran.out + ran.err);
  });

  test('a shell for those that need one, none for the others', () => {
    lay();
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
      assert.ok(
        runs.some((l) => /execve\("[^"]*\/gcc"/.test(l)),
        `${command} reached gcc:\n${runs.join('\n')}`,
      );
    }
  });
});
