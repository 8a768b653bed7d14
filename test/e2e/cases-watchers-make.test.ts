import { runCases } from './cases.ts';

runCases('watchers.tsv', 'make');
