// Calls to a gRPC server with typed messages: grpc-js moves the bytes, protobuf-es knows their form.
import {
  type DescMessage,
  type DescMethodBiDiStreaming,
  type DescMethodClientStreaming,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { ChannelCredentials, Client, Metadata, type ServiceError } from '@grpc/grpc-js';
import type { ReapiAddress } from './address.ts';

/** gRPC's status codes, as far as anything is decided by them. https://grpc.io/docs/guides/status-codes/ */
export const CODE = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const;

/** A call that the server, or the way to it, ended with another status than OK. */
export class ReapiError extends Error {
  readonly code: number;
  constructor(code: number, detail: string, options?: { readonly cause?: unknown }) {
    super(detail, options);
    this.name = 'ReapiError';
    this.code = code;
  }
}

/** PEM texts; all of them optional. */
export interface TlsFiles {
  readonly ca?: Buffer;
  readonly key?: Buffer;
  readonly cert?: Buffer;
}

export interface ChannelOptions {
  readonly address: ReapiAddress;
  readonly tls: TlsFiles;
  /** Asked for anew with each call, so that a token may change. */
  readonly headers: () => readonly (readonly [name: string, value: string])[];
  /** Connections; a server usually takes 100 calls at a time on one. */
  readonly connections: number;
}

export interface CallOptions {
  readonly signal?: AbortSignal;
  readonly timeoutMs: number;
  /** Binary headers of this call alone. */
  readonly binary?: readonly (readonly [name: string, value: Uint8Array])[];
}

/** Nothing else bounds what a server's answer may weigh in our memory. */
const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;
const KEEPALIVE_MS = 30_000;

type AnyMethod =
  | DescMethodUnary
  | DescMethodServerStreaming
  | DescMethodClientStreaming
  | DescMethodBiDiStreaming;

const pathOf = (method: AnyMethod): string => `/${method.parent.typeName}/${method.name}`;

function encoder<D extends DescMessage>(desc: D): (message: MessageShape<D>) => Buffer {
  return (message) => {
    const bytes = toBinary(desc, message);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
}

function decoder<D extends DescMessage>(desc: D): (bytes: Buffer) => MessageShape<D> {
  return (bytes) => fromBinary(desc, bytes);
}

function errorOf(error: unknown): ReapiError {
  const { code, details, message } = error as Partial<ServiceError>;
  return new ReapiError(typeof code === 'number' ? code : CODE.unknown, details || message || String(error), {
    cause: error,
  });
}

export class Channel {
  readonly #clients: Client[];
  readonly #options: ChannelOptions;
  #next = 0;
  /** Calls made and bytes of their messages, since the start. */
  readonly counters = { calls: 0, sentBytes: 0, receivedBytes: 0 };

  constructor(options: ChannelOptions) {
    this.#options = options;
    const { host, port, tls } = options.address;
    const { ca, key, cert } = options.tls;
    this.#clients = Array.from(
      { length: options.connections },
      () =>
        new Client(
          `${host}:${port}`,
          tls
            ? ChannelCredentials.createSsl(ca ?? null, key ?? null, cert ?? null)
            : ChannelCredentials.createInsecure(),
          {
            'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
            'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
            'grpc.keepalive_time_ms': KEEPALIVE_MS,
            // Else clients of one address share one connection.
            'grpc.use_local_subchannel_pool': 1,
            'grpc.enable_retries': 0,
          },
        ),
    );
  }

  #client(): Client {
    this.counters.calls++;
    this.#next = (this.#next + 1) % this.#clients.length;
    return this.#clients[this.#next]!;
  }

  #metadata(options: CallOptions): Metadata {
    const metadata = new Metadata();
    for (const [name, value] of this.#options.headers()) metadata.add(name.toLowerCase(), value);
    for (const [name, value] of options.binary ?? []) metadata.add(name, Buffer.from(value));
    return metadata;
  }

  /** @throws ReapiError */
  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageShape<I>,
    options: CallOptions,
  ): Promise<MessageShape<O>> {
    return new Promise((resolve, reject) => {
      const call = this.#client().makeUnaryRequest(
        pathOf(method),
        this.#counted(encoder(method.input)),
        this.#read(decoder(method.output)),
        request,
        this.#metadata(options),
        { deadline: Date.now() + options.timeoutMs },
        (error, value) => {
          options.signal?.removeEventListener('abort', stop);
          if (error) reject(errorOf(error));
          else resolve(value!);
        },
      );
      const stop = (): void => call.cancel();
      if (options.signal?.aborted) stop();
      else options.signal?.addEventListener('abort', stop, { once: true });
    });
  }

  /** The answers as they come. Leaving the loop ends the call. @throws ReapiError */
  async *stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageShape<I>,
    options: CallOptions,
  ): AsyncGenerator<MessageShape<O>, void, undefined> {
    const call = this.#client().makeServerStreamRequest(
      pathOf(method),
      this.#counted(encoder(method.input)),
      this.#read(decoder(method.output)),
      request,
      this.#metadata(options),
      { deadline: Date.now() + options.timeoutMs },
    );
    const stop = (): void => call.cancel();
    if (options.signal?.aborted) stop();
    else options.signal?.addEventListener('abort', stop, { once: true });
    try {
      for await (const message of call) yield message as MessageShape<O>;
    } catch (error) {
      throw errorOf(error);
    } finally {
      options.signal?.removeEventListener('abort', stop);
      // A cancelled call tells of it once more, when nobody listens any longer.
      call.on('error', () => {});
      call.cancel();
    }
  }

  /** @throws ReapiError */
  async send<I extends DescMessage, O extends DescMessage>(
    method: DescMethodClientStreaming<I, O>,
    requests: AsyncIterable<MessageShape<I>> | Iterable<MessageShape<I>>,
    options: CallOptions,
  ): Promise<MessageShape<O>> {
    const { promise, resolve, reject } = Promise.withResolvers<MessageShape<O>>();
    const call = this.#client().makeClientStreamRequest(
      pathOf(method),
      this.#counted(encoder(method.input)),
      this.#read(decoder(method.output)),
      this.#metadata(options),
      { deadline: Date.now() + options.timeoutMs },
      (error, value) => {
        if (error) reject(errorOf(error));
        else resolve(value as MessageShape<O>);
      },
    );
    const stop = (): void => call.cancel();
    if (options.signal?.aborted) stop();
    else options.signal?.addEventListener('abort', stop, { once: true });
    let over = false;
    const end = promise.finally(() => {
      over = true;
    });
    end.catch(() => {});
    try {
      for await (const request of requests) {
        // The server may have seen enough: it has the blob already, or refuses it.
        if (over) break;
        if (!call.write(request))
          await Promise.race([new Promise((drained) => call.once('drain', drained)), end.catch(() => {})]);
      }
      call.end();
      return await end;
    } finally {
      options.signal?.removeEventListener('abort', stop);
      if (!over) call.cancel();
    }
  }

  #counted<T>(encode: (message: T) => Buffer): (message: T) => Buffer {
    return (message) => {
      const bytes = encode(message);
      this.counters.sentBytes += bytes.length;
      return bytes;
    };
  }

  #read<T>(decode: (bytes: Buffer) => T): (bytes: Buffer) => T {
    return (bytes) => {
      this.counters.receivedBytes += bytes.length;
      return decode(bytes);
    };
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }
}
