// The commands of gg, and what to say to a word that is none.

/** Those that run a command of the user's: what stands behind it is that command's own. */
export const WRAPPED: ReadonlySet<string> = new Set(['make', 'gmake', 'ninja', 'build', 'infer', 'watch']);

export const COMMANDS: readonly string[] = [
  ...WRAPPED,
  'force',
  'finalize',
  'status',
  'explain',
  'describe',
  'hash',
  'toolchain',
  'gc',
  'trust',
  'clean',
  'stop',
  'doctor',
  'deploy',
  'native',
  'completion',
  'help',
];

/** Letters that may differ between what was typed and what was meant. */
const DISTANCE_MAX = 2;

/** Insertions, deletions, changes and swaps of neighbours that lead from one word to the other. */
function distance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      row[j] = Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, rows[i - 1]![j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        row[j] = Math.min(row[j]!, rows[i - 2]![j - 2]! + 1);
    }
    rows.push(row);
  }
  return rows[a.length]![b.length]!;
}

/** The command that was probably meant; undefined when none is near. */
export function nearestCommand(word: string): string | undefined {
  return COMMANDS.map((name) => ({ name, far: distance(word, name) }))
    .filter(({ far }) => far <= DISTANCE_MAX && far < word.length / 2)
    .sort((x, y) => x.far - y.far)[0]?.name;
}
