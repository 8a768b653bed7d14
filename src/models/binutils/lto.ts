// Objects for link-time optimization keep assembler code as text, and it is assembled by the link: the link reads what .incbin and
// .include in it name. Sections are zstd frames; the text stands in one as it is.
import { zstdDecompressSync } from 'node:zlib';

const SECTION = '.gnu.lto_';
const FRAME = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
/** Bytes one section may come to. */
const SECTION_BYTES_MAX = 1 << 30;
/** A directive that reads, or something that could make one of its parts. */
const MAY_READ = /incbin|\.include|\.macro|\.irpc?\b|\.mri\b/i;

/** @param bytes an object, or an archive of some. @returns true also for what cannot be looked into. */
export function linkReadsForAssembler(bytes: Buffer): boolean {
  if (!bytes.includes(SECTION)) return false;
  let frames = 0;
  for (let at = bytes.indexOf(FRAME); at >= 0; at = bytes.indexOf(FRAME, at + FRAME.length)) {
    let text: string;
    try {
      text = zstdDecompressSync(bytes.subarray(at), { maxOutputLength: SECTION_BYTES_MAX }).toString(
        'latin1',
      );
    } catch {
      // Four bytes that only look like a frame's; a real one that is damaged is the compiler's to refuse.
      continue;
    }
    frames++;
    if (MAY_READ.test(text)) return true;
  }
  return frames === 0;
}
