// npm run bench:graph: 10,000 trivial thunks through the reductor with an engine that does nothing.
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { outputRef } from '../src/ir/name.ts';
import { LocalStore } from '../src/store/local.ts';
import { FakeEngine, makeReductor, makeThunk } from '../test/unit/force/fake-engine.ts';

const THUNKS = 10_000;
const ROUNDS = 3;
const seconds: number[] = [];
for (let round = 0; round < ROUNDS; round++) {
  const home = mkdtempSync(join(tmpdir(), 'gg-bench-'));
  const store = new LocalStore(home);
  const leaves = Array.from({ length: THUNKS - 1 }, (_, i) => ({
    path: `i${i}`,
    name: outputRef(makeThunk(store, `${i}`), 'o'),
  }));
  const top = makeThunk(store, 'top', leaves);
  const engine = new FakeEngine(store);
  const { reductor } = makeReductor(store, engine, 2);
  const started = process.hrtime.bigint();
  const node = await reductor.force(top, 'bench');
  seconds.push(Number(process.hrtime.bigint() - started) / 1e9);
  if (node.state !== 'done' || engine.ran.length !== THUNKS)
    throw new Error(`ran ${engine.ran.length} of ${THUNKS}`);
  rmSync(home, { recursive: true });
}
seconds.sort((a, b) => a - b);
const rate = (s: number): string => `${Math.round(THUNKS / s)} a second`;
process.stdout.write(
  `${cpus()[0]?.model ?? 'unknown processor'}, ${availableParallelism()} cores; ${THUNKS} thunks; best ${rate(seconds[0]!)}, median ${rate(seconds[ROUNDS >> 1]!)}, worst ${rate(seconds.at(-1)!)}; ${Math.round(process.memoryUsage.rss() / 1e6)} MB\n`,
);
