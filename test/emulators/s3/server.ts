// A strict stand-in for S3 on loopback: path-style HTTP, Signature Version 4, errors as S3 words them, faults on demand.
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { verifyBody } from './body.ts';
import { checkOwner } from './bucket-calls.ts';
import { type Bucket, Buckets } from './buckets.ts';
import type { Answer } from './context.ts';
import { errorXml, S3Error } from './error.ts';
import { FaultModel, type Faults } from './faults.ts';
import { findOperation } from './route.ts';
import { type AccessKey, splitUrl, verifySignature } from './sigv4.ts';

export interface S3Options {
  /** 0: any free one. */
  readonly port?: number;
  readonly region?: string;
  readonly keys?: readonly AccessKey[];
  /** Created at the start. */
  readonly buckets?: readonly string[];
  /** Bodies as files below it; absent: in memory. */
  readonly directory?: string;
  readonly faults?: Partial<Faults>;
  /** Milliseconds this server's clock is ahead. */
  readonly clockOffsetMs?: number;
}

export interface S3Control {
  readonly url: string;
  readonly region: string;
  readonly key: AccessKey;
  readonly faults: FaultModel;
  /** Operation -> requests seen, resets and refusals included. */
  readonly requests: ReadonlyMap<string, number>;
  /** Bodies, both ways. */
  readonly movedBytes: number;
  /** Error code, or "reset" -> answers given. */
  readonly refusals: ReadonlyMap<string, number>;
  bucket(name: string): Bucket;
  createBucket(name: string): Bucket;
  /** The most requests that were open at one time. */
  readonly openMax: number;
  setClockOffset(offsetMs: number): void;
  close(): Promise<void>;
}

export const TEST_KEY: AccessKey = {
  accessKeyId: 'AKIDEXAMPLEEXAMPLE00',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
};
const BODY_BYTES_MAX = 1024 * 1024 * 1024;

class Reset extends Error {}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > BODY_BYTES_MAX)
      throw new S3Error('EntityTooLarge', 'Your proposed upload exceeds the maximum allowed size');
    parts.push(part);
  }
  const length = request.headers['content-length'];
  if (length !== undefined && Number(length) !== size)
    throw new S3Error(
      'IncompleteBody',
      'You did not provide the number of bytes specified by the Content-Length HTTP header',
    );
  // aws-chunked may come in HTTP chunks, as long as the decoded length is stated.
  if (length === undefined && size > 0 && request.headers['x-amz-decoded-content-length'] === undefined)
    throw new S3Error('MissingContentLength', 'You must provide the Content-Length HTTP header.');
  return Buffer.concat(parts);
}

function count(map: Map<string, number>, what: string): void {
  map.set(what, (map.get(what) ?? 0) + 1);
}

