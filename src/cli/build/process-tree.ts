// Ends a command and everything it started, also what a dead parent left behind.
import { readdirSync, readFileSync } from 'node:fs';

/** After this long a program that does not end by itself is killed. */
const GRACE_MS = 3000;
const LOOK_MS = 50;

function parents(): Map<number, number> {
  const parentOf = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
      parentOf.set(pid, Number(stat.slice(stat.lastIndexOf(')') + 4).split(' ', 1)[0]));
    } catch {
      // ended meanwhile
    }
  }
  return parentOf;
}

/** The process and those below it, outermost first. */
export function processesBelow(pid: number): number[] {
  const childrenOf = Map.groupBy(parents(), ([, parent]) => parent);
  const found = [pid];
  for (let i = 0; i < found.length; i++)
    for (const [child] of childrenOf.get(found[i]!) ?? []) if (!found.includes(child)) found.push(child);
  return found;
}

function kill(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}

/** Resolves when none of them is left. */
export async function endTree(pid: number): Promise<void> {
  const all = processesBelow(pid);
  for (const p of all) kill(p, 'SIGTERM');
  const untilMs = Date.now() + GRACE_MS;
  while (all.some((p) => kill(p, 0)) && Date.now() < untilMs)
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  for (const p of all) kill(p, 'SIGKILL');
}
