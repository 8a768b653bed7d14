// What a recipe does with a command's exit status and messages besides handing them to its build tool. Where it looks at
// them, the command cannot be put off: `gcc -c probe.c 2>/dev/null || echo no` is a question.

/** Quoted text, substitutions and comments: what is in them is no command of the recipe's own. */
const HIDDEN =
  /\\[\s\S]|'[^']*'|"(?:[^"\\]|\\[\s\S])*"|`(?:[^`\\]|\\[\s\S])*`|\$\((?:[^()]|\([^()]*\))*\)|(?<=^|\s)#.*/g;
const ENDS_AT_FAILURE = /(?:^|[\s;&({])set\s+(?:-\w+\s+)*-\w*e/;
/** Words after which a shell looks at an exit status. */
const ASKS = /(?:^|[\s;&({])(?:if|elif|while|until|!)\s/;
const PIPE = /(?<!\|)\|(?!\|)/;

/**
 * True when a shell that runs `script` does something with the exit status of `tool` other than ending with it.
 * @param flags the shell's own flags, e.g. "ec".
 */
export function looksAtStatus(script: string, flags: string, tool: string): boolean {
  const bare = script.replace(HIDDEN, (text) => (text.includes(tool) && !text.startsWith('#') ? tool : ' '));
  const steps = bare.replace(/[;\s]+$/, '').split(/;|\n|(?<![&<>])&(?![&>])/);
  const ends = flags.includes('e') || ENDS_AT_FAILURE.test(bare);
  return steps.some((step, i) => {
    const at = step.lastIndexOf(tool);
    if (at < 0) return false;
    const after = step.slice(at);
    // Without -e what comes after a `;` runs in any case, and its status is the recipe's.
    return (
      ASKS.test(step.slice(0, at)) ||
      after.includes('||') ||
      PIPE.test(after) ||
      (!ends && i < steps.length - 1)
    );
  });
}

/**
 * Where a descriptor leads, compared along the way up to the build tool.
 * @param links what /proc/PID/fd/N says for the tool, then each process above it, the build tool last; undefined: unknown.
 */
export function isRedirected(links: readonly (string | undefined)[], buildTool: string): boolean {
  const own = links[0];
  if (own === undefined) return false;
  for (const [i, link] of links.slice(1).entries()) {
    if (link === undefined || link === own) continue;
    if (i < links.length - 2) return true;
    // ninja gives each command a pipe of its own, make under --output-sync a file without a name.
    if (own.startsWith('pipe:') && /^(?:ninja|samu|n2|fbuild|muon)/.test(buildTool)) return false;
    return !/\/Gm[A-Za-z0-9]{6} \(deleted\)$/.test(own);
  }
  return false;
}
