// npm run bench:replay [INSTANCES_MAX [PLOT.svg]]: a graph like FFmpeg's (2,000 compiles, 8 archives, 3 links) replayed through the real reductor and
// engine over a simulated Lambda of 1 to 8,000 instances; then 1,000 thunks of two seconds each. Time is the service's: what
// the coordinator computes runs on the clock as it is, what nobody waits for is skipped (test/emulators/lambda/simulated.ts).
//
// Durations: log-normal, median 0.9 s, some to 20 s, drawn from a seed; archives and links by what they read. Each thunk
// moves its inputs and outputs at BANDWIDTH. The sizes of the sources, all the reductor has where durations are not known, go with
// the durations as they were seen to in real projects: SIZE_CORRELATION.
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import type { ObjectName } from '../src/ir/name.ts';
import { outputRef } from '../src/ir/name.ts';
import type { ThunkInput } from '../src/ir/thunk.ts';
import type { LocalStore } from '../src/store/local.ts';
import type { WorkRequest } from '../src/worker/messages.ts';
import { Faults } from '../test/emulators/lambda/faults.ts';
import { JumpingClock, SimulatedLambda } from '../test/emulators/lambda/simulated.ts';
import { answerOf, benchEngine, MACHINE, putThunk, thunkOf, tidyStore } from './bench-cloud.ts';
import { type Point, replayPlot } from './plot-replay.ts';

const COLD_START_MS = 250;
const ROUND_TRIP_MS = 30;
const BANDWIDTH_BYTES_PER_MS = 60_000;
const HEADERS = 40;
/** Of the logarithms of a source's bytes and its compile's milliseconds: 955 compiles of C and C++ projects. */
const SIZE_CORRELATION = 0.65;

interface Node {
  readonly name: ObjectName;
  readonly workMs: number;
  readonly transferMs: number;
  readonly needs: readonly number[];
}

interface Graph {
  readonly nodes: readonly Node[];
  readonly tops: readonly ObjectName[];
}

function ffmpegLike(store: LocalStore): Graph {
  const draw = new Faults({}, 42);
  const normalOf = (from: Faults): number =>
    Math.sqrt(-2 * Math.log(1 - from.random())) * Math.cos(2 * Math.PI * from.random());
  const sizes = new Faults({}, 43);
  /** A source for a compile whose duration lies `z` standard deviations from the middle; only its name counts. */
  const source = (label: string, z: number): ThunkInput => {
    const own = SIZE_CORRELATION * z + Math.sqrt(1 - SIZE_CORRELATION ** 2) * normalOf(sizes);
    const hash = createHash('sha256').update(label).digest('hex');
    return { path: `${label}.c`, name: `V${hash}-${Math.round(15_000 * Math.exp(own))}` as ObjectName };
  };
  const headers = Array.from({ length: HEADERS }, (_, i) => ({
    path: `h${i}.h`,
    name: store.put(Buffer.from(`header ${i}`), 'V'),
  }));
  const nodes: Node[] = [];
  const add = (
    label: string,
    needs: readonly number[],
    workMs: number,
    bytes: number,
    own: readonly ThunkInput[] = [],
  ): number => {
    const inputs =
      needs.length === 0
        ? [...own, ...headers]
        : needs.map((n, i) => ({ path: `${i}.o`, name: outputRef(nodes[n]!.name, 'o') }));
    const name = putThunk(store, thunkOf(label, inputs));
    nodes.push({ name, workMs, transferMs: bytes / BANDWIDTH_BYTES_PER_MS, needs });
    return nodes.length - 1;
  };
  const units = Array.from({ length: 2000 }, (_, i) => {
    const z = normalOf(draw);
    const workMs = Math.min(20_000, 900 * Math.exp(0.8 * z));
    return add(`u${i}`, [], workMs, 600_000 + draw.random() * 400_000, [source(`u${i}`, z)]);
  });
  const archives = Array.from({ length: 8 }, (_, i) => {
    const own = units.filter((u) => u % 8 === i);
    return add(`lib${i}.a`, own, 80 + own.length * 0.3, own.length * 150_000 * 2);
  });
  const tops = ['ffmpeg', 'ffprobe', 'ffplay'].map((l) => add(l, archives, 1500, 100_000_000));
  return { nodes, tops: tops.map((t) => nodes[t]!.name) };
}

