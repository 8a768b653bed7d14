// All keys below a prefix: one page when that is all there is, else the rest in parallel by first hash digit.
import type { S3Wire } from './s3-wire.ts';

/** Of one hash digit: ten million names in all. Who lists more of them than that has no end. */
const PAGES_MAX = 640;

const HEX = [...'0123456789abcdef'];

/** @param types first letters of the names below the prefix, in ascending order. */
export async function listNames(
  wire: S3Wire,
  prefix: string,
  types: readonly string[],
  onName: (name: string) => void,
  signal?: AbortSignal,
): Promise<void> {
  const tell = (keys: readonly string[]): void => {
    for (const key of keys) onName(key.slice(prefix.length));
  };
  const first = await wire.listPage(prefix, {}, signal);
  tell(first.keys);
  if (first.next === undefined) return;
  const last = first.keys.at(-1)!;
  const parts = types
    .flatMap((type) => HEX.map((digit) => `${prefix}${type}${digit}`))
    .filter((part) => part > last || last.startsWith(part));
  await Promise.all(
    parts.map(async (part) => {
      let at: { token?: string; startAfter?: string } = last.startsWith(part) ? { startAfter: last } : {};
      for (let pages = 0; pages < PAGES_MAX; pages++) {
        const page = await wire.listPage(part, at, signal);
        tell(page.keys);
        if (page.next === undefined) return;
        at = { token: page.next };
      }
    }),
  );
}
