import type { ScanIncomplete, ScanIncompleteReason } from './scanner.ts';

/** Why a unit's list cannot be told; `handOver`: the compiler may know. */
export class Stop extends Error {
  override readonly name = 'Stop';
  readonly reason: ScanIncompleteReason;
  readonly handOver: boolean;
  constructor(reason: ScanIncompleteReason, detail: string, handOver: boolean) {
    super(detail);
    this.reason = reason;
    this.handOver = handOver;
  }

  result(): ScanIncomplete {
    return { kind: 'incomplete', reason: this.reason, detail: this.message };
  }
}
