import { runCases } from './cases.ts';

runCases('readers.tsv', 'shell');
