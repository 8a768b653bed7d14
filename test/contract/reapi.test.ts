// How we speak to a Remote Execution server, healthy and not.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { execute } from '../../src/engine/reapi/execution.ts';
import { parseReapiAddress } from '../../src/reapi/address.ts';
import { Cas, blobId, LostBlobError } from '../../src/reapi/cas.ts';
import { Channel, CODE, ReapiError } from '../../src/reapi/channel.ts';
import { ActionResultSchema } from '../../src/reapi/generated/build/bazel/remote/execution/v2/remote_execution_pb.ts';
import { ReapiStandIn } from '../emulators/reapi/server.ts';

const directory = mkdtempSync(join(tmpdir(), 'gg-reapi-'));
let server: ReapiStandIn;
let channel: Channel;
let cas: Cas;
const open: (() => void)[] = [];
const close = (): void => {
  for (const end of open.splice(0)) end();
};
beforeEach(async () => {
  close();
  server = new ReapiStandIn();
  const port = await server.start();
  channel = new Channel({
    address: { host: '127.0.0.1', port, tls: false, instance: '' },
    tls: {},
    headers: () => [['x-test', 'yes']],
    connections: 2,
  });
  cas = new Cas({ channel, instance: '' });
  open.push(
    () => channel.close(),
    () => server.stop(),
  );
});
after(() => {
  close();
  rmSync(directory, { recursive: true, force: true });
});

const blob = (bytes: Buffer) => ({ id: blobId(bytes), source: () => bytes });
const text = (n: number): Buffer => Buffer.from(`blob ${n}`);

test('an address is HOST, PORT, INSTANCE', () => {
  assert.deepEqual(parseReapiAddress('grpc://h:1/a/b'), { host: 'h', port: 1, tls: false, instance: 'a/b' });
  assert.deepEqual(parseReapiAddress('grpcs://h'), { host: 'h', port: 443, tls: true, instance: '' });
  assert.equal(parseReapiAddress('grpc://[::1]:8980')?.host, '[::1]');
  for (const bad of ['http://h', 'grpc://', 'grpc://h:0', 'grpc://h:70000', 'grpc:h'])
    assert.equal(parseReapiAddress(bad), undefined, bad);
});

test('blobs are asked for once and together, and sent where they are missing', async () => {
  server.blobs.set(blobId(text(0)).hash, text(0));
  const some = Array.from({ length: 500 }, (_, n) => blob(text(n)));
  await Promise.all([cas.provide(some), cas.provide(some), cas.provide([blob(Buffer.alloc(0))])]);
  await cas.provide(some);
  assert.deepEqual(server.calls, ['FindMissingBlobs', 'BatchUpdateBlobs']);
  assert.equal(cas.counters.asked, 500);
  assert.equal(cas.counters.uploadedBlobs, 499);
  const read = await cas.read([...some.map((b) => b.id), blobId(Buffer.from('absent'))]);
  assert.deepEqual(read[499], text(499));
  assert.equal(read[500], undefined);
});

test('large blobs go in a stream, from a file too, and no message is larger than servers take', async () => {
  const large = Buffer.alloc(9_000_000, 'large');
  const path = join(directory, 'large');
  writeFileSync(path, large);
  const small = Array.from({ length: 12 }, (_, n) => blob(Buffer.alloc(900_000, n + 1)));
  await cas.provide([{ id: blobId(large), source: () => ({ absPath: path }) }, ...small]);
  assert.equal(server.blobs.size, 13);
  assert.deepEqual((await cas.read([blobId(large)]))[0], large);
});

test('a file that is another by now is the caller’s business; the others go up', async () => {
  const path = join(directory, 'edited');
  writeFileSync(path, 'after');
  const edited = { id: blobId(Buffer.from('befor')), source: () => ({ absPath: path }) };
  const gone = { id: blobId(Buffer.from('gone')), source: () => undefined };
  await assert.rejects(cas.provide([edited, blob(text(1))]), LostBlobError);
  await assert.rejects(cas.provide([gone]), LostBlobError);
  await cas.provide([blob(text(1))]);
  assert.ok(server.blobs.has(blobId(text(1)).hash));
});

test('bytes that are not their digest’s are no blob', async () => {
  const large = Buffer.alloc(2_000_000, 'x');
  await cas.provide([blob(text(1)), blob(large)]);
  for (const lie of [
    (b: Buffer) => Buffer.concat([b, Buffer.from('more')]),
    (b: Buffer) => b.subarray(1),
    (b: Buffer) => Buffer.from(b.map((c, i) => (i === 0 ? c ^ 1 : c))),
  ]) {
    server.faults.lie = lie;
    assert.deepEqual(await cas.read([blobId(text(1)), blobId(large)]), [undefined, undefined]);
  }
});

test('what passes is tried again, what does not is told', async () => {
  server.faults.refuse.set('FindMissingBlobs', { code: CODE.unavailable, times: 2 });
  await cas.provide([blob(text(1))]);
  assert.equal(cas.counters.retries, 2);
  server.faults.refuse.set('BatchUpdateBlobs', { code: CODE.permissionDenied, times: 1 });
  await assert.rejects(
    cas.provide([blob(text(2))]),
    (error) => error instanceof ReapiError && error.code === CODE.permissionDenied,
  );
  await cas.provide([blob(text(2))]);
});

const action = blobId(Buffer.from('action'));
const result = create(ActionResultSchema, { exitCode: 3, stdoutRaw: Buffer.from('out') });
const run = (signal: AbortSignal = new AbortController().signal) =>
  execute(channel, { instance: '', action, skipCacheLookup: false, signal, binary: [], timeoutMs: 20_000 });

test('an execution that ends', async () => {
  server.run = () => result;
  const { result: got, cached } = await run();
  assert.equal(got.exitCode, 3);
  assert.equal(cached, false);
  assert.deepEqual(server.calls, ['Execute']);
});

test('a stream that breaks is waited for by name; an operation that is forgotten is begun anew', async () => {
  server.run = () => result;
  server.faults.breakExecute = 1;
  assert.equal((await run()).result.exitCode, 3);
  assert.deepEqual(server.calls, ['Execute', 'WaitExecution']);
  server.calls.length = 0;
  server.faults.breakExecute = 1;
  server.faults.forgetOperations = true;
  assert.equal((await run()).result.exitCode, 3);
  assert.deepEqual(server.calls, ['Execute', 'WaitExecution', 'Execute']);
});

test('overload passes; a refusal does not', async () => {
  server.run = () => result;
  server.faults.refuse.set('Execute', { code: CODE.resourceExhausted, times: 2 });
  assert.equal((await run()).result.exitCode, 3);
  server.faults.refuse.set('Execute', { code: CODE.failedPrecondition, times: 1 });
  await assert.rejects(
    run(),
    (error) => error instanceof ReapiError && error.code === CODE.failedPrecondition,
  );
});

test('whoever gives up has the action cancelled', async () => {
  const { promise, resolve } = Promise.withResolvers<typeof result>();
  server.run = () => promise;
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 200);
  await assert.rejects(run(controller.signal));
  assert.deepEqual(server.cancelled, ['operations/0']);
  resolve(result);
});
