// Redis as far as the store needs it: one connection, commands bounded, retried and counted, errors typed.
import type * as Redis from '@redis/client';
import { Gate } from '../gate.ts';
import { classifyRedis } from './redis-errors.ts';
import { type RemoteAddress, type RemoteCounters, RemoteError } from '../remote.ts';
import { listingPolicy, RETRY_POLICY, type RetryPolicy, retry } from '../retry.ts';

export type RedisAddress = Extract<RemoteAddress, { kind: 'redis' }>;

export interface RedisWireOptions {
  readonly username?: string;
  readonly password?: string;
  readonly retryPolicy?: RetryPolicy;
}

export interface RedisGetOptions {
  /** Bytes that may be there at most: what the name says, or what a record may have. */
  readonly sizeMax: number;
  /** Starts the key's time anew. */
  readonly ttlSeconds?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Commands on their way at a time: enough to fill a pipeline, few enough to bound what waits in memory. */
const PARALLEL_MAX = 64;
const CONNECT_TIMEOUT_MS = 5_000;
/** Without a byte moving; an idle connection that is dropped is made anew when it is needed. */
const IDLE_TIMEOUT_MS = 60_000;

/** Replies as bytes. */
async function connect(redis: typeof Redis, address: RedisAddress, options: RedisWireOptions) {
  const client = redis.createClient({
    url: address.url,
    ...(options.username === undefined ? {} : { username: options.username }),
    ...(options.password === undefined ? {} : { password: options.password }),
    socket: {
      connectTimeout: CONNECT_TIMEOUT_MS,
      socketTimeout: IDLE_TIMEOUT_MS,
      // Our own retries connect anew.
      reconnectStrategy: false,
    },
  });
  // Every command that fails tells its caller; without a listener the event would end the process.
  client.on('error', () => {});
  await client.connect();
  return { client, bytes: client.withTypeMapping({ [redis.RESP_TYPES.BLOB_STRING]: Buffer }) };
}

type Connection = Awaited<ReturnType<typeof connect>>;

export class RedisWire {
  readonly address: RedisAddress;
  readonly counters: RemoteCounters = {
    putCount: 0,
    getCount: 0,
    listCount: 0,
    retryCount: 0,
    sentBytes: 0,
    receivedBytes: 0,
  };
  readonly #gate = new Gate(PARALLEL_MAX);
  readonly #options: RedisWireOptions;
  #connection: Promise<Connection> | undefined;

  constructor(address: RedisAddress, options: RedisWireOptions) {
    const { username, password } = new URL(address.url);
    if (username !== '' || password !== '') throw new TypeError('credentials do not belong into an address');
    this.address = address;
    this.#options = options;
  }

  #connected(): Promise<Connection> {
    this.#connection ??= import('@redis/client').then((redis) => connect(redis, this.address, this.#options));
    const connection = this.#connection;
    const drop = (): void => {
      if (this.#connection === connection) this.#connection = undefined;
    };
    return connection.then(
      (c) => {
        if (c.client.isOpen) return c;
        drop();
        return this.#connected();
      },
      (error: unknown) => {
        drop();
        throw error;
      },
    );
  }

  #call<T>(
    what: string,
    signal: AbortSignal | undefined,
    run: (connection: Connection) => Promise<T>,
  ): Promise<T> {
    const policy = this.#options.retryPolicy ?? RETRY_POLICY;
    return retry(
      () =>
        this.#gate.run(async () => {
          const result = await run(await this.#connected());
          this.#gate.wentWell();
          return result;
        }),
      {
        policy: what.startsWith('SCAN ') ? listingPolicy(policy) : policy,
        classify: (error) => classifyRedis(error, what),
        signal,
        onRetry: (failure) => {
          this.counters.retryCount++;
          if (failure.reason === 'throttled') this.#gate.slowDown();
        },
      },
    );
  }

  async set(
    key: string,
    bytes: Uint8Array,
    options: {
      readonly ifAbsent: boolean;
      readonly ttlSeconds: number | undefined;
      readonly signal?: AbortSignal | undefined;
    },
  ): Promise<void> {
    const { ifAbsent, ttlSeconds, signal } = options;
    await this.#call(`SET ${key}`, signal, ({ client }) => {
      this.counters.putCount++;
      this.counters.sentBytes += bytes.byteLength;
      return client.set(key, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), {
        ...(ifAbsent ? { condition: 'NX' as const } : {}),
        ...(ttlSeconds === undefined ? {} : { expiration: { type: 'EX' as const, value: ttlSeconds } }),
      });
    });
  }

  /** @throws RemoteError `digest-mismatch` when there is more than may be there. */
  async get(key: string, { sizeMax, ttlSeconds, signal }: RedisGetOptions): Promise<Buffer | undefined> {
    return this.#call(`GETRANGE ${key}`, signal, async ({ client, bytes }) => {
      this.counters.getCount++;
      // One byte more tells that there is too much.
      const [value] = await Promise.all([
        bytes.getRange(key, 0, sizeMax),
        ttlSeconds === undefined ? undefined : client.expire(key, ttlSeconds),
      ]);
      if (!value || (value.length === 0 && (await client.exists(key)) === 0)) return undefined;
      this.counters.receivedBytes += value.length;
      if (value.length > sizeMax)
        throw new RemoteError('digest-mismatch', `${key}: more than the ${sizeMax} bytes that may be there`);
      return value;
    });
  }

  async delete(key: string): Promise<void> {
    await this.#call(`DEL ${key}`, undefined, ({ client }) => client.del(key));
  }

  /** Every key that begins with `prefix`; some more than once. */
  async scan(prefix: string, onKey: (key: string) => void, signal?: AbortSignal): Promise<void> {
    const match = `${prefix.replace(/[*?[\]\\^]/g, '\\$&')}*`;
    let cursor = '0';
    do {
      const page = await this.#call(`SCAN ${match}`, signal, ({ client }) => {
        this.counters.listCount++;
        return client.scan(cursor, { MATCH: match, COUNT: 1000 });
      });
      for (const key of page.keys) onKey(key);
      cursor = page.cursor;
    } while (cursor !== '0');
  }

  async close(): Promise<void> {
    const connection = await this.#connection?.catch(() => undefined);
    this.#connection = undefined;
    if (connection?.client.isOpen) connection.client.destroy();
  }
}
