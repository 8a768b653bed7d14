// Processes that a test looks for, and sources that keep some of them busy for a while.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export interface Process {
  readonly pid: number;
  readonly what: string;
}

/** Everything started from a rig's home: by its environment, its program, or a library mapped. */
export function processesOf(home: string): Process[] {
  const found: Process[] = [];
  const read = (path: string): string => {
    try {
      return readFileSync(path, 'latin1');
    } catch {
      return '';
    }
  };
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    let exe = '';
    try {
      exe = readlinkSync(`/proc/${pid}/exe`);
    } catch {
      continue;
    }
    const what = read(`/proc/${pid}/cmdline`).split('\0').join(' ').trim();
    if ([exe, what, read(`/proc/${pid}/environ`), read(`/proc/${pid}/maps`)].some((t) => t.includes(home)))
      found.push({ pid, what: what || exe });
  }
  return found;
}

/** A unit whose compile takes long: 2^doublings functions. @param salt makes another thunk of it. */
export function slowUnit(salt: number, doublings = 16): string {
  const lines = [
    `#define F0 X(__COUNTER__)`,
    '#define X(n) Y(n)',
    `#define Y(n) int f##n(int a) { return a * n + ${salt}; }`,
  ];
  for (let i = 1; i <= doublings; i++) lines.push(`#define F${i} F${i - 1} F${i - 1}`);
  return `${lines.join('\n')}\nF${doublings}\n`;
}
