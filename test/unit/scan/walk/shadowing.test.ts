// The scanner that asks the compiler tells which names would shadow what was found, as the fast one does.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { absolutePath } from '../../../../src/scan/walk/search.ts';
import { gccM, makeRig, makeScanner } from '../rig.ts';

const FILES = {
  'src/a.c':
    '#include <x.h>\n#include "sub/y.h"\n#define Z "z.h"\n#include Z\n#if __has_include(<probe.h>)\n#endif\n',
  'i/k': '',
  'q/k': '',
  'j/x.h': '#include "deep.h"\n#include <stddef.h>\n',
  'k/deep.h': '',
  'k/sub/y.h': '#include_next <sub/y.h>\n',
  'l/sub/y.h': '',
  'l/z.h': '',
  'l/forced.h': '',
};
const FLAGS = ['-iquote', 'q', '-Ii', '-Inew', '-Ij', '-Ik', '-isystem', 'l', '-include', 'forced.h'];

test('whatever changes the list when it appears was told before', async () => {
  const rig = makeRig();
  try {
    rig.write(FILES);
    const request = rig.request('src/a.c', FLAGS);
    const found = await gccM.scan(request);
    assert.ok(found.kind === 'found');
    const absent = new Set(found.absent.map((path) => absolutePath(rig.directory, path)));
    for (const path of absent) assert.ok(!existsSync(path), path);
    let shadows = 0;
    for (const directory of ['', 'src', 'q', 'i', 'new', 'j', 'k', 'l']) {
      for (const name of ['x.h', 'deep.h', 'sub/y.h', 'z.h', 'forced.h', 'stddef.h', 'probe.h']) {
        const path = join(rig.directory, directory, name);
        if (existsSync(path)) continue;
        const fresh = makeRig();
        fresh.write({ ...FILES, [join(directory, name)]: 'int x;\n' });
        const then = await gccM.scan(fresh.request('src/a.c', FLAGS));
        fresh.remove();
        if (then.kind === 'found' && then.files.join() === found.files.join()) continue;
        shadows++;
        let told = false;
        for (let at = path; at !== rig.directory; at = dirname(at)) told ||= absent.has(at);
        assert.ok(told, path);
      }
    }
    assert.ok(shadows > 15, String(shadows));
  } finally {
    rig.remove();
  }
});

test('a shadowing header is noticed in a unit the fast scanner hands over', async () => {
  const rig = makeRig();
  try {
    rig.write({ 'a.c': '#include <x.h>\n#if __LINE__ > 1\n#define A\n#endif\n', 'i/k': '', 'j/x.h': '' });
    const scanner = makeScanner({ fallback: gccM });
    const request = rig.request('a.c', ['-Ii', '-Ij']);
    const before = await scanner.scan(request);
    assert.ok(before.kind === 'found' && before.files.includes('j/x.h') && before.absent.includes('i/x.h'));
    mkdirSync(join(rig.directory, 'i'), { recursive: true });
    writeFileSync(join(rig.directory, 'i/x.h'), '');
    const after = await scanner.scan(request);
    assert.ok(after.kind === 'found' && after.files.includes('i/x.h') && !after.files.includes('j/x.h'));
    assert.equal(
      Object.values(scanner.stats().handedOver).reduce((a, b) => a + b, 0),
      2,
    );
    await scanner.close();
  } finally {
    rig.remove();
  }
});
