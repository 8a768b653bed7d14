// S3Store when things go wrong: whatever was reported stored is readable and right, or reported missing or damaged; never wrong.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { nameValue, type ObjectName } from '../../src/ir/name.ts';
import { RemoteError } from '../../src/store/remote/remote.ts';
import type { RetryPolicy } from '../../src/store/remote/retry.ts';
import { S3Store, type S3StoreOptions } from '../../src/store/remote/s3/s3.ts';
import { type S3Control, type S3Options, startS3, TEST_KEY } from '../emulators/s3/server.ts';
import { randomBytesOf, reason } from './remote-store.ts';

/** As the real one, with a twentieth of its waits. */
const FAST: RetryPolicy = { triesMax: 60, baseMs: 5, capMs: 250, patienceMs: 20_000 };

async function start(t: TestContext, options: S3Options = {}): Promise<S3Control> {
  const s3 = await startS3({ buckets: ['bucket'], ...options });
  t.after(() => s3.close());
  return s3;
}

function open(
  t: TestContext,
  s3: S3Control,
  options: S3StoreOptions & { readonly bucket?: string } = {},
): S3Store {
  const { bucket = 'bucket', ...rest } = options;
  const store = new S3Store(
    { kind: 's3', bucket, prefix: 'gg/v1', region: s3.region, endpoint: s3.url },
    { credentials: TEST_KEY, retryPolicy: FAST, ...rest },
  );
  t.after(() => store.close());
  return store;
}

function blobs(count: number, sizeOf: (i: number) => number, seed = 1): Map<ObjectName, Buffer> {
  return new Map(
    Array.from({ length: count }, (_, i) => {
      const bytes = randomBytesOf(sizeOf(i), seed * 100_000 + i);
      return [nameValue(bytes), bytes] as const;
    }),
  );
}

function sources(map: ReadonlyMap<ObjectName, Buffer>, names: Iterable<ObjectName> = map.keys()) {
  return [...names].map((name) => [name, () => map.get(name)!] as const);
}

function total(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((a, b) => a + b, 0);
}

for (const seed of [1, 2])
  test(`5 % SlowDown, 2 % errors, 3 % resets, 1 % lost, 1 % corrupted: never wrong, mended, bounded (seed ${seed})`, async (t) => {
    const s3 = await start(t, {
      faults: {
        seed,
        slowDownRate: 0.05,
        internalErrorRate: 0.02,
        resetRate: 0.03,
        lostRate: 0.01,
        corruptedRate: 0.01,
      },
    });
    const all = blobs(400, (i) => (i % 4 === 0 ? 270_000 : 4 * (1 + (i % 900))), seed);
    const large = randomBytesOf(17 * 1024 * 1024, seed);
    all.set(nameValue(large), large);
    const writer = open(t, s3);
    const alone = blobs(400, (i) => 4 * (1 + i), seed + 50);
    await Promise.all([...alone].map(([name, bytes]) => writer.put(name, bytes)));
    await writer.putAll(sources(all));
    for (const [name, bytes] of alone) all.set(name, bytes);
    let wanted = [...all.keys()];
    const rounds: number[] = [];
    while (wanted.length > 0) {
      assert.ok(rounds.length < 8, `still ${wanted.length} to mend after ${rounds}`);
      const reader = open(t, s3);
      if (rounds.length === 0) reader.learn(writer.hints(all.keys()));
      const results = await Promise.allSettled(wanted.map((name) => reader.get(name)));
      const bad = wanted.filter((name, i) => {
        const result = results[i]!;
        if (result.status === 'rejected') return reason(['missing-blob', 'digest-mismatch'])(result.reason);
        assert.ok(result.value.equals(all.get(name)!), 'wrong bytes were given out');
        return false;
      });
      for (const name of bad) writer.forget(name);
      await writer.putAll(sources(all, bad));
      rounds.push(bad.length);
      wanted = bad;
    }
    assert.ok(rounds[0]! > 0, 'the faults hit nothing');
    assert.ok((s3.refusals.get('SlowDown') ?? 0) > 0 && (s3.refusals.get('reset') ?? 0) > 0);
    // A tenth of all requests fails, so about a ninth more are made than without faults.
    assert.ok(writer.counters.retryCount > 0);
    assert.ok(
      writer.counters.retryCount < 0.25 * total(s3.requests),
      `${writer.counters.retryCount} retries`,
    );
    // An answer to "create upload" that was lost leaves an upload nobody knows of; the bucket's lifecycle removes it.
    assert.ok(s3.bucket('bucket').uploads.size < s3.requests.get('CreateMultipartUpload')!);
    assert.equal(s3.requests.get('HeadObject'), undefined);
    t.diagnostic(
      `damaged or lost by round: ${rounds}; requests: ${JSON.stringify(Object.fromEntries(s3.requests))}; refusals: ${JSON.stringify(Object.fromEntries(s3.refusals))}; writer retried ${writer.counters.retryCount}`,
    );
  });

