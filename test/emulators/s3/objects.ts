// PutObject, GetObject, HeadObject, DeleteObject, DeleteObjects, ListObjectsV2.
import type { StoredObject } from './buckets.ts';
import {
  type Answer,
  bucketOf,
  type Call,
  document,
  elements,
  header,
  needProtection,
  XMLNS,
  xml,
} from './context.ts';
import { escapeXml, S3Error } from './error.ts';

const KEY_BYTES_MAX = 1024;
const PUT_BYTES_MAX = 5 * 1024 ** 3;
const PAGE_KEYS_MAX = 1000;

export function checkKey(key: string): void {
  if (Buffer.byteLength(key) > KEY_BYTES_MAX) throw new S3Error('KeyTooLongError', 'Your key is too long');
}

/** If-None-Match: * as conditional writes know it. */
export function checkCondition(call: Call): void {
  const condition = header(call, 'if-none-match');
  if (condition === undefined) return;
  if (condition !== '*')
    throw new S3Error(
      'NotImplemented',
      'A header you provided implies functionality that is not implemented',
      {
        Header: 'If-None-Match',
      },
    );
  if (bucketOf(call).objects.has(call.key))
    throw new S3Error('PreconditionFailed', 'At least one of the pre-conditions you specified did not hold', {
      Condition: 'If-None-Match',
    });
}

export function putObject(call: Call): Answer {
  checkKey(call.key);
  if (call.body.bytes.length > PUT_BYTES_MAX)
    throw new S3Error('EntityTooLarge', 'Your proposed upload exceeds the maximum allowed size');
  const bucket = bucketOf(call);
  checkCondition(call);
  const object = call.buckets.store(bucket, call.key, call.body.bytes, {
    contentType: header(call, 'content-type') ?? 'binary/octet-stream',
    checksums: call.body.checksums,
    fate: call.faults.drawFate(),
  });
  return {
    status: 200,
    headers: {
      etag: object.etag,
      'x-amz-server-side-encryption': 'AES256',
      ...Object.fromEntries(object.checksums),
    },
  };
}

function find(call: Call): StoredObject {
  const object = bucketOf(call).objects.get(call.key);
  if (!object && !call.mayList) throw new S3Error('AccessDenied', 'Access Denied');
  if (!object) throw new S3Error('NoSuchKey', 'The specified key does not exist.', { Key: call.key });
  return object;
}

/** Half-open; undefined: the whole object (a header that does not parse is ignored, as S3 does). */
function parseRange(text: string | undefined, size: number): readonly [number, number] | undefined {
  const m = text === undefined ? null : /^bytes=(\d*)-(\d*)$/.exec(text);
  if (!m || (m[1] === '' && m[2] === '')) return undefined;
  const range: readonly [number, number] =
    m[1] === ''
      ? [Math.max(0, size - Number(m[2])), size]
      : [Number(m[1]), m[2] === '' ? size : Math.min(size, Number(m[2]) + 1)];
  if (m[2] !== '' && m[1] !== '' && Number(m[2]) < Number(m[1])) return undefined;
  if (range[0] >= size)
    throw new S3Error('InvalidRange', 'The requested range is not satisfiable', {
      RangeRequested: text!,
      ActualObjectSize: String(size),
    });
  return range;
}

export function getObject(call: Call, withBody: boolean): Answer {
  const object = find(call);
  const etag = header(call, 'if-match');
  if (etag !== undefined && etag !== object.etag && etag !== '*')
    throw new S3Error('PreconditionFailed', 'At least one of the pre-conditions you specified did not hold', {
      Condition: 'If-Match',
    });
  const range = parseRange(header(call, 'range'), object.sizeBytes);
  const whole = range === undefined;
  const [start, end] = range ?? [0, object.sizeBytes];
  const headers: Record<string, string> = {
    etag: object.etag,
    'accept-ranges': 'bytes',
    'content-type': object.contentType,
    'last-modified': new Date(object.modifiedMs).toUTCString(),
    'content-length': String(end - start),
  };
  if (!whole) headers['content-range'] = `bytes ${start}-${end - 1}/${object.sizeBytes}`;
  else if (header(call, 'x-amz-checksum-mode') === 'ENABLED')
    Object.assign(headers, Object.fromEntries(object.checksums));
  const status = whole ? 200 : 206;
  return withBody
    ? { status, headers, body: call.buckets.read(object).subarray(start, end) }
    : { status, headers };
}

