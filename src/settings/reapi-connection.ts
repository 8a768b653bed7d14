// The settings of a Remote Execution server as a connection needs them: files read, headers taken apart.
import { readFileSync, statSync } from 'node:fs';
import type { ReapiChoice } from './engine-choice.ts';
import { CliError, EXIT } from './exit.ts';

export interface ReapiConnection {
  readonly tls: { readonly ca?: Buffer; readonly cert?: Buffer; readonly key?: Buffer };
  /** Asked for anew with each call. */
  readonly headers: () => (readonly [name: string, value: string])[];
  readonly platform: readonly (readonly [name: string, value: string])[];
}

/** How long what a header's file says is believed. */
const HEADER_MS = 60_000;

/** @throws CliError for a setting that cannot be used. */
export function reapiConnection(choice: ReapiChoice): ReapiConnection {
  return {
    tls: {
      ...pem('ca', 'reapi-tls-ca', choice.tlsCa),
      ...pem('cert', 'reapi-tls-cert', choice.tlsCert),
      ...pem('key', 'reapi-tls-key', choice.tlsKey),
    },
    headers: headersOf(choice.headers),
    platform: choice.platform.map(property),
  };
}

function pem<K extends string>(kind: K, setting: string, path: string): { readonly [P in K]?: Buffer } {
  if (path === '') return {};
  try {
    return { [kind]: readFileSync(path) } as { readonly [P in K]?: Buffer };
  } catch (error) {
    throw new CliError(
      EXIT.config,
      `${setting}: ${path}: ${(error as Error).message}`,
      'a readable PEM file',
    );
  }
}

function property(text: string): readonly [string, string] {
  const at = text.indexOf('=');
  if (at < 1) throw new CliError(EXIT.config, `reapi-platform: ${text}`, 'NAME=VALUE, several with commas');
  return [text.slice(0, at), text.slice(at + 1)];
}

/** @throws CliError for a line that is no header, or a file that cannot be read at the start. */
function headersOf(lines: readonly string[]): () => (readonly [string, string])[] {
  const readers = lines.map((line) => {
    const m = /^([A-Za-z0-9_.-]+):\s*(.+)$/.exec(line);
    // The value may be a secret: it is not repeated.
    if (!m)
      throw new CliError(
        EXIT.config,
        'reapi-header: not of the form NAME: VALUE',
        'NAME: VALUE, or NAME: @FILE',
      );
    const [, name, value] = m;
    if (!value!.startsWith('@')) return () => [name!, value!] as const;
    const path = value!.slice(1);
    let last = { atMs: 0, text: '' };
    const read = (): readonly [string, string] => {
      if (Date.now() - last.atMs > HEADER_MS && statSync(path, { throwIfNoEntry: false })?.isFile())
        last = { atMs: Date.now(), text: readFileSync(path, 'utf8').trim() };
      return [name!, last.text];
    };
    if (read()[1] === '')
      throw new CliError(EXIT.config, `reapi-header: ${name}: @${path}`, 'a readable file with the value');
    return read;
  });
  return () => readers.map((read) => read());
}