test('an outage in the middle is ridden out', async (t) => {
  const s3 = await start(t, { faults: { latencyMs: 5 } });
  const store = open(t, s3);
  const all = blobs(100, () => 270_000);
  const work = store.putAll(sources(all));
  const watching = setInterval(() => {
    if ((s3.requests.get('PutObject') ?? 0) < 20) return;
    clearInterval(watching);
    s3.faults.startOutage(400);
  }, 1);
  await work;
  assert.ok((s3.refusals.get('reset') ?? 0) > 0, 'the outage came too late');
  assert.ok(store.counters.retryCount <= 59 * 100);
  assert.equal(s3.bucket('bucket').objects.size, 100);
});

test('a service that does not come back: so many tries, then a typed error', async (t) => {
  const s3 = await start(t);
  const store = open(t, s3, { retryPolicy: { triesMax: 4, baseMs: 1, capMs: 2, patienceMs: 20_000 } });
  const [[name, bytes]] = blobs(1, () => 100) as unknown as [[ObjectName, Buffer]];
  s3.faults.change({ slowDownRate: 1 });
  await assert.rejects(store.put(name, bytes), reason('throttled'));
  assert.equal(s3.requests.get('PutObject'), 4);
  s3.faults.change({ slowDownRate: 0 });
  s3.faults.startOutage(60_000);
  await assert.rejects(store.get(name), reason('connection-lost'));
  assert.equal(s3.requests.get('GetObject'), 4);
  assert.equal(store.counters.retryCount, 6);
  await s3.close();
  const patient = open(t, s3);
  await assert.rejects(patient.prepare(), reason('connection-lost'));
  // Three listings side by side, and no thirty tries for what a build must know at its start.
  const { retryCount } = patient.counters;
  assert.ok(retryCount >= 4 && retryCount <= 3 * 4, `${retryCount} retries`);
});

test('who may not: the error names the action and the resource', async (t) => {
  const denied = { accessKeyId: 'AKDENIED', secretAccessKey: 's', deny: ['s3:PutObject'] };
  const temporary = { accessKeyId: 'AKTEMP', secretAccessKey: 's', sessionToken: 'token' };
  const s3 = await start(t, { keys: [TEST_KEY, denied, temporary] });
  const [[name, bytes]] = blobs(1, () => 100) as unknown as [[ObjectName, Buffer]];
  for (const [what, options, wanted, detail] of [
    [
      'no permission',
      { credentials: denied },
      'denied',
      `s3:PutObject s3://bucket/gg/v1/cas/${name}: AccessDenied`,
    ],
    [
      'wrong secret',
      { credentials: { ...TEST_KEY, secretAccessKey: 'w' } },
      'no-credentials',
      'SignatureDoesNotMatch',
    ],
    [
      'unknown key',
      { credentials: { accessKeyId: 'A', secretAccessKey: 'w' } },
      'no-credentials',
      'InvalidAccessKeyId',
    ],
    ['wrong token', { credentials: { ...temporary, sessionToken: 'other' } }, 'denied', 'AccessDenied'],
    ['no bucket', { bucket: 'nowhere' }, 'no-such-bucket', 's3://nowhere/'],
  ] as const) {
    await assert.rejects(open(t, s3, options).put(name, bytes), (error) => {
      assert.ok(reason(wanted)(error));
      assert.ok((error as Error).message.includes(detail), `${what}: ${(error as Error).message}`);
      return true;
    });
  }
  await open(t, s3, { credentials: temporary }).put(name, bytes);
  // Every refusal is final: none was tried twice.
  assert.equal(s3.requests.get('PutObject'), 6);
});

/** The SDK's own chain sees nothing but what is given here, until the test is over. */
function awsEnvironment(t: TestContext, variables: Readonly<Record<string, string>>): void {
  const saved = Object.entries(process.env).filter(([key]) => key.startsWith('AWS_'));
  const clear = (): void => {
    for (const key of Object.keys(process.env)) if (key.startsWith('AWS_')) delete process.env[key];
  };
  clear();
  Object.assign(process.env, {
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_CONFIG_FILE: '/nonexistent/config',
    AWS_SHARED_CREDENTIALS_FILE: '/nonexistent/credentials',
    ...variables,
  });
  t.after(() => {
    clear();
    for (const [key, value] of saved) process.env[key] = value;
  });
}

