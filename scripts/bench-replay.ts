// npm run bench:replay [INSTANCES_MAX [PLOT.svg [GRAPH.json.gz]]]: a recorded build (graph-file.ts) replayed through the real reductor
// and engine over a simulated Lambda of 1 to 8,000 instances; then 1,000 thunks of two seconds each. Time is the service's: what the
// coordinator computes runs on the clock as it is, what nobody waits for is skipped (test/emulators/lambda/simulated.ts).
//
// A run takes as long as it was recorded; before it an instance fetches what it does not have yet of the inputs and the compiler, after
// it the outputs are stored, both at BANDWIDTH.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { type ObjectName, outputRef } from '../src/ir/name.ts';
import type { ThunkInput } from '../src/ir/thunk.ts';
import type { LocalStore } from '../src/store/local/local.ts';
import type { WorkRequest } from '../src/worker/messages.ts';
import { JumpingClock, SimulatedLambda } from '../test/emulators/lambda/simulated.ts';
import { answerOf, benchEngine, MACHINE, putThunk, thunkOf, tidyStore } from './bench-cloud.ts';
import { decodeGraph, isRewritten, type RecordedGraph } from './graph-file.ts';
import { type Point, replayPlot } from './plot-replay.ts';

const GRAPH = new URL('../fixtures/ffmpeg-graph.json.gz', import.meta.url);
const COLD_START_MS = 250;
const ROUND_TRIP_MS = 30;
const BANDWIDTH_BYTES_PER_MS = 60_000;
/** What a cold instance fetches of gcc 12 for calls of a stage, measured. */
const TOOLCHAIN_BYTES: Readonly<Record<string, number>> = {
  compile: 16_500_000,
  archive: 5_300_000,
  link: 5_300_000,
};
const OUTPUTS_MAX = 8;

interface Graph {
  readonly recorded: RecordedGraph;
  /** In the order of the recording. */
  readonly names: readonly ObjectName[];
  readonly tops: readonly ObjectName[];
}

function stored({ thunks, blobs }: RecordedGraph, store: LocalStore): Omit<Graph, 'recorded'> {
  // Only the names of files count, and the sizes in them.
  const files = blobs.map((size, i): ThunkInput => {
    const hash = createHash('sha256').update(`file ${i}`).digest('hex');
    return { path: `h${i}.h`, name: `V${hash}-${size}` as ObjectName };
  });
  const names: ObjectName[] = [];
  const needed = new Set<number>();
  for (const [i, t] of thunks.entries()) {
    const inputs = [
      ...t.needs.map(([on, output]) => {
        needed.add(on);
        return { path: `${on}-${output}.o`, name: outputRef(names[on]!, `o${output}`) };
      }),
      ...t.blobs.map((b) => (b === t.source ? { path: `${i}.c`, name: files[b]!.name } : files[b]!)),
    ];
    const tags = t.outputs.map((_, output) => `o${output}`);
    names.push(putThunk(store, thunkOf(String(i), inputs, tags)));
  }
  return { names, tops: names.filter((_, i) => !needed.has(i)) };
}

const toolchainBytes = (stage: string): number => TOOLCHAIN_BYTES[stage] ?? 0;
const sum = (numbers: Iterable<number>): number => [...numbers].reduce((a, b) => a + b, 0);

/** What is on an instance: kinds of compiler, files by index, below zero the outputs of thunks. */
type There = Set<string | number>;

/** What a run moves on an instance: what is not there yet of the compiler and its inputs, and its outputs unless they are `withheld`. */
function movedBytes(graph: RecordedGraph, at: number, there: There, withheld: boolean): number {
  const t = graph.thunks[at]!;
  let bytes = withheld ? 0 : sum(t.outputs);
  const want = (key: string | number, size: number): void => {
    if (!there.has(key)) bytes += size;
    there.add(key);
  };
  want(t.stage, toolchainBytes(t.stage));
  for (const blob of t.blobs) want(blob, graph.blobs[blob]!);
  const key = (thunk: number, output: number): number => -1 - (thunk * OUTPUTS_MAX + output);
  for (const [on, output] of t.needs) want(key(on, output), graph.thunks[on]!.outputs[output]!);
  for (const output of t.outputs.keys()) there.add(key(at, output));
  return bytes;
}

/** The dearest way through the graph, first thunk first. */
function criticalPath({ thunks }: RecordedGraph): number[] {
  const pathMs: number[] = [];
  const via: number[] = [];
  for (const [i, t] of thunks.entries()) {
    via[i] = t.needs.reduce((a, [b]) => (pathMs[b]! > (pathMs[a] ?? -1) ? b : a), -1);
    pathMs[i] = t.runMs + (pathMs[via[i]!] ?? 0);
  }
  const path: number[] = [];
  for (let at = pathMs.indexOf(Math.max(...pathMs)); at >= 0; at = via[at]!) path.unshift(at);
  return path;
}

/**
 * max(critical path, work / instances) + transfer. Transfer is what that path moves if one instance runs it all, nothing twice, or each
 * instance's share of what was moved, whichever is more.
 */
