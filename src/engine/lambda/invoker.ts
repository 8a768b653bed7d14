// What the Lambda engine needs of the service: one invocation, and its end told apart. aws-invoker.ts implements it with the
// AWS SDK, simulated.ts with timers.
import type { Billing } from '../cloud/billing.ts';

/** The function ran and answered. */
export interface InvokeAnswered {
  readonly kind: 'answered';
  readonly payload: Buffer;
  readonly billing: Billing;
}

/** The function was started and came to no answer; it was billed. */
export interface InvokeFunctionError {
  readonly kind: 'function-error';
  readonly reason: 'timeout' | 'out-of-memory' | 'died' | 'response-too-large' | 'unhandled';
  readonly detail: string;
  readonly billing: Billing;
}

export type RejectReason =
  /** 429: no instance free, or the account's rate. */
  | 'throttled'
  | 'request-too-large'
  | 'no-credentials'
  | 'expired-credentials'
  | 'denied'
  | 'no-such-function'
  /** Pending, inactive or being updated. */
  | 'not-ready'
  | 'bad-request'
  | 'service-error'
  | 'connection-lost'
  | 'cancelled';

/** The function was not run, or nobody knows: nothing was billed as far as we heard. */
export interface InvokeRejected {
  readonly kind: 'rejected';
  readonly reason: RejectReason;
  /** Names the action and the function. */
  readonly detail: string;
  /** The service asked to wait this long. */
  readonly retryAfterMs?: number;
}

export type InvokeEnd = InvokeAnswered | InvokeFunctionError | InvokeRejected;

export interface InvokeOptions {
  readonly signal: AbortSignal;
  /** Nothing is to be expected after this. */
  readonly timeoutMs: number;
}

export interface Invoker {
  /** Never rejects. */
  invoke(functionName: string, payload: Uint8Array, options: InvokeOptions): Promise<InvokeEnd>;
  close(): void;
}

/** Both ways, for a call that waits for its answer: 6 MB. https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html */
export const LAMBDA_PAYLOAD_BYTES_MAX = 6 * 1024 * 1024;
