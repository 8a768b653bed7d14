// The official SDK against the emulator: what it sends by default is understood, what S3 refuses is refused.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { after, before, test } from 'node:test';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketEncryptionCommand,
  GetBucketLifecycleConfigurationCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutBucketEncryptionCommand,
  PutBucketLifecycleConfigurationCommand,
  PutObjectCommand,
  PutPublicAccessBlockCommand,
  S3Client,
  type S3ClientConfig,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { type S3Control, startS3, TEST_KEY } from './server.ts';

const BLIND = { accessKeyId: 'AKBLIND', secretAccessKey: 'x', deny: ['s3:ListBucket'] };
const DENIED = { accessKeyId: 'AKDENIED', secretAccessKey: 'x', deny: ['s3:PutObject'] };
const Bucket = 'bucket';
let s3: S3Control;
const clients: S3Client[] = [];

function client(config: S3ClientConfig = {}): S3Client {
  const made = new S3Client({
    endpoint: s3.url,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: TEST_KEY,
    maxAttempts: 1,
    ...config,
  });
  clients.push(made);
  return made;
}

before(async () => {
  s3 = await startS3({ buckets: [Bucket], keys: [TEST_KEY, DENIED, BLIND] });
});
after(async () => {
  for (const c of clients) c.destroy();
  await s3.close();
});

function refused(name: string, status: number): (error: unknown) => boolean {
  return (error) => {
    const e = error as { name: string; $metadata: { httpStatusCode?: number } };
    assert.equal(e.name, name);
    assert.equal(e.$metadata.httpStatusCode, status);
    return true;
  };
}

test('put, get, ranges, head, delete, odd keys', async () => {
  const c = client();
  const Body = randomBytes(100_000);
  for (const Key of ['plain', 'a b/c+d', "q?x=1&y#z'()*!", 'ü/€/\u{1f600}', 'trailing/']) {
    await c.send(new PutObjectCommand({ Bucket, Key, Body }));
    const got = await c.send(new GetObjectCommand({ Bucket, Key }));
    assert.deepEqual(Buffer.from(await got.Body!.transformToByteArray()), Body);
    const head = await c.send(new HeadObjectCommand({ Bucket, Key }));
    assert.equal(head.ContentLength, Body.length);
    for (const [Range, from, to] of [
      ['bytes=0-9', 0, 10],
      ['bytes=99990-', 99_990, 100_000],
      ['bytes=-7', 99_993, 100_000],
      ['bytes=99999-200000', 99_999, 100_000],
    ] as const) {
      const part = await c.send(new GetObjectCommand({ Bucket, Key, Range }));
      assert.deepEqual(Buffer.from(await part.Body!.transformToByteArray()), Body.subarray(from, to));
      assert.equal(part.ContentRange, `bytes ${from}-${to - 1}/100000`);
    }
    await assert.rejects(
      c.send(new GetObjectCommand({ Bucket, Key, Range: 'bytes=100000-' })),
      refused('InvalidRange', 416),
    );
    await c.send(new DeleteObjectCommand({ Bucket, Key }));
    await assert.rejects(c.send(new GetObjectCommand({ Bucket, Key })), refused('NoSuchKey', 404));
    await assert.rejects(c.send(new HeadObjectCommand({ Bucket, Key })), refused('NotFound', 404));
  }
});

test('the ways the SDK sends bodies: buffers, streams with trailers, every checksum, unsigned', async () => {
  const c = client();
  const bytes = randomBytes(200_000);
  const sent: [string, () => Promise<unknown>][] = [
    ['buffer', () => c.send(new PutObjectCommand({ Bucket, Key: 'buffer', Body: bytes }))],
    [
      'stream',
      () =>
        c.send(
          new PutObjectCommand({
            Bucket,
            Key: 'stream',
            Body: Readable.from([bytes]),
            ContentLength: bytes.length,
          }),
        ),
    ],
    ...(['CRC32', 'CRC32C', 'SHA1', 'SHA256'] as const).map(
      (ChecksumAlgorithm): [string, () => Promise<unknown>] => [
        ChecksumAlgorithm,
        () =>
          c.send(new PutObjectCommand({ Bucket, Key: ChecksumAlgorithm, Body: bytes, ChecksumAlgorithm })),
      ],
    ),
    [
      'md5',
      () =>
        c.send(
          new PutObjectCommand({
            Bucket,
            Key: 'md5',
            Body: bytes,
            ContentMD5: createHash('md5').update(bytes).digest('base64'),
          }),
        ),
    ],
  ];
  for (const [Key, send] of sent) {
    await send();
    const got = await c.send(new GetObjectCommand({ Bucket, Key }));
    assert.deepEqual(Buffer.from(await got.Body!.transformToByteArray()), bytes, Key);
  }
  const wrong = createHash('sha256').update('else').digest('base64');
  await assert.rejects(
    c.send(new PutObjectCommand({ Bucket, Key: 'w', Body: bytes, ChecksumSHA256: wrong })),
    refused('BadDigest', 400),
  );
  await assert.rejects(
    c.send(new PutObjectCommand({ Bucket, Key: 'w', Body: bytes, ChecksumCRC32: 'AAAAAA==' })),
    refused('BadDigest', 400),
  );
  await assert.rejects(
    c.send(
      new PutObjectCommand({ Bucket, Key: 'w', Body: bytes, ContentMD5: createHash('md5').digest('base64') }),
    ),
    refused('BadDigest', 400),
  );
  await assert.rejects(
    c.send(new PutObjectCommand({ Bucket, Key: 'w', Body: bytes, ContentMD5: 'short' })),
    refused('InvalidDigest', 400),
  );
  assert.equal(s3.bucket(Bucket).objects.has('w'), false);
});

