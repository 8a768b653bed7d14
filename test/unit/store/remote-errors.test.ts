// Every failure has a reason, decided by names and codes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nameThunk, nameValue } from '../../../src/ir/name.ts';
import { classifyRedis } from '../../../src/store/remote/redis/redis-errors.ts';
import { decodeReduction, encodeReduction } from '../../../src/store/reductions.ts';
import { classifyS3 } from '../../../src/store/remote/s3/s3-errors.ts';

for (const [name, extra, reason, transient] of [
  ['SlowDown', { $metadata: { httpStatusCode: 503 } }, 'throttled', true],
  ['InternalError', { $metadata: { httpStatusCode: 500 } }, 'throttled', true],
  ['Unheard', { $metadata: { httpStatusCode: 502 } }, 'throttled', true],
  ['Unheard', { $metadata: { httpStatusCode: 429 } }, 'throttled', true],
  ['NotImplemented', { $metadata: { httpStatusCode: 501 } }, 'throttled', false],
  ['ConditionalRequestConflict', { $metadata: { httpStatusCode: 409 } }, 'throttled', true],
  ['TimeoutError', {}, 'timeout', true],
  ['TimeoutError', { code: 'ECONNRESET' }, 'connection-lost', true],
  ['Error', { code: 'ECONNREFUSED' }, 'connection-lost', true],
  ['Error', { code: 'ENOTFOUND' }, 'connection-lost', true],
  ['RequestTimeTooSkewed', { $metadata: { httpStatusCode: 403 } }, 'denied', true],
  ['AccessDenied', { $metadata: { httpStatusCode: 403 } }, 'denied', false],
  ['Unheard', { $metadata: { httpStatusCode: 403 } }, 'denied', false],
  ['CredentialsProviderError', {}, 'no-credentials', false],
  ['ExpiredToken', { $metadata: { httpStatusCode: 400 } }, 'no-credentials', false],
  ['SignatureDoesNotMatch', { $metadata: { httpStatusCode: 403 } }, 'no-credentials', false],
  ['NoSuchBucket', { $metadata: { httpStatusCode: 404 } }, 'no-such-bucket', false],
  ['PermanentRedirect', { $metadata: { httpStatusCode: 301 } }, 'no-such-bucket', false],
  ['NoSuchKey', { $metadata: { httpStatusCode: 404 } }, 'missing-blob', false],
  ['BadDigest', { $metadata: { httpStatusCode: 400 } }, 'digest-mismatch', false],
  ['TypeError', {}, 'invoke-error', false],
] as const)
  test(`S3: ${name} ${JSON.stringify(extra)} is ${reason}`, () => {
    const error = Object.assign(new Error('SlowDown AccessDenied NoSuchKey'), { name, ...extra });
    const failure = classifyS3(error, 's3:GetObject', 's3://b/k');
    assert.deepEqual([failure.reason, failure.transient], [reason, transient]);
    assert.ok(failure.detail.startsWith(`s3:GetObject s3://b/k: ${name}: `));
  });

class SocketClosedUnexpectedlyError extends Error {}
class TimeoutError extends Error {}
class SimpleError extends Error {}

for (const [error, reason, transient] of [
  [new SimpleError('LOADING Redis is loading the dataset in memory'), 'throttled', true],
  [new SimpleError("OOM command not allowed when used memory > 'maxmemory'."), 'throttled', false],
  [new SimpleError('NOAUTH Authentication required.'), 'no-credentials', false],
  [new SimpleError('WRONGPASS invalid username-password pair'), 'no-credentials', false],
  [new SimpleError('NOPERM no permissions'), 'denied', false],
  [new SimpleError("READONLY You can't write against a read only replica."), 'read-only', false],
  [new SimpleError('ERR LOADING'), 'invoke-error', false],
  [new SocketClosedUnexpectedlyError('x'), 'connection-lost', true],
  [Object.assign(new Error('x'), { code: 'ECONNREFUSED' }), 'connection-lost', true],
  [new TimeoutError('x'), 'timeout', true],
] as const)
  test(`Redis: ${error.constructor.name} ${error.message} is ${reason}`, () => {
    const failure = classifyRedis(error, 'GET k');
    assert.deepEqual([failure.reason, failure.transient], [reason, transient]);
  });

test('a reduction that adds up but makes no sense is none', () => {
  const thunk = nameThunk(Buffer.from('t'));
  const good = {
    thunk,
    outputs: [['o', nameValue(Buffer.from('x'))]],
    exitCode: 0,
    stdout: '',
    stderr: '',
    wallMs: 1,
  };
  const decode = (body: string) => {
    const sum = nameValue(Buffer.from(body)).slice(1, 65);
    return decodeReduction(Buffer.from(`gg-reduction 1 ${sum}\n${body}\n`), thunk);
  };
  assert.deepEqual(
    decode(JSON.stringify(good)),
    decodeReduction(encodeReduction(decode(JSON.stringify(good))!), thunk),
  );
  for (const bad of [
    { ...good, thunk: nameThunk(Buffer.from('other')) },
    { ...good, outputs: [['o', thunk]] },
    { ...good, outputs: [['o', '../../etc/passwd']] },
    { ...good, outputs: [['o']] },
    { ...good, outputs: [[1, 2]] },
    { ...good, outputs: { length: 0 } },
    { ...good, exitCode: 1 },
    { ...good, stdout: 5 },
    { ...good, stderr: undefined },
    { ...good, wallMs: null },
    null,
    [],
    'text',
  ])
    assert.equal(decode(JSON.stringify(bad)), undefined, JSON.stringify(bad));
  assert.equal(decode('{'), undefined);
  assert.equal(decode(''), undefined);
});
