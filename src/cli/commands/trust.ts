// `gg trust`: the user's own signing key, and whose signatures count.
import { readFileSync } from 'node:fs';
import { CliError, EXIT } from '../../settings/exit.ts';
import { publicText } from '../../store/signature.ts';
import { addKey, generateKey, listKeys, removeKey } from '../../store/trust-keys.ts';

const NAME = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,99}$/;

const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

export function keygen(directory: string): number {
  try {
    print(generateKey(directory));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new CliError(
      EXIT.config,
      `there is a key in ${directory}/secret.pem already`,
      "'gg trust list' shows its public half; what it has signed counts as long as others keep that",
    );
  }
  return EXIT.ok;
}

/** @param key the text of a public key, or a file that holds it. */
export function add(directory: string, name: string, key: string): number {
  if (!NAME.test(name)) throw new CliError(EXIT.usage, `${name}: no name for a key`, 'letters, digits, ._@-');
  let text = key;
  if (!key.startsWith('ed25519:'))
    try {
      text = readFileSync(key, 'utf8');
    } catch (error) {
      throw new CliError(EXIT.usage, `${key}: ${(error as Error).message}`, 'give a key, or a file with one');
    }
  const id = addKey(directory, name, text);
  if (id === undefined)
    throw new CliError(EXIT.usage, `${key}: not a public key`, "as 'gg trust keygen' prints it: ed25519:...");
  print(`${id}  ${name}`);
  return EXIT.ok;
}

export function remove(directory: string, name: string): number {
  if (!NAME.test(name) || !listKeys(directory).some((key) => key.name === name))
    throw new CliError(EXIT.usage, `${name}: no such key`, "'gg trust list' names them");
  removeKey(directory, name);
  return EXIT.ok;
}

export function list(directory: string): number {
  for (const { name, id, key } of listKeys(directory))
    print(`${id}  ${publicText(key)}  ${name ?? '(your own)'}`);
  return EXIT.ok;
}