test('only the first conditional put wins', async () => {
  const c = client();
  const put = (Body: string) => c.send(new PutObjectCommand({ Bucket, Key: 'once', Body, IfNoneMatch: '*' }));
  const results = await Promise.allSettled(['1', '2', '3', '4'].map(put));
  assert.equal(results.filter((r) => r.status === 'fulfilled').length, 1);
  for (const r of results) if (r.status === 'rejected') refused('PreconditionFailed', 412)(r.reason);
  await assert.rejects(
    c.send(new PutObjectCommand({ Bucket, Key: 'once', Body: 'x', IfNoneMatch: '"etag"' })),
    refused('NotImplemented', 501),
  );
});

test('credentials, clocks, regions and permissions are checked', async () => {
  const list = new ListObjectsV2Command({ Bucket });
  const { accessKeyId, secretAccessKey } = TEST_KEY;
  await assert.rejects(
    client({ credentials: { accessKeyId, secretAccessKey: 'wrong' } }).send(list),
    refused('SignatureDoesNotMatch', 403),
  );
  await assert.rejects(
    client({ credentials: { accessKeyId: 'AKNOBODY', secretAccessKey } }).send(list),
    refused('InvalidAccessKeyId', 403),
  );
  await assert.rejects(
    client({ region: 'eu-west-1' }).send(list),
    refused('AuthorizationHeaderMalformed', 400),
  );
  const denied = client({ credentials: DENIED });
  await denied.send(list);
  await assert.rejects(
    denied.send(new PutObjectCommand({ Bucket, Key: 'd', Body: 'x' })),
    refused('AccessDenied', 403),
  );
  await assert.rejects(
    client().send(new ListObjectsV2Command({ Bucket: 'nowhere' })),
    refused('NoSuchBucket', 404),
  );
  // Whoever may not list is not told what is missing.
  const absent = new GetObjectCommand({ Bucket, Key: 'absent' });
  await assert.rejects(denied.send(absent), refused('NoSuchKey', 404));
  await assert.rejects(client({ credentials: BLIND }).send(absent), refused('AccessDenied', 403));
  s3.setClockOffset(16 * 60 * 1000);
  try {
    const c = client();
    await assert.rejects(c.send(list), refused('RequestTimeTooSkewed', 403));
    // The SDK has learnt the offset from the answer's date.
    await c.send(list);
  } finally {
    s3.setClockOffset(0);
  }
  assert.equal((await fetch(`${s3.url}/${Bucket}?list-type=2`)).status, 403);
});

test('listing comes in pages, by prefix, delimiter and start', async () => {
  const c = client();
  const bucket = s3.createBucket('pages');
  const all = Array.from(
    { length: 2500 },
    (_, i) => `p/${String(i % 5)}/${String(i).padStart(5, '0')}`,
  ).sort();
  for (const key of all)
    bucket.set(key, {
      body: Buffer.alloc(0),
      sizeBytes: 0,
      etag: '"e"',
      modifiedMs: 0,
      contentType: 'x',
      checksums: new Map(),
      fate: 'kept',
    });
  const listed: string[] = [];
  const sizes: number[] = [];
  let ContinuationToken: string | undefined;
  do {
    const page = await c.send(new ListObjectsV2Command({ Bucket: 'pages', Prefix: 'p/', ContinuationToken }));
    listed.push(...(page.Contents ?? []).map((o) => o.Key!));
    sizes.push(page.KeyCount!);
    ContinuationToken = page.NextContinuationToken;
  } while (ContinuationToken !== undefined);
  assert.deepEqual(listed, all);
  assert.deepEqual(sizes, [1000, 1000, 500]);
  const groups = await c.send(new ListObjectsV2Command({ Bucket: 'pages', Prefix: 'p/', Delimiter: '/' }));
  assert.deepEqual(
    groups.CommonPrefixes?.map((p) => p.Prefix),
    ['p/0/', 'p/1/', 'p/2/', 'p/3/', 'p/4/'],
  );
  const late = await c.send(
    new ListObjectsV2Command({ Bucket: 'pages', StartAfter: all[2400]!, MaxKeys: 3 }),
  );
  assert.deepEqual(
    late.Contents?.map((o) => o.Key),
    all.slice(2401, 2404),
  );
  assert.equal(late.IsTruncated, true);
  await assert.rejects(
    c.send(new ListObjectsV2Command({ Bucket: 'pages', ContinuationToken: 'invented' })),
    refused('InvalidArgument', 400),
  );
});

