// Whole trees are removed, made anew, moved and shadowed between scans that follow at once; every answer is compared with
// the real gcc's.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, linkSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gccM, listing, makeRig, makeScanner, type Rig } from './rig.ts';

const SOURCE = '#include <a.h>\n#include <sub/b.h>\n#include "near.h"\n';
const FLAGS = ['-Ip/q/inc', '-Ilink/inc', '-Ilater/inc'];

function fill(rig: Rig, variant: number): void {
  rig.write({
    'p/x.c': SOURCE,
    'p/near.h': variant % 2 === 0 ? 'int n;\n' : '#include <sub/b.h>\n',
    'p/q/inc/a.h': variant % 3 === 0 ? '#include <c.h>\n' : `#define V ${variant}\n`,
    'p/q/inc/sub/b.h': variant % 2 === 0 ? '#pragma once\n' : '#ifdef V\n#include <c.h>\n#endif\n',
    'p/q/inc/c.h': '',
  });
}

/** Each leaves a tree whose list differs, or might. */
const STEPS: readonly { readonly name: string; readonly run: (rig: Rig, variant: number) => void }[] = [
  {
    name: 'removed and made anew',
    run: (rig, variant) => {
      rmSync(join(rig.directory, 'p'), { recursive: true });
      fill(rig, variant);
    },
  },
  {
    name: 'made anew many times',
    run: (rig, variant) => {
      for (let i = 0; i < 5; i++) {
        rmSync(join(rig.directory, 'p'), { recursive: true });
        fill(rig, variant + i);
      }
    },
  },
  {
    name: 'copied with its times',
    run: (rig, variant) => {
      const { directory } = rig;
      cpSync(join(directory, 'p'), join(directory, 'keep'), { recursive: true, preserveTimestamps: true });
      rmSync(join(directory, 'p'), { recursive: true });
      cpSync(join(directory, 'keep'), join(directory, 'p'), { recursive: true, preserveTimestamps: true });
      rmSync(join(directory, 'keep'), { recursive: true });
      if (variant % 2 === 0) writeFileSync(join(directory, 'p/q/inc/a.h'), '#include <c.h>\n');
    },
  },
  {
    name: 'a parent renamed, another put in its place',
    run: (rig, variant) => {
      const { directory } = rig;
      renameSync(join(directory, 'p/q'), join(directory, 'p/old'));
      rig.write({ 'p/q/inc/a.h': `#include <${variant % 2 === 0 ? 'c.h' : 'sub/b.h'}>\n` });
      rig.write({ 'p/q/inc/c.h': '', 'p/q/inc/sub/b.h': '' });
      rmSync(join(directory, 'p/old'), { recursive: true });
    },
  },
  {
    name: 'a parent renamed and back, edited meanwhile',
    run: (rig, variant) => {
      const { directory } = rig;
      renameSync(join(directory, 'p/q'), join(directory, 'moved'));
      writeFileSync(join(directory, 'moved/inc/a.h'), variant % 2 === 0 ? '' : '#include <c.h>\n');
      renameSync(join(directory, 'moved'), join(directory, 'p/q'));
    },
  },
  {
    name: "a parent's symlink retargeted",
    run: (rig, variant) => {
      const { directory } = rig;
      const target = `t${variant}`;
      rig.write({ [`${target}/inc/c.h`]: '', [`${target}/inc/a.h`]: '#include <c.h>\n' });
      rmSync(join(directory, 'link'), { force: true });
      symlinkSync(target, join(directory, 'link'));
      rmSync(join(directory, 'p/q/inc/c.h'), { force: true });
    },
  },
  {
    name: 'a directory becomes a symlink',
    run: (rig, variant) => {
      const { directory } = rig;
      rmSync(join(directory, 'held'), { recursive: true, force: true });
      renameSync(join(directory, 'p/q'), join(directory, 'held'));
      symlinkSync('../held', join(directory, 'p/q'));
      if (variant % 2 === 0) rmSync(join(directory, 'held/inc/c.h'), { force: true });
      rig.write({ 'later/inc/c.h': '' });
    },
  },
];

for (const watch of [true, false])
  for (const { name, run } of STEPS)
    test(`${name}, ${watch ? 'watched' : 'looked at'}`, async () => {
      const rig = makeRig();
      const scanner = makeScanner({ watch, watchRoots: [rig.directory] });
      const request = rig.request('p/x.c', FLAGS);
      const check = async (what: string): Promise<void> => {
        assert.deepEqual(listing(await scanner.scan(request)), listing(await gccM.scan(request)), what);
      };
      try {
        for (let round = 0; round < 4; round++) {
          rmSync(join(rig.directory, 'p'), { recursive: true, force: true });
          fill(rig, round);
          for (const look of ['first', 'second', 'third']) await check(`round ${round}, ${look} look`);
          assert.equal(scanner.stats().watches > 0, watch);
          run(rig, round + 1);
          await check(`round ${round}, after`);
          await check(`round ${round}, once more`);
        }
      } finally {
        await scanner.close();
        rig.remove();
      }
    });

