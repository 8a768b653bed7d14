// What `gg ninja` and `gg make` show on a terminal while they force, with a terminal made by script(1).
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Rig } from './rig.ts';

const missing = ['ninja', 'script'].filter((t) => spawnSync(t, ['--version']).error);
const skip = missing.length > 0 ? `${missing.join(', ')} not installed` : false;

/** Takes a compiler half a second or so: 2^11 functions. */
function slowUnit(): string {
  const lines = [
    '#define F0 X(__COUNTER__)',
    '#define X(n) Y(n)',
    '#define Y(n) int f##n(int a) { return a * n; }',
  ];
  for (let i = 1; i <= 11; i++) lines.push(`#define F${i} F${i - 1} F${i - 1}`);
  return `${lines.join('\n')}\nF11\n`;
}

describe('progress', { skip }, () => {
  const rig = new Rig();
  after(() => rig.close());
  before(() => {
    mkdirSync(join(rig.tree, 'b'), { recursive: true });
    writeFileSync(join(rig.tree, 'slow.c'), slowUnit());
    writeFileSync(join(rig.tree, 'quick.c'), 'int q;\n');
    writeFileSync(
      join(rig.tree, 'b', 'build.ninja'),
      [
        'rule cc\n  command = gcc -O2 -c $in -o $out',
        'rule ar\n  command = ar rc $out $in && ranlib $out',
        'build obj/slow.o: cc ../slow.c',
        'build quick.o: cc ../quick.c',
        'build lib/all.a: ar obj/slow.o quick.o\n',
      ].join('\n'),
    );
    writeFileSync(
      join(rig.tree, 'Makefile'),
      'all: m.a\nm.a: slow.o quick.o\n\tar rc $@ $^\n%.o: %.c\n\tgcc -O2 -c $< -o $@\n',
    );
  });
  const onTerminal = (command: string): string => {
    const ran = rig.sh(`script -qec '${command}' /dev/null`, { TERM: 'xterm', NO_COLOR: '1' });
    assert.equal(ran.code, 0, ran.out);
    return ran.out;
  };

  test('gg ninja: steps done of all, named as in build.ninja', () => {
    const shown = onTerminal('gg ninja -C b');
    assert.match(shown, /gg: \[[01]\/3\] obj\/slow\.o; 1 running/);
    assert.doesNotMatch(shown, /\[\d+\/(?:[4-9]|\d\d)\]/, 'ranlib belongs to the step of ar');
    assert.match(shown, /gg: 4 ran, 0 memoized/);
  });

  test('gg make: counts', () => {
    assert.match(onTerminal('gg make'), /gg: \d forced, \d running, \d memoized, \d remaining/);
  });

  test('nothing of it without a terminal, with --quiet and with --json', () => {
    for (const options of ['', '--quiet', '--json']) {
      rig.sh('gg clean --force; rm -rf b/obj b/lib b/quick.o b/.ninja_*');
      const command = `gg ${options} ninja -C b`;
      const ran = options === '' ? rig.sh(command) : { out: onTerminal(command), err: '' };
      assert.doesNotMatch(ran.out + ran.err, /\d running/);
    }
  });
});
