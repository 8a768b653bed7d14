import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Engine, FollowerDone, ForceJob, RunDone, RunOutcome } from '../../../src/engine/engine.ts';
import { failed } from '../../../src/engine/local/local.ts';
import { reduceInputs } from '../../../src/ir/graph.ts';
import { nameValue, type ObjectName, outputRef } from '../../../src/ir/name.ts';
import { encodeThunk, type Thunk } from '../../../src/ir/thunk.ts';
import { LocalStore } from '../../../src/store/local/local.ts';
import { makeReductor, makeThunk } from './fake-engine.ts';

const root = mkdtempSync(join(tmpdir(), 'gg-chain-'));
after(() => rmSync(root, { recursive: true }));
let serial = 0;
const freshStore = () => new LocalStore(join(root, String(serial++)));

/** Runs all it is offered, unless `stop` says otherwise, and withholds what it may; `hold` delays an end. */
class ChainEngine implements Engine {
  readonly label = 'chains';
  readonly slots = 4;
  readonly chains: boolean;
  /** One list a request: labels of what ran. */
  readonly requests: string[][] = [];
  readonly jobs: ForceJob[] = [];
  hold: () => Promise<void> = async () => {};
  stop: (label: string) => boolean = () => false;
  change: (outcome: RunDone) => RunOutcome = (outcome) => outcome;
  readonly #store: LocalStore;

  constructor(store: LocalStore, chains = true) {
    this.#store = store;
    this.chains = chains;
  }

  #one(thunk: Thunk, withheld: boolean): RunDone {
    for (const input of thunk.inputs)
      assert.ok(withheld || this.#store.has(input.name as ObjectName) || this.requests.at(-1)!.length > 1);
    const bytes = Buffer.from(`${thunk.args.join(' ')} of ${thunk.inputs.map((i) => i.name).join()}`);
    const name = withheld ? nameValue(bytes) : this.#store.put(bytes, 'V');
    return {
      kind: 'done',
      exitCode: 0,
      stdout: Buffer.alloc(0),
      stderr: Buffer.from(`${thunk.args[0]} says\n`),
      outputs: [{ tag: 'o', name }],
      wallMs: 1,
      cpuMs: 1,
      ...(withheld ? { withheld } : {}),
    };
  }

