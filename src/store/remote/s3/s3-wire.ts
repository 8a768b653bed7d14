// S3 as far as the store needs it: bounded, retried, counted calls with typed errors. Keys in, bytes out.
import { Readable, Transform } from 'node:stream';
import type * as Sdk from '@aws-sdk/client-s3';
import { Gate } from '../gate.ts';
import { type RemoteAddress, type RemoteCounters, RemoteError } from '../remote.ts';
import { listingPolicy, RETRY_POLICY, type RetryPolicy, retry } from '../retry.ts';
import { classifyS3 } from './s3-errors.ts';

export type S3Address = Extract<RemoteAddress, { kind: 's3' }>;

interface S3Keys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly expiration?: Date;
}

/** A provider is asked again shortly before what it gave ends. */
export type S3Credentials = S3Keys | (() => Promise<S3Keys>);

export interface S3WireOptions {
  /** Absent: the SDK's own chain (environment, profiles, SSO, instance or function role). */
  readonly credentials?: S3Credentials;
  readonly parallelMax?: number;
  readonly retryPolicy?: RetryPolicy;
}

/** One connection each: 64 fill a 10 Gbit/s line from within the region, and a laptop's long before. */
const PARALLEL_MAX = 64;
const CONNECT_TIMEOUT_MS = 5_000;
/** Without a byte moving. */
const IDLE_TIMEOUT_MS = 30_000;
/** Milliseconds a request may take in all: a part of 16 MB over a line of 1 Mbit/s. */
const REQUEST_TIMEOUT_MS = 150_000;

/** Bytes of an answer that is no object: the longest is a page of a listing, 1,000 keys of 1,024 bytes, escaped, with all that is said of each. */
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;

export interface GetOptions {
  /** Bytes that may be there at most: what the name says, or what a record may have. */
  readonly sizeMax: number;
  /** Start and end (exclusive); absent: the whole object. */
  readonly range?: readonly [start: number, end: number];
  readonly signal?: AbortSignal | undefined;
}

export interface PutOptions {
  /** SHA-256 of the body, hex. */
  readonly sha256: string;
  /** Only when nothing is there yet. */
  readonly ifAbsent: boolean;
  readonly signal?: AbortSignal | undefined;
}

interface Tools {
  readonly sdk: typeof Sdk;
  readonly client: Sdk.S3Client;
}

export class S3Wire {
  readonly address: S3Address;
  readonly gate: Gate;
  readonly counters: RemoteCounters = {
    putCount: 0,
    getCount: 0,
    listCount: 0,
    retryCount: 0,
    sentBytes: 0,
    receivedBytes: 0,
  };
  readonly #options: S3WireOptions;
  #tools: Promise<Tools> | undefined;

  constructor(address: S3Address, options: S3WireOptions) {
    this.address = address;
    this.#options = options;
    this.gate = new Gate(options.parallelMax ?? PARALLEL_MAX);
  }

