// What a cloud's service bills for one run.

/** What the service says an invocation cost. */
export interface Billing {
  readonly billedMs: number;
  readonly memoryMb: number;
  /** High water of the instance, 0 when the service did not say. */
  readonly memoryUsedMb: number;
  /** Milliseconds of a cold start; 0 when the instance was warm. */
  readonly initMs: number;
  /** False: the service said nothing and these are our own measurements. */
  readonly exact: boolean;
}
