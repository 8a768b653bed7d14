// What gcc prints on a terminal differs from what it prints into a pipe, and thunks run on pipes. The flags here ask for
// what the caller's terminal would have got. Source: diagnostic-color.cc (should_colorize, auto_enable_urls) of gcc 12.
import type { Call } from '../model.ts';
import type { Parsed } from './parse.ts';

/** The first version with links in diagnostics. */
const LINKS_SINCE = 10;

function onTerminal(call: Call): boolean {
  const term = call.env.get('TERM');
  return call.stderrTty && term !== undefined && term !== 'dumb';
}

/** gcc trusts a terminal with links unless these say otherwise. */
function linksWork(env: ReadonlyMap<string, string>): boolean {
  const colorTerm = env.get('COLORTERM');
  if (colorTerm === 'xfce4-terminal' || colorTerm === 'gnome-terminal') return false;
  if (env.has('GCC_URLS') || env.has('TERM_URLS')) return true;
  const term = env.get('TERM');
  return colorTerm !== undefined || (term !== 'xterm' && term !== 'linux');
}

/** True when the last of the user's flags on the matter, if any, leaves the choice to gcc. */
function leftToGcc(parsed: Parsed, about: 'color' | 'urls'): boolean {
  const concerns = new RegExp(`^-f(no-)?diagnostics-(${about}|plain-output|format=)`);
  const last = parsed.words.findLast((word) => word.kind === 'flag' && concerns.test(word.args[0]!));
  return last?.kind !== 'flag' || last.args[0] === `-fdiagnostics-${about}=auto`;
}

/** @param major the driver's version */
export function terminalFlags(parsed: Parsed, call: Call, major: number): string[] {
  // A link of objects has nothing to colour: the linker knows no colours.
  if (!onTerminal(call) || !/[pca]/.test(parsed.stages)) return [];
  const flags: string[] = [];
  if (call.env.get('GCC_COLORS') !== '' && leftToGcc(parsed, 'color'))
    flags.push('-fdiagnostics-color=always');
  if (major >= LINKS_SINCE && linksWork(call.env) && leftToGcc(parsed, 'urls'))
    flags.push('-fdiagnostics-urls=always');
  return flags;
}
