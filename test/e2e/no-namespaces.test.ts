// Where the kernel gives no namespaces, runs on a changed tree go below a virtual root: same artifacts, words and exit codes as plain.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { noUnprivilegedUser, Rig, type Ran, toolLines } from './rig.ts';

/** As in most containers: below another root the kernel refuses user namespaces. Runs "$@" at the same paths. */
const BELOW_CHROOT =
  'd=$(mktemp -d); unshare -m --propagation private bash -c \'r=$1; shift; mount --rbind / "$r"; exec chroot "$r" env -C "$PWD" "$@"\' _ "$d"';
const canChroot = process.getuid?.() === 0 && spawnSync('bash', ['-c', `${BELOW_CHROOT} true`]).status === 0;

interface Place {
  readonly name: string;
  readonly prefix: string;
  readonly env: Record<string, string>;
  readonly unprivileged: boolean;
  readonly skip: string | false;
  /** The road that is expected. */
  readonly virtual: boolean;
}

const PLACES: readonly Place[] = [
  {
    name: 'GG_NAMESPACES=0',
    prefix: '',
    env: { GG_NAMESPACES: '0' },
    unprivileged: false,
    skip: false,
    virtual: true,
  },
  {
    name: 'GG_NAMESPACES=0 as an ordinary user',
    prefix: '',
    env: { GG_NAMESPACES: '0' },
    unprivileged: true,
    skip: noUnprivilegedUser(),
    virtual: true,
  },
  {
    name: 'below chroot',
    prefix: `${BELOW_CHROOT} `,
    env: {},
    unprivileged: false,
    skip: canChroot ? false : 'needs root, unshare and mount',
    virtual: false,
  },
];

/** Every step of the archive works on the same file; the header and m.c change after they were read. */
const MAKEFILE = `all: p q
p: m.o l.a
	gcc m.o l.a -o p
q: m.o l.a
	gcc m.o l.a -Wl,-Map,q.map -o q
	rm m.o
l.a: b.o
	ar cr l.a b.o
	ranlib l.a
	strip -g l.a
b.o: b.c
	gcc -g -Wall $(EXTRA) -c b.c -o b.o
	cp later.h c.h
m.o: m.c
	gcc -g -c m.c -o m.o
	echo 'int more;' >>m.c
`;
const source = mkdtempSync(join(tmpdir(), 'gg-source-'));
const FILES = {
  Makefile: MAKEFILE,
  'c.h': '#define V 1\n',
  'later.h': '#define V 2\n',
  'b.c': '#include "c.h"\nint b(void) { int unused; return V; }\n',
  'm.c': 'int b(void);\nint main(void) { return b(); }\n',
};
for (const [name, text] of Object.entries(FILES)) writeFileSync(join(source, name), text);
after(() => rmSync(source, { recursive: true }));

for (const place of PLACES)
  describe(place.name, { skip: place.skip }, () => {
    const rig = new Rig({ unprivileged: place.unprivileged });
    after(() => rig.close());
    const fresh = (): void => rig.fresh(source);
    const build = (command: string): Ran => rig.sh(command, { GG_MODE: 'defer', ...place.env });
    const said = (ran: Ran): string[] =>
      [...toolLines(ran.out), ...toolLines(ran.err)].filter((line) => line !== '').sort();

    test('an archive changed in place, a header and a source changed meanwhile, an object removed', () => {
      fresh();
      const plain = build('make -s');
      assert.equal(plain.code, 0, plain.err);
      const tree = rig.shot();
      fresh();
      const wrapped = build(`${place.prefix}gg make -s`);
      assert.equal(wrapped.code, 0, wrapped.err);
      assert.deepEqual(said(wrapped), said(plain));
      assert.deepEqual(rig.shot(), tree);
      const roots = readdirSync(join(rig.home, 'state/tmp')).filter((name) => name.startsWith('virtual-'));
      assert.equal(roots.length, place.virtual ? 1 : 0, 'the road that was taken');
    });

    test('a compile that fails on a header which has changed since', () => {
      fresh();
      const plain = build('make -s EXTRA=-Werror');
      fresh();
      const wrapped = build(`${place.prefix}gg make -s EXTRA=-Werror`);
      assert.equal(wrapped.code, plain.code);
      assert.match(wrapped.err, /unused variable ‘unused’/);
      assert.doesNotMatch(wrapped.err, /start-failed|errno/);
    });

    test('doctor names the road', () => {
      const road = build(`${place.prefix}gg doctor`)
        .out.split('\n')
        .find((line) => line.includes('sandbox'));
      assert.match(road ?? '', place.virtual ? /virtual root/ : /namespaces/);
    });
  });
