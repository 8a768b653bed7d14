// What the SDK throws, as reasons. Decided by error names and status codes, never by message texts.
import type { RemoteErrorReason } from '../remote.ts';
import type { Failure } from '../retry.ts';

/** Names of errors -> reason; transient ones may do better at the next try. */
const BY_NAME: Readonly<Record<string, readonly [RemoteErrorReason, transient: boolean]>> = {
  AccessDenied: ['denied', false],
  AccountProblem: ['denied', false],
  AllAccessDisabled: ['denied', false],
  AuthorizationHeaderMalformed: ['denied', false],
  BadDigest: ['digest-mismatch', false],
  ConditionalRequestConflict: ['throttled', true],
  CredentialsProviderError: ['no-credentials', false],
  ExpiredToken: ['no-credentials', false],
  ExpiredTokenException: ['no-credentials', false],
  IncompleteBody: ['connection-lost', true],
  InternalError: ['throttled', true],
  InvalidAccessKeyId: ['no-credentials', false],
  InvalidToken: ['no-credentials', false],
  NoSuchBucket: ['no-such-bucket', false],
  NoSuchKey: ['missing-blob', false],
  NotFound: ['missing-blob', false],
  OperationAborted: ['throttled', true],
  PermanentRedirect: ['no-such-bucket', false],
  RequestTimeTooSkewed: ['denied', true],
  RequestTimeout: ['timeout', true],
  ServiceUnavailable: ['throttled', true],
  SignatureDoesNotMatch: ['no-credentials', false],
  SlowDown: ['throttled', true],
  ThrottlingException: ['throttled', true],
  TimeoutError: ['timeout', true],
  TokenProviderError: ['no-credentials', false],
  TooManyRequests: ['throttled', true],
  XAmzContentSHA256Mismatch: ['digest-mismatch', false],
};

const CONNECTION_CODES: ReadonlySet<string> = new Set([
  'EAI_AGAIN',
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ENETUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'ERR_STREAM_PREMATURE_CLOSE',
  'ETIMEDOUT',
]);

/** @param action as IAM calls it; `resource` as s3://BUCKET/KEY. */
export function classifyS3(error: unknown, action: string, resource: string): Failure {
  const e = error as {
    name?: string;
    code?: string;
    message?: string;
    $metadata?: { httpStatusCode?: number };
  };
  const detail = `${action} ${resource}: ${e.name ?? 'Error'}: ${e.message ?? String(error)}`;
  // Before the name: the SDK calls a reset connection a TimeoutError.
  if (CONNECTION_CODES.has(e.code ?? '')) return { reason: 'connection-lost', transient: true, detail };
  const known = BY_NAME[e.name ?? ''];
  // RequestTimeTooSkewed is worth a try: the SDK learns the service's clock from the answer.
  if (known) return { reason: known[0], transient: known[1], detail };
  const status = e.$metadata?.httpStatusCode;
  if (status === 429 || (status !== undefined && status >= 500))
    return { reason: 'throttled', transient: status !== 501, detail };
  if (status === 403 || status === 401) return { reason: 'denied', transient: false, detail };
  if (status === 404) return { reason: 'missing-blob', transient: false, detail };
  return { reason: 'invoke-error', transient: false, detail };
}
