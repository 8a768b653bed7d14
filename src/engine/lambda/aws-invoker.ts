// Invocations of Lambda. The AWS SDK finds region, endpoint and credentials and renews them; the requests themselves, which
// cost it more than a millisecond each, are signed and sent here. No retries: the engine knows better what is worth one.
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { LambdaClient } from '@aws-sdk/client-lambda';
import { type HttpAnswer, post } from './http-post.ts';
import type { Billing } from '../cloud/billing.ts';
import type { InvokeEnd, InvokeOptions, InvokeRejected, Invoker, RejectReason } from './invoker.ts';
import { Signer } from './sigv4.ts';

interface AwsKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly expiration?: Date;
}

export interface AwsInvokerOptions {
  readonly region: string;
  /** Absent: the service itself, or what AWS_ENDPOINT_URL_LAMBDA says. */
  readonly endpoint?: string;
  readonly profile?: string;
  readonly credentials?: AwsKeys | (() => Promise<AwsKeys>);
  /** Connections at once; one invocation holds one. */
  readonly socketsMax: number;
}

/** Where the SDK sends its requests. */
interface Endpoint {
  readonly protocol: string;
  readonly hostname: string;
  readonly port: number | undefined;
}

/** Loads the SDK: about 50 ms, which nobody pays who stays at home. What it cannot find the first invocation tells. */
export async function awsInvoker(options: AwsInvokerOptions): Promise<Invoker> {
  const { GetFunctionConfigurationCommand, LambdaClient } = await import('@aws-sdk/client-lambda');
  const client: LambdaClient = new LambdaClient({
    region: options.region,
    ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint }),
    ...(options.profile === undefined ? {} : { profile: options.profile }),
    ...(options.credentials === undefined ? {} : { credentials: options.credentials }),
  });
  const agentOptions = { keepAlive: true, maxSockets: options.socketsMax, scheduling: 'lifo' as const };
  const http = new HttpAgent(agentOptions);
  const https = new HttpsAgent(agentOptions);
  const signer = new Signer(options.region, 'lambda');
  let found: Promise<Endpoint> | undefined;

  /** A request that is built as the SDK builds it and not sent. */
  function endpoint(): Promise<Endpoint> {
    found ??= new Promise<Endpoint>((resolve, reject) => {
      const probe = new GetFunctionConfigurationCommand({ FunctionName: 'any' });
      probe.middlewareStack.add(
        () =>
          async ({ request }) => {
            const { protocol, hostname, port } = request as Endpoint;
            resolve({ protocol, hostname, port });
            throw new Error('not to be sent');
          },
        { step: 'build', priority: 'low' },
      );
      client.send(probe).catch(reject);
    });
    return found;
  }

  return {
    async invoke(functionName, payload, { signal, timeoutMs }: InvokeOptions): Promise<InvokeEnd> {
      const startedMs = performance.now();
      try {
        const [at, credentials] = await Promise.all([endpoint(), client.config.credentials()]);
        const host = at.port === undefined ? at.hostname : `${at.hostname}:${at.port}`;
        const path = `/2015-03-31/functions/${encodeURIComponent(functionName)}/invocations`;
        const headers = signer.sign(
          {
            method: 'POST',
            path,
            headers: {
              host,
              'content-type': 'application/octet-stream',
              'x-amz-invocation-type': 'RequestResponse',
              'x-amz-log-type': 'Tail',
            },
            body: payload,
          },
          credentials,
          new Date(),
        );
        const answer = await post({
          secure: at.protocol === 'https:',
          agent: at.protocol === 'https:' ? https : http,
          hostname: at.hostname,
          ...(at.port === undefined ? {} : { port: at.port }),
          path,
          headers: { ...headers, 'content-length': String(payload.length) },
          body: payload,
          signal,
          timeoutMs,
        });
        if (answer.status < 200 || answer.status > 299) return readRefusal(answer, functionName);
        return readOutput(
          {
            payload: answer.body,
            functionError: answer.headers['x-amz-function-error'] as string | undefined,
            logResult: answer.headers['x-amz-log-result'] as string | undefined,
          },
          performance.now() - startedMs,
        );
      } catch (error) {
        if (signal.aborted) return { kind: 'rejected', reason: 'cancelled', detail: functionName };
        return readError(error, functionName);
      }
    },
    close: () => {
      client.destroy();
      http.destroy();
      https.destroy();
    },
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

export interface InvokeOutput {
  readonly payload: Buffer;
  readonly functionError: string | undefined;
  /** base64 */
  readonly logResult: string | undefined;
}

export function readOutput(output: InvokeOutput, measuredMs: number): InvokeEnd {
  const billing = readReport(output.logResult, measuredMs);
  const { payload } = output;
  if (output.functionError === undefined) return { kind: 'answered', payload, billing };
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

function reasonOf(name: string, status: number | undefined): RejectReason {
  const known = REASONS[name];
  if (known !== undefined) return known;
  if (status === undefined) return 'connection-lost';
  if (status === 429) return 'throttled';
  if (status === 413) return 'request-too-large';
  if (status === 403) return 'denied';
  if (status === 404) return 'no-such-function';
  return status >= 500 ? 'service-error' : 'bad-request';
}

/** An error of the service: its type in a header, its text in the body. */
export function readRefusal(answer: HttpAnswer, functionName: string): InvokeRejected {
  const name = String(answer.headers['x-amzn-errortype'] ?? '').split(':', 1)[0]!;
  let text = '';
  try {
    const body = JSON.parse(answer.body.toString('utf8')) as { message?: string; Message?: string };
    text = body.message ?? body.Message ?? '';
  } catch {
    text = answer.body.toString('utf8').slice(0, 200);
  }
  const retryAfterMs = Number(answer.headers['retry-after']) * 1000;
  return {
    kind: 'rejected',
    reason: reasonOf(name, answer.status),
    detail: `lambda:InvokeFunction ${functionName}: ${name || answer.status}: ${text}`,
    ...(retryAfterMs > 0 ? { retryAfterMs } : {}),
  };
}

/** An error before there was an answer: the SDK's, of credentials and settings, or the network's. */
export function readError(error: unknown, functionName: string): InvokeRejected {
  const e = error as { readonly name?: string; readonly message?: string; readonly code?: string };
  return {
    kind: 'rejected',
    reason: reasonOf(e.name ?? '', undefined),
    detail: `lambda:InvokeFunction ${functionName}: ${e.code ?? e.name ?? 'error'}: ${e.message ?? ''}`,
  };
}
