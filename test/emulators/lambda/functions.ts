// Functions and their instances: who runs an invocation, when a new instance may start, what is refused, what is billed.
import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ServiceError } from './error.ts';
import type { Faults } from './faults.ts';
import { type Finished, Instance } from './instance.ts';

export interface FunctionConfig {
  readonly name: string;
  readonly memoryMb: number;
  readonly timeoutMs: number;
  readonly script: string;
  readonly reserved: number | undefined;
}

export interface ServiceLimits {
  /** Of all functions together, those with a reservation apart. */
  readonly unreserved: number;
  readonly rampInstances: number;
  readonly rampMs: number;
  readonly coldStartMs: number;
  /** A fault that looks like a timeout comes after this. */
  readonly faultTimeoutMs: number;
}

export const AWS_LIMITS: ServiceLimits = {
  unreserved: 1000,
  rampInstances: 1000,
  rampMs: 10_000,
  coldStartMs: 250,
  faultTimeoutMs: 500,
};

export interface ServiceParts {
  readonly directory: string;
  readonly node: string;
  readonly client: string | undefined;
  readonly region: string;
  readonly env: Readonly<Record<string, string>>;
  readonly limits: ServiceLimits;
  readonly faults: Faults;
}

export interface Invoked {
  readonly requestId: string;
  readonly payload: Buffer;
  readonly functionError: 'Unhandled' | 'Handled' | undefined;
  readonly report: string;
}

export interface PoolCounts {
  invocations: number;
  coldStarts: number;
  throttled: number;
  functionErrors: number;
  busyMax: number;
}

let serial = 0;

export class FunctionPool {
  config: FunctionConfig;
  readonly counts: PoolCounts = {
    invocations: 0,
    coldStarts: 0,
    throttled: 0,
    functionErrors: 0,
    busyMax: 0,
  };
  readonly #p: ServiceParts;
  readonly #idle: Instance[] = [];
  readonly #all = new Set<Instance>();
  readonly #starts: number[] = [];
  busy = 0;

  constructor(config: FunctionConfig, parts: ServiceParts) {
    this.config = config;
    this.#p = parts;
  }

