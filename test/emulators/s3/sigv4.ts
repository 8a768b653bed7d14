// Signature Version 4 in the Authorization header, as S3 checks it: canonical request over the path and the query as they came,
// every x-amz-* header and the host signed, payload hash stated, date no more than 15 minutes away, scope of this region.
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { S3Error } from './error.ts';

export interface AccessKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Session token that must come along, as with temporary credentials. */
  readonly sessionToken?: string;
  /** Actions this key may not use, such as "s3:PutObject". */
  readonly deny?: readonly string[];
}

export interface Signed {
  readonly key: AccessKey;
  /** Value of x-amz-content-sha256. */
  readonly payload: string;
  readonly signature: string;
  readonly signingKey: Buffer;
  readonly amzDate: string;
  readonly scope: string;
}

const SKEW_MAX_MS = 15 * 60 * 1000;
const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=([^/, ]+)\/(\d{8})\/([^/, ]+)\/([^/, ]+)\/aws4_request, ?SignedHeaders=([a-z0-9;_-]+), ?Signature=([0-9a-f]{64})$/;

export function sha256Hex(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export function hmac(key: string | Uint8Array, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

export function sameText(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}

/** RFC 3986, as AWS has it: everything but unreserved characters as upper-case %XX. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new S3Error('InvalidArgument', 'The request URI could not be decoded');
  }
}

export function splitUrl(url: string): {
  readonly path: string;
  readonly query: readonly (readonly [string, string])[];
} {
  const mark = url.indexOf('?');
  const text = mark < 0 ? '' : url.slice(mark + 1);
  const query = text
    .split('&')
    .filter((part) => part !== '')
    .map((part) => {
      const eq = part.indexOf('=');
      return [decode(eq < 0 ? part : part.slice(0, eq)), eq < 0 ? '' : decode(part.slice(eq + 1))] as const;
    });
  return { path: mark < 0 ? url : url.slice(0, mark), query };
}

function canonicalQuery(query: readonly (readonly [string, string])[]): string {
  return query
    .map(([k, v]) => [encode(k), encode(v)] as const)
    .sort(([a, x], [b, y]) => (a < b ? -1 : a > b ? 1 : x < y ? -1 : x > y ? 1 : 0))
    .map(([k, v]) => `${k}=${v}`)
    .join('&');
}

function parseAmzDate(text: string): number {
  const m = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  return m ? Date.parse(`${m[1]}-${m[2]}-${m[3]}T${m[4]}:${m[5]}:${m[6]}Z`) : Number.NaN;
}

export interface SignedRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
}

/** @throws S3Error when S3 would refuse the request. */
export function verifySignature(
  request: SignedRequest,
  keys: readonly AccessKey[],
  region: string,
  nowMs: number,
): Signed {
  const { headers } = request;
  const authorization = headers.authorization;
  if (authorization === undefined) throw new S3Error('AccessDenied', 'Access Denied');
  const m = AUTHORIZATION.exec(authorization);
  if (!m) throw new S3Error('AuthorizationHeaderMalformed', 'The authorization header is malformed.');
  const [, keyId, day, scopeRegion, service, signedList, signature] = m as unknown as string[];
  const key = keys.find((k) => k.accessKeyId === keyId);
  if (!key)
    throw new S3Error(
      'InvalidAccessKeyId',
      'The AWS Access Key Id you provided does not exist in our records.',
      {
        AWSAccessKeyId: keyId!,
      },
    );
  if (service !== 's3' || scopeRegion !== region)
    throw new S3Error(
      'AuthorizationHeaderMalformed',
      `The authorization header is malformed; the region '${scopeRegion}' is wrong; expecting '${region}'`,
      { Region: region },
    );
  const amzDate = headers['x-amz-date'];
  const dateMs = typeof amzDate === 'string' ? parseAmzDate(amzDate) : Number.NaN;
  if (typeof amzDate !== 'string' || Number.isNaN(dateMs))
    throw new S3Error('AccessDenied', 'AWS authentication requires a valid Date or x-amz-date header');
  if (!amzDate.startsWith(day!))
    throw new S3Error(
      'AuthorizationHeaderMalformed',
      'Invalid credential date; it is not the same as X-Amz-Date',
    );
  if (Math.abs(nowMs - dateMs) > SKEW_MAX_MS)
    throw new S3Error(
      'RequestTimeTooSkewed',
      'The difference between the request time and the current time is too large.',
      {
        RequestTime: amzDate,
        ServerTime: new Date(nowMs).toISOString(),
        MaxAllowedSkewMilliseconds: String(SKEW_MAX_MS),
      },
    );
  const payload = headers['x-amz-content-sha256'];
  if (typeof payload !== 'string')
    throw new S3Error('InvalidRequest', 'Missing required header for this request: x-amz-content-sha256');
  const signedHeaders = signedList!.split(';');
  const unsigned = Object.keys(headers).filter(
    (h) => (h === 'host' || h === 'content-md5' || h.startsWith('x-amz-')) && !signedHeaders.includes(h),
  );
  if (unsigned.length > 0)
    throw new S3Error('AccessDenied', 'There were headers present in the request which were not signed', {
      HeadersNotSigned: unsigned.join(', '),
    });
  if (key.sessionToken !== undefined && headers['x-amz-security-token'] !== key.sessionToken)
    throw new S3Error('AccessDenied', 'The provided token is malformed or otherwise invalid.');
  const { path, query } = splitUrl(request.url);
  const canonical = [
    request.method,
    path
      .split('/')
      .map((part) => encode(decode(part)))
      .join('/'),
    canonicalQuery(query),
    ...signedHeaders.map((h) => {
      const value = headers[h];
      if (value === undefined) throw new S3Error('SignatureDoesNotMatch', `Signed header ${h} is not there`);
      return `${h}:${(Array.isArray(value) ? value.join(',') : value).trim().replace(/ +/g, ' ')}`;
    }),
    '',
    signedList,
    payload,
  ].join('\n');
  const scope = `${day}/${scopeRegion}/${service}/aws4_request`;
  const signingKey = hmac(
    hmac(hmac(hmac(`AWS4${key.secretAccessKey}`, day!), scopeRegion!), service!),
    'aws4_request',
  );
  const toSign = `AWS4-HMAC-SHA256\n${amzDate}\n${scope}\n${sha256Hex(canonical)}`;
  if (!sameText(hmac(signingKey, toSign).toString('hex'), signature!))
    throw new S3Error(
      'SignatureDoesNotMatch',
      'The request signature we calculated does not match the signature you provided. Check your key and signing method.',
      { StringToSign: toSign, CanonicalRequest: canonical },
    );
  return { key, payload, signature: signature!, signingKey, amzDate, scope };
}
