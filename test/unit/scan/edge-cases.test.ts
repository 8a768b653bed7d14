// Odd corners of the preprocessor, each compared with what the real gcc lists.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { EDGE_CASES } from './edge-cases.ts';
import { gccM, listing, makeRig, makeScanner } from './rig.ts';

const scanner = makeScanner();
after(() => scanner.close());

const HEADERS = Object.fromEntries(['yes.h', 'no.h', 'one.h', 'two.h', 'three.h'].map((name) => [name, '']));

for (const { name, files, source, flags, env, cwd, outcome = 'equal' } of EDGE_CASES) {
  test(name, async () => {
    const rig = makeRig();
    try {
      rig.write({ ...HEADERS, ...files });
      const request = rig.request(source ?? Object.keys(files)[0]!, flags ?? [], {
        env: new Map(Object.entries(env ?? {})),
        ...(cwd === undefined ? {} : { cwd: `${rig.directory}/${cwd}` }),
      });
      const ours = await scanner.scan(request);
      const theirs = await gccM.scan(request);
      const why = ours.kind === 'found' ? '' : `${ours.reason}: ${ours.detail}`;
      if (outcome === 'handed over') assert.equal(listing(ours), 'handed over', why);
      else if (theirs.kind === 'found' && outcome === 'equal')
        assert.deepEqual(listing(ours), listing(theirs), why);
      else {
        assert.equal(theirs.kind, 'incomplete', 'gcc fails too');
        assert.equal(ours.kind, 'incomplete');
      }
    } finally {
      rig.remove();
    }
  });
}