for (const [what, variables] of [
  [
    'the environment',
    { AWS_ACCESS_KEY_ID: TEST_KEY.accessKeyId, AWS_SECRET_ACCESS_KEY: TEST_KEY.secretAccessKey },
  ],
  ['nowhere', {}],
] as const)
  test(`credentials come from ${what}`, async (t) => {
    const s3 = await start(t);
    awsEnvironment(t, variables);
    const address = {
      kind: 's3',
      bucket: 'bucket',
      prefix: 'v1',
      region: s3.region,
      endpoint: s3.url,
    } as const;
    const store = new S3Store(address);
    t.after(() => store.close());
    if (what === 'nowhere') await assert.rejects(store.prepare(), reason('no-credentials'));
    else await store.prepare();
    assert.equal(total(s3.requests), what === 'nowhere' ? 0 : 3);
    assert.equal(store.counters.retryCount, 0);
  });

test('a clock that is off costs one retry', async (t) => {
  const s3 = await start(t, { clockOffsetMs: -3 * 3600 * 1000 });
  const store = open(t, s3);
  const all = blobs(3, () => 300_000);
  for (const [name, bytes] of all) await store.put(name, bytes);
  assert.equal(store.counters.retryCount, 1);
});

test('300 headers cost a fresh worker a few requests', async (t) => {
  const s3 = await start(t);
  const all = blobs(300, (i) => 500 + 4 * ((i * 977) % 5000));
  const client = open(t, s3);
  await client.putAll(sources(all));
  const puts = s3.requests.get('PutObject')!;
  assert.ok(puts <= 4, `${puts} puts`);
  const hints = client.hints(all.keys());
  assert.ok(JSON.stringify(hints).length < 300 * 26 + 300, `${JSON.stringify(hints).length} bytes of hints`);
  const worker = open(t, s3);
  worker.learn(hints);
  const got = await Promise.all([...all.keys()].map((name) => worker.get(name)));
  assert.ok([...all.values()].every((bytes, i) => bytes.equals(got[i]!)));
  assert.ok(s3.requests.get('GetObject')! <= 2, `${s3.requests.get('GetObject')} gets`);
  assert.equal(s3.requests.get('ListObjectsV2'), undefined);
  const one = open(t, s3);
  one.learn(hints);
  const [name, bytes] = [...all][150]!;
  assert.ok((await one.get(name)).equals(bytes));
  assert.equal(one.counters.receivedBytes, bytes.length);
});

test('many packs are learnt with few requests, once somebody has merged their indexes', async (t) => {
  const s3 = await start(t);
  const writer = open(t, s3);
  const batches = Array.from({ length: 70 }, (_, i) => blobs(3, () => 40, i + 1));
  for (const batch of batches) await writer.putAll(sources(batch));
  const names = batches.flatMap((batch) => [...batch.keys()]);
  const learn = async (options: S3StoreOptions = {}): Promise<number> => {
    const store = open(t, s3, options);
    await store.prepare();
    assert.ok(names.every((name) => store.known(name)));
    await store.close();
    return store.counters.getCount;
  };
  assert.equal(await learn({ readOnly: true }), 70);
  assert.equal(await learn(), 70);
  assert.equal(await learn(), 1);
  const more = blobs(3, () => 44);
  await writer.putAll(sources(more));
  names.push(...more.keys());
  assert.equal(await learn(), 2);
  // Packs that were removed (their own index tells) are no longer believed in, whatever the merged index says.
  const bucket = s3.bucket('bucket');
  for (const key of bucket.keys()) if (/\/(?:packs|indexes)\/P/.test(key)) bucket.delete(key);
  const store = open(t, s3);
  await store.prepare();
  assert.ok(!names.some((name) => store.known(name)));
});

test('small blobs of many callers share packs', async (t) => {
  const s3 = await start(t);
  const store = open(t, s3);
  const all = [...blobs(600, () => 200)];
  await Promise.all(
    Array.from({ length: 100 }, (_, i) =>
      store.putAll(all.slice(5 * i, 5 * i + 10).map(([name, bytes]) => [name, () => bytes] as const)),
    ),
  );
  assert.ok(all.slice(0, 505).every(([name]) => store.known(name)));
  assert.ok(s3.requests.get('PutObject')! <= 10, `${s3.requests.get('PutObject')} puts`);
  // No pack holds a blob twice, and none is in two.
  const held = s3
    .bucket('bucket')
    .keys()
    .filter((k) => k.includes('/packs/')).length;
  assert.equal(s3.requests.get('PutObject'), 2 * held);
  // The bytes once, the names twice: in the pack and in its index.
  assert.ok(store.counters.sentBytes < 505 * (200 + 2 * 80));
});

