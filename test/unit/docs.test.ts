import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { SETTINGS } from '../../src/settings/table.ts';
import { VERSION } from '../../src/settings/version.ts';

const text = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const readme = text('README.md');

test('the README lists every bypass reason and no other', () => {
  const source = /export type BypassReason =([^;]*);/.exec(text('src/models/model.ts'))![1]!;
  const reasons = [...source.matchAll(/'([a-z0-9-]+)'/g)].map((m) => m[1]!).sort();
  const table = /## Bypass reasons([\s\S]*?)\n## /.exec(readme)![1]!;
  const listed = [...table.matchAll(/^\| ([^|]*) \|/gm)]
    .flatMap((m) => [...m[1]!.matchAll(/`([a-z0-9-]+)`/g)].map((n) => n[1]!))
    .sort();
  assert.deepEqual(listed, reasons);
});

test('the README lists every setting, and the version is the package’s', () => {
  for (const s of SETTINGS)
    assert.ok(readme.includes(`\`--${s.key}\``) && readme.includes(`\`${s.variable}\``), s.key);
  assert.equal((JSON.parse(text('package.json')) as { version: string }).version, VERSION);
});