test('multipart: parts in order, none too small, condition at the end, abort', async () => {
  const c = client();
  const big = randomBytes(5 * 1024 * 1024);
  const start = async (Key: string) =>
    (await c.send(new CreateMultipartUploadCommand({ Bucket, Key }))).UploadId!;
  const part = async (Key: string, UploadId: string, PartNumber: number, Body: Buffer) => ({
    PartNumber,
    ETag: (await c.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body }))).ETag!,
  });
  const complete = (Key: string, UploadId: string, Parts: { PartNumber: number; ETag: string }[]) =>
    c.send(
      new CompleteMultipartUploadCommand({
        Bucket,
        Key,
        UploadId,
        MultipartUpload: { Parts },
        IfNoneMatch: '*',
      }),
    );
  const id = await start('large');
  const one = await part('large', id, 1, big);
  const two = await part('large', id, 2, Buffer.from('tail'));
  await assert.rejects(complete('large', id, [two, one]), refused('InvalidPartOrder', 400));
  await assert.rejects(complete('large', id, [one, { ...two, ETag: '"00"' }]), refused('InvalidPart', 400));
  await complete('large', id, [one, two]);
  const got = await c.send(new GetObjectCommand({ Bucket, Key: 'large' }));
  assert.deepEqual(
    Buffer.from(await got.Body!.transformToByteArray()),
    Buffer.concat([big, Buffer.from('tail')]),
  );
  const again = await start('large');
  const only = await part('large', again, 1, Buffer.from('x'));
  await assert.rejects(complete('large', again, [only]), refused('PreconditionFailed', 412));
  const small = await start('small');
  const parts = [
    await part('small', small, 1, Buffer.from('a')),
    await part('small', small, 2, Buffer.from('b')),
  ];
  await assert.rejects(complete('small', small, parts), refused('EntityTooSmall', 400));
  for (const [Key, UploadId] of [
    ['large', again],
    ['small', small],
  ] as const)
    await c.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
  await assert.rejects(part('small', small, 3, big), refused('NoSuchUpload', 404));
  assert.equal(s3.bucket(Bucket).uploads.size, 0);
});

test('buckets and their settings', async () => {
  const c = client();
  const own = { Bucket: 'made-here' };
  await assert.rejects(c.send(new HeadBucketCommand(own)), refused('NotFound', 404));
  await c.send(new CreateBucketCommand(own));
  await c.send(new HeadBucketCommand(own));
  await assert.rejects(c.send(new CreateBucketCommand(own)), refused('BucketAlreadyOwnedByYou', 409));
  await assert.rejects(c.send(new CreateBucketCommand({ Bucket: 'No' })), refused('InvalidBucketName', 400));
  await c.send(
    new PutPublicAccessBlockCommand({
      ...own,
      PublicAccessBlockConfiguration: { BlockPublicAcls: true, BlockPublicPolicy: true },
    }),
  );
  await c.send(
    new PutBucketEncryptionCommand({
      ...own,
      ServerSideEncryptionConfiguration: {
        Rules: [{ ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } }],
      },
    }),
  );
  const encryption = await c.send(new GetBucketEncryptionCommand(own));
  assert.equal(
    encryption.ServerSideEncryptionConfiguration?.Rules?.[0]?.ApplyServerSideEncryptionByDefault
      ?.SSEAlgorithm,
    'AES256',
  );
  await assert.rejects(
    c.send(new GetBucketLifecycleConfigurationCommand(own)),
    refused('NoSuchLifecycleConfiguration', 404),
  );
  await c.send(
    new PutBucketLifecycleConfigurationCommand({
      ...own,
      LifecycleConfiguration: {
        Rules: [{ ID: 'old', Status: 'Enabled', Filter: { Prefix: '' }, Expiration: { Days: 30 } }],
      },
    }),
  );
  const lifecycle = await c.send(new GetBucketLifecycleConfigurationCommand(own));
  assert.equal(lifecycle.Rules?.[0]?.Expiration?.Days, 30);
  for (const Key of ['x<&>', 'y']) await c.send(new PutObjectCommand({ ...own, Key, Body: Key }));
  await assert.rejects(c.send(new DeleteBucketCommand(own)), refused('BucketNotEmpty', 409));
  const gone = await c.send(
    new DeleteObjectsCommand({ ...own, Delete: { Objects: [{ Key: 'x<&>' }, { Key: 'y' }] } }),
  );
  assert.deepEqual(
    gone.Deleted?.map((d) => d.Key),
    ['x<&>', 'y'],
  );
  await c.send(new DeleteBucketCommand(own));
});