test('a pack that cannot be sent fails all who wait for it', async (t) => {
  const s3 = await start(t);
  const store = open(t, s3, { retryPolicy: { triesMax: 2, baseMs: 1, capMs: 1, patienceMs: 20_000 } });
  const all = [...blobs(30, () => 200)];
  const parts = [all.slice(0, 10), all.slice(10, 20), all.slice(20)];
  const put = () => Promise.allSettled(parts.map((part) => store.putAll(sources(new Map(part)))));
  s3.faults.change({ slowDownRate: 1 });
  for (const result of await put())
    assert.ok(result.status === 'rejected' && reason('throttled')(result.reason));
  assert.ok(!all.some(([name]) => store.known(name)));
  s3.faults.change({ slowDownRate: 0 });
  for (const result of await put()) assert.equal(result.status, 'fulfilled');
  assert.ok(all.every(([name]) => store.known(name)));
});

test('a blob in a pack that is gone is found where it was put by itself', async (t) => {
  const s3 = await start(t);
  const all = blobs(10, () => 1000);
  const [first, second] = [open(t, s3), open(t, s3)];
  await first.putAll(sources(all));
  for (const [name, bytes] of all) await second.put(name, bytes);
  for (const key of s3.bucket('bucket').keys()) if (key.includes('/packs/')) s3.bucket('bucket').delete(key);
  for (const [name, bytes] of all) assert.ok((await first.get(name)).equals(bytes));
});

test('a listing of many pages is complete, and none is asked for twice', async (t) => {
  const s3 = await start(t);
  const bucket = s3.bucket('bucket');
  const object = {
    body: Buffer.alloc(0),
    sizeBytes: 0,
    etag: '"e"',
    modifiedMs: 0,
    contentType: 'x',
    checksums: new Map(),
    fate: 'kept' as const,
  };
  const names = Array.from({ length: 12_345 }, (_, i) => nameValue(Buffer.from(String(i))));
  for (const name of names) bucket.set(`gg/v1/cas/${name}`, object);
  bucket.set('gg/v1/cas/not-a-name', object);
  bucket.set(`gg/v2/cas/${nameValue(Buffer.from('v2'))}`, object);
  const store = open(t, s3);
  await store.prepare();
  assert.ok(names.every((name) => store.known(name)));
  assert.equal(store.known(nameValue(Buffer.from('v2'))), false);
  // One page each for reductions and indexes, the first of the blobs, one for each first digit.
  assert.equal(s3.requests.get('ListObjectsV2'), 3 + 15);
  assert.equal(store.counters.listCount, 18);
});

test('requests are parallel and bounded', async (t) => {
  const s3 = await start(t, { faults: { latencyMs: 40 } });
  const store = open(t, s3, { parallelMax: 16 });
  const all = blobs(96, () => 270_000);
  const startMs = performance.now();
  await store.putAll(sources(all));
  assert.ok(s3.openMax <= 16, `${s3.openMax} at a time`);
  assert.ok(s3.openMax >= 12, `${s3.openMax} at a time`);
  assert.ok(performance.now() - startMs < 96 * 40, 'one after the other');
});

test('two who put the same: the second is told, and content with it', async (t) => {
  const s3 = await start(t);
  const [[name, bytes]] = blobs(1, () => 17 * 1024 * 1024) as unknown as [[ObjectName, Buffer]];
  const [small, smallBytes] = [...blobs(1, () => 100)][0]!;
  const stores = [open(t, s3), open(t, s3), open(t, s3)];
  await Promise.all(stores.flatMap((store) => [store.put(name, bytes), store.put(small, smallBytes)]));
  assert.equal(s3.refusals.get('PreconditionFailed'), 4);
  assert.ok(stores.every((store) => store.known(name) && store.known(small)));
  assert.equal(s3.bucket('bucket').uploads.size, 0);
});

test('an upload in parts survives resets at every point', async (t) => {
  const s3 = await start(t, { faults: { seed: 7, resetRate: 0.3 } });
  const bytes = randomBytesOf(25 * 1024 * 1024, 5);
  const name = nameValue(bytes);
  for (let i = 0; i < 2; i++) {
    const store = open(t, s3);
    await store.put(name, bytes);
    assert.ok((await store.get(name)).equals(bytes));
    s3.bucket('bucket').delete(`gg/v1/cas/${name}`);
  }
  assert.ok(s3.bucket('bucket').uploads.size <= (s3.refusals.get('reset') ?? 0));
  assert.ok(s3.refusals.get('reset')! > 0);
});

test('errors are RemoteErrors with their cause', async (t) => {
  const s3 = await start(t);
  await assert.rejects(open(t, s3).get(nameValue(Buffer.from('x'))), (error) => {
    assert.ok(error instanceof RemoteError);
    assert.equal((error.cause as Error).name, 'NoSuchKey');
    return true;
  });
});