function limitOf(graph: RecordedGraph, instances: number, movedMs: number): number {
  const path = criticalPath(graph);
  const there: There = new Set();
  const pathMoved = path.map((at) => movedBytes(graph, at, there, isRewritten(graph.thunks[at]!)));
  const work = Math.max(
    sum(path.map((at) => graph.thunks[at]!.runMs)),
    sum(graph.thunks.map((t) => t.runMs)) / instances,
  );
  const transfer = Math.max(sum(pathMoved) / BANDWIDTH_BYTES_PER_MS + ROUND_TRIP_MS, movedMs / instances);
  return work + transfer + COLD_START_MS;
}

interface Replayed {
  readonly ms: number;
  readonly lambda: SimulatedLambda;
  /** Of all instances together. */
  readonly movedMs: number;
}

async function replay(graph: Graph, store: LocalStore, instances: number, known: boolean): Promise<Replayed> {
  const clock = new JumpingClock();
  const { thunks } = graph.recorded;
  const caches: There[] = [];
  let movedMs = 0;
  const lambda = new SimulatedLambda({
    clock,
    instancesMax: instances,
    coldStartMs: COLD_START_MS,
    roundTripMs: ROUND_TRIP_MS,
    rampInstances: 1000,
    rampMs: 10_000,
    work: (payload, instance) => {
      const request = JSON.parse(Buffer.from(payload).toString()) as WorkRequest;
      caches[instance] ??= new Set();
      const there = caches[instance];
      let ms = 0;
      for (const item of request.items) {
        // Reduced thunks have other names; what they are called in the command stays.
        const at = Number(/"(\d+)\.c"/.exec(item.thunk)![1]);
        const transferMs =
          movedBytes(graph.recorded, at, there, item.internal !== undefined) / BANDWIDTH_BYTES_PER_MS;
        movedMs += transferMs;
        ms += thunks[at]!.runMs + transferMs;
      }
      movedMs += ROUND_TRIP_MS;
      return { ms, answer: answerOf(payload) };
    },
  });
  const runMs = new Map(graph.names.map((name, i) => [name, thunks[i]!.runMs]));
  const { reductor, failures } = benchEngine(
    store,
    lambda,
    { inFlightMax: instances, now: () => clock.now(), later: (ms, act) => clock.at(ms, act) },
    { finished: () => clock.touch(), ...(known ? { expectedMs: (name) => runMs.get(name) } : {}) },
  );
  const started = clock.now();
  await Promise.all(graph.tops.map((t) => reductor.force(t, 's')));
  const ms = clock.now() - started;
  if (failures.length > 0) throw new Error(failures[0]);
  return { ms, lambda, movedMs };
}

const s = (ms: number): string => (ms / 1000).toFixed(2).padStart(8);

const recorded = decodeGraph(readFileSync(process.argv[4] ?? GRAPH));
const stages = Map.groupBy(recorded.thunks, (t) => t.stage);
console.log(MACHINE);
console.log(recorded.about);
console.log(
  [...stages].map(([stage, of]) => `${of.length} ${stage}:${s(sum(of.map((t) => t.runMs)))} s`).join(', '),
);
const path = criticalPath(recorded).map((at) => recorded.thunks[at]!);
console.log(`critical path: ${path.map((t) => `${t.label} ${(t.runMs / 1000).toFixed(1)} s`).join(', ')}`);
console.log('instances    took s   limit s   ratio  invocations  cold  throttled');
const most = Number(process.argv[2] ?? 8000);
const points: Point[] = [];
for (const instances of [1, 10, 100, 1000, 8000]) {
  if (instances > most) break;
  const tookMs = { known: 0, unknown: 0, limit: 0 };
  for (const known of [true, false]) {
    const { store, close } = tidyStore();
    const graph = { recorded, ...stored(recorded, store) };
    const { ms, lambda, movedMs } = await replay(graph, store, instances, known);
    const limitMs = limitOf(recorded, instances, movedMs);
    tookMs.limit = Math.max(tookMs.limit, limitMs);
    tookMs[known ? 'known' : 'unknown'] = ms;
    const c = lambda.counts;
    console.log(
      `${String(instances).padStart(9)}  ${s(ms)}  ${s(limitMs)}  ${(ms / limitMs).toFixed(3).padStart(6)}  ${String(c.invocations).padStart(11)}  ${String(c.coldStarts).padStart(4)}  ${String(c.throttled).padStart(9)}${known ? '' : '  durations not known'}`,
    );
    close();
  }
  points.push({ instances, ...tookMs });
}
if (process.argv[3]) writeFileSync(process.argv[3], replayPlot(points));
const { store, close } = tidyStore();
const sleepers: RecordedGraph = {
  about: '',
  blobs: [],
  thunks: Array.from({ length: 1000 }, (_, i) => ({
    label: `sleep${i}`,
    stage: 'sleep',
    runMs: 2000,
    outputs: [0],
    needs: [],
    blobs: [],
    source: -1,
  })),
};
const { ms } = await replay({ recorded: sleepers, ...stored(sleepers, store) }, store, 1000, false);
const limitMs = 2000 + COLD_START_MS + ROUND_TRIP_MS;
console.log(`1,000 x sleep 2:${s(ms)} s of${s(limitMs)} s, ratio ${(ms / limitMs).toFixed(3)}`);
close();
