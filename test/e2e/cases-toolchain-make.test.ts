import { runCases } from './cases.ts';

runCases('toolchain.tsv', 'make');
