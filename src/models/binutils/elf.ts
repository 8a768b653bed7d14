// What a linker needs of a shared library: its soname, the libraries it needs, and where it looks for them.
// Source: ELF specification, program headers and the dynamic section. Bounds are checked: a damaged file gives undefined.

export interface DynamicInfo {
  readonly soname: string | undefined;
  readonly needed: readonly string[];
  /** DT_RUNPATH, or DT_RPATH when there is none. */
  readonly runpath: readonly string[];
}

const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const DT = { NULL: 0n, NEEDED: 1n, STRTAB: 5n, SONAME: 14n, RPATH: 15n, RUNPATH: 29n };
/** Entries of a dynamic section looked at; real ones have a few dozen. */
const ENTRIES_MAX = 10_000;

export function isElf(bytes: Buffer): boolean {
  return bytes.length > 20 && bytes.toString('latin1', 0, 4) === '\x7fELF';
}

/** @returns undefined for anything that is not a shared object with a dynamic section. */
export function readDynamic(bytes: Buffer): DynamicInfo | undefined {
  if (!isElf(bytes)) return undefined;
  const wide = bytes[4] === 2;
  const little = bytes[5] === 1;
  try {
    const u16 = (at: number): number => (little ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at));
    const u32 = (at: number): bigint => BigInt(little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at));
    const word = (at: number): bigint =>
      wide ? (little ? bytes.readBigUInt64LE(at) : bytes.readBigUInt64BE(at)) : u32(at);
    if (u16(16) !== 3) return undefined;
    const headersAt = Number(word(wide ? 32 : 28));
    const headerSize = u16(wide ? 54 : 42);
    const headers = u16(wide ? 56 : 44);
    const loads: { virtual: bigint; offset: bigint; size: bigint }[] = [];
    let dynamic: { at: number; size: number } | undefined;
    for (let i = 0; i < headers; i++) {
      const at = headersAt + i * headerSize;
      const type = Number(u32(at));
      const offset = word(at + (wide ? 8 : 4));
      const virtual = word(at + (wide ? 16 : 8));
      const size = word(at + (wide ? 32 : 16));
      if (type === PT_LOAD) loads.push({ virtual, offset, size });
      if (type === PT_DYNAMIC) dynamic = { at: Number(offset), size: Number(size) };
    }
    if (!dynamic) return undefined;
    const entry = wide ? 16 : 8;
    const entries: [bigint, bigint][] = [];
    for (let i = 0; i < ENTRIES_MAX && (i + 1) * entry <= dynamic.size; i++) {
      const tag = word(dynamic.at + i * entry);
      if (tag === DT.NULL) break;
      entries.push([tag, word(dynamic.at + i * entry + entry / 2)]);
    }
    const table = entries.find(([tag]) => tag === DT.STRTAB)?.[1];
    const load =
      table === undefined ? undefined : loads.find((l) => table >= l.virtual && table < l.virtual + l.size);
    if (table === undefined || !load) return undefined;
    const stringsAt = Number(table - load.virtual + load.offset);
    const text = (offset: bigint): string => {
      const from = stringsAt + Number(offset);
      const end = bytes.indexOf(0, from);
      return bytes.toString('utf8', from, end < 0 ? bytes.length : end);
    };
    const all = (tag: bigint): string[] => entries.filter(([t]) => t === tag).map(([, v]) => text(v));
    const runpath = all(DT.RUNPATH);
    return {
      soname: all(DT.SONAME)[0],
      needed: all(DT.NEEDED),
      runpath: (runpath.length > 0 ? runpath : all(DT.RPATH)).flatMap((p) => p.split(':')),
    };
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
