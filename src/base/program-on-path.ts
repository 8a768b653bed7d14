// Where a shell would find a program.
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { tryStat } from './stat.ts';

/** A shell's own when PATH is not set. */
const DEFAULT_PATH = '/usr/local/bin:/usr/bin:/bin';

/** @returns the path of an executable file, as PATH spells it; undefined when there is none. */
export function programOnPath(word: string, searchPath = DEFAULT_PATH): string | undefined {
  const places = word.includes('/')
    ? [word]
    : searchPath.split(':').map((directory) => join(directory, word));
  return places.find((place) => {
    try {
      accessSync(place, constants.X_OK);
      return tryStat(place)?.isFile() === true;
    } catch {
      return false;
    }
  });
}