export async function startS3(options: S3Options = {}): Promise<S3Control> {
  const region = options.region ?? 'us-east-1';
  const keys = options.keys ?? [TEST_KEY];
  const faults = new FaultModel(options.faults ?? {});
  const buckets = new Buckets(options.directory);
  for (const name of options.buckets ?? []) buckets.create(name);
  const requests = new Map<string, number>();
  const refusals = new Map<string, number>();
  const sockets = new Set<Socket>();
  let clockOffsetMs = options.clockOffsetMs ?? 0;
  let open = 0;
  let openMax = 0;
  let movedBytes = 0;

  const answer = async (request: IncomingMessage): Promise<Answer & { readonly cut?: boolean }> => {
    const method = request.method!;
    const url = request.url!;
    const { path, query: pairs } = splitUrl(url);
    const query = new Map(pairs);
    const slash = path.indexOf('/', 1);
    const bucketName = decodeURIComponent(slash < 0 ? path.slice(1) : path.slice(1, slash));
    const key = slash < 0 ? '' : decodeURIComponent(path.slice(slash + 1));
    const operation = findOperation(method, bucketName, key, query);
    count(requests, operation?.name ?? 'unknown');
    if (faults.isOut()) throw new Reset();
    const reset = faults.drawReset();
    if (reset === 'before') throw new Reset();
    const raw = await readBody(request);
    movedBytes += raw.length;
    const delayMs = faults.delayMs(raw.length);
    if (delayMs > 0) await sleep(delayMs);
    if (faults.draw(faults.faults.slowDownRate))
      throw new S3Error('SlowDown', 'Please reduce your request rate.');
    if (faults.draw(faults.faults.internalErrorRate))
      throw new S3Error('InternalError', 'We encountered an internal error. Please try again.');
    const signed = verifySignature(
      { method, url, headers: request.headers },
      keys,
      region,
      Date.now() + clockOffsetMs,
    );
    if (!operation)
      throw new S3Error('NotImplemented', 'A request you made implies functionality that is not implemented');
    if (signed.key.deny?.includes(operation.action))
      throw new S3Error(
        'AccessDenied',
        `User: arn:aws:iam::000000000000:user/test is not authorized to perform: ${operation.action} on resource: "arn:aws:s3:::${bucketName}${key === '' ? '' : `/${key}`}"`,
      );
    const body = verifyBody(raw, request.headers, signed);
    const mayList = !signed.key.deny?.includes('s3:ListBucket');
    const call = { buckets, faults, region, headers: request.headers, query, bucketName, key, body, mayList };
    checkOwner(call);
    const result = operation.run(call);
    if (reset === 'after' || (reset === 'amid' && !Buffer.isBuffer(result.body))) throw new Reset();
    return reset === 'amid' ? { ...result, cut: true } : result;
  };

  const send = async (
    request: IncomingMessage,
    response: ServerResponse,
    result: Answer & { cut?: boolean },
  ): Promise<void> => {
    const body = typeof result.body === 'string' ? Buffer.from(result.body) : result.body;
    if (body) {
      movedBytes += body.length;
      const delayMs = faults.delayMs(body.length) - faults.faults.latencyMs;
      if (delayMs > 0) await sleep(delayMs);
    }
    response.writeHead(result.status, {
      ...(body === undefined && request.method !== 'HEAD' ? { 'content-length': '0' } : {}),
      ...(body === undefined ? {} : { 'content-length': String(body.length) }),
      ...result.headers,
      date: new Date(Date.now() + clockOffsetMs).toUTCString(),
      server: 'AmazonS3',
      'x-amz-request-id': randomBytes(8).toString('hex').toUpperCase(),
    });
    if (result.cut) {
      count(refusals, 'reset');
      response.write(body!.subarray(0, body!.length >> 1), () => request.socket.destroy());
      return;
    }
    response.end(body);
  };

  const server = createServer({ keepAliveTimeout: 20_000 }, async (request, response) => {
    open++;
    openMax = Math.max(openMax, open);
    try {
      await send(request, response, await answer(request));
    } catch (error) {
      if (error instanceof Reset) {
        count(refusals, 'reset');
        request.socket.destroy();
      } else if (error instanceof S3Error) {
        count(refusals, error.code);
        request.resume();
        const isHead = request.method === 'HEAD';
        const requestId = randomBytes(8).toString('hex').toUpperCase();
        await send(request, response, {
          status: error.status,
          headers: { 'content-type': 'application/xml' },
          ...(isHead ? {} : { body: errorXml(error, splitUrl(request.url!).path, requestId) }),
        }).catch(() => request.socket.destroy());
      } else {
        // The client hung up while it was sending; anything else is a defect of ours and must be seen.
        const hungUp = request.destroyed && !request.complete;
        count(refusals, hungUp ? 'hang-up' : 'defect');
        if (!hungUp) console.error(error);
        request.socket.destroy();
      }
    } finally {
      open--;
    }
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    region,
    key: keys[0]!,
    faults,
    requests,
    refusals,
    bucket: (name) => buckets.get(name),
    createBucket: (name) => buckets.create(name),
    get movedBytes() {
      return movedBytes;
    },
    get openMax() {
      return openMax;
    },
    setClockOffset: (offsetMs) => {
      clockOffsetMs = offsetMs;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
