// A request's body: payload hash, aws-chunked encoding (signed and unsigned chunks, trailers), Content-MD5 and the
// x-amz-checksum-* headers, all verified.
import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { crc32 } from 'node:zlib';
import { S3Error } from './error.ts';
import { hmac, type Signed, sameText, sha256Hex } from './sigv4.ts';

const EMPTY_SHA256 = sha256Hex('');
/** S3's own bound for chunks but the last. */
const CHUNK_BYTES_MIN = 8192;

function crc32cTable(): Uint32Array {
  const table = new Uint32Array(256);
  for (let i = 0; i < 256; i++) {
    let c = i;
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
    table[i] = c >>> 0;
  }
  return table;
}
const CRC32C = crc32cTable();

function bigEndian(value: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes.toString('base64');
}

const CHECKSUMS: Readonly<Record<string, (bytes: Uint8Array) => string>> = {
  crc32: (bytes) => bigEndian(crc32(bytes)),
  crc32c: (bytes) => {
    let c = 0xffffffff;
    for (const byte of bytes) c = CRC32C[(c ^ byte) & 0xff]! ^ (c >>> 8);
    return bigEndian(c ^ 0xffffffff);
  },
  sha1: (bytes) => createHash('sha1').update(bytes).digest('base64'),
  sha256: (bytes) => createHash('sha256').update(bytes).digest('base64'),
};

export interface Body {
  readonly bytes: Buffer;
  /** Checksum header -> value that was stated and found right. */
  readonly checksums: ReadonlyMap<string, string>;
  /** MD5 or a checksum was stated. */
  readonly protected: boolean;
}

function verifyChecksums(bytes: Buffer, headers: ReadonlyMap<string, string>): Map<string, string> {
  const found = new Map<string, string>();
  for (const [header, value] of headers) {
    const kind = /^x-amz-checksum-(?!mode$|algorithm$|type$)(\w+)$/.exec(header)?.[1];
    if (kind === undefined) continue;
    const compute = CHECKSUMS[kind];
    if (!compute) throw new S3Error('NotImplemented', `checksum ${kind}`);
    const actual = compute(bytes);
    if (value.length !== actual.length)
      throw new S3Error('InvalidRequest', `Value for ${header} header is invalid.`);
    if (value !== actual)
      throw new S3Error(
        'BadDigest',
        `The ${kind.toUpperCase()} you specified did not match the calculated checksum.`,
      );
    found.set(header, value);
  }
  if (found.size > 1)
    throw new S3Error(
      'InvalidRequest',
      'Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.',
    );
  return found;
}

interface Chunked {
  readonly bytes: Buffer;
  readonly trailers: ReadonlyMap<string, string>;
}

function incomplete(): S3Error {
  return new S3Error('IncompleteBody', 'The request body terminated unexpectedly');
}

function decodeChunks(raw: Buffer, signed: Signed, isSigned: boolean, hasTrailer: boolean): Chunked {
  const parts: Buffer[] = [];
  const trailers = new Map<string, string>();
  let previous = signed.signature;
  let at = 0;
  const line = (): string => {
    const end = raw.indexOf('\r\n', at, 'latin1');
    if (end < 0) throw incomplete();
    const text = raw.toString('latin1', at, end);
    at = end + 2;
    return text;
  };
  for (let size = -1, small = false; size !== 0; ) {
    const m = /^([0-9a-fA-F]+)(?:;chunk-signature=([0-9a-f]{64}))?$/.exec(line());
    if (!m) throw incomplete();
    size = Number.parseInt(m[1]!, 16);
    const chunk = raw.subarray(at, at + size);
    if (chunk.length !== size) throw incomplete();
    if (isSigned !== (m[2] !== undefined))
      throw new S3Error('SignatureDoesNotMatch', 'chunks must be signed if and only if the payload says so');
    if (isSigned) {
      const toSign = `AWS4-HMAC-SHA256-PAYLOAD\n${signed.amzDate}\n${signed.scope}\n${previous}\n${EMPTY_SHA256}\n${sha256Hex(chunk)}`;
      const expected = hmac(signed.signingKey, toSign).toString('hex');
      if (!sameText(expected, m[2]!))
        throw new S3Error('SignatureDoesNotMatch', 'A chunk signature does not match.');
      previous = expected;
    }
    if (size > 0) {
      if (small)
        throw new S3Error(
          'InvalidRequest',
          'Only the last chunk is allowed to have a size less than 8192 bytes',
        );
      small = size < CHUNK_BYTES_MIN;
      parts.push(chunk);
      at += size;
      if (line() !== '') throw incomplete();
    }
  }
  let trailerText = '';
  for (let text = line(); text !== ''; text = at < raw.length ? line() : '') {
    const colon = text.indexOf(':');
    if (colon < 0) throw incomplete();
    const name = text.slice(0, colon).toLowerCase().trim();
    const value = text.slice(colon + 1).trim();
    if (name === 'x-amz-trailer-signature') {
      const toSign = `AWS4-HMAC-SHA256-TRAILER\n${signed.amzDate}\n${signed.scope}\n${previous}\n${sha256Hex(trailerText)}`;
      if (!isSigned || !sameText(hmac(signed.signingKey, toSign).toString('hex'), value))
        throw new S3Error('SignatureDoesNotMatch', 'The trailer signature does not match.');
      previous = '';
    } else {
      trailers.set(name, value);
      trailerText += `${name}:${value}\n`;
    }
  }
  if (hasTrailer && isSigned && previous !== '')
    throw new S3Error('SignatureDoesNotMatch', 'The trailer is not signed.');
  if (!hasTrailer && trailers.size > 0) throw incomplete();
  return { bytes: Buffer.concat(parts), trailers };
}

