// RedisStore when things go wrong.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from '@redis/client';
import { nameValue } from '../../src/ir/name.ts';
import { RedisStore, type RedisStoreOptions } from '../../src/store/remote/redis/redis.ts';
import { type RedisControl, redisMissing, startRedis } from '../emulators/redis/server.ts';
import { randomBytesOf, reason } from './remote-store.ts';

const missing = redisMissing();
const options = missing === undefined ? {} : { skip: missing };
const FAST = { triesMax: 60, baseMs: 5, capMs: 250, patienceMs: 20_000 };
const LARGE_BYTES = 9 * 1024 * 1024;

async function start(t: TestContext, args: readonly string[] = []): Promise<RedisControl> {
  const server = await startRedis({ args });
  t.after(() => server.close());
  return server;
}

function open(t: TestContext, server: RedisControl, more: RedisStoreOptions = {}): RedisStore {
  const store = new RedisStore(
    { kind: 'redis', url: server.url, prefix: 'gg:v1' },
    { retryPolicy: FAST, ...more },
  );
  t.after(() => store.close());
  return store;
}

/** A client of the tests' own. */
async function admin(t: TestContext, options: { readonly url: string; readonly password?: string }) {
  const client = createClient(options);
  // The server may end before it.
  client.on('error', () => {});
  await client.connect();
  t.after(() => client.destroy());
  return client;
}

test(
  'a server that restarts empty: commands are retried, what it held is reported missing',
  options,
  async (t) => {
    const server = await start(t);
    const store = open(t, server);
    const bytes = randomBytesOf(1000, 1);
    const name = nameValue(bytes);
    await store.put(name, bytes);
    const restarted = server.restart(300);
    await sleep(100);
    await assert.rejects(store.get(name), reason('missing-blob'));
    assert.ok(store.counters.retryCount > 0);
    await restarted;
    await store.put(name, bytes);
    assert.deepEqual(await open(t, server).get(name), bytes);
  },
);

test('a server that stays away: so many tries, then a typed error', options, async (t) => {
  const server = await start(t);
  const store = open(t, server, { retryPolicy: { triesMax: 4, baseMs: 1, capMs: 2, patienceMs: 20_000 } });
  await store.prepare();
  await server.close();
  await assert.rejects(store.get(nameValue(Buffer.from('x'))), reason('connection-lost'));
  assert.equal(store.counters.retryCount, 3);
});

test('a piece of a large blob that was evicted', options, async (t) => {
  const server = await start(t);
  const store = open(t, server);
  const bytes = randomBytesOf(LARGE_BYTES, 2);
  const name = nameValue(bytes);
  await store.put(name, bytes);
  const client = await admin(t, { url: server.url });
  assert.equal(await client.del(`gg:v1:cas:${name}:1`), 1);
  await assert.rejects(store.get(name), reason('missing-blob'));
  await open(t, server).put(name, bytes);
  assert.ok((await open(t, server).get(name)).equals(bytes));
});

test('time to live: what is read lives on, the rest goes', options, async (t) => {
  const server = await start(t);
  const store = open(t, server, { ttlSeconds: 3 });
  const [read, unread] = [randomBytesOf(100, 3), randomBytesOf(100, 4)];
  for (const bytes of [read, unread]) await store.put(nameValue(bytes), bytes);
  await sleep(1900);
  await store.get(nameValue(read));
  await sleep(1900);
  assert.deepEqual(await store.get(nameValue(read)), read);
  await assert.rejects(store.get(nameValue(unread)), reason('missing-blob'));
});

test('who may not', options, async (t) => {
  const server = await start(t, ['--requirepass', 'secret']);
  const bytes = Buffer.from('x');
  await assert.rejects(open(t, server).put(nameValue(bytes), bytes), reason('no-credentials'));
  await assert.rejects(
    open(t, server, { password: 'wrong' }).put(nameValue(bytes), bytes),
    reason('no-credentials'),
  );
  const client = await admin(t, { url: server.url, password: 'secret' });
  await client.sendCommand([
    'ACL',
    'SETUSER',
    'reader',
    'on',
    '>pw',
    '~gg:*',
    '+getrange',
    '+exists',
    '+scan',
    '+hello',
    '+client',
  ]);
  const reader = open(t, server, { username: 'reader', password: 'pw' });
  await reader.prepare();
  await assert.rejects(reader.put(nameValue(bytes), bytes), reason('denied'));
  await open(t, server, { password: 'secret' }).put(nameValue(bytes), bytes);
  assert.deepEqual(await reader.get(nameValue(bytes)), bytes);
  assert.throws(
    () => new RedisStore({ kind: 'redis', url: 'redis://u:p@127.0.0.1', prefix: 'v1' }),
    TypeError,
    'a secret in an address would travel',
  );
});

test('a full server says so', options, async (t) => {
  const server = await start(t, ['--maxmemory', '3mb', '--maxmemory-policy', 'noeviction']);
  const store = open(t, server);
  const bytes = randomBytesOf(3_500_000, 5);
  // The first may still fit: memory is compared before a command, not after it.
  const puts = await Promise.allSettled(
    [bytes, bytes.subarray(4), bytes.subarray(8)].map((b) => store.put(nameValue(b), b)),
  );
  const refused = puts.filter((r) => r.status === 'rejected');
  assert.ok(refused.length > 0);
  for (const r of refused) assert.ok(reason('throttled')(r.reason));
});