  #throttle(reason: string): never {
    this.counts.throttled++;
    throw new ServiceError(429, 'TooManyRequestsException', 'Rate Exceeded.', {
      Reason: reason,
      Type: 'User',
    });
  }

  #fresh(): Instance {
    const { limits } = this.#p;
    const now = performance.now();
    while (this.#starts.length > 0 && now - this.#starts[0]! > limits.rampMs) this.#starts.shift();
    if (this.#starts.length >= limits.rampInstances) this.#throttle('ConcurrentInvocationLimitExceeded');
    this.#starts.push(now);
    const directory = join(this.#p.directory, `${this.config.name}-${serial++}`);
    mkdirSync(directory, { mode: 0o711 });
    const instance = new Instance({
      node: this.#p.node,
      script: this.config.script,
      client: this.#p.client,
      directory,
      env: { ...this.#p.env, AWS_REGION: this.#p.region, AWS_LAMBDA_FUNCTION_NAME: this.config.name },
      memoryMb: this.config.memoryMb,
      timeoutMs: this.config.timeoutMs,
      functionArn: this.arn,
      coldStartMs: limits.coldStartMs,
    });
    this.#all.add(instance);
    return instance;
  }

  get arn(): string {
    return `arn:aws:lambda:${this.#p.region}:123456789012:function:${this.config.name}`;
  }

  /** @param unreservedBusy invocations of all functions without a reservation. */
  async invoke(event: Buffer, unreservedBusy: number): Promise<Invoked> {
    const { faults, limits } = this.#p;
    const { reserved } = this.config;
    if (reserved !== undefined && this.busy >= reserved)
      this.#throttle('ReservedFunctionConcurrentInvocationLimitExceeded');
    if (reserved === undefined && unreservedBusy >= limits.unreserved)
      this.#throttle('ConcurrentInvocationLimitExceeded');
    if (faults.hits('throttles')) this.#throttle('ConcurrentInvocationLimitExceeded');
    if (faults.hits('serviceErrors'))
      throw new ServiceError(500, 'ServiceException', 'Service encountered an internal error.');
    const requestId = randomUUID();
    // The one used last, as Lambda does: it is the warmest.
    let instance = this.#idle.pop();
    const cold = instance === undefined;
    instance ??= this.#fresh();
    this.busy++;
    this.counts.busyMax = Math.max(this.counts.busyMax, this.busy);
    this.counts.invocations++;
    try {
      if (cold) {
        this.counts.coldStarts++;
        await instance.start();
      }
      const running = instance.run(requestId, event);
      let faked: 'timeout' | undefined;
      if (faults.hits('deaths')) setTimeout(() => instance.kill(), faults.random() * 200);
      else if (faults.hits('timeouts')) {
        setTimeout(() => {
          faked = 'timeout';
          instance.kill();
        }, limits.faultTimeoutMs);
      }
      const finished = await running;
      return this.#result(requestId, faked ? { ...finished, ended: { kind: faked } } : finished);
    } catch (error) {
      this.counts.functionErrors++;
      instance.kill();
      return this.#functionError(
        requestId,
        'Runtime.ExitError',
        `RequestId: ${requestId} Error: ${(error as Error).message}`,
        '',
      );
    } finally {
      this.busy--;
      if (instance.dead) this.#all.delete(instance);
      else this.#idle.push(instance);
    }
  }

  #functionError(requestId: string, errorType: string, errorMessage: string, report: string): Invoked {
    return {
      requestId,
      payload: Buffer.from(JSON.stringify({ errorType, errorMessage })),
      functionError: 'Unhandled',
      report,
    };
  }

  #result(requestId: string, finished: Finished): Invoked {
    const { ended, durationMs, initMs, memoryUsedMb } = finished;
    const { memoryMb, timeoutMs } = this.config;
    const line = (status: string): string =>
      `START RequestId: ${requestId} Version: $LATEST\nEND RequestId: ${requestId}\nREPORT RequestId: ${requestId}\tDuration: ${durationMs.toFixed(2)} ms\tBilled Duration: ${Math.ceil(durationMs + initMs)} ms\tMemory Size: ${memoryMb} MB\tMax Memory Used: ${memoryUsedMb} MB\t${initMs > 0 ? `Init Duration: ${initMs.toFixed(2)} ms\t` : ''}${status}\n`;
    if (ended.kind !== 'response') this.counts.functionErrors++;
    switch (ended.kind) {
      case 'response':
        return { requestId, payload: ended.body, functionError: undefined, report: line('') };
      case 'error':
        return { requestId, payload: ended.body, functionError: 'Unhandled', report: line('') };
      case 'too-large':
        return this.#functionError(
          requestId,
          'Function.ResponseSizeTooLarge',
          'Response payload size exceeded maximum allowed payload size (6291556 bytes).',
          line('Status: error\tError Type: Function.ResponseSizeTooLarge'),
        );
      case 'timeout':
        return this.#functionError(
          requestId,
          'Sandbox.Timedout',
          `RequestId: ${requestId} Error: Task timed out after ${(timeoutMs / 1000).toFixed(2)} seconds`,
          line('Status: timeout'),
        );
      case 'out-of-memory':
        return this.#functionError(
          requestId,
          'Runtime.ExitError',
          `RequestId: ${requestId} Error: Runtime exited with error: signal: killed`,
          line('Status: error\tError Type: Runtime.OutOfMemory'),
        );
      case 'exit':
        return this.#functionError(
          requestId,
          'Runtime.ExitError',
          `RequestId: ${requestId} Error: Runtime exited with error: signal: killed`,
          line('Status: error\tError Type: Runtime.ExitError'),
        );
    }
  }

  /** Instances of the old code go as soon as they are idle. */
  recycle(): void {
    for (const instance of this.#idle.splice(0)) {
      instance.kill();
      this.#all.delete(instance);
    }
  }

  close(): void {
    for (const instance of this.#all) instance.kill();
    this.#all.clear();
    this.#idle.length = 0;
  }
}
