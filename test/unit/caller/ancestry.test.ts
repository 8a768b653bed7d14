import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shellOf } from '../../../src/caller/ancestry.ts';

const LINES: readonly (readonly [line: string, shell: unknown])[] = [
  ['sh -c S', { flags: 'c', script: 'S' }],
  ['sh -ec S', { flags: 'ec', script: 'S' }],
  ['sh -e -c S a0', { flags: 'ec', script: 'S' }],
  ['bash -o pipefail -o errexit -c S', { flags: 'ooec', script: 'S' }],
  ['bash -euo pipefail -c S', { flags: 'euoc', script: 'S' }],
  ['bash +o errexit -c S', { flags: 'c', script: 'S' }],
  ['bash --norc --posix ./x.sh a', { flags: '', file: './x.sh' }],
  ['bash -x ./x.sh -c', { flags: 'x', file: './x.sh' }],
  ['sh', { flags: '', file: '' }],
  ['python3 -c S', undefined],
];
for (const [line, shell] of LINES) {
  test(line, () => {
    const words = line.split(' ');
    assert.deepEqual(shellOf(words[0]!, words), shell);
  });
}
