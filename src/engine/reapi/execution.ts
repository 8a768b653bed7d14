// One execution on a server, from the request to its result. A stream that breaks is no failed action: the operation goes on and is waited for by
// its name; a server that does not know it any more is asked anew.
import { setTimeout as sleep } from 'node:timers/promises';
import { create, fromBinary } from '@bufbuild/protobuf';
import { backoffMs, type BlobId, digestOf, isTransient } from '../../reapi/cas.ts';
import { type CallOptions, type Channel, CODE, ReapiError } from '../../reapi/channel.ts';
import {
  type ActionResult,
  ExecuteRequestSchema,
  type ExecuteResponse,
  ExecuteResponseSchema,
  Execution,
  WaitExecutionRequestSchema,
} from '../../reapi/generated/build/bazel/remote/execution/v2/remote_execution_pb.ts';
import {
  CancelOperationRequestSchema,
  type Operation,
  Operations,
} from '../../reapi/generated/google/longrunning/operations_pb.ts';

export interface ExecuteOptions {
  readonly instance: string;
  readonly action: BlobId;
  readonly skipCacheLookup: boolean;
  readonly signal: AbortSignal;
  readonly binary: NonNullable<CallOptions['binary']>;
  /** Milliseconds for all of it, waiting in the server's queue included. */
  readonly timeoutMs: number;
}

export interface Executed {
  readonly result: ActionResult;
  readonly cached: boolean;
}

/** Streams that broke, for one action. */
const BREAKS_MAX = 8;
/** How long a cancellation may hold up who gave up. */
const CANCEL_MS_MAX = 2000;

/**
 * @returns what the action left, whatever its exit code
 * @throws ReapiError with the code of the call, or of the execution's own status
 */
export async function execute(channel: Channel, options: ExecuteOptions): Promise<Executed> {
  const until = Date.now() + options.timeoutMs;
  let name = '';
  for (let breaks = 0; ; ) {
    try {
      const call: CallOptions = {
        signal: options.signal,
        timeoutMs: Math.max(1, until - Date.now()),
        binary: options.binary,
      };
      for await (const operation of name === '' ? start(channel, options, call) : wait(channel, name, call)) {
        name = operation.name || name;
        const response = responseOf(operation);
        if (response) return executed(response);
      }
      throw new ReapiError(CODE.unavailable, 'the stream ended before the action did');
    } catch (error) {
      if (options.signal.aborted) {
        await cancel(channel, name);
        throw error;
      }
      if (error instanceof ReapiError && error.code === CODE.notFound && name !== '') name = '';
      else if (error instanceof StatusError || !isTransient(error)) throw error;
      if (++breaks > BREAKS_MAX || Date.now() >= until) {
        await cancel(channel, name);
        throw error;
      }
      await sleep(backoffMs(breaks), undefined, { signal: options.signal }).catch(() => {});
    }
  }
}

/** The execution came to an end with this status: asking again for the same operation gives the same. */
export class StatusError extends ReapiError {}

function start(channel: Channel, options: ExecuteOptions, call: CallOptions): AsyncGenerator<Operation> {
  const request = create(ExecuteRequestSchema, {
    instanceName: options.instance,
    skipCacheLookup: options.skipCacheLookup,
    actionDigest: digestOf(options.action),
    inlineStdout: true,
    inlineStderr: true,
  });
  return channel.stream(Execution.method.execute, request, call);
}

function wait(channel: Channel, name: string, call: CallOptions): AsyncGenerator<Operation> {
  return channel.stream(Execution.method.waitExecution, create(WaitExecutionRequestSchema, { name }), call);
}

function responseOf({ done, result }: Operation): ExecuteResponse | undefined {
  if (!done) return undefined;
  if (result.case === 'error') throw new StatusError(result.value.code, result.value.message);
  if (result.case !== 'response') throw new StatusError(CODE.internal, 'an operation without a result');
  return fromBinary(ExecuteResponseSchema, result.value.value);
}

function executed({ result, cachedResult, status }: ExecuteResponse): Executed {
  if (status?.code) throw new StatusError(status.code, status.message);
  if (!result) throw new StatusError(CODE.internal, 'a response without a result');
  return { result, cached: cachedResult };
}

/** Actions run on when their client goes; servers that cannot cancel say so, which is as well. */
async function cancel(channel: Channel, name: string): Promise<void> {
  if (name === '') return;
  await channel
    .unary(Operations.method.cancelOperation, create(CancelOperationRequestSchema, { name }), {
      timeoutMs: CANCEL_MS_MAX,
    })
    .catch(() => {});
}
