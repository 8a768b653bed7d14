// Bytes as strings, without loss. UTF-8 reads as itself; a byte that is not part of valid UTF-8 becomes the lone
// surrogate U+DC00 + byte (as Python's "surrogateescape" does), so that any path survives the way in and out.
import { isUtf8 } from 'node:buffer';

const HIGH = /[\x80-\xff]/;
const ESCAPED = /[\udc80-\udcff]/;

/** Length in bytes of a well-formed UTF-8 sequence at `at`, 0 when there is none. */
function sequenceLength(bytes: Buffer, at: number): number {
  const first = bytes[at]!;
  if (first < 0x80) return 1;
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  return at + length <= bytes.length && isUtf8(bytes.subarray(at, at + length)) ? length : 0;
}

/** The text of these bytes; `encodeBytes` gives the same bytes back. */
export function decodeBytes(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString('utf8');
  const parts: string[] = [];
  let start = 0;
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes, at);
    if (length === 0) {
      parts.push(bytes.toString('utf8', start, at), String.fromCharCode(0xdc00 + bytes[at]!));
      start = at + 1;
    }
    at += length || 1;
  }
  parts.push(bytes.toString('utf8', start));
  return parts.join('');
}

/** As `decodeBytes`, from a string that holds one byte per character. */
export function decodeLatin1(text: string): string {
  return HIGH.test(text) ? decodeBytes(Buffer.from(text, 'latin1')) : text;
}

/** The bytes that `decodeBytes` read. */
export function encodeBytes(text: string): Buffer {
  if (!ESCAPED.test(text)) return Buffer.from(text);
  // A pair of surrogates is one ordinary character; only lone ones stand for bytes.
  const parts: Buffer[] = [];
  let plain = '';
  for (const char of text) {
    if (char.length === 1 && ESCAPED.test(char)) {
      parts.push(Buffer.from(plain), Buffer.of(char.charCodeAt(0) - 0xdc00));
      plain = '';
    } else {
      plain += char;
    }
  }
  parts.push(Buffer.from(plain));
  return Buffer.concat(parts);
}
