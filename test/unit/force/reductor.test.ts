import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { failed } from '../../../src/engine/local/local.ts';
import { outputRef } from '../../../src/ir/name.ts';
import { LocalStore } from '../../../src/store/local/local.ts';
import { FakeEngine, makeReductor, makeThunk } from './fake-engine.ts';

const root = mkdtempSync(join(tmpdir(), 'gg-reductor-'));
after(() => rmSync(root, { recursive: true }));
let serial = 0;
const freshStore = () => new LocalStore(join(root, String(serial++)));

test('a chain of 20,000 thunks is forced in order, each once, without deep recursion', async () => {
  const store = freshStore();
  let last = makeThunk(store, '0');
  for (let i = 1; i < 20_000; i++)
    last = makeThunk(store, String(i), [{ path: 'in', name: outputRef(last, 'o') }]);
  const engine = new FakeEngine(store);
  const { reductor } = makeReductor(store, engine);
  const node = await reductor.force(last, 's');
  assert.equal(node.state, 'done');
  assert.equal(engine.ran.length, 20_000);
});

test('a ladder of diamonds runs each thunk once; a wide node waits for all of its inputs', async () => {
  const store = freshStore();
  let [a, b] = [makeThunk(store, 'a'), makeThunk(store, 'b')];
  for (let i = 0; i < 200; i++) {
    const both = [
      { path: 'l', name: outputRef(a, 'o') },
      { path: 'r', name: outputRef(b, 'o') },
    ];
    [a, b] = [makeThunk(store, `a${i}`, both), makeThunk(store, `b${i}`, both)];
  }
  const wide = Array.from({ length: 2000 }, (_, i) => ({
    path: `w${i}`,
    name: outputRef(makeThunk(store, `w${i}`), 'o'),
  }));
  const top = makeThunk(store, 'top', [
    ...wide,
    { path: 'a', name: outputRef(a, 'o') },
    { path: 'b', name: outputRef(b, 'o') },
  ]);
  const engine = new FakeEngine(store);
  const { reductor } = makeReductor(store, engine, 3);
  assert.equal((await reductor.force(top, 's')).state, 'done');
  assert.equal(engine.ran.length, 2 + 400 + 2000 + 1);
  assert.equal(new Set(engine.ran).size, engine.ran.length);
  assert.ok(engine.most <= 3, `${engine.most} at once, 3 allowed`);
});

test('a second reductor finds everything memoized and runs nothing', async () => {
  const store = freshStore();
  const leaf = makeThunk(store, 'leaf');
  const top = makeThunk(store, 'top', [{ path: 'x', name: outputRef(leaf, 'o') }]);
  const first = new FakeEngine(store);
  const values = (await makeReductor(store, first).reductor.force(top, 's')).outputs;
  const second = new FakeEngine(store);
  const { reductor, heard } = makeReductor(store, second);
  assert.deepEqual((await reductor.force(top, 's')).outputs, values);
  assert.equal(second.ran.length, 0);
  assert.deepEqual(
    heard.reduced.map((r) => r.how),
    ['memoized'],
  );
});

test('early cut-off: another way to an equal intermediate value does not run its user again', async () => {
  const store = freshStore();
  const equal = (job: { thunk: { args: readonly unknown[] } }) => {
    if (!String(job.thunk.args[0]).startsWith('leaf')) return undefined;
    const name = store.put(Buffer.from('the same bytes'), 'V');
    return {
      kind: 'done',
      exitCode: 0,
      stdout: Buffer.alloc(0),
      stderr: Buffer.alloc(0),
      outputs: [{ tag: 'o', name }],
      wallMs: 1,
      cpuMs: 1,
    } as const;
  };
  const engine = new FakeEngine(store, equal);
  const { reductor } = makeReductor(store, engine);
  const user = (leaf: string) =>
    makeThunk(store, 'user', [{ path: 'x', name: outputRef(makeThunk(store, leaf), 'o') }]);
  await reductor.force(user('leaf one'), 's');
  await reductor.force(user('leaf two'), 's');
  assert.equal(engine.ran.length, 3, 'two leaves and one user');
  await Promise.all([reductor.force(user('leaf 3'), 's'), reductor.force(user('leaf 4'), 's')]);
  assert.equal(engine.ran.length, 5);
});

