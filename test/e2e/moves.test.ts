// Placeholders that get another name before their thunk is done: nothing stays one, nothing is written over what took its place.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { type Ran, Rig, root } from './rig.ts';

const rig = new Rig();
const out = join(rig.home, 'out');
after(() => rig.close());

/** A plain make that names our compiler: no preload library. */
const named = 'PATH=$(gg native):$PATH make CC=gg-cc';

/** Sources anew each time, so that no thunk is in the memo. */
let generation = 0;

const at = (path: string): string => (path.startsWith('/') ? path : join(rig.tree, path));
const isPlaceholder = (path: string): boolean => readFileSync(at(path), 'latin1').includes('gg-placeholder');
const defines = (path: string, name: string): boolean =>
  readFileSync(at(path), 'latin1').includes(`${name}_${generation}_`);

/** Runs a recipe below make, in a session that forces only what is opened. */
function infer(recipe: string, env: Record<string, string> = {}): Ran {
  writeFileSync(
    at('Makefile'),
    `all:\n${recipe
      .split('\n')
      .map((line) => `\t@${line.trim()}\n`)
      .join('')}`,
  );
  return rig.sh('gg infer -- make', env);
}

function inferred(recipe: string): void {
  const ran = infer(recipe);
  assert.deepEqual({ code: ran.code, err: ran.err }, { code: 0, err: '' });
}

function forced(): void {
  const ran = rig.sh('gg force');
  assert.deepEqual({ code: ran.code, err: ran.err }, { code: 0, err: '' });
  assert.deepEqual(JSON.parse(rig.sh('gg status --json').out).outstanding, []);
}

/** These were placeholders and are artifacts now. */
function becomeReal(paths: Record<string, string>): void {
  for (const path of Object.keys(paths)) assert.ok(isPlaceholder(path), `${path} is a placeholder`);
  forced();
  for (const [path, name] of Object.entries(paths)) {
    assert.ok(!isPlaceholder(path), `${path} is real`);
    assert.ok(defines(path, name), `${path} is of ${name}.c`);
  }
}

before(() => {
  mkdirSync(rig.tree, { recursive: true });
  assert.equal(rig.sh(`gcc -O1 -o probe ${root}/test/e2e/interpose/probe.c -ldl -lpthread 2>&1`).code, 0);
});

beforeEach(() => {
  generation++;
  rig.sh(
    `rm -rf ${out} *.o *.c build* sub* real sym one two; mkdir -p ${out} sub real one two; ln -s real sym`,
  );
  for (const name of ['m', 'n'])
    writeFileSync(at(`${name}.c`), `int ${name}_${generation}_(void) { return ${generation}; }\n`);
  writeFileSync(
    at('dance.py'),
    `import os
os.rename('sub', 'sub0')
for i in range(9):
    os.rename('m.o', f'sub{i}/m.o')
    os.rename(f'sub{i}', f'sub{i + 1}')
    if i < 8: os.rename(f'sub{i + 1}/m.o', 'm.o')
`,
  );
  writeFileSync(at('bad.c'), `int bad_${generation}_(void) { return }\n`);
});

