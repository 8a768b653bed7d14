// What every remote backend must do. Registered for each by its own test file.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { nameThunk, nameValue, type ObjectName } from '../../src/ir/name.ts';
import {
  type BlobSource,
  RemoteError,
  type RemoteErrorReason,
  type RemoteStore,
  type RemoteUse,
} from '../../src/store/remote/remote.ts';
import type { Reduction } from '../../src/store/store.ts';
import { seededRandom } from '../emulators/s3/faults.ts';

/** One service; stores made of it see the same blobs. */
export interface Service {
  store(use?: RemoteUse): RemoteStore;
  /** Takes away the bytes of every blob, wherever they lie, without a word to the stores. */
  loseBlobs(): Promise<void>;
  /** Turns bits in the bytes of every blob. */
  damageBlobs(): Promise<void>;
  damageReductions(): Promise<void>;
  close(): Promise<void>;
}

export interface Contract {
  readonly title: string;
  /** Makes an empty service. */
  readonly start: () => Promise<Service>;
  /** Above every bound for pieces the backend has. */
  readonly largeBytes: number;
}

export function randomBytesOf(sizeBytes: number, seed: number): Buffer {
  const random = seededRandom(seed);
  const bytes = Buffer.alloc(sizeBytes);
  for (let i = 0; i + 4 <= sizeBytes; i += 4) bytes.writeUInt32LE(Math.floor(random() * 2 ** 32), i);
  return bytes;
}

export function reason(
  wanted: RemoteErrorReason | readonly RemoteErrorReason[],
): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof RemoteError, String((error as Error).stack));
    assert.ok([wanted].flat().includes(error.reason), `${error.reason}: ${error.message}`);
    return true;
  };
}

const LOST_OR_DAMAGED = ['missing-blob', 'digest-mismatch'] as const;

