// The folder list is the architecture: imports go down only, and no file leads back to itself.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CIRCLES, NOT_YET, ROOMS } from './rooms.ts';

const src = fileURLToPath(new URL('../../../src', import.meta.url));

function sources(directory: string): string[] {
  return readdirSync(directory).flatMap((name) => {
    const path = join(directory, name);
    return statSync(path).isDirectory() ? sources(path) : path.endsWith('.ts') ? [path] : [];
  });
}

interface Import {
  readonly from: string;
  readonly to: string;
}

/** Every import of a file of ours, types included; paths below src. */
function imports(): Import[] {
  return sources(src).flatMap((file) => {
    const text = readFileSync(file, 'utf8');
    const found = [...text.matchAll(/^(?:import|export)[^;]*? from '(\.[^']+)';/gms)];
    const asked = [...text.matchAll(/\bimport\('(\.[^']+)'\)/g)];
    return [...found, ...asked].map((m) => ({
      from: relative(src, file),
      to: relative(src, resolve(dirname(file), m[1]!)),
    }));
  });
}

/** The family of a file within its room: the index in `families`. */
function familyOf(path: string, families: readonly (readonly string[])[]): number {
  const [, second, third] = path.split('/');
  const name = second!;
  const named = families.findIndex((family) => family.includes(name));
  if (named >= 0) return named;
  const rest = families.findIndex((family) => family.includes('.'));
  return third === undefined ? rest : -1;
}

const ALL = imports();

test('imports go down only, between rooms and between families of a room', () => {
  const wrong: string[] = [];
  for (const { from, to } of ALL) {
    const [here, there] = [from.split('/')[0]!, to.split('/')[0]!];
    const room = ROOMS[here];
    assert.ok(room, `src/${here} is not in the list of rooms`);
    const line = `${from} imports ${to}`;
    if (here !== there) {
      if (!room.may.includes(there)) wrong.push(line);
    } else if (room.families) {
      const [a, b] = [familyOf(from, room.families), familyOf(to, room.families)];
      assert.ok(a >= 0, `${from} is in no family of its room`);
      if (b > a) wrong.push(line);
    }
  }
  assert.ok(ALL.length > 900, `${ALL.length} imports looked at`);
  assert.deepEqual(wrong.filter((line) => !NOT_YET.includes(line)).sort(), []);
  assert.deepEqual(
    NOT_YET.filter((line) => !wrong.includes(line)),
    [],
    'mended: take it off the list',
  );
});

test('a room imports from lower floors only', () => {
  for (const [name, room] of Object.entries(ROOMS)) {
    for (const other of room.may) {
      const below = ROOMS[other];
      assert.ok(below, `${name} may import from ${other}, which is no room`);
      assert.ok(below.floor < room.floor, `${name} (${room.floor}) and ${other} (${below.floor})`);
    }
  }
});

/** Circles among files: each group of files that lead to one another (Tarjan's strongly connected components). */
function circles(edges: readonly Import[]): string[][] {
  const next = new Map<string, string[]>();
  for (const { from, to } of edges) next.set(from, [...(next.get(from) ?? []), to]);
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const found: string[][] = [];
  const visit = (file: string): void => {
    index.set(file, index.size);
    low.set(file, index.get(file)!);
    stack.push(file);
    for (const other of next.get(file) ?? []) {
      if (!index.has(other)) {
        visit(other);
        low.set(file, Math.min(low.get(file)!, low.get(other)!));
      } else if (stack.includes(other)) {
        low.set(file, Math.min(low.get(file)!, index.get(other)!));
      }
    }
    if (low.get(file) !== index.get(file)) return;
    const group = stack.splice(stack.indexOf(file));
    if (group.length > 1) found.push(group.sort());
  };
  for (const file of next.keys()) if (!index.has(file)) visit(file);
  return found;
}

test('no circle among files but those that are still to be opened', () => {
  const known = new Set(CIRCLES.map((group) => group.join(' ')));
  const found = circles(ALL).map((group) => group.join(' '));
  assert.deepEqual(
    found.filter((group) => !known.has(group)),
    [],
  );
  assert.deepEqual(
    [...known].filter((group) => !found.includes(group)),
    [],
    'opened: take it off the list',
  );
});