describe('a placeholder that a recipe moves', () => {
  test('outside the project, into a symlinked directory, to another name and back', () => {
    inferred(`gcc -c m.c -o m.o && mv m.o ${out}/m.o
      gcc -c m.c -g -o ./g.o && mv g.o sym/g.o
      gcc -c n.c -o sub/../n.o && mv n.o away.o && mv away.o n.o`);
    becomeReal({ [`${out}/m.o`]: 'm', 'real/g.o': 'm', 'n.o': 'n' });
    assert.ok(!existsSync(at('m.o')) && !existsSync(at('g.o')) && !existsSync(at('away.o')));
  });

  test('by a hard link, of which the first name is removed or stays: one file', () => {
    inferred(`gcc -c m.c -o m.o && ln m.o ${out}/m.o && rm m.o
      gcc -c n.c -o n.o && ln n.o sub/n.o`);
    becomeReal({ [`${out}/m.o`]: 'm', 'n.o': 'n', 'sub/n.o': 'n' });
    assert.equal(rig.sh('stat -c %h n.o').out, '2\n');
  });

  test('with its directory, twice, and out of the project', () => {
    inferred(`mkdir -p build/deep && gcc -c m.c -o build/deep/m.o
      gcc -c n.c -o sym/n.o
      mv build build2 && mv build2 ${out}/build3
      mv real sub/real && rm sym`);
    becomeReal({ [`${out}/build3/deep/m.o`]: 'm', 'sub/real/n.o': 'n' });
  });

  test('into a directory that is moved at once, many times', () => {
    inferred(`gcc -c m.c -o m.o
      python3 ${join(rig.tree, 'dance.py')}`);
    becomeReal({ 'sub9/m.o': 'm' });
  });

  test('by its symlink; by python', () => {
    inferred(`ln -s ${rig.tree}/sub/m.o link.o && : > sub/m.o && gcc -c m.c -o link.o && mv link.o one/link.o
      gcc -c n.c -o n.o
      python3 -c 'import os; os.replace("n.o", "${out}/p.o")'`);
    becomeReal({ 'sub/m.o': 'm', [`${out}/p.o`]: 'n' });
  });

  test('over another placeholder, whose promise is void', () => {
    inferred('gcc -c m.c -o m.o\ngcc -c n.c -o n.o && mv n.o m.o');
    becomeReal({ 'm.o': 'n' });
    assert.ok(!existsSync(at('n.o')));
  });

  test('not at all: the call fails, both promises stay', () => {
    inferred(`gcc -c m.c -o m.o
      gcc -c n.c -o n.o
      ! mv -T n.o sub 2>/dev/null
      ! ln n.o m.o 2>/dev/null
      mkdir -p one/x two && gcc -c m.c -g -o one/x/m.o
      gcc -c n.c -g -o two/m.o
      ! mv -T one two 2>/dev/null`);
    becomeReal({ 'm.o': 'm', 'n.o': 'n', 'one/x/m.o': 'm', 'two/m.o': 'n' });
  });

  test('to another file system: a real copy', (t) => {
    const shm = '/dev/shm';
    if (!existsSync(shm) || rig.sh(`test "$(stat -c %d ${shm})" != "$(stat -c %d .)"`).code !== 0) {
      t.skip('/dev/shm is not another file system here');
      return;
    }
    const there = `${shm}/gg-moves-${process.pid}.o`;
    try {
      inferred(`gcc -c m.c -o m.o && mv m.o ${there}`);
      assert.ok(!isPlaceholder(there) && defines(there, 'm') && !existsSync(at('m.o')));
      forced();
    } finally {
      rmSync(there, { force: true });
    }
  });

  test('while its thunk runs, in a build that forces at once', () => {
    const names = Array.from({ length: 12 }, (_, i) => `e${i}`);
    for (const [i, name] of names.entries())
      writeFileSync(at(`${name}.c`), `int ${name}_${generation}_(void) { return ${i}; }\n`);
    writeFileSync(
      at('Makefile'),
      `all: ${names.map((n) => `${out}/${n}.o`).join(' ')}\n${out}/%.o: %.c ; @gcc -c $< -o $*.o && mv $*.o sub/$*.o && mv sub/$*.o $@\n`,
    );
    const ran = rig.sh('gg make -j4');
    assert.deepEqual({ code: ran.code, err: ran.err, out: ran.out }, { code: 0, err: '', out: '' });
    for (const name of names) {
      assert.ok(!isPlaceholder(`${out}/${name}.o`) && defines(`${out}/${name}.o`, name));
      assert.ok(
        !existsSync(at(`${name}.o`)) && !existsSync(at(`sub/${name}.o`)),
        'no earlier name comes back',
      );
    }
  });

  const killServer = `kill -9 $$(gg status --json | sed -n 's/.*"pid":\\([0-9]*\\).*/\\1/p')`;

  test('while a reader waits for it: the reader has the artifact', () => {
    const doubled = Array.from({ length: 12 }, (_, i) => `#define F${i + 1} F${i} F${i}`).join('\n');
    writeFileSync(
      at('slow.c'),
      `#define F0 X(__COUNTER__)\n#define X(n) Y(n)\n#define Y(n) int slow_${generation}_##n(int a) { return a * n; }\n${doubled}\nF12\n`,
    );
    inferred(`gcc -O2 -c slow.c -o s.o
      cat s.o > copy.o & sleep 0.5; mv s.o x.o; wait $$!`);
    assert.ok(!isPlaceholder('copy.o') && defines('copy.o', 'slow'));
    assert.ok(readFileSync(at('copy.o')).equals(readFileSync(at('x.o'))));
    assert.ok(!existsSync(at('s.o')));
    forced();
  });

  test('before the server is killed: the journal knows the new name', () => {
    inferred(`gcc -c m.c -o m.o && mv m.o ${out}/m.o
      ${killServer}`);
    becomeReal({ [`${out}/m.o`]: 'm' });
  });

  test('when the server was killed before: the next one is told', () => {
    inferred(`gcc -c m.c -o m.o
      ${killServer}
      (sleep 0.2; gcc -c n.c -o n.o) & mv m.o ${out}/m.o; wait`);
    becomeReal({ [`${out}/m.o`]: 'm' });
  });

  test('when no server can be asked: the move fails, as an open would', () => {
    const ran = infer(`gcc -c m.c -o m.o
      ! GG_SOCKET=/nonexistent mv m.o ${out}/m.o`);
    assert.equal(ran.code, 0);
    assert.match(ran.err, /^mv: cannot move 'm.o' to '.*': Input\/output error\n$/);
    becomeReal({ 'm.o': 'm' });
  });
});

