// npm run bench:record -- PROJECT OUT.json.gz "HOW IT WAS MADE": writes the graph of a project built with `gg make` as a file that
// bench:replay replays (graph-file.ts), from the store and the history below GG_DIR. Of each path the last run counts; run times are CPU
// time, so that a busy machine does not stretch them. What has no path of its own (an archive that ranlib wrote again) has no line in
// the history: its reduction tells the time by the clock.
import { readFileSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { visitGraph } from '../src/ir/graph.ts';
import { baseName, isThunk, isValue, type ObjectName, sizeOf, tagOf } from '../src/ir/name.ts';
import { decodeThunk, type Thunk, thunkDeps } from '../src/ir/thunk.ts';
import type { HistoryRecord } from '../src/tree/history.ts';
import { LocalStore } from '../src/store/local/local.ts';
import { encodeGraph, type RecordedGraph, type RecordedThunk } from './graph-file.ts';

interface Ran {
  readonly label: string;
  readonly runMs: number;
}

/** The last run of each path below the project, by thunk. */
function runsOf(history: string, project: string): Map<ObjectName, Ran> {
  const byPath = new Map<string, HistoryRecord>();
  for (const line of history.split('\n')) {
    if (!line.includes('"how":"ran"') || !line.endsWith('}')) continue;
    const record = JSON.parse(line) as HistoryRecord;
    if (record.path.startsWith(`${project}/`)) byPath.set(record.path, record);
  }
  const runs = new Map<ObjectName, Ran>();
  for (const { path, thunk, cpuMs, wallMs } of byPath.values())
    if (thunk !== undefined)
      runs.set(thunk as ObjectName, { label: relative(project, path), runMs: cpuMs ?? wallMs ?? 0 });
  return runs;
}

function stageOf({ tool, args, outputs }: Thunk): string {
  if (/(?:^|-)(?:ar|ranlib)$/.test(tool)) return 'archive';
  if (/(?:^|-)(?:ld|strip|objcopy)$/.test(tool)) return 'link';
  const compiles =
    args.includes('-c') ||
    args.includes('-S') ||
    outputs.some((o) => o.path.endsWith('.o')) ||
    /asm$/.test(tool);
  return compiles ? 'compile' : 'link';
}

function sourceOf({ args, inputs }: Thunk, blobAt: ReadonlyMap<string, number>): number {
  const source = inputs.find((i) => isValue(i.name) && args.includes(i.path));
  return source ? blobAt.get(source.name)! : -1;
}

function record(store: LocalStore, runs: ReadonlyMap<ObjectName, Ran>, about: string): RecordedGraph {
  const thunks = new Map<ObjectName, Thunk>();
  const thunkOf = (name: ObjectName): Thunk => {
    let thunk = thunks.get(name);
    if (!thunk) {
      thunk = store.read(name, decodeThunk);
      if (!thunk) throw new Error(`${name} is not in the store`);
      thunks.set(name, thunk);
    }
    return thunk;
  };
  const order: ObjectName[] = [];
  visitGraph(
    [...runs.keys()],
    (name) => thunkDeps(thunkOf(name)),
    (name) => void order.push(name),
  );
  const uses = new Map<string, number>();
  for (const name of order)
    for (const input of new Set(thunkOf(name).inputs.map((i) => i.name)))
      if (isValue(input)) uses.set(input, (uses.get(input) ?? 0) + 1);
  const blobs = [...uses].sort((a, b) => b[1] - a[1]).map(([name]) => name);
  const blobAt = new Map(blobs.map((name, i) => [name, i]));
  const at = new Map(order.map((name, i) => [name, i]));
  let byClock = 0;
  const rows = order.map((name): RecordedThunk => {
    const thunk = thunkOf(name);
    const reduction = store.reduction(name);
    if (!reduction) throw new Error(`what became of ${name} is not in the store`);
    const ran = runs.get(name);
    if (!ran) byClock++;
    const inputs = [...new Set(thunk.inputs.map((i) => i.name as string))];
    return {
      label: ran?.label ?? `${thunk.outputs[0]?.path ?? ''} (${thunk.tool})`,
      stage: stageOf(thunk),
      runMs: ran?.runMs ?? reduction.wallMs,
      outputs: thunk.outputs.map((o) => sizeOf(reduction.outputs.find(({ tag }) => tag === o.tag)!.name)),
      needs: inputs
        .filter(isThunk)
        .map((ref) => [
          at.get(baseName(ref))!,
          thunkOf(baseName(ref)).outputs.findIndex((o) => o.tag === tagOf(ref)),
        ]),
      blobs: inputs.filter(isValue).map((value) => blobAt.get(value)!),
      source: sourceOf(thunk, blobAt),
    };
  });
  console.log(`${rows.length} thunks, ${blobs.length} files, ${byClock} timed by the clock`);
  return { about, blobs: blobs.map(sizeOf), thunks: rows };
}

const [project, out, about] = process.argv.slice(2);
const state = process.env['GG_DIR'];
if (project === undefined || out === undefined || about === undefined || state === undefined) {
  console.error('GG_DIR=STATE node scripts/record-graph.ts PROJECT OUT.json.gz "HOW IT WAS MADE"');
  process.exit(64);
}
const runs = runsOf(readFileSync(join(state, 'history.jsonl'), 'utf8'), resolve(project));
const bytes = encodeGraph(record(new LocalStore(state), runs, about));
writeFileSync(out, bytes);
console.log(`${out}: ${bytes.length} bytes`);
