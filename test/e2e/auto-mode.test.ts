// The default mode: on this machine nobody ever meets a placeholder.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { Rig } from './rig.ts';

const rig = new Rig();
after(() => rig.close());
const AUTO = { GG_MODE: 'auto' };

beforeEach(() => {
  rig.fresh('hello-make');
  writeFileSync(join(rig.tree, 'a.c'), 'int a(void) { return 1; }\n');
  writeFileSync(join(rig.tree, 'bad.c'), 'int bad(void) { return undeclared; }\n');
});

/** A makefile run plainly and by gg: what they print, what they end with, and what they leave. */
function sameAsPlain(makefile: string, arguments_ = ''): void {
  const run = (command: string): { readonly code: number; readonly out: string; readonly tree: unknown } => {
    writeFileSync(join(rig.tree, 'M'), makefile);
    const ran = rig.sh(`${command} -f M ${arguments_} 2>err`, AUTO);
    const tree = rig.shot();
    tree.delete('err');
    return { code: ran.code, out: ran.out, tree };
  };
  const plain = run('make -s');
  rig.fresh('hello-make');
  writeFileSync(join(rig.tree, 'a.c'), 'int a(void) { return 1; }\n');
  writeFileSync(join(rig.tree, 'bad.c'), 'int bad(void) { return undeclared; }\n');
  assert.deepEqual(run('gg make -s'), plain);
}

test('a program that nothing of ours reaches reads the real object', () => {
  sameAsPlain('all: ; gcc -c a.c -o a.o\n\tenv -i /bin/sh -c "/usr/bin/cksum < a.o" > sum\n');
});

test('a stamp behind a failing compile is not made, with or without -k', () => {
  const makefile = 'all: s t\ns: ; gcc -c bad.c -o bad.o\n\ttouch s\nt: ; gcc -c a.c -o a.o\n\ttouch t\n';
  sameAsPlain(makefile);
  sameAsPlain(makefile, '-k');
});

test('a nested make writes where its caller sent it, and its status counts', () => {
  sameAsPlain(
    'all: ; -$(MAKE) -f M x >log 2>&1; echo $$?\n\t$(MAKE) -f M x || $(MAKE) -f M y\nx: ; gcc -c bad.c\ny: ; gcc -c a.c\n',
  );
});

test('results are remembered from build to build', () => {
  mkdirSync(join(rig.tree, 'sub'));
  const first = rig.counts(rig.sh('gg --json make -j2', AUTO));
  assert.ok(first.ran >= 6, JSON.stringify(first));
  rig.fresh('hello-make');
  const second = rig.counts(rig.sh('gg --json make -j2', AUTO));
  assert.equal(second.ran, 0);
  assert.ok(second.memoized >= 6, JSON.stringify(second));
});

test('gg infer leaves placeholders all the same, and gg doctor says which mode a build has', () => {
  rig.sh('gg infer -- make -j2', AUTO);
  assert.match(rig.sh('gg status', AUTO).out, /hello\.o/);
  assert.equal(rig.sh('gg force', AUTO).code, 0);
  assert.match(rig.sh('gg doctor', AUTO).out, /mode: sync: .*\(auto: the engine is this machine\)/);
  assert.match(rig.sh('gg doctor', { GG_MODE: 'defer' }).out, /mode: defer: /);
});

test('a recipe that mounts something over its sources compiles what it sees', (t) => {
  if (rig.sh('unshare -m true').code !== 0) return t.skip('no mount namespaces for us here');
  sameAsPlain(
    'all: ; unshare -m sh -c \'mount -t tmpfs none inc 2>/dev/null; mkdir -p inc; echo "int two;" >inc/x.c && gcc -c inc/x.c -o x.o\'\n\tnm x.o\n',
  );
});
