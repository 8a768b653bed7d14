// Runs the case tables of test/cases: each command line plainly, plainly again, and wrapped, in a fresh copy of seed/ at one
// path. What differs between the two plain runs is the tools' own noise: there only names and kinds count.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type Ran, Rig, root } from './rig.ts';

const directory = join(root, 'test', 'cases');

interface Shot {
  readonly ran: Ran;
  readonly tree: ReadonlyMap<string, string>;
}

function readCases(table: string): (readonly [name: string, command: string])[] {
  return readFileSync(join(directory, table), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const tab = line.indexOf('\t');
      return [line.slice(0, tab), line.slice(tab + 1)] as const;
    });
}

/** @param sorted make prints a deferred compile's messages later: lines count, their order does not. */
function printed(text: string, sorted: boolean): string[] {
  const lines = text.split('\n').filter((line) => !line.startsWith('gg: '));
  return sorted ? lines.filter((line) => !/^make(?:\[\d+\])?: /.test(line)).sort() : lines;
}

/**
 * Registers a test per case.
 * @param through 'make': the command is the recipe of a makefile.
 */
export function runCases(table: string, through: 'shell' | 'make', every = 1): void {
  const rig = new Rig();
  after(() => rig.close());
  const once = (wrapper: string, name: string, command: string): Shot => {
    rig.fresh(join(directory, 'seed'));
    const file = join(rig.home, 'command');
    if (through === 'make') {
      writeFileSync(file, `SHELL = /bin/bash\nall: ; ${command.split('$').join('$$')}\n`);
    } else writeFileSync(file, command);
    const ran = rig.sh(
      through === 'make' ? `${wrapper} make -s -f ${file}` : `${wrapper} bash -c "$(cat ${file})"`,
    );
    assert.notEqual(ran.code, -1, `${name}: took too long`);
    return { ran, tree: rig.shot() };
  };
  for (const [i, [name, command]] of readCases(table).entries()) {
    if (i % every !== 0) continue;
    test(`${table}, ${through}: ${name}`, () => {
      const plain = once('', name, command);
      const again = once('', name, command);
      const wrapped = once('gg build --', name, command);
      const why = `${command}\n${wrapped.ran.err}`;
      assert.equal(wrapped.ran.code, plain.ran.code, why);
      for (const part of ['out', 'err'] as const) {
        if (plain.ran[part] !== again.ran[part]) continue;
        const sorted = through === 'make';
        assert.deepEqual(printed(wrapped.ran[part], sorted), printed(plain.ran[part], sorted), why);
      }
      const quiet = (tree: ReadonlyMap<string, string>): [string, string][] =>
        [...tree].map(([path, what]) => [
          path,
          plain.tree.get(path) === again.tree.get(path) ? what : what.split(' ', 1)[0]!,
        ]);
      assert.deepEqual(quiet(wrapped.tree), quiet(plain.tree), why);
    });
  }
}
