// Whose results a node may use: those of the builds that want it decide, for the result and for all that it was made of.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { ForceJob, RunOutcome } from '../../../src/engine/engine.ts';
import { outputRef } from '../../../src/ir/name.ts';
import { LocalStore } from '../../../src/store/local/local.ts';
import { TRUST_NOBODY, type Trust } from '../../../src/store/provenance.ts';
import { FakeEngine, makeReductor, makeThunk } from './fake-engine.ts';

const root = mkdtempSync(join(tmpdir(), 'gg-origins-'));
after(() => rmSync(root, { recursive: true }));
let serial = 0;
const STORE = 's3://bucket/team';
const TRUSTING: Trust = { store: STORE, signers: undefined };
const trustOf = (owner: string): Trust => (owner === 'trusting' ? TRUSTING : TRUST_NOBODY);

/** A leaf and what is made of it; the leaf's result comes from the shared store for those who take it. */
function setUp() {
  const store = new LocalStore(join(root, String(serial++)));
  const leaf = makeThunk(store, 'leaf');
  const top = makeThunk(store, 'top', [{ path: 'x', name: outputRef(leaf, 'o') }]);
  const wrong = store.put(Buffer.from('wrong'), 'V');
  const via = [{ store: STORE }];
  const take = (job: ForceJob): RunOutcome | undefined =>
    job.name === leaf && job.believes?.(via) === true
      ? {
          kind: 'done',
          exitCode: 0,
          stdout: Buffer.alloc(0),
          stderr: Buffer.alloc(0),
          outputs: [{ tag: 'o', name: wrong }],
          wallMs: 1,
          cpuMs: 0,
          origin: { maker: 'mallory@far', engine: 'local', via },
        }
      : undefined;
  return { store, leaf, top, wrong, take };
}

test('a later build that takes nothing from others gets neither the result nor what was made of it', async () => {
  const { store, leaf, top, wrong, take } = setUp();
  const first = new FakeEngine(store, take);
  const before = makeReductor(store, first, 4, undefined, { trustOf });
  assert.equal((await before.reductor.force(leaf, 'trusting')).outputs?.[0]?.name, wrong);
  const tainted = (await before.reductor.force(top, 'trusting')).outputs;
  assert.deepEqual(store.reduction(top)?.origin?.via, [{ store: STORE }], 'the record of the whole says so');
  for (const reductor of [before.reductor, makeReductor(store, first, 4, undefined, { trustOf }).reductor]) {
    const node = await reductor.force(top, 'other');
    assert.notDeepEqual(node.outputs, tainted);
    assert.equal(node.state, 'done');
  }
  assert.deepEqual(store.reduction(top)?.origin?.via, [], 'what ran here takes its place');
});

test('two builds at once keep apart, and each result is that of its own build', async () => {
  const { store, leaf, top, wrong, take } = setUp();
  const engine = new FakeEngine(store, take);
  const { reductor } = makeReductor(store, engine, 4, undefined, { trustOf });
  const [theirs, ours] = await Promise.all([reductor.force(top, 'trusting'), reductor.force(top, 'other')]);
  assert.notDeepEqual(theirs.outputs, ours.outputs);
  assert.equal(reductor.node(leaf, 'trusting')?.outputs?.[0]?.name, wrong);
  assert.notEqual(reductor.node(leaf, 'other')?.outputs?.[0]?.name, wrong);
});

test('a record that does not say where it comes from counts only where anything does', async () => {
  const { store, leaf } = setUp();
  const value = store.put(Buffer.from('old'), 'V');
  const nothing = Buffer.alloc(0);
  const record = { thunk: leaf, exitCode: 0, stdout: nothing, stderr: nothing, wallMs: 1 };
  store.putReduction({ ...record, outputs: [{ tag: 'o', name: value }] });
  for (const owner of ['trusting', 'other']) {
    const engine = new FakeEngine(store);
    await makeReductor(store, engine, 4, undefined, { trustOf }).reductor.force(leaf, owner);
    if (owner === 'trusting') assert.equal(engine.ran.length, 1);
  }
  assert.deepEqual(store.reduction(leaf)?.origin?.via, []);
});
