// Deferred or not: what a nested make ends with and prints is what its caller sees, and each call sees its own files and their times.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, test } from 'node:test';
import { Rig, toolLines } from '../rig.ts';

const rig = new Rig();
after(() => rig.close());

const NO_MOUNTS =
  spawnSync('unshare', ['-m', 'true']).status === 0 ? false : 'this user may not make a mount namespace';

interface Row {
  readonly name: string;
  /** Shell lines that write the input, the makefile last. */
  readonly input: string;
  readonly command?: string;
  readonly skip?: string | false;
}

const BROKEN = 'echo "int x = ;" >b.c; echo "int a(void) { int unused; return 0; }" >a.c\n';
const ROWS: readonly Row[] = [
  {
    name: 'a fallback by another make',
    input: `${BROKEN}printf 'all:\\n\\t$(MAKE) -s o SRC=b.c 2>/dev/null || $(MAKE) -s o SRC=a.c\\no:\\n\\tgcc -c $(SRC) -o x.o\\n' >Makefile`,
  },
  {
    name: 'a stamp behind a nested make',
    input: `${BROKEN}printf 'all:\\n\\t$(MAKE) -s b.o && touch stamp\\n' >Makefile`,
  },
  {
    name: 'a loop over nested makes ends at the one that fails',
    input: `${BROKEN}cp a.c c.c; printf 'all:\\n\\tfor o in a b c; do $(MAKE) -s $$o.o || exit 1; done\\n\\ttouch stamp\\n' >Makefile`,
  },
  {
    name: 'words go where the nested make writes',
    input: `${BROKEN}printf 'all:\\n\\t$(MAKE) -s a.o CFLAGS=-Wall >log 2>&1\\n\\t$(MAKE) -s -B a.o CFLAGS=-Wall 2>&1 | tee log2\\n' >Makefile`,
  },
  {
    name: 'a script looks at the status of its make',
    input: `${BROKEN}printf 'a.o: a.c\\nb.o: b.c\\n' >Makefile; printf 'make -s b.o >log 2>&1; echo status $?\\nmake -s a.o\\n' >build.sh`,
    command: 'build -- sh ./build.sh',
  },
  {
    name: '__TIMESTAMP__ of a source that is touched behind the call',
    input: `echo 'const char *t = __TIMESTAMP__;' >t.c; printf 'all:\\n\\ttouch -d "2020-01-01 10:00" t.c\\n\\tgcc -c t.c\\n\\ttouch -d "2021-01-01 10:00" t.c\\n' >Makefile`,
  },
  {
    name: '#pragma GCC dependency warns by the times of the call',
    input: `printf '#pragma GCC dependency "x.y"\\nint p;\\n' >p.c; printf 'all:\\n\\ttouch -d "2020-01-01 09:00" x.y p.c\\n\\tgcc -c p.c\\n\\ttouch -d "2021-01-01 10:00" x.y\\n' >Makefile`,
  },
  {
    name: 'other files at the same path in a mount namespace',
    input: `mkdir s; echo 'int one;' >s/x.c; printf 'all:\\n\\tunshare -m sh -c "mount -t tmpfs none s && echo int two\\\\; >s/x.c && gcc -c s/x.c"\\n' >Makefile`,
    skip: NO_MOUNTS,
  },
];

for (const mode of ['defer', 'auto'] as const) {
  for (const { name, input, command = 'make -s', skip = false } of ROWS) {
    test(`${mode}: ${name}`, { skip }, () => {
      const run = (how: string): unknown => {
        rig.fresh('hello-make');
        rig.sh(`rm -rf ./*; ${input}`);
        const ran = rig.sh(how, { GG_MODE: mode });
        // The logs hold lines of make with numbers of its own levels.
        rig.sh("for l in log log2; do test ! -e $l || sed -i '/^make/d' $l; done");
        return { code: ran.code, out: ran.out, err: toolLines(ran.err), tree: rig.shot() };
      };
      const plain = run(command.replace(/^build -- /, ''));
      assert.deepEqual(run(`gg ${command}`), plain);
    });
  }
}