  async run(job: ForceJob): Promise<RunOutcome> {
    this.jobs.push(job);
    const request = [String(job.thunk.args[0])];
    this.requests.push(request);
    const followers = job.followers ?? [];
    const ends = followers.findIndex((f) => this.stop(String(f.thunk.args[0])));
    const along = ends < 0 ? followers : followers.slice(0, ends);
    for (const input of job.thunk.inputs)
      assert.ok(this.#store.has(input.name as ObjectName), 'an input nobody has');
    for (const f of along) request.push(String(f.thunk.args[0]));
    const run = this.#one(job.thunk, along[0]?.alone === true);
    const values = new Map<string, ObjectName>([[outputRef(job.name, 'o'), run.outputs[0]!.name]]);
    const also: FollowerDone[] = [];
    for (const f of along) {
      const thunk = reduceInputs(f.thunk, (ref) => values.get(ref)!);
      const done = this.#one(thunk, false);
      values.set(outputRef(f.name, 'o'), done.outputs[0]!.name);
      also.push({ name: encodeThunk(thunk).name, run: done });
    }
    await this.hold();
    return this.change(also.length > 0 ? { ...run, also } : run);
  }

  async close(): Promise<void> {}
}

const after1 = (store: LocalStore, label: string, ...on: ObjectName[]): ObjectName =>
  makeThunk(
    store,
    label,
    on.map((n, i) => ({ path: `in${i}`, name: outputRef(n, 'o') })),
  );

/** What a reductor without chains makes of it. */
async function plainly(store: LocalStore, top: ObjectName): Promise<unknown> {
  const other = freshStore();
  for (const name of thunksBelow(store, top)) other.put(store.get(name)!, 'T');
  const { reductor } = makeReductor(other, new ChainEngine(other, false));
  return (await reductor.force(top, 's')).outputs;
}

function thunksBelow(store: LocalStore, top: ObjectName): ObjectName[] {
  const text = store.get(top)!.toString();
  const below = [...text.matchAll(/T[0-9a-f]{64}-\d+/g)].map((m) => m[0] as ObjectName);
  return [top, ...below.flatMap((n) => thunksBelow(store, n))];
}

test('ar, ranlib: one request, both reported as run in order, the first one’s bytes stay there', async () => {
  const store = freshStore();
  const ar = makeThunk(store, 'ar');
  const ranlib = after1(store, 'ranlib', ar);
  const engine = new ChainEngine(store);
  const { reductor, heard } = makeReductor(store, engine);
  const node = await reductor.force(ranlib, 's');
  assert.deepEqual(engine.requests, [['ar', 'ranlib']]);
  assert.deepEqual(heard.reduced, [
    { label: ar, how: 'ran' },
    { label: ranlib, how: 'ran' },
  ]);
  assert.deepEqual(node.outputs, await plainly(store, ranlib));
  assert.equal(node.stderr.toString(), 'ranlib says\n');
  assert.ok(store.has(node.outputs![0]!.name));
  assert.equal(reductor.node(ar), undefined, 'nothing is known of what nobody has');
  assert.equal(store.reduction(ar), undefined);
  assert.ok(store.reduction(ranlib));
});

test('what comes later and wants the withheld output has the first run again', async () => {
  const store = freshStore();
  const ar = makeThunk(store, 'ar');
  const engine = new ChainEngine(store);
  const { reductor, heard } = makeReductor(store, engine);
  await reductor.force(after1(store, 'ranlib', ar), 's');
  const nm = after1(store, 'nm', ar);
  const also = after1(store, 'also', ar);
  const [one, two] = await Promise.all([reductor.force(nm, 's'), reductor.force(also, 's')]);
  assert.deepEqual([one.state, two.state], ['done', 'done']);
  assert.deepEqual(engine.requests[1], ['ar', 'nm'], 'nm was there alone');
  assert.equal((await reductor.force(ar, 's')).state, 'done');
  assert.ok(store.has((await reductor.force(ar, 's')).outputs![0]!.name));
  assert.deepEqual(heard.failed, []);
});

test('whoever comes while it runs gets the bytes: a waiter, another thunk, a path', async () => {
  for (const who of ['waiter', 'thunk', 'path']) {
    const store = freshStore();
    const ar = makeThunk(store, 'ar');
    const ranlib = after1(store, 'ranlib', ar);
    const engine = new ChainEngine(store);
    let go = (): void => {};
    engine.hold = () => new Promise((resolve) => (go = resolve));
    let promised = false;
    const { reductor } = makeReductor(store, engine, 4, undefined, {
      isPromised: (n) => promised && n === ar,
    });
    const first = reductor.force(ranlib, 's');
    const later =
      who === 'waiter'
        ? reductor.force(ar, 's')
        : who === 'thunk'
          ? reductor.force(after1(store, 'nm', ar), 's')
          : undefined;
    promised = who === 'path';
    engine.hold = async () => {};
    go();
    assert.equal((await first).state, 'done', who);
    const other = await later;
    assert.ok(!other || store.has(other.outputs![0]!.name), who);
    assert.deepEqual(engine.requests.slice(0, 2), [['ar', 'ranlib'], ['ar']], who);
    assert.equal(reductor.node(ar)?.state, 'done', who);
    assert.ok(store.has(reductor.node(ar)!.outputs![0]!.name), who);
    assert.equal(engine.requests.filter((r) => r.includes('ranlib')).length, 1, who);
  }
});

test('a promised output comes back; more than two links, up to a limit', async () => {
  const store = freshStore();
  const names = [makeThunk(store, '0')];
  for (let i = 1; i < 6; i++) names.push(after1(store, String(i), names.at(-1)!));
  const engine = new ChainEngine(store);
  const { reductor, heard } = makeReductor(store, engine, 4, undefined, { isPromised: () => true });
  const node = await reductor.force(names.at(-1)!, 's');
  assert.deepEqual(engine.requests, [
    ['0', '1', '2', '3'],
    ['4', '5'],
  ]);
  assert.deepEqual(
    heard.reduced.map((r) => r.label),
    names,
  );
  assert.deepEqual(node.outputs, await plainly(store, names.at(-1)!));
  for (const name of names) assert.ok(store.has(reductor.node(name)!.outputs![0]!.name));
});

test('no chain where something else is missing or waits, where somebody else pays, where the engine has none', async () => {
  const store = freshStore();
  const [a, b] = [makeThunk(store, 'a'), makeThunk(store, 'b')];
  const both = after1(store, 'both', a, b);
  const engine = new ChainEngine(store);
  const { reductor } = makeReductor(store, engine);
  await reductor.force(both, 's');
  assert.deepEqual(engine.requests.toSorted(), [['a'], ['b'], ['both']]);

  const fork = makeThunk(store, 'fork');
  const top = after1(store, 'top', after1(store, 'l', fork), after1(store, 'r', fork));
  engine.requests.length = 0;
  await reductor.force(top, 's');
  assert.deepEqual(engine.requests[0], ['fork']);

  const mine = makeThunk(store, 'mine');
  engine.requests.length = 0;
  reductor.open('me', 1);
  reductor.open('you', 1);
  // Both are busy; I am free first, and pay.
  const ends: (() => void)[] = [];
  engine.hold = () => new Promise((resolve) => void ends.push(resolve));
  const busy = [
    reductor.force(makeThunk(store, 'busy'), 'me'),
    reductor.force(makeThunk(store, 'as busy'), 'you'),
  ];
  engine.hold = async () => {};
  const asked = reductor.force(after1(store, 'yours', mine), 'you');
  const shared = reductor.force(mine, 'me');
  ends[0]!();
  await shared;
  ends[1]!();
  await Promise.all([...busy, asked]);
  assert.deepEqual(engine.requests, [['busy'], ['as busy'], ['mine'], ['yours']]);

  const none = new ChainEngine(store, false);
  await makeReductor(store, none).reductor.force(after1(store, 'y', makeThunk(store, 'x')), 's');
  assert.deepEqual(none.requests, [['x'], ['y']]);
  assert.ok(none.jobs.every((job) => job.followers === undefined));
});

test('somebody who stands still for the first does not wait for the second', async () => {
  const store = freshStore();
  const first = makeThunk(store, 'first');
  const engine = new ChainEngine(store);
  const { reductor } = makeReductor(store, engine, 1);
  const busy = reductor.force(makeThunk(store, 'busy'), 's');
  const second = reductor.force(after1(store, 'second', first), 's');
  await Promise.all([busy, second, reductor.force(first, 's', { urgent: true })]);
  assert.deepEqual(engine.requests, [['busy'], ['first'], ['second']]);
});

test('the engine stops early, or brings something else: the second runs alone, and once', async () => {
  const store = freshStore();
  const engine = new ChainEngine(store);
  const { reductor } = makeReductor(store, engine);
  engine.stop = (label) => label === 'strip';
  const strip = after1(store, 'strip', makeThunk(store, 'link'));
  assert.equal((await reductor.force(strip, 's')).state, 'done');
  assert.deepEqual(engine.requests, [['link'], ['strip']]);

  // The result of another thunk, with the first one's bytes and without.
  for (const withheld of [false, true]) {
    engine.requests.length = 0;
    engine.stop = () => false;
    engine.change = (outcome) => {
      const name = `T${'0'.repeat(64)}-1` as ObjectName;
      return { ...outcome, ...(outcome.also ? { also: [{ ...outcome.also[0]!, name }] } : {}) };
    };
    const top = after1(store, `strip${withheld}`, makeThunk(store, `link${withheld}`));
    const { reductor: one } = makeReductor(store, engine, 4, undefined, { isPromised: () => !withheld });
    const node = await one.force(top, 's');
    assert.equal(node.state, 'done');
    assert.deepEqual(node.outputs, await plainly(store, top));
    assert.equal(store.reduction(`T${'0'.repeat(64)}-1` as ObjectName), undefined);
    assert.deepEqual(engine.requests.at(-1), [`strip${withheld}`]);
    assert.equal(engine.requests.length, withheld ? 3 : 2);
  }
});

test('a first that fails fails the second as a dependency; taken back, both are', async () => {
  const store = freshStore();
  const engine = new ChainEngine(store);
  const { reductor, heard } = makeReductor(store, engine);
  engine.change = () => failed('timeout', 'too long');
  const link = makeThunk(store, 'link');
  const node = await reductor.force(after1(store, 'strip', link), 's');
  assert.equal(node.failure?.kind, 'dependency');
  assert.deepEqual(heard.failed, [link, node.name]);

  let go = (): void => {};
  engine.hold = () => new Promise((resolve) => (go = resolve));
  engine.change = (outcome) => outcome;
  const again = reductor.force(node.name, 's');
  reductor.cancel('s', { running: true });
  go();
  assert.equal((await again).state, 'cancelled');
  engine.hold = async () => {};
  assert.equal((await reductor.force(node.name, 's')).state, 'done');
});

test('in a second build what is known by name only does not run, until somebody wants it', async () => {
  const store = freshStore();
  const ar = makeThunk(store, 'ar');
  const ranlib = after1(store, 'ranlib', ar);
  const first = new ChainEngine(store);
  await makeReductor(store, first).reductor.force(ranlib, 's');
  assert.equal(store.reduction(ar), undefined);
  assert.ok(store.reduction(ar, 'names'));

  const engine = new ChainEngine(store);
  const { reductor, heard } = makeReductor(store, engine);
  // As they come in a build: the first alone, with nothing known of a second.
  reductor.add(ar, 's');
  reductor.add(ranlib, 's');
  assert.equal((await reductor.force(ranlib, 's')).memoHit, true);
  assert.deepEqual([engine.requests, reductor.pending], [[], 0]);
  reductor.close('s');
  reductor.forget();
  assert.deepEqual(heard.cancelled, [], 'nobody had asked for it');

  reductor.add(ar, 's');
  assert.deepEqual(engine.requests, []);
  assert.equal((await reductor.force(after1(store, 'nm', ar), 's')).state, 'done');
  assert.deepEqual(engine.requests, [['ar', 'nm']]);
  reductor.add(ar, 's');
  const node = await reductor.force(ar, 's', { urgent: true });
  assert.ok(store.has(node.outputs![0]!.name));
  assert.deepEqual(engine.requests, [['ar', 'nm'], ['ar']]);
});

test('a change that comes out as before: neither the withheld nor what was made of it runs again', async () => {
  const store = freshStore();
  const equal = store.put(Buffer.from('the same object'), 'V');
  const engine = new ChainEngine(store);
  engine.change = (outcome) =>
    outcome.stderr.toString().startsWith('compile')
      ? { ...outcome, outputs: [{ tag: 'o', name: equal }] }
      : outcome;
  engine.stop = (label) => label === 'link';
  const build = (compile: string): ObjectName =>
    after1(store, 'strip', after1(store, 'link', makeThunk(store, compile)));
  const { reductor, heard } = makeReductor(store, engine, 4, undefined, {
    isPromised: (thunk) => store.get(thunk)!.toString().includes('compile'),
  });
  await reductor.force(build('compile 1'), 's');
  assert.deepEqual(engine.requests, [['compile 1'], ['link', 'strip']]);
  const again = await reductor.force(build('compile 2'), 's');
  assert.deepEqual(engine.requests.slice(2), [['compile 2']]);
  assert.equal(again.memoHit, true);
  assert.deepEqual(
    heard.reduced.map((r) => r.how),
    ['ran', 'ran', 'ran', 'ran', 'memoized', 'memoized'],
  );
});

test('early cut-off: what is known of the second is said, and its result is not taken twice', async () => {
  const store = freshStore();
  const equal = store.put(Buffer.from('the same object'), 'V');
  const engine = new ChainEngine(store);
  // Whatever the first is made of, it comes out as it did.
  engine.stop = () => true;
  engine.change = (outcome) =>
    outcome.stderr.toString().startsWith('compile')
      ? { ...outcome, outputs: [{ tag: 'o', name: equal }] }
      : outcome;
  const link = (compile: string): ObjectName =>
    makeThunk(store, 'link', [{ path: 'x.o', name: outputRef(makeThunk(store, compile), 'o') }]);
  const before = link('compile 1');
  const { reductor, heard } = makeReductor(store, engine, 4, undefined, {
    before: () => before,
    isPromised: () => true,
  });
  await reductor.force(before, 's');
  const [job] = engine.jobs.slice(-1);
  const now = link('compile 2');
  await reductor.force(now, 's');
  assert.deepEqual(
    engine.jobs.at(-1)!.followers!.map((f) => f.known),
    [[job!.name]],
  );
  assert.deepEqual(heard.reduced.at(-1), { label: now, how: 'memoized' });
  assert.deepEqual(engine.requests, [['compile 1'], ['link'], ['compile 2']]);
});