/** max(critical path, work / instances) + transfer; transfer: on that path, or each instance's share, whichever is more. */
function limitOf(graph: Graph, instances: number): number {
  const pathMs: number[] = [];
  const movedMs: number[] = [];
  for (const [i, n] of graph.nodes.entries()) {
    const longest = n.needs.reduce((a, b) => (pathMs[b]! > (pathMs[a] ?? -1) ? b : a), -1);
    pathMs[i] = n.workMs + (pathMs[longest] ?? 0);
    movedMs[i] = n.transferMs + ROUND_TRIP_MS + (movedMs[longest] ?? 0);
  }
  const end = pathMs.indexOf(Math.max(...pathMs));
  const sum = (of: (n: Node) => number): number => graph.nodes.reduce((total, n) => total + of(n), 0);
  const work = Math.max(pathMs[end]!, sum((n) => n.workMs) / instances);
  const transfer = Math.max(movedMs[end]!, sum((n) => n.transferMs + ROUND_TRIP_MS) / instances);
  return work + transfer + COLD_START_MS;
}

async function replay(
  graph: Graph,
  store: LocalStore,
  instances: number,
  known: boolean,
): Promise<{ readonly ms: number; readonly lambda: SimulatedLambda; readonly cpuMs: number }> {
  const clock = new JumpingClock();
  const byName = new Map(graph.nodes.map((n) => [n.name as string, n]));
  // Reduced thunks have other names; their labels stay.
  const byLabel = new Map<string, Node>();
  for (const n of graph.nodes) byLabel.set(labelOf(store.get(n.name)!.toString()), n);
  const lambda = new SimulatedLambda({
    clock,
    instancesMax: instances,
    coldStartMs: COLD_START_MS,
    roundTripMs: ROUND_TRIP_MS,
    rampInstances: 1000,
    rampMs: 10_000,
    work: (payload) => {
      const request = JSON.parse(Buffer.from(payload).toString()) as WorkRequest;
      const item = request.items[0]!;
      const node = byName.get(item.name) ?? byLabel.get(labelOf(item.thunk))!;
      return { ms: node.workMs + node.transferMs, answer: answerOf(payload) };
    },
  });
  const { reductor, failures } = benchEngine(
    store,
    lambda,
    { inFlightMax: instances, now: () => clock.now(), later: (ms, act) => clock.at(ms, act) },
    { finished: () => clock.touch(), ...(known ? { expectedMs: (name) => byName.get(name)?.workMs } : {}) },
  );
  const cpu = process.cpuUsage();
  const started = clock.now();
  await Promise.all(graph.tops.map((t) => reductor.force(t, 's')));
  const ms = clock.now() - started;
  const used = process.cpuUsage(cpu);
  if (failures.length > 0) throw new Error(failures[0]);
  return { ms, lambda, cpuMs: (used.user + used.system) / 1000 };
}

const labelOf = (thunk: string): string => /"([^"]+)\.c"/.exec(thunk)![1]!;
const s = (ms: number): string => (ms / 1000).toFixed(2).padStart(8);

console.log(MACHINE);
console.log('instances    took s   limit s   ratio  invocations  cold  throttled');
const most = Number(process.argv[2] ?? 8000);
const points: Point[] = [];
for (const instances of [1, 10, 100, 1000, 8000]) {
  if (instances > most) break;
  const tookMs = { known: 0, unknown: 0, limit: 0 };
  for (const known of [true, false]) {
    const { store, close } = tidyStore();
    const graph = ffmpegLike(store);
    const limitMs = limitOf(graph, instances);
    const { ms, lambda } = await replay(graph, store, instances, known);
    tookMs.limit = limitMs;
    tookMs[known ? 'known' : 'unknown'] = ms;
    const c = lambda.counts;
    console.log(
      `${String(instances).padStart(9)}  ${s(ms)}  ${s(limitMs)}  ${(ms / limitMs).toFixed(3).padStart(6)}  ${String(c.invocations).padStart(11)}  ${String(c.coldStarts).padStart(4)}  ${String(c.throttled).padStart(9)}${known ? '' : '  durations not known'}`,
    );
    close();
  }
  points.push({ instances, ...tookMs });
}
if (process.argv[3] !== undefined) writeFileSync(process.argv[3], replayPlot(points));
const { store, close } = tidyStore();
const sleepers: Node[] = Array.from({ length: 1000 }, (_, i) => ({
  name: putThunk(store, thunkOf(`sleep${i}`, [])),
  workMs: 2000,
  transferMs: 0,
  needs: [],
}));
const { ms } = await replay({ nodes: sleepers, tops: sleepers.map((n) => n.name) }, store, 1000, false);
const limitMs = 2000 + COLD_START_MS + ROUND_TRIP_MS;
console.log(`1,000 x sleep 2:${s(ms)} s of${s(limitMs)} s, ratio ${(ms / limitMs).toFixed(3)}`);
close();
