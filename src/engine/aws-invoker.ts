// Invocations through the AWS SDK. Its retries are off: the engine knows better what is worth another try.
import type { InvokeCommandOutput, LambdaClient } from '@aws-sdk/client-lambda';
import type { Billing, InvokeEnd, InvokeOptions, InvokeRejected, Invoker, RejectReason } from './invoker.ts';

export interface AwsInvokerOptions {
  readonly region: string;
  /** Absent: the service itself, or what AWS_ENDPOINT_URL_LAMBDA says. */
  readonly endpoint?: string;
  readonly profile?: string;
  readonly credentials?: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string;
  };
  /** Connections at once; one invocation holds one. */
  readonly socketsMax: number;
}

const CONNECT_MS_MAX = 5000;

/**
 * Loads the SDK: about 50 ms, which nobody pays who stays at home.
 * @throws Error when the region or credentials cannot be had is not thrown here but told by the first invocation.
 */
export async function awsInvoker(options: AwsInvokerOptions): Promise<Invoker> {
  const { InvokeCommand, LambdaClient } = await import('@aws-sdk/client-lambda');
  const { Agent: HttpAgent } = await import('node:http');
  const { Agent: HttpsAgent } = await import('node:https');
  const agent = { keepAlive: true, maxSockets: options.socketsMax, scheduling: 'lifo' as const };
  const client: LambdaClient = new LambdaClient({
    region: options.region,
    maxAttempts: 1,
    ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint }),
    ...(options.profile === undefined ? {} : { profile: options.profile }),
    ...(options.credentials === undefined ? {} : { credentials: options.credentials }),
    requestHandler: {
      httpAgent: new HttpAgent(agent),
      httpsAgent: new HttpsAgent(agent),
      connectionTimeout: CONNECT_MS_MAX,
      // The engine's own limit, per invocation, ends a wait.
      requestTimeout: 0,
      socketAcquisitionWarningTimeout: 600_000,
    },
  });
  return {
    async invoke(functionName, payload, { signal, timeoutMs }: InvokeOptions): Promise<InvokeEnd> {
      const startedMs = performance.now();
      const abort = new AbortController();
      const stop = (): void => abort.abort();
      const clock = setTimeout(stop, timeoutMs);
      signal.addEventListener('abort', stop, { once: true });
      try {
        const output = await client.send(
          new InvokeCommand({ FunctionName: functionName, Payload: payload, LogType: 'Tail' }),
          { abortSignal: abort.signal },
        );
        return readOutput(output, performance.now() - startedMs);
      } catch (error) {
        if (signal.aborted) return { kind: 'rejected', reason: 'cancelled', detail: functionName };
        if (abort.signal.aborted)
          return {
            kind: 'rejected',
            reason: 'connection-lost',
            detail: `lambda:InvokeFunction ${functionName}: no answer after ${Math.round(timeoutMs / 1000)} s`,
          };
        return readError(error, functionName);
      } finally {
        clearTimeout(clock);
        signal.removeEventListener('abort', stop);
      }
    },
    close: () => client.destroy(),
  };
}

/** The REPORT line of a log's tail: what is billed, and the memory that was used. */
export function readReport(
  logResult: string | undefined,
  measuredMs: number,
): Billing & { readonly errorType: string } {
  const log = logResult === undefined ? '' : Buffer.from(logResult, 'base64').toString('utf8');
  const at = log.lastIndexOf('REPORT RequestId:');
  const report = at < 0 ? '' : log.slice(at);
  const number = (pattern: RegExp): number => Number(pattern.exec(report)?.[1] ?? 0);
  const billedMs = number(/\tBilled Duration: (\d+) ms/);
  return {
    billedMs: billedMs > 0 ? billedMs : Math.ceil(measuredMs),
    memoryMb: number(/\tMemory Size: (\d+) MB/),
    memoryUsedMb: number(/\tMax Memory Used: (\d+) MB/),
    initMs: number(/\tInit Duration: ([0-9.]+) ms/),
    exact: billedMs > 0,
    errorType:
      /\tError Type: (\S+)/.exec(report)?.[1] ?? (/\tStatus: timeout/.test(report) ? 'Sandbox.Timedout' : ''),
  };
}

