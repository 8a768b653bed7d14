// npm run cloud: the stand-ins of S3 and Lambda with the worker deployed, until it is interrupted. Prints the variables that lead to them
// and the flags that select them: gg FLAGS make.
import { startCloud } from '../test/emulators/cloud.ts';

const cloud = await startCloud();
const { GG_ENGINE, GG_REMOTE, ...variables } = cloud.env;
for (const [name, value] of Object.entries(variables)) console.log(`export ${name}='${value}'`);
console.log(`# gg --engine=${GG_ENGINE} --remote=${GG_REMOTE} make`);
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void cloud.close().then(() => process.exit(0)));
