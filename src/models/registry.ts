// Which model answers for a tool's name.
import { arModel } from './binutils/ar.ts';
import { ranlibModel, stripModel } from './binutils/in-place.ts';
import { ldModel } from './binutils/ld.ts';
import { readerModel } from './binutils/reader.ts';
import { gccModel } from './gcc/model.ts';
import type { Model } from './model.ts';
import { nasmModel } from './nasm/model.ts';

const MODEL_BY_KIND: Readonly<Record<string, Model>> = {
  gcc: gccModel,
  'g++': gccModel,
  cc: gccModel,
  'c++': gccModel,
  cpp: gccModel,
  ar: arModel,
  'gcc-ar': arModel,
  ranlib: ranlibModel,
  'gcc-ranlib': ranlibModel,
  ld: ldModel,
  'ld.bfd': ldModel,
  'ld.gold': ldModel,
  'ld.lld': ldModel,
  strip: stripModel,
  nm: readerModel,
  'gcc-nm': readerModel,
  objcopy: readerModel,
  objdump: readerModel,
  readelf: readerModel,
  size: readerModel,
  nasm: nasmModel,
};

/** A target before it, a version behind it: x86_64-linux-gnu-gcc-12. */
const NAME =
  /^(?:[a-z0-9_]+(?:-[a-z0-9_.]+){1,3}-)?(gcc-ar|gcc-ranlib|gcc-nm|gcc|g\+\+|cc|c\+\+|cpp|ar|ranlib|ld(?:\.(?:bfd|gold|lld))?|strip|nm|objcopy|objdump|readelf|size|nasm)(?:-[0-9]+(?:\.[0-9]+)*)?$/;

/** @returns undefined for a name we know nothing of. */
export function modelFor(tool: string): Model | undefined {
  const kind = NAME.exec(tool)?.[1];
  return kind === undefined ? undefined : MODEL_BY_KIND[kind];
}
