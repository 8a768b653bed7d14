// Kinds of makefiles and of ways to call make: the tree, what is printed and the exit code are those of plain make.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, describe, test } from 'node:test';
import { Rig, toolLines } from './rig.ts';

const rig = new Rig();
after(() => rig.close());

const SOURCES: Readonly<Record<string, string>> = {
  'a.c': '#include "a.h"\nint f(void) { return A; }\n',
  'm.c': 'int f(void);\nint main(void) { return f() - 7; }\n',
  'a.h': '#define A 7\n',
};
const RULES = `OBJS = a.o m.o
p: $(OBJS)
\t$(CC) -o $@ $(OBJS)
%.o: %.c a.h
\t$(CC) -O1 -c -o $@ $<
check: p
\t./p && echo passed
install: p
\tmkdir -p $(DESTDIR)/usr/bin
\tinstall -s -m 755 p $(DESTDIR)/usr/bin/p
clean:
\trm -f *.o p
distclean: clean
\trm -rf out
.PHONY: check install clean distclean
`;

interface Case {
  readonly name: string;
  readonly files: Readonly<Record<string, string>>;
  /** Each a shell command; `MAKE` stands for make or gg make. */
  readonly steps: readonly string[];
}

const plainFiles = { ...SOURCES, Makefile: RULES };
const CASES: readonly Case[] = [
  { name: 'a plain build', files: plainFiles, steps: ['MAKE'] },
  { name: '-j2 with a jobserver', files: plainFiles, steps: ['MAKE -j2'] },
  {
    name: 'recursive make shares a jobserver',
    files: {
      Makefile: 'all:\n\t+$(MAKE) -C sub\n\t$(MAKE) -C sub check\n',
      ...Object.fromEntries(Object.entries(plainFiles).map(([k, v]) => [`sub/${k}`, v])),
    },
    steps: ['MAKE -j2'],
  },
  { name: '-n changes nothing', files: plainFiles, steps: ['MAKE -n', 'MAKE', 'MAKE -n'] },
  { name: '-q says whether there is work', files: plainFiles, steps: ['MAKE -q', 'MAKE', 'MAKE -q'] },
  { name: '-t touches', files: plainFiles, steps: ['MAKE', 'touch -d 2001-01-01 p', 'MAKE -t', 'MAKE -q'] },
  {
    name: '.ONESHELL',
    files: {
      ...SOURCES,
      Makefile: `.ONESHELL:\n${RULES.replace('-o $@ $<', '-o $@ $<\n\tx=$@\n\ttest -s $$x')}`,
    },
    steps: ['MAKE'],
  },
  {
    name: 'SHELL=/bin/bash',
    files: { ...SOURCES, Makefile: `SHELL=/bin/bash\n.SHELLFLAGS=-eu -o pipefail -c\n${RULES}` },
    steps: ['MAKE'],
  },
  {
    name: '-C',
    files: Object.fromEntries(Object.entries(plainFiles).map(([k, v]) => [`d/${k}`, v])),
    steps: ['MAKE -C d'],
  },
  { name: 'MAKEFLAGS', files: plainFiles, steps: ['MAKEFLAGS="-j2 -k" MAKE'] },
  {
    name: '$(shell $(CC) -dumpversion)',
    files: {
      ...SOURCES,
      Makefile: `V := $(shell $(CC) -dumpversion)\nCFLAGS = -DV=$(V)\n${RULES}\np: v.txt\nv.txt:\n\techo $(V) >$@\n`,
    },
    steps: ['MAKE'],
  },
  {
    name: 'a generator is built and run',
    files: {
      'gen.c': '#include <stdio.h>\nint main(void) { puts("#define A 7"); return 0; }\n',
      'a.c': SOURCES['a.c']!,
      'm.c': SOURCES['m.c']!,
      Makefile: `${RULES}a.h: gen\n\t./gen >$@\ngen: gen.c\n\t$(CC) -o $@ $<\n`,
    },
    steps: ['MAKE -j2 check'],
  },
  { name: 'make check', files: plainFiles, steps: ['MAKE check'] },
  { name: 'make install DESTDIR=', files: plainFiles, steps: ['MAKE install DESTDIR=$PWD/out'] },
  { name: 'make clean midway', files: plainFiles, steps: ['MAKE a.o', 'MAKE clean', 'MAKE', 'MAKE clean'] },
  {
    name: 'make distclean midway',
    files: plainFiles,
    steps: ['MAKE install DESTDIR=$PWD/out', 'MAKE distclean'],
  },
  {
    name: 'a failing compile',
    files: { ...plainFiles, 'a.c': 'int f(void) { return nothing; }\n' },
    // A deferred compile says so late: what stands behind it has been echoed by then.
    steps: ['MAKE -ks'],
  },
];

