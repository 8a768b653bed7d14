// `CC=gg-cc make; gg force`, where no session stands behind the calls: what goes wrong midway, and what comes after it.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { Rig } from './rig.ts';

const named = 'export PATH=$(gg native):$PATH; make CC=gg-cc';
const MAKEFILE = `
check: prog
	./prog
prog: x.o
	$(CC) -o prog x.o
x.o: x.c
	$(CC) -Wall -c x.c -o x.o
`;

describe('compilers by our name', () => {
  const rig = new Rig();
  after(() => rig.close());
  const fresh = (source: string): void => {
    rig.fresh('hello-make');
    mkdirSync(join(rig.tree, 'd'));
    writeFileSync(join(rig.tree, 'd/Makefile'), MAKEFILE);
    writeFileSync(join(rig.tree, 'd/x.c'), source);
  };

  test('what failed midway is told by gg force, and is made once it is mended', () => {
    fresh('int main(void) { return 0 }\n');
    assert.equal(rig.sh(`cd d; ${named}`).code, 2);
    const told = rig.sh('cd d; gg force');
    assert.equal(told.code, 1);
    assert.match(told.err, /x\.c:1:.*error: expected/);
    writeFileSync(join(rig.tree, 'd/x.c'), 'int main(void) { return 0; }\n');
    const again = rig.sh(`cd d; ${named}`);
    assert.equal(again.code, 0, again.err);
    assert.equal(rig.sh('cd d; gg force').code, 0);
    assert.match(rig.sh('cd d; make').out, /^\.\/prog\n$/);
  });

  test('a failure that was mended in between is told no more', () => {
    fresh('int main(void) { return 0 }\n');
    assert.equal(rig.sh(`cd d; ${named}`).code, 2);
    writeFileSync(join(rig.tree, 'd/x.c'), 'int main(void) { return 0; }\n');
    assert.equal(rig.sh(`cd d; ${named}`).code, 0);
    const told = rig.sh('cd d; gg force');
    assert.deepEqual([told.code, told.err], [0, '']);
  });

  test('warnings of what was forced midway are told by gg force, once', () => {
    fresh('static int unused; int main(void) { return 0; }\n');
    assert.equal(rig.sh(`cd d; ${named}`).code, 0);
    assert.match(rig.sh('cd d; gg force').err, /x\.c:1:.*unused/);
    assert.equal(rig.sh('cd d; gg force').err, '');
  });

  test('what a link says before strip replaces its output is heard by both runs of infer and force', () => {
    const makefile = 'p: p.c\n\tgcc p.c -o p\n\tstrip p\n';
    for (let i = 0; i < 2; i++) {
      rig.fresh('hello-make');
      writeFileSync(join(rig.tree, 'Makefile'), makefile);
      writeFileSync(join(rig.tree, 'p.c'), 'char *tmpnam(char *); int main(void) { return !tmpnam(0); }\n');
      assert.match(rig.sh('gg infer -- make; gg force').err, /tmpnam.* is dangerous/);
    }
  });
});
