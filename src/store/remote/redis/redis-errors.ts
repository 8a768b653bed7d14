// What the client throws, as reasons. A reply's first word is its code.
import type { RemoteErrorReason } from '../remote.ts';
import type { Failure } from '../retry.ts';

const BY_CODE: Readonly<Record<string, readonly [RemoteErrorReason, transient: boolean]>> = {
  BUSY: ['throttled', true],
  CLUSTERDOWN: ['throttled', true],
  LOADING: ['throttled', true],
  MASTERDOWN: ['throttled', true],
  NOAUTH: ['no-credentials', false],
  NOPERM: ['denied', false],
  // Memory is full and nothing may be evicted: that seldom changes within seconds.
  OOM: ['throttled', false],
  READONLY: ['read-only', false],
  TRYAGAIN: ['throttled', true],
  WRONGPASS: ['no-credentials', false],
};

const CONNECTION_ERRORS: ReadonlySet<string> = new Set([
  'ClientClosedError',
  'ClientOfflineError',
  'ConnectionTimeoutError',
  'DisconnectsClientError',
  'SocketClosedUnexpectedlyError',
  'SocketTimeoutError',
]);

/** @param what command and key. */
export function classifyRedis(error: unknown, what: string): Failure {
  const e = error as Error & { code?: string };
  const detail = `${what}: ${e.message}`;
  const className = e.constructor?.name ?? '';
  if (CONNECTION_ERRORS.has(className) || typeof e.code === 'string')
    return { reason: 'connection-lost', transient: true, detail };
  if (className === 'TimeoutError') return { reason: 'timeout', transient: true, detail };
  const known = BY_CODE[e.message?.split(' ', 1)[0] ?? ''];
  if (known) return { reason: known[0], transient: known[1], detail };
  return { reason: 'invoke-error', transient: false, detail };
}
