// Which thunks may leave this machine.
import { CLOCK_UNUSED, type Thunk } from '../../ir/thunk.ts';

export type LocalOnlyReason =
  | 'native-flags'
  | 'time'
  | 'unknown-salt'
  | 'output-above'
  | 'asks-for-directories'
  | 'charset'
  | 'linker'
  | 'locale';

export type Place =
  | { readonly kind: 'anywhere' }
  | { readonly kind: 'local-only'; readonly reason: LocalOnlyReason; readonly detail: string };

/** Locales a captured toolchain brings along: no translations, and quotes as in C or in C.UTF-8. */
const LOCALE = /^(?:|C|POSIX|(?:C|en_US)\.(?:utf8|UTF-8)|en_US|en)$/;
/** They load character set modules, which are not captured. */
const CHARSET = /^-f(?:input|exec|wide-exec)-charset=/;

/** lld and mold are as large as the compiler and rarely used: they are not captured. */
const LINKER = /^-fuse-ld=(?!(?:bfd|gold)$)/;

function localOnly(reason: LocalOnlyReason, detail: string): Place {
  return { kind: 'local-only', reason, detail };
}

export function placeOf(thunk: Thunk): Place {
  for (const salt of thunk.salt) {
    if (salt.startsWith('mtime-class:') || salt === CLOCK_UNUSED) continue;
    if (salt.startsWith('native:')) return localOnly('native-flags', salt);
    if (salt.startsWith('time:')) return localOnly('time', 'the result holds the time of the run');
    return localOnly('unknown-salt', salt);
  }
  const above = thunk.outputs.find((o) => o.path.split('/').includes('..'));
  if (above) return localOnly('output-above', above.path);
  for (const arg of thunk.args) {
    if (typeof arg !== 'string') continue;
    // A directory without inputs is not there on a worker.
    if (arg === '-Wmissing-include-dirs') return localOnly('asks-for-directories', arg);
    if (LINKER.test(arg)) return localOnly('linker', arg);
    if (CHARSET.test(arg)) return localOnly('charset', arg);
  }
  for (const [name, value] of thunk.env) {
    if (name !== 'LANG' && name !== 'LANGUAGE' && !name.startsWith('LC_')) continue;
    if (!value.split(':').every((v) => LOCALE.test(v))) return localOnly('locale', `${name}=${value}`);
  }
  return { kind: 'anywhere' };
}
