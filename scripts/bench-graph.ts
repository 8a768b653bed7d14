// npm run bench:graph: 10,000 and 100,000 trivial thunks through the reductor with an engine that does nothing, each round in a process
// of its own.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { outputRef } from '../src/ir/name.ts';
import { boundHeapGrowth, SERVER_NODE_FLAGS } from '../src/wire/server-flags.ts';
import { LocalStore } from '../src/store/local/local.ts';
import { FakeEngine, makeReductor, makeThunk } from '../test/unit/force/fake-engine.ts';

const CASES = [
  { thunks: 10_000, rounds: 5 },
  { thunks: 100_000, rounds: 1 },
];

interface Round {
  readonly seconds: number;
  readonly megabytes: number;
}

async function round(thunks: number): Promise<Round> {
  boundHeapGrowth();
  const home = mkdtempSync(join(tmpdir(), 'gg-bench-'));
  const store = new LocalStore(home);
  const leaves = Array.from({ length: thunks - 1 }, (_, i) => ({
    path: `i${i}`,
    name: outputRef(makeThunk(store, `${i}`), 'o'),
  }));
  const top = makeThunk(store, 'top', leaves);
  const engine = new FakeEngine(store);
  const { reductor } = makeReductor(store, engine, 2);
  const started = process.hrtime.bigint();
  const node = await reductor.force(top, 'bench');
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  if (node.state !== 'done' || engine.ran.length !== thunks)
    throw new Error(`ran ${engine.ran.length} of ${thunks}`);
  rmSync(home, { recursive: true });
  return { seconds, megabytes: process.memoryUsage.rss() / 1e6 };
}

if (process.argv[2] === 'round') {
  process.stdout.write(JSON.stringify(await round(Number(process.argv[3]))));
} else {
  const self = fileURLToPath(import.meta.url);
  process.stdout.write(`${cpus()[0]?.model ?? 'unknown processor'}, ${availableParallelism()} cores\n`);
  for (const { thunks, rounds: count } of CASES) {
    const rounds = Array.from({ length: count }, (): Round => {
      const r = spawnSync(process.execPath, [...SERVER_NODE_FLAGS, self, 'round', String(thunks)]);
      if (r.status !== 0) throw new Error(r.stderr.toString());
      return JSON.parse(r.stdout.toString()) as Round;
    }).sort((a, b) => a.seconds - b.seconds);
    const rate = (r: Round): string => `${Math.round(thunks / r.seconds)} a second`;
    const most = Math.max(...rounds.map((r) => r.megabytes));
    process.stdout.write(
      `${thunks} thunks, rounds: ${count}; best ${rate(rounds[0]!)}, median ${rate(rounds[count >> 1]!)}, ` +
        `worst ${rate(rounds.at(-1)!)}; at most ${Math.round(most)} MB resident\n`,
    );
  }
}