export function deleteObject(call: Call): Answer {
  call.buckets.remove(bucketOf(call), call.key);
  return { status: 204 };
}

export function deleteObjects(call: Call): Answer {
  needProtection(call);
  const bucket = bucketOf(call);
  const text = document(call, 'Delete');
  const keys = elements(text, 'Object').map((o) => elements(`<O>${o}</O>`, 'Key')[0]);
  if (keys.length === 0 || keys.length > PAGE_KEYS_MAX || keys.includes(undefined))
    throw new S3Error('MalformedXML', 'The XML you provided was not well-formed');
  for (const key of keys) call.buckets.remove(bucket, key!);
  const quiet = elements(text, 'Quiet')[0] === 'true';
  const deleted = quiet ? '' : keys.map((k) => `<Deleted><Key>${escapeXml(k!)}</Key></Deleted>`).join('');
  return xml(`<DeleteResult ${XMLNS}>${deleted}</DeleteResult>`);
}

/** First index whose key is not below `bound`. */
function lowerBound(keys: readonly string[], bound: Buffer): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (Buffer.compare(Buffer.from(keys[middle]!), bound) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

const TOKEN_HEAD = 'page1:';

function readToken(token: string): string {
  const text = Buffer.from(token, 'base64url').toString('utf8');
  if (!text.startsWith(TOKEN_HEAD))
    throw new S3Error('InvalidArgument', 'The continuation token provided is incorrect');
  return text.slice(TOKEN_HEAD.length);
}

export function listObjects(call: Call): Answer {
  const bucket = bucketOf(call);
  const { query } = call;
  if (query.get('list-type') !== '2') throw new S3Error('NotImplemented', 'only ListObjectsV2');
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const asked = Number(query.get('max-keys') ?? PAGE_KEYS_MAX);
  if (!Number.isInteger(asked) || asked < 0)
    throw new S3Error('InvalidArgument', 'Argument max-keys must be an integer');
  const max = Math.min(asked, PAGE_KEYS_MAX);
  const token = query.get('continuation-token');
  if (token === '') throw new S3Error('InvalidArgument', 'The continuation token provided is incorrect');
  const after = token === undefined ? (query.get('start-after') ?? '') : readToken(token);
  const encode =
    query.get('encoding-type') === 'url'
      ? (t: string) => encodeURIComponent(t).replaceAll('%2F', '/')
      : escapeXml;
  const keys = bucket.keys();
  const contents: string[] = [];
  const common = new Set<string>();
  let last = after;
  let truncated = false;
  const start = Buffer.from(after > prefix ? after : prefix);
  for (let i = lowerBound(keys, start); i < keys.length; i++) {
    const key = keys[i]!;
    if (!key.startsWith(prefix)) break;
    if (
      after !== '' &&
      (key === after || (delimiter !== '' && after.endsWith(delimiter) && key.startsWith(after)))
    )
      continue;
    const cut = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
    const group = cut < 0 ? undefined : key.slice(0, cut + delimiter.length);
    if (group !== undefined && common.has(group)) continue;
    if (contents.length + common.size >= max) {
      truncated = max > 0;
      break;
    }
    if (group !== undefined) common.add(group);
    else {
      const o = bucket.objects.get(key)!;
      contents.push(
        `<Contents><Key>${encode(key)}</Key><LastModified>${new Date(o.modifiedMs).toISOString()}</LastModified>` +
          `<ETag>${escapeXml(o.etag)}</ETag><Size>${o.sizeBytes}</Size><StorageClass>STANDARD</StorageClass></Contents>`,
      );
    }
    last = group ?? key;
  }
  const next = truncated
    ? `<NextContinuationToken>${Buffer.from(TOKEN_HEAD + last).toString('base64url')}</NextContinuationToken>`
    : '';
  return xml(
    `<ListBucketResult ${XMLNS}><Name>${bucket.name}</Name><Prefix>${encode(prefix)}</Prefix>` +
      `<MaxKeys>${asked}</MaxKeys><KeyCount>${contents.length + common.size}</KeyCount><IsTruncated>${truncated}</IsTruncated>` +
      `${query.get('encoding-type') === 'url' ? '<EncodingType>url</EncodingType>' : ''}${next}${contents.join('')}` +
      `${[...common].map((c) => `<CommonPrefixes><Prefix>${encode(c)}</Prefix></CommonPrefixes>`).join('')}</ListBucketResult>`,
  );
}