describe('many moves', () => {
  const names = Array.from({ length: 32 }, (_, i) => `t${i}`);
  const make = (): void => {
    for (const name of names)
      writeFileSync(at(`${name}.c`), `int ${name}_${generation}_(void) { return 0; }\n`);
    inferred(names.map((n) => `gcc -c ${n}.c -o ${n}.o`).join('\n'));
  };

  test('32 threads, each its own file, back and forth and by links', () => {
    make();
    const ran = rig.sh(`gg infer -- ./probe moves ${names.map((n) => `${n}.o`).join(' ')}`);
    assert.deepEqual(ran, { code: 0, out: '', err: '' });
    becomeReal(Object.fromEntries(names.map((n) => [`${n}.o`, n])));
  });

  test('32 threads while the thunks run', () => {
    make();
    const ran = rig.sh(`gg force & gg build -- ./probe moves ${names.map((n) => `${n}.o`).join(' ')}; wait`);
    assert.deepEqual({ code: ran.code, out: ran.out }, { code: 0, out: '' }, ran.err);
    forced();
    for (const name of names) {
      assert.ok(!isPlaceholder(`${name}.o`) && defines(`${name}.o`, name), name);
      assert.ok(!existsSync(at(`${name}.o.moved`)) && !existsSync(at(`${name}.o.link`)), name);
    }
  });

  test('one thread moves what others read', () => {
    make();
    assert.deepEqual(rig.sh('gg infer -- ./probe moves-and-reads t3.o'), { code: 0, out: '', err: '' });
  });
});

describe('names that are exchanged', () => {
  test('two placeholders; a placeholder and a file', () => {
    inferred(
      'gcc -c m.c -o m.o\ngcc -c n.c -o n.o\ngcc -c m.c -g -o g.o\n./probe exchange m.o n.o && ./probe exchange g.o n.c',
    );
    for (const path of ['m.o', 'n.o', 'n.c']) assert.ok(!isPlaceholder(path), path);
    assert.ok(defines('m.o', 'n') && defines('n.o', 'm') && defines('n.c', 'm'));
    forced();
  });

  test('two directories', () => {
    inferred('gcc -c m.c -o one/x.o\ngcc -c n.c -o two/x.o\n./probe exchange one two');
    assert.ok(!isPlaceholder('one/x.o') && defines('one/x.o', 'n') && defines('two/x.o', 'm'));
    forced();
  });
});

