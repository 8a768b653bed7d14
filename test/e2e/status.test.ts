// Recipes that look at how a call ended: what they decide must be what they decide without us.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { Rig } from './rig.ts';

const rig = new Rig();
after(() => rig.close());

const FILES: Readonly<Record<string, string>> = {
  'good.c': 'int good;\n',
  'bad.c': 'int bad = ;\n',
  'check.sh': '#!/bin/sh\nif gcc -c bad.c 2>err; then echo yes >have; else echo no >have; fi\n',
  'steps.sh': '#!/bin/sh\ngcc -c bad.c 2>/dev/null\necho $? >have\n',
  'check.py':
    'import subprocess, sys\nopen("have", "w").write(str(subprocess.call([sys.argv[1], "-c", "bad.c"])))\n',
};

function lay(makefile: string): void {
  rmSync(rig.tree, { recursive: true, force: true });
  mkdirSync(rig.tree);
  for (const [name, text] of Object.entries(FILES))
    writeFileSync(join(rig.tree, name), text, { mode: 0o755 });
  writeFileSync(join(rig.tree, 'Makefile'), makefile);
}

function names(): string[] {
  return readdirSync(rig.tree).sort();
}

const RECIPES: readonly (readonly [what: string, makefile: string])[] = [
  ['a script', 'all: ; ./check.sh'],
  ['a script given to a shell', 'all: ; sh ./check.sh'],
  ['steps of a script', 'all: ; ./steps.sh'],
  ['a variable of the shell', 'all: ; CC=gcc; if $$CC -c bad.c 2>/dev/null; then echo yes >have; fi'],
  ['a loop', 'all: ; for f in bad good; do gcc -c $$f.c 2>/dev/null && echo $$f >>have; done; true'],
  ['a stamp after &&', 'all: ; -gcc -c bad.c && touch have'],
  ['what is copied after &&', 'all: ; -gcc -c bad.c && cp good.c have'],
  [
    'a bash option before -c',
    'SHELL = /bin/bash\n.SHELLFLAGS = -o pipefail -c\nall: ; gcc -c bad.c || echo no >have',
  ],
  ['another program', 'all: ; python3 check.py gcc'],
];

describe('what a recipe decides', () => {
  for (const [what, makefile] of RECIPES) {
    const missing = /(?:python3)/.exec(makefile)?.[0];
    const skip = missing !== undefined && spawnSync(missing, ['--version']).status !== 0 && `no ${missing}`;
    test(what, { skip }, () => {
      lay(makefile);
      const plain = rig.sh('make');
      const expected = rig.shot();
      for (const command of ['gg make', 'gg make --preload=0']) {
        lay(makefile);
        const ran = rig.sh(command);
        assert.equal(ran.code, plain.code, ran.err);
        assert.deepEqual(rig.shot(), expected, command);
      }
    });
  }
});

describe('a recipe that goes on after a call that was put off', () => {
  const STAMP = 'stamp: ; gcc -c good.c\n\tgcc -c bad.c\n\ttouch stamp\n';
  const lines = STAMP.replace(' ; ', '\n\t');

  test('fails again, and is made up for when its sources are right', () => {
    lay(lines);
    for (let i = 0; i < 3; i++) {
      const ran = rig.sh('gg make');
      assert.equal(ran.code, 2, `build ${i}`);
      assert.ok(!names().includes('bad.o'));
      if (i < 2) assert.match(ran.err, /bad\.c:1:11: error/);
      // make takes the stamp for its target: what failed must not be forgotten, though its sources are others now.
      if (i === 1) writeFileSync(join(rig.tree, 'bad.c'), 'int bad = 1;\n');
      if (i === 2) assert.match(ran.err, /bad\.o: an earlier build failed to make it/);
    }
    rig.sh('rm stamp');
    assert.equal(rig.sh('gg make').code, 0);
    assert.ok(names().includes('bad.o'));
    assert.equal(rig.sh('gg make').code, 0);
  });

  test('another Makefile, another target, a target that was made: nothing is owed', () => {
    lay(`${lines}other: ; gcc -c good.c -o other.o\n`);
    assert.equal(rig.sh('gg make').code, 2);
    assert.equal(rig.sh('gg make other').code, 0);
    writeFileSync(join(rig.tree, 'bad.o'), '');
    assert.equal(rig.sh('gg make').code, 0);
    assert.equal(rig.sh('rm bad.o stamp; gg make').code, 2);
    writeFileSync(join(rig.tree, 'Makefile'), 'stamp: ; touch stamp\n');
    assert.equal(rig.sh('gg make').code, 0);
  });

  test('a source that is gone, a Makefile below that names it no more: nothing is owed', () => {
    lay('all: $(patsubst %.c,%.o,$(wildcard *.c))\n');
    assert.equal(rig.sh('gg make').code, 2);
    const removed = rig.sh('rm bad.c; gg make');
    assert.equal(removed.code, 0, removed.err);
    lay('all: ; $(MAKE) -C sub\n');
    rig.sh('mkdir sub; mv *.c sub; printf "all: good.o bad.o\\n" > sub/Makefile');
    assert.equal(rig.sh('gg make').code, 2);
    const unnamed = rig.sh('echo all: good.o > sub/Makefile; gg make');
    assert.equal(unnamed.code, 0, unnamed.err);
  });

  test('another tree at the same place, another file that the command names: nothing is owed', () => {
    const other = 'stamp: ; touch stamp\n';
    lay(lines);
    assert.equal(rig.sh('gg make').code, 2);
    lay(lines);
    rig.sh('touch stamp');
    assert.equal(rig.sh('gg make').code, 0);
    writeFileSync(join(rig.home, 'rules'), lines);
    rig.sh('rm -f stamp *.o');
    assert.equal(rig.sh('gg make -f ../rules').code, 2);
    rig.sh('rm stamp');
    writeFileSync(join(rig.home, 'rules'), other);
    assert.equal(rig.sh('gg make -f ../rules').code, 0);
  });

  test('clean and the build again: the calls are repeated', () => {
    lay(`${lines}clean: ; rm -f stamp *.o\n`);
    assert.equal(rig.sh('gg make').code, 2);
    assert.equal(rig.sh('gg make clean').code, 0);
    writeFileSync(join(rig.tree, 'bad.c'), 'int bad = 1;\n');
    const ran = rig.sh('gg make');
    assert.equal(ran.code, 0, ran.err);
  });
});
