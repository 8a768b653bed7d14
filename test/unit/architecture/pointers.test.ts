// A comment that names a file of ours names one that is there.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));
/** Sources of other projects that we cite. */
const CITED = new Set(['asm/preproc.c', 'asm/nasm.c']);
const COMMENT = /^\s*(?:\/\/|\/?\*)|(?:\/\/|\/\*)\s/;
const NAMED = /(?<![\w.@/-])(?:[\w-]+\/)+[\w-]+\.(?:ts|c|h)\b(?!\()/g;

function files(directory: string): string[] {
  return readdirSync(join(root, directory), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(?:ts|c|h)$/.test(name) && !name.includes('generated/'))
    .map((name) => join(directory, name));
}

test('files named in comments exist', () => {
  const stale: string[] = [];
  let looked = 0;
  for (const file of [...files('src'), ...files('wrappers'), ...files('scripts')])
    for (const [i, line] of readFileSync(join(root, file), 'utf8').split('\n').entries()) {
      const at = COMMENT.exec(line)?.index;
      if (at === undefined) continue;
      for (const [name] of line.slice(at).matchAll(NAMED)) {
        looked++;
        const places = [name, `src/${name}`, `test/${name}`, join(dirname(file), name)];
        if (!CITED.has(name) && !places.some((place) => existsSync(join(root, place))))
          stale.push(`${file}:${i + 1}: ${name}`);
      }
    }
  assert.ok(looked > 20, `${looked} names looked at`);
  assert.deepEqual(stale, []);
});