describe('a file renamed over an outstanding placeholder', () => {
  test('keeps its bytes', () => {
    inferred('gcc -c m.c -o m.o\necho mine > mine && mv mine m.o');
    forced();
    assert.equal(readFileSync(at('m.o'), 'utf8'), 'mine\n');
  });

  test('keeps its bytes while the thunk runs', () => {
    const lines = Array.from(
      { length: 8 },
      (_, i) =>
        `\t@gcc -DI=${i} -c m.c -o ${i}.o\n\t@sleep 0.0${i}; echo mine > ${i}.mine; mv ${i}.mine ${i}.o\n`,
    );
    writeFileSync(at('Makefile'), `all:\n${lines.join('')}`);
    const ran = rig.sh('gg make');
    assert.deepEqual({ code: ran.code, err: ran.err }, { code: 0, err: '' });
    for (let i = 0; i < 8; i++) assert.equal(readFileSync(at(`${i}.o`), 'utf8'), 'mine\n');
  });
});

describe('a thunk that fails after its placeholder was moved', () => {
  for (const [how, command] of [
    ['gg make', 'gg make -k'],
    ['gg make --preload=0', 'gg make -k --preload=0'],
    ['CC=gg-cc', `${named}; gg force`],
    ['CC=gg-cc, siblings finished', `${named}; gg force -k`],
  ] as const) {
    test(`${how}: it fails, and leaves no placeholder that poisons the next build`, () => {
      writeFileSync(
        at('Makefile'),
        'CC = gcc\nall: sub/x.o\nsub/x.o: ; $(CC) -c bad.c -o t.o && mv t.o $@ && cp -p $@ y.o\n',
      );
      // cp forces what it reads under the preload library.
      const ran = rig.sh(command);
      assert.notEqual(ran.code, 0);
      assert.match(ran.err, /bad\.c:1:\d+: error: expected expression/);
      for (const left of ['sub/x.o', 't.o', 'y.o'])
        assert.ok(!existsSync(at(left)), `${left} was taken away`);
      writeFileSync(at('bad.c'), `int bad_${generation}_(void) { return 0; }\n`);
      assert.equal(rig.sh(command).code, 0);
      assert.ok(defines('sub/x.o', 'bad'));
    });
  }
});

describe('without the preload library', () => {
  const build = (recipe: string): Ran => {
    writeFileSync(at('Makefile'), `all: ; @${recipe}\n`);
    const ran = rig.sh(`${named} && gg force`);
    assert.equal(ran.code, 0, ran.err);
    assert.deepEqual(JSON.parse(rig.sh('gg status --json').out).outstanding, []);
    return ran;
  };

  test('what was moved within the tree is found: not a word', () => {
    assert.equal(build('$(CC) -c m.c -o m.o && mv m.o sub/m.o').err, '');
    assert.ok(defines('sub/m.o', 'm'));
  });

  test('what was removed is made for its failure and said', () => {
    const removed = /^gg: 1 output was moved or removed before it was made: .*\/tree\/m\.o\n$/;
    assert.match(build('$(CC) -c m.c -o m.o && rm m.o').err, removed);
    assert.match(rig.sh('gg status').out, /, 1 moved or removed before they were made$/m);
    assert.match(rig.sh('gg explain m.o').out, / {2}moved or removed before it was made/);
    assert.equal(rig.sh('gg force').err, '', 'once');
    writeFileSync(at('Makefile'), 'all: ; @$(CC) -c bad.c -o b.o && rm b.o\n');
    assert.equal(rig.sh(named).code, 0);
    assert.notEqual(rig.sh('gg force').code, 0);
  });
});

describe('what is removed under the preload library', () => {
  test('is made for its failure, and nothing said', () => {
    inferred('gcc -c m.c -o m.o && rm m.o');
    forced();
    assert.match(rig.sh('gg explain m.o').out, /moved or removed before it was made/);
    writeFileSync(at('Makefile'), 'all: ; @gcc -c bad.c -o b.o && rm -f b.o\n');
    assert.notEqual(rig.sh('gg make').code, 0);
  });
});
