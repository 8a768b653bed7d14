// Reads of single blobs out of packs, gathered: those asked for in one turn of the event loop become a few ranged reads.
import { type PackName, type PackPlace, packSize } from './packs.ts';

/** A gap up to this is read along: 64 KB take less time than another request. */
const GAP_BYTES_MAX = 64 * 1024;
/** More pieces than this, and the span from the first to the last is read as one. */
const RUNS_MAX = 4;

interface Want {
  readonly start: number;
  readonly end: number;
  readonly resolve: (bytes: Buffer) => void;
  readonly reject: (error: unknown) => void;
}

interface Run {
  start: number;
  end: number;
  readonly wants: Want[];
}

export function planRuns(wants: readonly Want[]): Run[] {
  const runs: Run[] = [];
  for (const want of wants.toSorted((a, b) => a.start - b.start)) {
    const last = runs.at(-1);
    if (last && want.start - last.end <= GAP_BYTES_MAX) {
      last.end = Math.max(last.end, want.end);
      last.wants.push(want);
    } else runs.push({ start: want.start, end: want.end, wants: [want] });
  }
  if (runs.length <= RUNS_MAX) return runs;
  const all = runs.flatMap((r) => r.wants);
  return [{ start: runs[0]!.start, end: Math.max(...runs.map((r) => r.end)), wants: all }];
}

export class PackReads {
  /** Bytes start to end (exclusive) of a pack's object. */
  readonly #read: (pack: PackName, start: number, end: number) => Promise<Buffer>;
  readonly #wants = new Map<PackName, Want[]>();

  constructor(read: (pack: PackName, start: number, end: number) => Promise<Buffer>) {
    this.#read = read;
  }

  /** Unverified bytes. @throws what the read throws; RangeError when the place lies outside the pack. */
  get(place: PackPlace, sizeBytes: number): Promise<Buffer> {
    const end = place.offset + sizeBytes;
    if (end > packSize(place.pack)) return Promise.reject(new RangeError(`beyond the end of ${place.pack}`));
    if (sizeBytes === 0) return Promise.resolve(Buffer.alloc(0));
    return new Promise((resolve, reject) => {
      const want = { start: place.offset, end, resolve, reject };
      const wants = this.#wants.get(place.pack);
      if (wants) wants.push(want);
      else {
        this.#wants.set(place.pack, [want]);
        setImmediate(() => this.#flush(place.pack));
      }
    });
  }

  #flush(pack: PackName): void {
    const wants = this.#wants.get(pack)!;
    this.#wants.delete(pack);
    for (const run of planRuns(wants))
      this.#read(pack, run.start, run.end).then(
        (bytes) => {
          // Copies: a slice would keep the whole run in memory for as long as any of its blobs.
          for (const w of run.wants)
            w.resolve(Buffer.from(bytes.subarray(w.start - run.start, w.end - run.start)));
        },
        (error) => {
          for (const w of run.wants) w.reject(error);
        },
      );
  }
}