const STREAMING = /^STREAMING-(AWS4-HMAC-SHA256|UNSIGNED)-PAYLOAD(-TRAILER)?$/;

/** @throws S3Error when the bytes are not what the headers state. */
export function verifyBody(raw: Buffer, headers: IncomingHttpHeaders, signed: Signed): Body {
  const stated = new Map<string, string>();
  for (const [name, value] of Object.entries(headers))
    if (name.startsWith('x-amz-checksum-') && typeof value === 'string') stated.set(name, value);
  let bytes = raw;
  const streaming = STREAMING.exec(signed.payload);
  if (streaming) {
    const encodings = (headers['content-encoding'] ?? '').split(',').map((e) => e.trim());
    if (!encodings.includes('aws-chunked'))
      throw new S3Error(
        'InvalidRequest',
        'The Content-Encoding of a streamed payload must hold aws-chunked.',
      );
    const length = headers['x-amz-decoded-content-length'];
    if (typeof length !== 'string')
      throw new S3Error('MissingContentLength', 'You must provide the Content-Length HTTP header.');
    const decoded = decodeChunks(raw, signed, streaming[1] !== 'UNSIGNED', streaming[2] !== undefined);
    if (decoded.bytes.length !== Number(length)) throw incomplete();
    const announced = headers['x-amz-trailer'];
    const names =
      typeof announced === 'string' ? announced.split(',').map((n) => n.trim().toLowerCase()) : [];
    if (names.length !== decoded.trailers.size || names.some((n) => !decoded.trailers.has(n)))
      throw new S3Error('InvalidRequest', 'The trailers are not those x-amz-trailer announced.');
    for (const [name, value] of decoded.trailers) stated.set(name, value);
    bytes = decoded.bytes;
  } else if (signed.payload !== 'UNSIGNED-PAYLOAD') {
    if (!/^[0-9a-f]{64}$/.test(signed.payload))
      throw new S3Error(
        'InvalidArgument',
        'x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-..., or a valid sha256 value.',
      );
    const actual = sha256Hex(raw);
    if (actual !== signed.payload)
      throw new S3Error(
        'XAmzContentSHA256Mismatch',
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
        {
          ClientComputedContentSHA256: signed.payload,
          S3ComputedContentSHA256: actual,
        },
      );
  }
  const md5 = headers['content-md5'];
  if (typeof md5 === 'string') {
    if (Buffer.from(md5, 'base64').length !== 16)
      throw new S3Error('InvalidDigest', 'The Content-MD5 you specified was invalid.');
    if (createHash('md5').update(bytes).digest('base64') !== md5)
      throw new S3Error('BadDigest', 'The Content-MD5 you specified did not match what we received.');
  }
  const checksums = verifyChecksums(bytes, stated);
  return { bytes, checksums, protected: md5 !== undefined || checksums.size > 0 };
}