export function readOutput(output: InvokeCommandOutput, measuredMs: number): InvokeEnd {
  const billing = readReport(output.LogResult, measuredMs);
  const payload = Buffer.from(output.Payload ?? new Uint8Array());
  if (output.FunctionError === undefined) return { kind: 'answered', payload, billing };
  let errorType = '';
  let detail = '';
  try {
    const error = JSON.parse(payload.toString('utf8')) as { errorType?: string; errorMessage?: string };
    errorType = error.errorType ?? '';
    detail = error.errorMessage ?? '';
  } catch {
    detail = payload.toString('utf8').slice(0, 200);
  }
  const type = billing.errorType || errorType;
  // Older runtimes name no type for a timeout, only the text; nothing but the text tells these apart.
  if (type === 'Sandbox.Timedout' || (errorType === '' && detail.includes('Task timed out after')))
    return { kind: 'function-error', reason: 'timeout', detail, billing };
  if (type === 'Runtime.OutOfMemory')
    return { kind: 'function-error', reason: 'out-of-memory', detail, billing };
  if (type === 'Function.ResponseSizeTooLarge')
    return { kind: 'function-error', reason: 'response-too-large', detail, billing };
  if (type === 'Runtime.ExitError') {
    const full = billing.memoryUsedMb > 0 && billing.memoryUsedMb >= billing.memoryMb;
    return { kind: 'function-error', reason: full ? 'out-of-memory' : 'died', detail, billing };
  }
  return { kind: 'function-error', reason: 'unhandled', detail: `${type}: ${detail}`, billing };
}

/** Error names of the service and of the SDK, by what they mean for us. */
const REASONS: Readonly<Record<string, RejectReason>> = {
  TooManyRequestsException: 'throttled',
  ThrottlingException: 'throttled',
  EC2ThrottledException: 'throttled',
  RequestTooLargeException: 'request-too-large',
  RequestEntityTooLargeException: 'request-too-large',
  CredentialsProviderError: 'no-credentials',
  TokenProviderError: 'no-credentials',
  UnrecognizedClientException: 'no-credentials',
  MissingAuthenticationTokenException: 'no-credentials',
  InvalidSignatureException: 'no-credentials',
  ExpiredTokenException: 'expired-credentials',
  ExpiredToken: 'expired-credentials',
  AccessDeniedException: 'denied',
  ResourceNotFoundException: 'no-such-function',
  ResourceNotReadyException: 'not-ready',
  ResourceConflictException: 'not-ready',
  InvalidRequestContentException: 'bad-request',
  InvalidParameterValueException: 'bad-request',
};

export function readError(error: unknown, functionName: string): InvokeRejected {
  const e = error as {
    readonly name?: string;
    readonly message?: string;
    readonly code?: string;
    readonly $metadata?: { readonly httpStatusCode?: number };
    readonly retryAfterSeconds?: string;
  };
  const status = e.$metadata?.httpStatusCode;
  const known = REASONS[e.name ?? ''];
  const reason: RejectReason =
    known ??
    (status === undefined
      ? 'connection-lost'
      : status === 429
        ? 'throttled'
        : status === 413
          ? 'request-too-large'
          : status === 403
            ? 'denied'
            : status === 404
              ? 'no-such-function'
              : status >= 500
                ? 'service-error'
                : 'bad-request');
  const retryAfterMs = Number(e.retryAfterSeconds) * 1000;
  return {
    kind: 'rejected',
    reason,
    detail: `lambda:InvokeFunction ${functionName}: ${e.name ?? 'error'}${e.code ? ` ${e.code}` : ''}: ${e.message ?? ''}`,
    ...(retryAfterMs > 0 ? { retryAfterMs } : {}),
  };
}
