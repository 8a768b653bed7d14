// Runs the case tables of test/cases: each command line plainly, plainly again, and wrapped, in a fresh copy of seed/ at one
// path. What differs between the two plain runs is the tools' own noise: there only names and kinds count.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type Ran, Rig, root } from './rig.ts';

const directory = join(root, 'test', 'cases');

interface Shot {
  readonly ran: Ran;
  readonly tree: ReadonlyMap<string, string>;
}

interface Case {
  readonly name: string;
  readonly command: string;
  /** Tools it cannot do without. */
  readonly needs: readonly string[];
}

function readCases(table: string): Case[] {
  let needs: readonly string[] = [];
  return readFileSync(join(directory, table), 'utf8')
    .split('\n')
    .flatMap((line) => {
      if (line.startsWith('#needs ')) needs = line.split(' ').slice(1);
      if (line === '' || line.startsWith('#')) return [];
      const tab = line.indexOf('\t');
      return [{ name: line.slice(0, tab), command: line.slice(tab + 1), needs }];
    });
}

const path = (process.env['PATH'] ?? '').split(':');
const isInstalled = (tool: string): boolean => path.some((d) => existsSync(join(d, tool)));

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
  for (const [i, { name, command, needs }] of readCases(table).entries()) {
    if (i % every !== 0) continue;
    const missing = needs.filter((tool) => !isInstalled(tool));
    const skip = missing.length > 0 && `${missing.join(', ')} not installed`;
    test(`${table}, ${through}: ${name}`, { skip }, () => {
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
        [...tree].map(([file, what]) => [
          file,
          plain.tree.get(file) === again.tree.get(file) ? what : what.split(' ', 1)[0]!,
        ]);
      assert.deepEqual(quiet(wrapped.tree), quiet(plain.tree), why);
    });
  }
}
