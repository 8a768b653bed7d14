// Signature Version 4 as every service but S3 checks it: the path's segments encoded twice, the body's hash computed from what came.
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { ServiceError } from './error.ts';

export interface AccessKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

const SKEW_MS_MAX = 5 * 60_000;
const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/;

const sha256 = (data: string | Uint8Array): string => createHash('sha256').update(data).digest('hex');
const hmac = (key: string | Uint8Array, data: string): Buffer =>
  createHmac('sha256', key).update(data).digest();
const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

const keys = new Map<string, Buffer>();

function signingKey(secret: string, date: string, region: string, service: string): Buffer {
  const id = `${secret}/${date}/${region}/${service}`;
  let key = keys.get(id);
  if (!key) {
    key = [date, region, service, 'aws4_request'].reduce<Buffer>(
      (k, part) => hmac(k, part),
      Buffer.from(`AWS4${secret}`),
    );
    keys.set(id, key);
  }
  return key;
}

/** @throws ServiceError 403 as the service words it. */
export function verify(
  request: IncomingMessage,
  body: Uint8Array,
  known: readonly AccessKey[],
  region: string,
  expected: 'lambda' | 'iam' = 'lambda',
): void {
  const m = AUTHORIZATION.exec(request.headers.authorization ?? '');
  if (!m) throw new ServiceError(403, 'MissingAuthenticationTokenException', 'Missing Authentication Token');
  const [, id, date, scope, service, names, signature] = m as unknown as string[];
  const key = known.find((k) => k.accessKeyId === id);
  if (!key)
    throw new ServiceError(
      403,
      'UnrecognizedClientException',
      'The security token included in the request is invalid.',
    );
  if (scope !== region || service !== expected)
    throw new ServiceError(
      403,
      'InvalidSignatureException',
      `Credential should be scoped to a valid region and service: ${region}, ${expected}.`,
    );
  const amzDate = String(request.headers['x-amz-date'] ?? '');
  const at = Date.parse(amzDate.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  if (!amzDate.startsWith(date!) || !(Math.abs(Date.now() - at) <= SKEW_MS_MAX))
    throw new ServiceError(403, 'InvalidSignatureException', `Signature expired: ${amzDate}`);
  const signed = names!.split(';');
  const must = Object.keys(request.headers).filter((h) => h === 'host' || h.startsWith('x-amz-'));
  if (must.some((h) => !signed.includes(h)))
    throw new ServiceError(403, 'InvalidSignatureException', 'a header that must be signed is not');
  const [path, query = ''] = request.url!.split('?');
  const canonical = [
    request.method,
    path!
      .split('/')
      .map((s) => encode(s))
      .join('/'),
    query
      .split('&')
      .filter((q) => q !== '')
      .map((q) => (q.includes('=') ? q : `${q}=`))
      .sort()
      .join('&'),
    ...signed.map((h) => `${h}:${String(request.headers[h] ?? '').trim()}`),
    '',
    names,
    sha256(body),
  ].join('\n');
  const toSign = [
    'AWS4-HMAC-SHA256',
    amzDate,
    `${date}/${scope}/${service}/aws4_request`,
    sha256(canonical),
  ].join('\n');
  const want = hmac(signingKey(key.secretAccessKey, date!, scope!, service!), toSign);
  if (!timingSafeEqual(want, Buffer.from(signature!, 'hex')))
    throw new ServiceError(
      403,
      'InvalidSignatureException',
      'The request signature we calculated does not match the signature you provided.',
    );
}
