import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Engine, ForceJob, RunOutcome } from '../../../src/engine/engine.ts';
import { LimitedEngine } from '../../../src/engine/layers/limited.ts';
import { failed } from '../../../src/engine/local/local.ts';
import { outputRef } from '../../../src/ir/name.ts';
import { LocalStore } from '../../../src/store/local/local.ts';
import { makeReductor, makeThunk } from './fake-engine.ts';

const root = mkdtempSync(join(tmpdir(), 'gg-lanes-'));
after(() => rmSync(root, { recursive: true }));
let serial = 0;
const freshStore = () => new LocalStore(join(root, String(serial++)));
const turn = () => new Promise((r) => setImmediate(r));

/** Runs end when the test says so, or when they are taken back. */
class HeldEngine implements Engine {
  readonly label = 'held';
  readonly slots = 1;
  readonly store: LocalStore;
  readonly asked: string[] = [];
  #ends: (() => void)[] = [];
  now = 0;
  most = 0;

  constructor(store: LocalStore) {
    this.store = store;
  }

  run(job: ForceJob, { signal }: { readonly signal: AbortSignal }): Promise<RunOutcome> {
    this.asked.push(String(job.thunk.args[0]));
    this.most = Math.max(this.most, ++this.now);
    return new Promise((resolve) => {
      let over = false;
      const end = (outcome: RunOutcome): void => {
        if (over) return;
        over = true;
        this.now--;
        resolve(outcome);
      };
      const name = this.store.put(Buffer.from(String(job.thunk.args[0])), 'V');
      const none = Buffer.alloc(0);
      this.#ends.push(() =>
        end({
          kind: 'done',
          exitCode: 0,
          stdout: none,
          stderr: none,
          outputs: [{ tag: 'o', name }],
          wallMs: 1,
          cpuMs: 1,
        }),
      );
      signal.addEventListener('abort', () => end(failed('cancelled', 'taken back')), { once: true });
    });
  }

  /** Ends what runs now. */
  async end(): Promise<void> {
    for (const end of this.#ends.splice(0)) end();
    for (let i = 0; i < 5; i++) await turn();
  }

  async close(): Promise<void> {}
}

const many = (store: LocalStore, label: string, count: number) =>
  Array.from({ length: count }, (_, i) => makeThunk(store, `${label}${i}`));

test('two sessions with different engines and limits: each engine is asked for its own session only', async () => {
  const store = freshStore();
  const cloud = new HeldEngine(store);
  const here = new HeldEngine(store);
  const { reductor } = makeReductor(store, here, 3, (owner) => (owner === 'wide' ? cloud : undefined));
  reductor.open('narrow', 2);
  reductor.open('wide', 1000);
  for (const name of many(store, 'n', 100)) reductor.add(name, 'narrow');
  for (const name of many(store, 'w', 300)) reductor.add(name, 'wide');
  await turn();
  assert.equal(here.now, 2);
  assert.equal(cloud.now, 300);
  assert.ok(here.asked.every((label) => label.startsWith('n')));
  assert.ok(cloud.asked.every((label) => label.startsWith('w')));
  // Owners without a limit of their own share the common one, whatever the sessions do.
  for (const name of many(store, 'd', 10)) reductor.add(name, 'detached');
  assert.equal(here.now, 5);
  assert.equal(reductor.inFlight, 305);
  assert.equal(reductor.pending, 410);
});

test('a thunk two sessions want runs once and is paid by one; it is ready for the other when the first is gone', async () => {
  const store = freshStore();
  const engine = new HeldEngine(store);
  const { reductor, heard } = makeReductor(store, engine, 2);
  reductor.open('a', 1);
  reductor.open('b', 1);
  const [first, second, third] = many(store, 's', 3);
  for (const name of [first!, second!, third!]) for (const owner of ['a', 'b']) reductor.add(name, owner);
  assert.equal(engine.now, 2);
  assert.equal(new Set(engine.asked).size, 2);
  reductor.close('a');
  assert.deepEqual(heard.cancelled, []);
  await engine.end();
  await engine.end();
  assert.deepEqual([...engine.asked].sort(), ['s0', 's1', 's2']);
  assert.equal(reductor.pending, 0);
});

test('a session that ends gives its limit back: its own are taken back, the others go on', async () => {
  const store = freshStore();
  const inner = new HeldEngine(store);
  const local = new LimitedEngine(inner, 2);
  const { reductor, heard } = makeReductor(store, local, 2);
  const begin = (session: string, jobs: number): void => {
    local.claim(session, jobs);
    reductor.open(session, jobs, [`ahead-${session}`]);
  };
  begin('two', 2);
  begin('five', 5);
  for (const name of many(store, 'x', 40)) reductor.add(name, 'two');
  for (const name of many(store, 'y', 40)) reductor.add(name, 'five');
  for (const name of many(store, 'z', 40)) reductor.add(name, 'ahead-five');
  for (let i = 0; i < 4; i++) await inner.end();
  assert.equal(inner.most, 5, 'no more at once than the largest limit');
  reductor.close('five', ['ahead-five']);
  local.release('five');
  for (let i = 0; i < 5; i++) await turn();
  assert.equal(local.slots, 2);
  assert.ok(inner.now <= 2, `${inner.now} at once, 2 allowed`);
  assert.ok(heard.cancelled.length > 0);
  inner.most = 0;
  for (let i = 0; i < 60; i++) await inner.end();
  assert.equal(inner.most, 2);
  assert.equal(inner.asked.filter((label) => label.startsWith('x')).length, 40);
  assert.equal(reductor.pending, 0);
  local.release('two');
  assert.equal(local.slots, 2, 'what is usual here, with no session left');
});

test('a session in the cloud leaves the local engine what is usual; one with -j1 bounds it alone', () => {
  const local = new LimitedEngine(new HeldEngine(freshStore()), 8);
  assert.equal(local.slots, 8);
  local.claim('one', 1);
  assert.equal(local.slots, 1);
  local.claim('cloud');
  assert.equal(local.slots, 8);
  local.release('cloud');
  local.release('one');
  assert.equal(local.slots, 8);
});

test('a run that is taken back while it waits for a place ends at once and takes none', async () => {
  const store = freshStore();
  const inner = new HeldEngine(store);
  const local = new LimitedEngine(inner, 1);
  const { reductor } = makeReductor(store, local, 10);
  for (const name of many(store, 'k', 2)) reductor.add(name, 'keep');
  for (const name of many(store, 't', 3)) reductor.add(name, 'take');
  assert.equal(inner.now, 1);
  assert.equal(local.idle, 0);
  reductor.close('take');
  for (let i = 0; i < 5; i++) await turn();
  assert.equal(reductor.inFlight, 2);
  await inner.end();
  await inner.end();
  assert.deepEqual(inner.asked, ['k0', 'k1']);
  assert.equal(local.idle, 1);
});

test('cancelling what still waits for its inputs leaves the count of ready thunks right', async () => {
  const store = freshStore();
  const engine = new HeldEngine(store);
  const { reductor } = makeReductor(store, engine, 1);
  const leaf = makeThunk(store, 'leaf');
  const top = makeThunk(store, 'top', [{ path: 'i', name: outputRef(leaf, 'o') }]);
  reductor.add(top, 'gone');
  reductor.add(makeThunk(store, 'other'), 'stays');
  assert.equal(reductor.pending, 2);
  reductor.cancel('gone', { running: true });
  await engine.end();
  assert.equal(reductor.pending, 1);
  await engine.end();
  assert.equal(reductor.pending, 0);
});
