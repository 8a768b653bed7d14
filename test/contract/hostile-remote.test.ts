// A shared store in the hands of somebody who means harm: what it gives costs a bounded amount and is a miss.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { nameValue, type ObjectName } from '../../src/ir/name.ts';
import { RemoteError } from '../../src/store/remote/remote.ts';
import { S3Store } from '../../src/store/remote/s3/s3.ts';

const thunk = `T${'1'.repeat(64)}-5` as ObjectName;
const blob = nameValue(Buffer.from('hello'));
let sent = 0;
/** Objects without an end, listings without an end. */
const server = createServer((request, response) => {
  const isListing = request.url?.includes('list-type=2');
  response.writeHead(200, { 'content-type': isListing ? 'application/xml' : 'application/octet-stream' });
  if (isListing) response.write('<?xml version="1.0"?><ListBucketResult><Name>');
  const piece = Buffer.alloc(256 * 1024, 'x');
  const more = (): void => {
    while (!response.destroyed) {
      sent += piece.length;
      if (!response.write(piece)) return void response.once('drain', more);
    }
  };
  more();
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
after(() => {
  server.closeAllConnections();
  server.close();
});
const store = new S3Store(
  {
    kind: 's3',
    bucket: 'bucket',
    prefix: 'gg/v1',
    region: 'us-east-1',
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  },
  { credentials: { accessKeyId: 'a', secretAccessKey: 'b' } },
);
after(() => store.close());
const SENT_MAX = 64 * 1024 * 1024;

test('a record without an end is none', async () => {
  sent = 0;
  assert.equal(await store.reduction(thunk), undefined);
  assert.ok(sent < SENT_MAX, `${sent} bytes`);
});

test('a blob without an end is damaged', async () => {
  sent = 0;
  await assert.rejects(store.get(blob), (e) => e instanceof RemoteError && e.reason === 'digest-mismatch');
  assert.ok(sent < SENT_MAX, `${sent} bytes`);
});

test('a listing without an end is given up', async () => {
  sent = 0;
  await assert.rejects(store.prepare(), RemoteError);
  assert.ok(sent < 20 * SENT_MAX, `${sent} bytes`);
});
