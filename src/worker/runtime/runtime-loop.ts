// Speaks Lambda's Runtime API by itself, so that the worker runs as a plain process wherever that API is served.
// Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
import { Agent, request } from 'node:http';

export interface RuntimeContext {
  readonly awsRequestId: string;
  getRemainingTimeInMillis(): number;
}

export type RuntimeHandler = (event: unknown, context: RuntimeContext) => Promise<unknown>;

interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: Buffer;
}

const agent = new Agent({ keepAlive: true, maxSockets: 1 });

function call(api: string, method: 'GET' | 'POST', path: string, body?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const [host, port] = api.split(':');
    const out = request(
      {
        host,
        port,
        method,
        path: `/2018-06-01/runtime${path}`,
        agent,
        ...(body === undefined ? {} : { headers: { 'content-length': Buffer.byteLength(body) } }),
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks),
          }),
        );
        response.on('error', reject);
      },
    );
    // next waits for as long as there is no work.
    out.setTimeout(0);
    out.on('error', reject);
    out.end(body);
  });
}

/** Takes one event after the other. Ends only when the Runtime API is gone. */
export async function runtimeLoop(api: string, handler: RuntimeHandler): Promise<never> {
  for (;;) {
    const next = await call(api, 'GET', '/invocation/next');
    const id = String(next.headers['lambda-runtime-aws-request-id'] ?? '');
    if (next.status !== 200 || id === '') throw new Error(`runtime API: status ${next.status} for next`);
    const deadlineMs = Number(next.headers['lambda-runtime-deadline-ms']);
    let path = `/invocation/${id}/response`;
    let body: string;
    try {
      body = JSON.stringify(
        await handler(JSON.parse(next.body.toString('utf8')), {
          awsRequestId: id,
          getRemainingTimeInMillis: () => deadlineMs - Date.now(),
        }),
      );
    } catch (error) {
      const e = error instanceof Error ? error : new Error(String(error));
      path = `/invocation/${id}/error`;
      body = JSON.stringify({
        errorType: e.name,
        errorMessage: e.message,
        stackTrace: (e.stack ?? '').split('\n'),
      });
    }
    await call(api, 'POST', path, body);
  }
}
