// Placeholders: small files that stand in the tree for artifacts that are still thunks. They identify themselves by
// content, so mv, cp, ln and install of one keep working. Every form has one exact size, so that a reader (the
// interposer, the walk at the end of a build) can tell most files apart by their size alone.
//
//   object   an ELF relocatable with a note holding MARK and the reference, and one undefined hidden symbol whose name
//            says what to run: real ar, ranlib, nm and ld -r take it, a real final link fails and names the cure
//   archive  a valid archive with such an object as its member
//   script   "#!" shim, MARK and the reference in line 2: running one forces it; read by a linker it is a syntax error
//   text     a C comment: .s, .i, maps
//   rule     a comment of make: depfiles
//
// In all forms MARK and the reference stand within the first MARK_WITHIN bytes, ended by a byte that no name holds.
import { type ObjectRef, parseRef } from './name.ts';

export type PlaceholderForm = 'object' | 'archive' | 'script' | 'text' | 'rule';

/** The "1" is the version of the forms. */
export const MARK = 'gg-placeholder 1 ';
export const MARK_WITHIN = 512;
export const SIZE_BY_FORM: Readonly<Record<PlaceholderForm, number>> = {
  object: 1024,
  archive: 1152,
  script: 512,
  text: 512,
  rule: 512,
};
const SIZES: ReadonlySet<number> = new Set(Object.values(SIZE_BY_FORM));
/** What an unforced object says in a linker's error. */
export const CURE_SYMBOL = 'this_is_a_gg_placeholder__run_gg_force';

/** What the ELF header of a placeholder object must say to be taken by the user's binutils. */
export interface ElfTarget {
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
  readonly machine: number;
  readonly flags: number;
  /** Relocation type for an absolute word of the target, so that the undefined symbol counts as used. */
  readonly relocation: number;
}

export const X86_64: ElfTarget = { bits: 64, littleEndian: true, machine: 62, flags: 0, relocation: 1 };

/** R_*_32 or R_*_64 by machine; 0 (none) where we do not know: the link then still fails on the hidden symbol. */
const RELOCATION_BY_MACHINE: Readonly<Record<number, number>> = {
  3: 1,
  40: 2,
  62: 1,
  183: 257,
  243: 2,
  21: 38,
  20: 1,
  8: 2,
  22: 22,
};

/** Reads the target from the first bytes of any ELF file of it (a crt1.o). */
export function elfTargetOf(head: Buffer): ElfTarget | undefined {
  if (head.length < 52 || head.toString('latin1', 0, 4) !== '\x7fELF') return undefined;
  const bits = head[4] === 2 ? 64 : 32;
  const littleEndian = head[5] === 1;
  const u16 = (at: number): number => (littleEndian ? head.readUInt16LE(at) : head.readUInt16BE(at));
  const u32 = (at: number): number => (littleEndian ? head.readUInt32LE(at) : head.readUInt32BE(at));
  const machine = u16(18);
  return {
    bits,
    littleEndian,
    machine,
    flags: u32(bits === 64 ? 48 : 36),
    relocation: RELOCATION_BY_MACHINE[machine] ?? 0,
  };
}

/** True when a file of this size may be a placeholder. */
export function mayBePlaceholder(sizeBytes: number): boolean {
  return SIZES.has(sizeBytes);
}

