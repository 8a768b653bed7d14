import { runCases } from './cases.ts';

runCases('more.tsv', 'make');
