// A recorded graph: what the thunks of one build read, leave, wait for and cost, without a byte of its files.
//
// Format (version 1): gzip of JSON {version, about, blobs, thunks}. `about`: how it was recorded, in words. `blobs`: the sizes of the
// files that are no thunk's output, most used first. `thunks`: dependencies before dependents, each a list
//   [label, stage, runMs, outputs, needs, blobs, source]
// outputs: sizes; needs: pairs of (how far back in the list the thunk stands, the index of its output); blobs: indices in rising order,
// each as its distance from the one before (the first from -1), so that neighbours are ones; source: the blob that is named in the
// command, -1 when there is none.
import { gunzipSync, gzipSync } from 'node:zlib';

const VERSION = 1;

export interface RecordedThunk {
  /** The output's path below the project; with the tool in brackets when another thunk writes the same path again. */
  readonly label: string;
  readonly stage: string;
  /** User and system milliseconds of the run. */
  readonly runMs: number;
  /** Bytes of each output. */
  readonly outputs: readonly number[];
  /** Outputs it reads: [thunk, output], as indices. */
  readonly needs: readonly (readonly [number, number])[];
  /** Indices of the other files it reads. */
  readonly blobs: readonly number[];
  /** The one among them that its command names; -1: none. */
  readonly source: number;
}

export interface RecordedGraph {
  readonly about: string;
  /** Bytes of each file. */
  readonly blobs: readonly number[];
  readonly thunks: readonly RecordedThunk[];
}

export const isRewritten = (thunk: RecordedThunk): boolean => thunk.label.endsWith(')');

type Row = [string, string, number, readonly number[], number[], number[], number];

export function encodeGraph({ about, blobs, thunks }: RecordedGraph): Buffer {
  const rows = thunks.map(
    (t, at): Row => [
      t.label,
      t.stage,
      Math.round(t.runMs),
      t.outputs,
      t.needs.flatMap(([thunk, output]) => [at - thunk, output]),
      [...t.blobs].sort((a, b) => a - b).map((blob, i, all) => blob - (all[i - 1] ?? -1)),
      t.source,
    ],
  );
  return gzipSync(JSON.stringify({ version: VERSION, about, blobs, thunks: rows }), { level: 9 });
}

/** @throws Error when the file is of another version. */
export function decodeGraph(bytes: Uint8Array): RecordedGraph {
  const raw = JSON.parse(gunzipSync(bytes).toString()) as {
    readonly version: number;
    readonly about: string;
    readonly blobs: readonly number[];
    readonly thunks: readonly Row[];
  };
  if (raw.version !== VERSION) throw new Error(`a graph of version ${raw.version}, this reads ${VERSION}`);
  const thunks = raw.thunks.map(([label, stage, runMs, outputs, needs, steps, source], at): RecordedThunk => {
    let blob = -1;
    return {
      label,
      stage,
      runMs,
      outputs,
      needs: needs.flatMap((back, i) => (i % 2 === 0 ? [[at - back, needs[i + 1]!] as const] : [])),
      blobs: steps.map((step) => (blob += step)),
      source,
    };
  });
  return { about: raw.about, blobs: raw.blobs, thunks };
}