test('a failure takes its dependents along, siblings finish, and a later build tries again', async () => {
  const store = freshStore();
  let broken = true;
  const engine = new FakeEngine(store, (job) =>
    broken && job.thunk.args[0] === 'bad'
      ? {
          kind: 'done',
          exitCode: 1,
          stdout: Buffer.alloc(0),
          stderr: Buffer.from('bad.c:1: error\n'),
          outputs: [],
          wallMs: 1,
          cpuMs: 1,
        }
      : undefined,
  );
  const { reductor, heard } = makeReductor(store, engine);
  const bad = makeThunk(store, 'bad');
  const good = makeThunk(store, 'good');
  const top = makeThunk(store, 'top', [
    { path: 'b', name: outputRef(bad, 'o') },
    { path: 'g', name: outputRef(good, 'o') },
  ]);
  const over = makeThunk(store, 'over', [{ path: 't', name: outputRef(top, 'o') }]);
  const [top1, good1] = await Promise.all([reductor.force(over, 's'), reductor.force(good, 's')]);
  assert.equal(top1.state, 'failed');
  assert.equal(top1.failure?.kind, 'dependency');
  assert.equal(good1.state, 'done');
  assert.deepEqual(new Set(heard.failed), new Set([bad, top, over]));
  broken = false;
  assert.equal((await reductor.force(over, 's')).state, 'done');
});

test('transient failures are tried again, at most three times in all', async () => {
  const store = freshStore();
  const engine = new FakeEngine(store, (_job, attempt) =>
    attempt < 3 ? failed('throttled', 'slow down', true) : undefined,
  );
  const { reductor } = makeReductor(store, engine);
  assert.equal((await reductor.force(makeThunk(store, 'x'), 's')).state, 'done');
  assert.equal(engine.ran.length, 3);
  const never = new FakeEngine(store, () => failed('throttled', 'slow down', true));
  const { reductor: second } = makeReductor(store, never);
  const node = await second.force(makeThunk(store, 'y'), 's');
  assert.equal(node.state, 'failed');
  assert.equal(never.ran.length, 3);
});

test('a reduction whose blob is lost is a miss: the thunk runs again', async () => {
  const store = freshStore();
  const name = makeThunk(store, 'x');
  const engine = new FakeEngine(store);
  const node = await makeReductor(store, engine).reductor.force(name, 's');
  rmSync(store.path(node.outputs![0]!.name)!);
  const again = await makeReductor(store, engine).reductor.force(name, 's');
  assert.equal(again.state, 'done');
  assert.equal(engine.ran.length, 2);
});

test('a thunk missing from the store fails with that reason', async () => {
  const store = freshStore();
  const lost = makeThunk(freshStore(), 'elsewhere');
  const node = await makeReductor(store, new FakeEngine(store)).reductor.force(lost, 's');
  assert.equal(node.state, 'failed');
  assert.ok(node.failure?.kind === 'engine' && node.failure.run.reason === 'missing-blob');
});

test('cancel takes back what one owner alone wanted and leaves what another wants', async () => {
  const store = freshStore();
  const engine = new FakeEngine(store);
  const { reductor, heard } = makeReductor(store, engine, 1);
  const names = Array.from({ length: 10 }, (_, i) => makeThunk(store, `c${i}`));
  const all = names.map((n) => reductor.force(n, 'one'));
  const shared = reductor.force(names[9]!, 'two');
  reductor.cancel('one', { running: false });
  assert.equal((await shared).state, 'done');
  const states = (await Promise.all(all)).map((n) => n.state);
  assert.equal(states.filter((s) => s === 'cancelled').length, 8);
  assert.equal(heard.cancelled.length, 8);
});