/** The reference in a placeholder's bytes (the first MARK_WITHIN suffice), or undefined when they are not one. */
export function readPlaceholder(bytes: Buffer): ObjectRef | undefined {
  const head = bytes.subarray(0, MARK_WITHIN);
  const at = head.indexOf(MARK);
  if (at < 0) return undefined;
  const text = head.toString('latin1', at + MARK.length, Math.min(head.length, at + MARK.length + 160));
  const end = /[^0-9A-Za-z._+#-]/.exec(text);
  if (!end) return undefined;
  const parsed = parseRef(text.slice(0, end.index));
  if (parsed?.type !== 'T' || parsed.tag === undefined) return undefined;
  return text.slice(0, end.index) as ObjectRef;
}

/** True when the mark is there but the reference after it cannot be read: a damaged placeholder. */
export function isDamagedPlaceholder(bytes: Buffer): boolean {
  const head = bytes.subarray(0, MARK_WITHIN);
  return head.includes(MARK) && readPlaceholder(head) === undefined && mayBePlaceholder(bytes.length);
}

/** @param interpreter absolute path of the program in the "#!" line (the shim as gg-run); only scripts need it. */
export function writePlaceholder(
  form: PlaceholderForm,
  ref: ObjectRef,
  options: { readonly interpreter: string; readonly target: ElfTarget },
): Buffer {
  switch (form) {
    case 'object':
      return objectForm(ref, options.target);
    case 'archive':
      return archiveForm(ref, options.target);
    case 'script':
      return padded(
        `#!${options.interpreter}\n# ${MARK}${ref}\necho "gg: $0 is a placeholder: run 'gg force'" >&2\nexit 126\n`,
        SIZE_BY_FORM.script,
        '\n',
      );
    case 'text':
      return padded(`/* ${MARK}${ref} : run gg force */\n`, SIZE_BY_FORM.text, '\n');
    case 'rule':
      return padded(`# ${MARK}${ref} : run gg force\n`, SIZE_BY_FORM.rule, '\n');
  }
}

/** Bytes of the longest interpreter path a script has room for (the kernel reads 256 bytes of the first line). */
export const INTERPRETER_BYTES_MAX = 200;

function padded(text: string, sizeBytes: number, fill: string): Buffer {
  const bytes = Buffer.alloc(sizeBytes, fill);
  const written = bytes.write(text);
  if (written !== Buffer.byteLength(text))
    throw new RangeError(`a placeholder of ${Buffer.byteLength(text)} bytes, room for ${sizeBytes}`);
  return bytes;
}

/** Writes integers in the target's byte order and word size. */
class ElfWriter {
  readonly bytes: Buffer;
  readonly #target: ElfTarget;
  at = 0;

  constructor(bytes: Buffer, target: ElfTarget) {
    this.bytes = bytes;
    this.#target = target;
  }

  u8(...values: number[]): void {
    for (const v of values) this.bytes[this.at++] = v;
  }

  u16(...values: number[]): void {
    for (const v of values)
      this.at = this.#target.littleEndian
        ? this.bytes.writeUInt16LE(v, this.at)
        : this.bytes.writeUInt16BE(v, this.at);
  }

  u32(...values: number[]): void {
    for (const v of values)
      this.at = this.#target.littleEndian
        ? this.bytes.writeUInt32LE(v, this.at)
        : this.bytes.writeUInt32BE(v, this.at);
  }

  word(...values: number[]): void {
    for (const v of values) {
      if (this.#target.bits === 32) this.u32(v);
      else if (this.#target.littleEndian) this.u32(v, 0);
      else this.u32(0, v);
    }
  }
}

function objectForm(ref: string, target: ElfTarget): Buffer {
  const bytes = Buffer.alloc(SIZE_BY_FORM.object);
  const w = new ElfWriter(bytes, target);
  const wide = target.bits === 64;
  const headSize = wide ? 64 : 52;
  const sectionSize = wide ? 64 : 40;
  const symbolSize = wide ? 24 : 16;
  const relaSize = wide ? 24 : 12;
  const names = [
    '',
    '.note.gg',
    '.symtab',
    '.strtab',
    '.shstrtab',
    '.note.GNU-stack',
    '.init_array',
    '.rela.init_array',
  ];
  const shstrtab = Buffer.from(`${names.join('\0')}\0`);
  const nameAt = (name: string): number => (name === '' ? 0 : shstrtab.indexOf(`${name}\0`));
  const strtab = Buffer.from(`\0${CURE_SYMBOL}\0`);
  const desc = Buffer.from(`${MARK}${ref}\0`);
  const noteSize = 12 + 4 + Math.ceil(desc.length / 4) * 4;

  const align8 = (n: number): number => Math.ceil(n / 8) * 8;
  const noteAt = headSize;
  const symtabAt = align8(noteAt + noteSize);
  const strtabAt = symtabAt + 2 * symbolSize;
  const shstrtabAt = strtabAt + strtab.length;
  const arrayAt = align8(shstrtabAt + shstrtab.length);
  const wordSize = wide ? 8 : 4;
  const relaAt = align8(arrayAt + wordSize);
  const sectionsAt = align8(relaAt + relaSize);
  const sectionCount = target.relocation === 0 ? 6 : 8;
  if (sectionsAt + sectionCount * sectionSize > bytes.length)
    throw new RangeError('a placeholder object has no room');

  w.u8(0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, target.littleEndian ? 1 : 2, 1);
  w.at = 16;
  w.u16(1, target.machine);
  w.u32(1);
  w.word(0, 0, sectionsAt);
  w.u32(target.flags);
  w.u16(headSize, 0, 0, sectionSize, sectionCount, 4);

  w.at = noteAt;
  w.u32(3, desc.length, 1);
  bytes.write('gg\0', w.at, 'latin1');
  desc.copy(bytes, noteAt + 16);

  w.at = symtabAt + symbolSize;
  w.u32(1);
  // Global, no type, hidden, undefined: hidden makes a shared library's link fail too.
  if (wide) {
    w.u8(0x10, 2);
    w.u16(0);
    w.word(0, 0);
  } else {
    w.u32(0, 0);
    w.u8(0x10, 2);
    w.u16(0);
  }
  strtab.copy(bytes, strtabAt);
  shstrtab.copy(bytes, shstrtabAt);

  w.at = relaAt;
  if (wide) {
    if (target.littleEndian) w.u32(0, 0, target.relocation, 1, 0, 0);
    else w.u32(0, 0, 1, target.relocation, 0, 0);
  } else w.u32(0, (1 << 8) | target.relocation, 0);

  const section = (
    name: string,
    type: number,
    flags: number,
    at: number,
    size: number,
    link: number,
    info: number,
    align: number,
    entry: number,
  ): void => {
    w.u32(nameAt(name), type);
    w.word(flags, 0, at, size);
    w.u32(link, info);
    w.word(align, entry);
  };
  w.at = sectionsAt + sectionSize;
  section('.note.gg', 7, 0, noteAt, noteSize, 0, 0, 4, 0);
  section('.symtab', 2, 0, symtabAt, 2 * symbolSize, 3, 1, 8, symbolSize);
  section('.strtab', 3, 0, strtabAt, strtab.length, 0, 0, 1, 0);
  section('.shstrtab', 3, 0, shstrtabAt, shstrtab.length, 0, 0, 1, 0);
  section('.note.GNU-stack', 1, 0, shstrtabAt, 0, 0, 0, 1, 0);
  if (target.relocation !== 0) {
    // .init_array is never garbage-collected, so the reference to the undefined symbol always counts.
    section('.init_array', 14, 3, arrayAt, wordSize, 0, 0, wordSize, wordSize);
    section('.rela.init_array', 4, 0x40, relaAt, relaSize, 2, 6, wordSize, relaSize);
  }
  return bytes;
}

const MEMBER_HEAD = 60;

function memberHead(name: string, sizeBytes: number): string {
  return `${name.padEnd(16)}${'0'.padEnd(12)}${'0'.padEnd(6)}${'0'.padEnd(6)}${'644'.padEnd(8)}${String(sizeBytes).padEnd(10)}\`\n`;
}

function archiveForm(ref: string, target: ElfTarget): Buffer {
  const object = objectForm(ref, target);
  // The empty second member only brings the archive to its own exact size.
  return Buffer.concat(
    [
      Buffer.from(`!<arch>\n${memberHead('run-gg-force.o/', object.length)}`, 'latin1'),
      object,
      Buffer.from(memberHead('empty/', 0), 'latin1'),
    ],
    8 + 2 * MEMBER_HEAD + object.length,
  );
}