export function describeRemoteStore({ title, start, largeBytes }: Contract): void {
  describe(`remote store contract: ${title}`, () => {
    let service: Service;
    let dir: string;
    const stores: RemoteStore[] = [];
    const open = (use?: RemoteUse): RemoteStore => {
      const store = service.store(use);
      stores.push(store);
      return store;
    };
    before(async () => {
      service = await start();
      dir = mkdtempSync(join(tmpdir(), 'gg-remote-'));
    });
    after(async () => {
      for (const store of stores) await store.close();
      await service?.close();
      rmSync(dir, { recursive: true, force: true });
    });

    let serial = 0;
    const fresh = (sizeBytes = 100): [ObjectName, Buffer] => {
      const bytes = Buffer.concat([Buffer.from(`${serial++}:`), randomBytesOf(sizeBytes, serial)]).subarray(
        0,
        sizeBytes,
      );
      return [nameValue(bytes), bytes];
    };
    const many = (count: number, sizeBytes: number) => Array.from({ length: count }, () => fresh(sizeBytes));
    const sources = (blobs: readonly (readonly [ObjectName, BlobSource])[]) =>
      blobs.map(([name, source]) => [name, () => source] as const);

    test('what one stores, another gets', async () => {
      const [writer, reader] = [open(), open()];
      const thunkBytes = Buffer.from('a thunk');
      const blobs: [ObjectName, Buffer][] = [
        [nameValue(Buffer.alloc(0)), Buffer.alloc(0)],
        fresh(17),
        fresh(300_000),
        [nameThunk(thunkBytes), thunkBytes],
      ];
      for (const [name, bytes] of blobs) {
        assert.equal(writer.known(name), false);
        await writer.put(name, bytes);
        assert.equal(writer.known(name), true);
        assert.deepEqual(await reader.get(name), bytes);
        assert.equal(reader.known(name), true);
      }
      assert.equal(writer.counters.putCount, blobs.length);
      assert.equal(
        writer.counters.sentBytes,
        blobs.reduce((sum, [, b]) => sum + b.length, 0),
      );
    });

    test('a known blob is not sent again', async () => {
      const store = open();
      const [name, bytes] = fresh();
      await Promise.all([store.put(name, bytes), store.put(name, bytes)]);
      await store.put(name, bytes);
      await store.putAll([[name, () => assert.fail('asked for a known blob')]]);
      assert.equal(store.counters.putCount, 1);
      const other = open();
      await other.put(name, bytes);
      assert.equal(other.known(name), true);
    });

    test('large blobs, from files and from memory, into files', async () => {
      const [writer, reader] = [open(), open()];
      const [name, bytes] = fresh(largeBytes);
      const path = join(dir, 'large');
      writeFileSync(path, bytes);
      await writer.put(name, { absPath: path });
      const target = join(dir, 'large.got');
      await reader.getFile(name, target);
      assert.ok(readFileSync(target).equals(bytes));
      assert.equal(statSync(target).mode & 0o777, 0o444);
      assert.ok((await reader.get(name)).equals(bytes));
      const [name2, bytes2] = fresh(largeBytes + 1);
      await writer.put(name2, bytes2);
      assert.ok((await reader.get(name2)).equals(bytes2));
    });

    test('a source that is not what its name says is refused', async () => {
      const store = open();
      const [name, bytes] = fresh(1000);
      const bent = Buffer.from(bytes);
      bent[500]! ^= 1;
      const path = join(dir, 'bent');
      writeFileSync(path, bent);
      for (const source of [bent, bytes.subarray(1), { absPath: path }, { absPath: join(dir, 'absent') }]) {
        await assert.rejects(store.put(name, source), reason('digest-mismatch'));
        await assert.rejects(store.putAll([[name, () => source]]), reason('digest-mismatch'));
      }
      const [large, largeContents] = fresh(largeBytes);
      largeContents[largeBytes - 1]! ^= 1;
      await assert.rejects(store.put(large, largeContents), reason('digest-mismatch'));
      assert.equal(store.known(name), false);
      assert.equal(store.known(large), false);
      await assert.rejects(open().get(name), reason('missing-blob'));
      await assert.rejects(open().get(large), reason('missing-blob'));
    });

    test('many at once; some without a source, some known, some twice', async () => {
      const [writer, reader] = [open(), open()];
      const blobs = [...many(300, 700), ...many(5, 400_000)];
      const [without] = fresh();
      await writer.put(...blobs[7]!);
      await writer.putAll([...sources(blobs), ...sources(blobs.slice(0, 50)), [without, () => undefined]]);
      assert.equal(writer.known(without), false);
      assert.ok(blobs.every(([name]) => writer.known(name)));
      reader.learn(JSON.parse(JSON.stringify(writer.hints(blobs.map(([name]) => name)))));
      const got = await Promise.all(blobs.map(([name]) => reader.get(name)));
      assert.ok(got.every((bytes, i) => bytes.equals(blobs[i]![1])));
      for (const [name, bytes] of blobs.slice(0, 3)) {
        await reader.getFile(name, join(dir, name));
        assert.ok(readFileSync(join(dir, name)).equals(bytes));
      }
    });

    test('prepare learns what is there', async () => {
      const blobs = [...many(20, 500), ...many(2, 300_000)];
      const thunk = nameThunk(Buffer.from('prepared'));
      await open().putAll(sources([...blobs, [thunk, Buffer.from('prepared')]]));
      const store = open();
      await Promise.all([store.prepare(), store.prepare()]);
      const lists = store.counters.listCount;
      await store.prepare();
      assert.equal(store.counters.listCount, lists);
      assert.ok(blobs.every(([name]) => store.known(name)));
      assert.ok(store.known(thunk));
      assert.equal(store.known(fresh()[0]), false);
      await store.putAll(sources(blobs));
      assert.equal(store.counters.putCount, 0);
      for (const [name, bytes] of blobs) assert.deepEqual(await store.get(name), bytes);
    });

    test('noted blobs are known', () => {
      const store = open();
      const [name] = fresh();
      store.noteStored(name);
      assert.equal(store.known(name), true);
      store.forget(name);
      assert.equal(store.known(name), false);
    });

    test('invented hints do no harm', async () => {
      const store = open();
      const [name, bytes] = fresh();
      await open().put(name, bytes);
      const pack = `P${'0'.repeat(64)}-1000`;
      store.learn({ [pack]: { [name.slice(1, 14)]: 100 }, nonsense: { x: -1 } });
      assert.deepEqual(await store.get(name), bytes);
      const [absent] = fresh();
      store.learn({ [pack]: { [absent.slice(1, 14)]: 999 } });
      await assert.rejects(store.get(absent), reason(LOST_OR_DAMAGED));
    });

    for (const [what, harm, wanted] of [
      ['lost', 'loseBlobs', 'missing-blob'],
      ['damaged', 'damageBlobs', 'digest-mismatch'],
    ] as const)
      test(`${what} blobs are reported, forgotten and can be put again`, async () => {
        const store = open();
        const blobs = [...many(10, 800), fresh(300_000), fresh(largeBytes)];
        await store.putAll(sources(blobs));
        await service[harm]();
        const target = join(dir, what);
        for (const [name] of blobs) {
          await assert.rejects(store.get(name), reason(wanted));
          assert.equal(store.known(name), false);
          store.noteStored(name);
          await assert.rejects(store.getFile(name, target), reason(LOST_OR_DAMAGED));
          assert.equal(store.known(name), false);
        }
        assert.deepEqual(
          readdirSync(dir).filter((f) => f.startsWith(what)),
          [],
        );
        await store.putAll(sources(blobs));
        const reader = open();
        await reader.prepare();
        for (const [name, bytes] of blobs) {
          assert.ok((await store.get(name)).equals(bytes));
          assert.ok(reader.known(name));
          assert.ok((await reader.get(name)).equals(bytes));
        }
      });

    test('a damaged blob that was found out does not pass for the good one', async () => {
      const blobs = [fresh(800), fresh(300_000), fresh(largeBytes)];
      for (const [name, bytes] of blobs) await open().put(name, bytes);
      await service.damageBlobs();
      for (const [name, bytes] of blobs) {
        await assert.rejects(open().get(name), reason('digest-mismatch'));
        await open().put(name, bytes);
        assert.ok((await open().get(name)).equals(bytes));
      }
    });

    const reductionOf = (text: string, outputs: readonly ObjectName[]): Reduction => ({
      thunk: nameThunk(Buffer.from(text)),
      outputs: outputs.map((name, i) => ({ tag: `o${i}`, name })),
      exitCode: 0,
      stdout: Buffer.from('out\0'),
      stderr: Buffer.from([0xff, 0x0a]),
      wallMs: 12,
    });

    test('reductions are shared', async () => {
      const [writer, reader, late] = [open(), open(), open()];
      const [name, bytes] = fresh();
      const reduction = reductionOf('shared', [name]);
      assert.equal(await reader.reduction(reduction.thunk), undefined);
      await writer.put(name, bytes);
      await writer.putReduction(reduction);
      assert.deepEqual(await reader.reduction(reduction.thunk), reduction);
      await late.prepare();
      assert.deepEqual(await late.reduction(reduction.thunk), reduction);
      late.forget(name);
      assert.equal(await late.reduction(reduction.thunk), undefined);
      assert.equal(await open({ trustReductions: false }).reduction(reduction.thunk), undefined);
      await service.damageReductions();
      assert.equal(await open().reduction(reduction.thunk), undefined);
      await writer.putReduction(reduction);
      assert.deepEqual(await open().reduction(reduction.thunk), reduction);
    });

    test('read-only: reads, puts nothing, says so', async () => {
      const [name, bytes] = fresh();
      await open().put(name, bytes);
      const store = open({ readOnly: true });
      await store.prepare();
      assert.deepEqual(await store.get(name), bytes);
      await store.put(name, bytes);
      const [other, otherBytes] = fresh();
      await assert.rejects(store.put(other, otherBytes), reason('read-only'));
      await assert.rejects(store.putAll([[other, () => otherBytes]]), reason('read-only'));
      const reduction = reductionOf('read-only', [name]);
      await store.putReduction(reduction);
      assert.equal(await open().reduction(reduction.thunk), undefined);
      assert.equal(store.counters.putCount, 0);
    });

    test('an aborted call says so', async () => {
      const store = open();
      const [name, bytes] = fresh();
      const signal = AbortSignal.abort();
      await assert.rejects(store.put(name, bytes, { signal }), reason('aborted'));
      await assert.rejects(store.putAll([[name, () => bytes]], { signal }), reason('aborted'));
      await assert.rejects(store.get(name, { signal }), reason('aborted'));
      await assert.rejects(store.getFile(name, join(dir, 'aborted'), { signal }), reason('aborted'));
      await store.put(name, bytes);
      assert.deepEqual(await open().get(name), bytes);
    });
  });
}
