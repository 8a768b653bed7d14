import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { runCases } from './cases.ts';

if (spawnSync('nasm', ['-v']).error) test('nasm.tsv', { skip: 'nasm is not installed' }, () => {});
else runCases('nasm.tsv', 'shell');
