// The emulator's faults are those that were asked for, and the same at each start.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { DeleteObjectCommand, GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { FaultModel, type Faults } from './faults.ts';
import { type S3Options, startS3, TEST_KEY } from './server.ts';

const Bucket = 'bucket';

function clientOf(t: TestContext, endpoint: string, credentials = TEST_KEY): S3Client {
  const client = new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials,
    maxAttempts: 1,
  });
  t.after(() => client.destroy());
  return client;
}

async function start(t: TestContext, faults: Partial<Faults>, options: S3Options = {}) {
  const s3 = await startS3({ buckets: [Bucket], faults, ...options });
  t.after(() => s3.close());
  const client = clientOf(t, s3.url);
  return {
    s3,
    put: (Key: string, Body = Buffer.from(Key)) => client.send(new PutObjectCommand({ Bucket, Key, Body })),
    get: async (Key: string) => {
      const answer = await client.send(new GetObjectCommand({ Bucket, Key }));
      return Buffer.from(await answer.Body!.transformToByteArray());
    },
    delete: (Key: string) => client.send(new DeleteObjectCommand({ Bucket, Key })),
  };
}

async function outcome(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'ok',
    (error: Error & { code?: string }) => error.code ?? error.name,
  );
}

test('draws are about as many as asked for, and the same for the same seed', () => {
  const draws = (seed: number) => {
    const model = new FaultModel({ seed, lostRate: 0.01, corruptedRate: 0.02 });
    return Array.from({ length: 20_000 }, () => model.drawFate());
  };
  const fates = draws(1);
  assert.deepEqual(fates, draws(1));
  assert.notDeepEqual(fates, draws(2));
  const count = (fate: string) => fates.filter((f) => f === fate).length;
  assert.ok(Math.abs(count('lost') - 200) < 60, `${count('lost')} lost`);
  assert.ok(Math.abs(count('corrupted') - 400) < 90, `${count('corrupted')} corrupted`);
});

test('SlowDown, internal errors and resets', async (t) => {
  const { s3, put } = await start(t, { seed: 3, slowDownRate: 0.2, internalErrorRate: 0.1, resetRate: 0.1 });
  const outcomes: string[] = [];
  for (let i = 0; i < 200; i++) outcomes.push(await outcome(put(`k${i}`)));
  const count = (what: string) => outcomes.filter((o) => o === what).length;
  assert.ok(count('SlowDown') > 20 && count('SlowDown') < 60, `${count('SlowDown')} SlowDown`);
  assert.ok(
    count('InternalError') > 5 && count('InternalError') < 35,
    `${count('InternalError')} internal errors`,
  );
  assert.ok(count('ECONNRESET') > 5 && count('ECONNRESET') < 35, `${count('ECONNRESET')} resets`);
  assert.equal(count('SlowDown'), s3.refusals.get('SlowDown'));
  assert.equal(s3.requests.get('PutObject'), 200);
  // Some were carried out though the answer was lost.
  assert.ok(s3.bucket(Bucket).objects.size > count('ok'));
});

test('lost objects were acknowledged; corrupted ones differ in one bit, every time', async (t) => {
  const lost = await start(t, { lostRate: 1 });
  await lost.put('k');
  assert.equal(await outcome(lost.get('k')), 'NoSuchKey');
  const corrupted = await start(t, { corruptedRate: 1 });
  const body = Buffer.alloc(1000);
  await corrupted.put('k', body);
  // The SDK compares checksums of whole objects by itself, when there are any.
  const client = new S3Client({
    endpoint: corrupted.s3.url,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: TEST_KEY,
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  t.after(() => client.destroy());
  for (let i = 0; i < 2; i++) {
    const answer = await client.send(new GetObjectCommand({ Bucket, Key: 'k' }));
    const bytes = await answer.Body!.transformToByteArray();
    assert.equal(bytes.filter((byte) => byte !== 0).length, 1);
  }
  await assert.rejects(corrupted.get('k'), /Checksum mismatch/);
});

test('an outage resets everything until it is over', async (t) => {
  const { s3, put, get } = await start(t, {});
  await put('k');
  s3.faults.startOutage(150);
  assert.equal(await outcome(get('k')), 'ECONNRESET');
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(await outcome(get('k')), 'ok');
});

test('latency and bandwidth take their time', async (t) => {
  const { put, get } = await start(t, { latencyMs: 50, bandwidthBytesPerS: 1_000_000 });
  const took = async (work: () => Promise<unknown>): Promise<number> => {
    const startMs = performance.now();
    await work();
    return performance.now() - startMs;
  };
  // 50 ms and a tenth of a second, whichever way the bytes go; timers may fire 1 ms early.
  assert.ok((await took(() => put('large', Buffer.alloc(100_000)))) >= 148);
  assert.ok((await took(() => get('large'))) >= 148);
});

test('bodies below a directory are gone with their objects', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'gg-s3-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const s3 = await start(t, {}, { directory });
  await s3.put('a');
  await s3.put('a', Buffer.from('again'));
  assert.equal(readdirSync(directory).length, 1);
  assert.equal((await s3.get('a')).toString(), 'again');
  await s3.delete('a');
  assert.deepEqual(readdirSync(directory), []);
});

test('as a process: says where it listens, and what it counted when it ends', async (t) => {
  const main = fileURLToPath(new URL('./main.ts', import.meta.url));
  const args = [
    main,
    '--bucket',
    Bucket,
    '--access-key',
    'AK',
    '--secret-key',
    'SK',
    '--fault',
    'slowDownRate=1',
  ];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const lines: string[] = [];
  child.stdout
    .setEncoding('utf8')
    .on('data', (text: string) => lines.push(...text.split('\n').filter(Boolean)));
  await once(child.stdout, 'data');
  const hello = JSON.parse(lines[0]!);
  assert.equal(hello.region, 'us-east-1');
  const client = clientOf(t, hello.url, { accessKeyId: 'AK', secretAccessKey: 'SK' });
  assert.equal(await outcome(client.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x' }))), 'SlowDown');
  child.kill('SIGTERM');
  await once(child, 'close');
  assert.equal(child.exitCode, 0);
  assert.deepEqual(JSON.parse(lines[1]!), { requests: { PutObject: 1 }, refusals: { SlowDown: 1 } });
  const wrong = spawn(process.execPath, [main, '--fault', 'slowDown=1'], { stdio: 'ignore' });
  assert.deepEqual(await once(wrong, 'exit'), [2, null]);
});
