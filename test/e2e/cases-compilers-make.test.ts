import { runCases } from './cases.ts';

runCases('compilers.tsv', 'make');
