// File names among latin1 text, where a character is a byte.

/** @returns the name as text, undefined when its bytes are not UTF-8. */
export function latin1FileName(latin1: string): string | undefined {
  if (!/[\x80-\xff]/.test(latin1)) return latin1;
  const bytes = Buffer.from(latin1, 'latin1');
  const text = bytes.toString('utf8');
  return Buffer.from(text, 'utf8').equals(bytes) ? text : undefined;
}