test("a user's header written through another hard link is noticed: its directory is not watched", async () => {
  const rig = makeRig();
  const scanner = makeScanner({ watch: true });
  const request = rig.request('x.c', ['-Ii']);
  try {
    rig.write({ 'x.c': '#include <a.h>\n', 'i/a.h': '', 'i/b.h': '' });
    mkdirSync(join(rig.directory, 'elsewhere'));
    for (let i = 0; i < 3; i++) await scanner.scan(request);
    linkSync(join(rig.directory, 'i/a.h'), join(rig.directory, 'elsewhere/y'));
    writeFileSync(join(rig.directory, 'elsewhere/y'), '#include <b.h>\n');
    assert.deepEqual(listing(await scanner.scan(request)), listing(await gccM.scan(request)));
  } finally {
    await scanner.close();
    rig.remove();
  }
});

test("packages' directories are watched, and only those", async () => {
  const rig = makeRig();
  const scanner = makeScanner({ watch: true });
  try {
    rig.write({ 'x.c': '#include <stdio.h>\n#include "a.h"\n', 'a.h': '' });
    for (let i = 0; i < 3; i++) await scanner.scan(rig.request('x.c'));
    const { watches } = scanner.stats();
    assert.ok(watches > 0, 'those of the C library');
    rig.write({ 'i/b.h': '', 'x.c': '#include <stdio.h>\n#include "a.h"\n#include <b.h>\n' });
    for (let i = 0; i < 3; i++) await scanner.scan(rig.request('x.c', ['-Ii']));
    assert.equal(scanner.stats().watches, watches);
  } finally {
    await scanner.close();
    rig.remove();
  }
});

/** A mount needs a namespace of one's own; the test runs this file's other half in it. */
const MOUNTED = `
  import { writeFileSync } from 'node:fs';
  import { spawnSync } from 'node:child_process';
  import { gccM, listing, makeRig, makeScanner } from ${JSON.stringify(join(import.meta.dirname, 'rig.ts'))};
  const rig = makeRig();
  const scanner = makeScanner({ watch: true, watchRoots: [rig.directory] });
  rig.write({ 'x.c': '#include <a.h>\\n', 'i/a.h': '', 'i/b.h': '', 'j/a.h': '#include <b.h>\\n', 'j/b.h': '' });
  const said = [];
  const request = rig.request('x.c', ['-Ii']);
  const check = async () => said.push(JSON.stringify(listing(await scanner.scan(request))) === JSON.stringify(listing(await gccM.scan(request))));
  for (let i = 0; i < 3; i++) await check();
  const mount = (...args) => said.push(spawnSync('mount', args, { cwd: rig.directory }).status);
  mount('--bind', 'j/a.h', 'i/a.h');
  await check();
  mount('--bind', 'j', 'i');
  await check();
  said.push(spawnSync('umount', ['i'], { cwd: rig.directory }).status, spawnSync('umount', ['i/a.h'], { cwd: rig.directory }).status);
  await check();
  said.push(scanner.stats().watches > 0);
  console.log(JSON.stringify(said));
  await scanner.close();
  rig.remove();
`;
const namespaces = spawnSync('unshare', ['-Urm', 'true']).status === 0;
test('mounts over a file and over a directory', {
  skip: namespaces ? false : 'no user namespaces here',
}, () => {
  const rig = makeRig();
  try {
    rig.write({ 'half.ts': MOUNTED });
    const half = join(rig.directory, 'half.ts');
    const ran = spawnSync('unshare', ['-Urm', process.execPath, half], { encoding: 'utf8' });
    assert.equal(ran.stdout.trim(), '[true,true,true,0,true,0,true,0,0,true,true]', ran.stderr);
  } finally {
    rig.remove();
  }
});

test('where watches run out, directories are looked at, and counted', async () => {
  const rig = makeRig();
  const watchesMax = 2;
  const scanner = makeScanner({ watch: true, watchRoots: [rig.directory], watchesMax });
  try {
    rig.write({
      'a.c': '#include "a/x.h"\n#include "b/x.h"\n#include "c/x.h"\n#include "d/x.h"\n',
      ...Object.fromEntries(['a', 'b', 'c', 'd'].map((name) => [`${name}/x.h`, '\n'])),
      'y.h': '',
    });
    const request = rig.request('a.c');
    await scanner.scan(request);
    for (const name of ['a', 'b', 'c', 'd']) {
      rig.write({ [`${name}/x.h`]: '#include "../y.h"\n' });
      assert.deepEqual(listing(await scanner.scan(request)), listing(await gccM.scan(request)), name);
      const { watches, unwatched } = scanner.stats();
      assert.ok(watches <= watchesMax && unwatched >= 2, `${watches} ${unwatched}`);
    }
  } finally {
    await scanner.close();
    rig.remove();
  }
});
