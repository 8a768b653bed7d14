// kill -9 of the server, of gg, of make, at random moments: the next commands find everything and finish.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Rig } from './rig.ts';

const ROUNDS = 10;
/** A wrapped build of the fixture takes about this long. */
const BUILD_MS = 900;

const VICTIMS: readonly (readonly [what: string, find: string])[] = [
  ['the server', 'pgrep -f "gg-server.*$XDG_RUNTIME_DIR"'],
  ['gg', 'echo $gg'],
  ['make', 'echo $make'],
];

for (const [what, find] of VICTIMS) {
  describe(`kill -9 of ${what}`, () => {
    const rig = new Rig();
    let plain: Map<string, string>;
    before(() => {
      rig.fresh('hello-make');
      rig.sh('make -j2');
      plain = rig.shot();
    });
    after(() => rig.close());

    for (let round = 0; round < ROUNDS; round++) {
      const delayMs = Math.round(((round + Math.random()) / ROUNDS) * BUILD_MS);
      test(`after ${delayMs} ms`, () => {
        rig.fresh('hello-make');
        rig.sh('gg clean --force');
        rig.sh(`
          (exec gg make -j2) & gg=$!
          sleep ${delayMs / 1000}
          make=$(pgrep -P $gg -x make)
          for pid in $(${find}); do kill -9 $pid; done
          wait
          # What was left without a parent ends in its own time.
          while [ -n "$make" ] && kill -0 $make 2>/dev/null; do sleep 0.05; done`);
        const forced = rig.sh('gg force');
        assert.ok(forced.code === 0 || forced.code === 75, forced.err);
        const again = rig.sh('gg make -j2');
        assert.equal(again.code, 0, again.err);
        assert.deepEqual(rig.shot(), plain);
        assert.match(rig.sh('make').out, /Nothing to be done/);
      });
    }
  });
}
