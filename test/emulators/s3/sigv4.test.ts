// The examples of the "Signature calculations for the Authorization header" pages of the S3 API reference.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { verifyBody } from './body.ts';
import { S3Error } from './error.ts';
import { type SignedRequest, sha256Hex, verifySignature } from './sigv4.ts';

const KEY = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
};
const NOW = Date.parse('2013-05-24T00:00:00Z');
const host = 'examplebucket.s3.amazonaws.com';
const EMPTY = sha256Hex('');

function signed(
  method: string,
  url: string,
  headers: Readonly<Record<string, string>>,
  signedHeaders: string,
  signature: string,
): SignedRequest {
  const authorization = `AWS4-HMAC-SHA256 Credential=${KEY.accessKeyId}/20130524/us-east-1/s3/aws4_request,SignedHeaders=${signedHeaders},Signature=${signature}`;
  return { method, url, headers: { host, 'x-amz-date': '20130524T000000Z', authorization, ...headers } };
}

const PLAIN = 'host;x-amz-content-sha256;x-amz-date';
const EXAMPLES: readonly SignedRequest[] = [
  signed(
    'GET',
    '/test.txt',
    { range: 'bytes=0-9', 'x-amz-content-sha256': EMPTY },
    'host;range;x-amz-content-sha256;x-amz-date',
    'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
  ),
  signed(
    'PUT',
    '/test%24file.text',
    {
      date: 'Fri, 24 May 2013 00:00:00 GMT',
      'x-amz-content-sha256': '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072',
      'x-amz-storage-class': 'REDUCED_REDUNDANCY',
    },
    'date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class',
    '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
  ),
  signed(
    'GET',
    '/?lifecycle',
    { 'x-amz-content-sha256': EMPTY },
    PLAIN,
    'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543',
  ),
  signed(
    'GET',
    '/?max-keys=2&prefix=J',
    { 'x-amz-content-sha256': EMPTY },
    PLAIN,
    '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
  ),
];

function code(run: () => unknown): string {
  try {
    run();
    return 'accepted';
  } catch (error) {
    assert.ok(error instanceof S3Error, String(error));
    return error.code;
  }
}

test('the published examples are accepted, and nothing that differs from them', () => {
  for (const example of EXAMPLES) {
    assert.equal(verifySignature(example, [KEY], 'us-east-1', NOW).key, KEY);
    const change = (change: Partial<SignedRequest>, keys = [KEY], nowMs = NOW) =>
      code(() => verifySignature({ ...example, ...change }, keys, 'us-east-1', nowMs));
    assert.equal(change({ method: 'POST' }), 'SignatureDoesNotMatch');
    assert.equal(change({ url: `${example.url}x` }), 'SignatureDoesNotMatch');
    assert.equal(change({ headers: { ...example.headers, host: 'other' } }), 'SignatureDoesNotMatch');
    assert.equal(change({ headers: { ...example.headers, 'x-amz-acl': 'public-read' } }), 'AccessDenied');
    assert.equal(change({}, [{ ...KEY, secretAccessKey: 'other' }]), 'SignatureDoesNotMatch');
    assert.equal(change({}, [{ ...KEY, accessKeyId: 'other' }]), 'InvalidAccessKeyId');
    assert.equal(change({}, [KEY], NOW + 15 * 60 * 1000), 'accepted');
    assert.equal(change({}, [KEY], NOW + 15 * 60 * 1000 + 1), 'RequestTimeTooSkewed');
    assert.equal(change({}, [KEY], NOW - 15 * 60 * 1000 - 1), 'RequestTimeTooSkewed');
    const { 'x-amz-content-sha256': _, ...without } = example.headers;
    assert.equal(change({ headers: without }), 'InvalidRequest');
  }
});

test('the published example of signed chunks', () => {
  const headers = {
    'content-encoding': 'aws-chunked',
    'content-length': '66824',
    'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
    'x-amz-decoded-content-length': '66560',
    'x-amz-storage-class': 'REDUCED_REDUNDANCY',
  };
  const example = signed(
    'PUT',
    '/examplebucket/chunkObject.txt',
    { ...headers, host: 's3.amazonaws.com' },
    'content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class',
    '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9',
  );
  const ok = verifySignature(example, [KEY], 'us-east-1', NOW);
  const chunk = (bytes: number, signature: string) =>
    `${bytes.toString(16)};chunk-signature=${signature}\r\n${'a'.repeat(bytes)}\r\n`;
  const body =
    chunk(65536, 'ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648') +
    chunk(1024, '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497') +
    chunk(0, 'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9');
  assert.equal(body.length, 66824);
  assert.equal(verifyBody(Buffer.from(body), headers, ok).bytes.length, 66560);
  const bent = (text: string) => code(() => verifyBody(Buffer.from(text), headers, ok));
  assert.equal(bent(body.replace('aaa', 'aab')), 'SignatureDoesNotMatch');
  assert.equal(bent(body.replace(';chunk-signature=0055', ';chunk-signature=1055')), 'SignatureDoesNotMatch');
  assert.equal(bent(body.slice(0, 66000)), 'IncompleteBody');
  assert.equal(
    code(() => verifyBody(Buffer.from(body), { ...headers, 'x-amz-decoded-content-length': '66561' }, ok)),
    'IncompleteBody',
  );
});

test('unsigned chunks with a trailer', () => {
  const payload = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER';
  const ok = { ...verifySignature(EXAMPLES[0]!, [KEY], 'us-east-1', NOW), payload };
  const headers = {
    'content-encoding': 'aws-chunked',
    'x-amz-decoded-content-length': '5',
    'x-amz-trailer': 'x-amz-checksum-crc32',
  };
  const verify = (text: string, more = {}) =>
    code(() => verifyBody(Buffer.from(text), { ...headers, ...more }, ok));
  const good = '5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n';
  assert.equal(verify(good), 'accepted');
  assert.equal(verify(good.replace('hello', 'hellp')), 'BadDigest');
  assert.equal(verify(good.replace('NhCmhg==', 'short')), 'InvalidRequest');
  assert.equal(verify('5\r\nhello\r\n0\r\n\r\n'), 'InvalidRequest');
  assert.equal(verify(good, { 'content-encoding': 'gzip' }), 'InvalidRequest');
  assert.equal(verify('2\r\nhe\r\n3\r\nllo\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n'), 'InvalidRequest');
});
