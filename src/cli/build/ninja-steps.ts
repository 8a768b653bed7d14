// Which of ninja's build statements a thunk belongs to, by the output it makes.
import { resolve } from 'node:path';
import { canonicalize } from '../../ninja/canonicalize.ts';
import { NinjaError } from '../../ninja/error.ts';
import { loadManifest, type Manifest } from '../../ninja/manifest.ts';
import { parseNinjaArgs } from '../../ninja/ninja-args.ts';
import { readFileIn } from '../../ninja/read-file.ts';
import type { StepOf } from '../../report/steps.ts';

/** What follows an output's path in the label of an in-place tool: " (ranlib)". */
const IN_PLACE = / \([^()]*\)$/;

/** @param command ninja's own. The manifest is read when the first label comes, while ninja runs. */
export function ninjaSteps(command: readonly string[]): StepOf {
  let manifest: Manifest | undefined;
  let tried = false;
  return (label) => {
    if (!tried) {
      tried = true;
      manifest = load(command);
    }
    const path = canonicalize(label.replace(IN_PLACE, ''));
    const edge = manifest?.nodeByPath.get(path)?.inEdge;
    return edge?.outputs[0]?.path;
  };
}

function load(command: readonly string[]): Manifest | undefined {
  const args = parseNinjaArgs(command.slice(1));
  if (args.kind !== 'build') return undefined;
  try {
    return loadManifest(args.file, {
      readFile: readFileIn(resolve(args.directory ?? '.')),
      dupbuild: args.dupbuild,
    });
  } catch (error) {
    // ninja says it.
    if (error instanceof NinjaError) return undefined;
    throw error;
  }
}
