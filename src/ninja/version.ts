// ninja's versions: major and minor count, the rest is decoration.
import { NinjaError } from './error.ts';

/** As ninja reads "1.11.1.git": [1, 11]. What is no number is 0. */
export function parseVersion(version: string): readonly [major: number, minor: number] {
  const [major, minor] = version.split('.');
  return [leadingNumber(major), leadingNumber(minor)];
}

function leadingNumber(text: string | undefined): number {
  return Number(/^\s*([+-]?[0-9]+)/.exec(text ?? '')?.[1] ?? 0);
}

/** @returns a warning when the manifest asks for an older major version. Errors: `graph`, fatal, when it needs a newer ninja. */
export function checkNinjaVersion(ninjaVersion: string, required: string): string | undefined {
  const [major, minor] = parseVersion(ninjaVersion);
  const [requiredMajor, requiredMinor] = parseVersion(required);
  if (major > requiredMajor) {
    return (
      `ninja executable version (${ninjaVersion}) greater than build file ` +
      `ninja_required_version (${required}); versions may be incompatible.`
    );
  }
  if (major === requiredMajor && minor >= requiredMinor) return undefined;
  throw new NinjaError(
    'graph',
    `ninja version (${ninjaVersion}) incompatible with build file ninja_required_version version (${required}).`,
    { fatal: true },
  );
}