function lay(files: Readonly<Record<string, string>>): void {
  rmSync(rig.tree, { recursive: true, force: true });
  mkdirSync(rig.tree, { recursive: true });
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(rig.tree, path)), { recursive: true });
    writeFileSync(join(rig.tree, path), text);
  }
}

describe('make', () => {
  for (const c of CASES) {
    for (const [way, wrapped] of [
      ['gg make', 'gg make'],
      ['without the preload library', 'gg make --preload=0'],
    ] as const) {
      test(`${c.name}, ${way}`, () => {
        const run = (make: string) =>
          c.steps.map((s) => {
            const ran = rig.sh(s.replaceAll('MAKE', (m, at: number) => (s[at + 4] === 'F' ? m : make)));
            return { step: s, code: ran.code, out: toolLines(ran.out).sort() };
          });
        lay(c.files);
        const plain = run('make');
        const tree = rig.shot();
        lay(c.files);
        assert.deepEqual(run(wrapped), plain);
        assert.deepEqual(rig.shot(), tree);
      });
    }
  }

  test('infer, then make clean: no placeholder is left to force', () => {
    lay(plainFiles);
    assert.equal(rig.sh('gg infer -- make -j2').code, 0);
    assert.equal(rig.sh('make clean').code, 0);
    const before = rig.shot();
    const forced = rig.sh('gg force');
    assert.equal(forced.code, 0, forced.err);
    assert.deepEqual(rig.shot(), before);
  });
});

describe("the user's own compiler cache in CC", () => {
  const WARNS = { ...plainFiles, 'a.c': `${SOURCES['a.c']}int g(void) { int unused; return 0; }\n` };
  for (const [way, cache, CC, path] of [
    ['ccache', 'ccache', 'ccache gcc', ''],
    ['ccache in the name of gcc', 'ccache', 'gcc', '/usr/lib/ccache:'],
    ['distcc', 'distcc', 'distcc gcc', ''],
  ] as const) {
    const skip = spawnSync(cache, ['--version']).error
      ? `${cache} is not installed`
      : path !== '' && !existsSync('/usr/lib/ccache/gcc')
        ? 'no /usr/lib/ccache'
        : false;
    for (const preload of ['1', '0']) {
      test(`${way} with GG_PRELOAD=${preload} sees and keeps only what the compiler wrote`, {
        skip,
      }, () => {
        const env = {
          PATH: `${path}${rig.env['PATH']}`,
          CCACHE_DIR: mkdtempSync(join(rig.home, 'ccache-')),
          DISTCC_DIR: join(rig.home, 'distcc'),
          DISTCC_HOSTS: 'localhost',
          GG_PRELOAD: preload,
        };
        const make = `make CC='${CC} -Wall'`;
        lay(WARNS);
        assert.equal(rig.sh(make, { ...env, CCACHE_DISABLE: '1' }).code, 0);
        const tree = rig.shot();
        lay(WARNS);
        const wrapped = rig.sh(`gg ${make}`, env);
        assert.equal(wrapped.code, 0, wrapped.err);
        assert.deepEqual(rig.shot(), tree);
        // A plain build that takes everything from the cache: objects and warnings are real.
        lay(WARNS);
        const fromCache = rig.sh(make, env);
        assert.equal(fromCache.code, 0, fromCache.err);
        assert.match(fromCache.err, /unused variable/);
        assert.deepEqual(rig.shot(), tree);
        // With shims on PATH ccache takes our shim for another compiler, and keeps its results apart.
        if (cache === 'ccache' && (preload === '1' || path !== ''))
          assert.match(rig.sh('ccache --print-stats', env).out, /^direct_cache_hit\t2$/m);
      });
    }
  }
});