  async #load(): Promise<Tools> {
    const sdk = await import('@aws-sdk/client-s3');
    const { region, endpoint } = this.address;
    const client = new sdk.S3Client({
      region,
      // Other people's servers seldom have a host name per bucket.
      ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: true }),
      ...(this.#options.credentials ? { credentials: this.#options.credentials } : {}),
      maxAttempts: 1,
      // Every body is checked against its name; a second checksum would cost time and leave out servers that know none.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      requestHandler: {
        connectionTimeout: CONNECT_TIMEOUT_MS,
        socketTimeout: IDLE_TIMEOUT_MS,
        requestTimeout: REQUEST_TIMEOUT_MS,
        throwOnRequestTimeout: true,
        httpAgent: { maxSockets: this.gate.openMax, keepAlive: true },
        httpsAgent: { maxSockets: this.gate.openMax, keepAlive: true },
      },
      logger: { debug() {}, info() {}, warn() {}, error() {} },
    });
    // The SDK reads a whole answer before it looks at it; objects are read below.
    client.middlewareStack.add(
      (next, context) => async (args) => {
        const result = await next(args);
        const response = result.response as { body?: unknown };
        if (response.body instanceof Readable && context['commandName'] !== 'GetObjectCommand')
          response.body = bounded(response.body, ANSWER_BYTES_MAX, String(context['commandName']));
        return result;
      },
      { step: 'deserialize', priority: 'low', name: 'ggAnswerSize' },
    );
    return { sdk, client };
  }

  /** One call: bounded by the gate, retried, its errors typed. */
  #call<T>(
    action: string,
    key: string,
    signal: AbortSignal | undefined,
    run: (tools: Tools, options: { abortSignal?: AbortSignal }) => Promise<T>,
  ): Promise<T> {
    const resource = `s3://${this.address.bucket}/${key}`;
    const policy = this.#options.retryPolicy ?? RETRY_POLICY;
    return retry(
      () =>
        this.gate.run(async () => {
          this.#tools ??= this.#load();
          const result = await run(await this.#tools, signal ? { abortSignal: signal } : {});
          this.gate.wentWell();
          return result;
        }),
      {
        policy: action === 'ListBucket' ? listingPolicy(policy) : policy,
        classify: (error) => classifyS3(error, `s3:${action}`, resource),
        signal,
        onRetry: (failure) => {
          this.counters.retryCount++;
          if (failure.reason === 'throttled') this.gate.slowDown();
        },
      },
    );
  }

  /** @returns false when somebody else was first. */
  put(key: string, body: Uint8Array, { sha256, ifAbsent, signal }: PutOptions): Promise<boolean> {
    const base64 = Buffer.from(sha256, 'hex').toString('base64');
    return this.#call('PutObject', key, signal, async ({ sdk, client }, options) => {
      const command = new sdk.PutObjectCommand({
        Bucket: this.address.bucket,
        Key: key,
        Body: body,
        ContentLength: body.byteLength,
        // The service refuses bytes that are not those of the name.
        ChecksumSHA256: base64,
        ...(ifAbsent ? { IfNoneMatch: '*' } : {}),
      });
      // The signature covers the payload's hash, which is known already.
      command.middlewareStack.add(
        (next) => (args) => {
          (args.request as { headers: Record<string, string> }).headers['x-amz-content-sha256'] = sha256;
          return next(args);
        },
        { step: 'build', name: 'ggPayloadHash' },
      );
      this.counters.putCount++;
      this.counters.sentBytes += body.byteLength;
      return client.send(command, options).then(() => true, isPresent);
    });
  }

  /** @throws RemoteError `missing-blob`; `digest-mismatch` when there is more than may be there. */
  get(key: string, { sizeMax, range, signal }: GetOptions): Promise<Buffer> {
    return this.#call('GetObject', key, signal, async ({ sdk, client }, options) => {
      this.counters.getCount++;
      const answer = await client.send(
        new sdk.GetObjectCommand({
          Bucket: this.address.bucket,
          Key: key,
          ...(range ? { Range: `bytes=${range[0]}-${range[1] - 1}` } : {}),
        }),
        options,
      );
      const bytes = await readBody(answer.Body as Readable, sizeMax, key);
      this.counters.receivedBytes += bytes.length;
      if (answer.ContentLength !== undefined && answer.ContentLength !== bytes.length)
        throw Object.assign(new Error('the answer ended early'), { code: 'ECONNRESET' });
      return bytes;
    });
  }

  /** One page of keys below `prefix`. */
  async listPage(
    prefix: string,
    at: { readonly token?: string; readonly startAfter?: string },
    signal?: AbortSignal,
  ): Promise<{ readonly keys: readonly string[]; readonly next: string | undefined }> {
    return this.#call('ListBucket', prefix, signal, async ({ sdk, client }, options) => {
      this.counters.listCount++;
      const command = new sdk.ListObjectsV2Command({
        Bucket: this.address.bucket,
        Prefix: prefix,
        ...(at.token === undefined ? {} : { ContinuationToken: at.token }),
        ...(at.startAfter === undefined ? {} : { StartAfter: at.startAfter }),
      });
      const page = await client.send(command, options);
      return {
        keys: (page.Contents ?? []).map((o) => o.Key!),
        next: page.IsTruncated ? page.NextContinuationToken : undefined,
      };
    });
  }

  createUpload(key: string, signal?: AbortSignal): Promise<string> {
    return this.#call('PutObject', key, signal, async ({ sdk, client }, options) => {
      const answer = await client.send(
        new sdk.CreateMultipartUploadCommand({ Bucket: this.address.bucket, Key: key }),
        options,
      );
      return answer.UploadId!;
    });
  }

  /** @returns the part's ETag. */
  putPart(key: string, uploadId: string, part: number, body: Buffer, signal?: AbortSignal): Promise<string> {
    return this.#call('PutObject', key, signal, async ({ sdk, client }, options) => {
      this.counters.putCount++;
      this.counters.sentBytes += body.length;
      const answer = await client.send(
        new sdk.UploadPartCommand({
          Bucket: this.address.bucket,
          Key: key,
          UploadId: uploadId,
          PartNumber: part,
          Body: body,
          ContentLength: body.length,
        }),
        options,
      );
      return answer.ETag!;
    });
  }

  /** @returns false when somebody else was first. */
  completeUpload(
    key: string,
    uploadId: string,
    etags: readonly string[],
    { ifAbsent, signal }: Pick<PutOptions, 'ifAbsent' | 'signal'>,
  ): Promise<boolean> {
    let tries = 0;
    return this.#call('PutObject', key, signal, async ({ sdk, client }, options) => {
      tries++;
      const command = new sdk.CompleteMultipartUploadCommand({
        Bucket: this.address.bucket,
        Key: key,
        UploadId: uploadId,
        MultipartUpload: { Parts: etags.map((ETag, i) => ({ ETag, PartNumber: i + 1 })) },
        ...(ifAbsent ? { IfNoneMatch: '*' } : {}),
      });
      return client.send(command, options).then(
        () => true,
        (error: unknown) => {
          // The try before was carried out and its answer lost: the upload is no more because it is complete.
          if (tries > 1 && (error as { name?: string }).name === 'NoSuchUpload') return true;
          return isPresent(error);
        },
      );
    });
  }

  async abortUpload(key: string, uploadId: string): Promise<void> {
    await this.#call('AbortMultipartUpload', key, undefined, ({ sdk, client }) =>
      client.send(
        new sdk.AbortMultipartUploadCommand({ Bucket: this.address.bucket, Key: key, UploadId: uploadId }),
      ),
    ).catch((error: unknown) => {
      // What cannot be aborted, the bucket's lifecycle removes.
      if (!(error instanceof RemoteError)) throw error;
    });
  }

  /** Does nothing when nothing is there. */
  async delete(key: string, signal?: AbortSignal): Promise<void> {
    await this.#call('DeleteObject', key, signal, ({ sdk, client }, options) =>
      client.send(new sdk.DeleteObjectCommand({ Bucket: this.address.bucket, Key: key }), options),
    );
  }

  async close(): Promise<void> {
    const tools = await this.#tools?.catch(() => undefined);
    tools?.client.destroy();
  }
}

function tooLong(key: string, sizeMax: number): RemoteError {
  return new RemoteError('digest-mismatch', `${key}: more than the ${sizeMax} bytes that may be there`);
}

async function readBody(body: Readable, sizeMax: number, key: string): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let sizeBytes = 0;
  // Leaving the loop closes the connection.
  for await (const piece of body as AsyncIterable<Buffer>) {
    sizeBytes += piece.length;
    if (sizeBytes > sizeMax) throw tooLong(key, sizeMax);
    pieces.push(piece);
  }
  return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
}

/** The same bytes; an error in place of the first that is too many. */
function bounded(body: Readable, sizeMax: number, key: string): Readable {
  let sizeBytes = 0;
  const limit = new Transform({
    transform(piece: Buffer, _encoding, done) {
      sizeBytes += piece.length;
      if (sizeBytes <= sizeMax) return done(null, piece);
      body.destroy();
      done(tooLong(key, sizeMax));
    },
  });
  body.once('error', (error) => limit.destroy(error));
  return body.pipe(limit);
}

function isPresent(error: unknown): false {
  if ((error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode === 412) return false;
  throw error;
}
