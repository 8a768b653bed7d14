// Reads one file of a zip, by its central directory, and checks it: as strict as a service that must run what is inside.
import { crc32, inflateRawSync } from 'node:zlib';
import { ServiceError } from './error.ts';

const bad = (why: string): ServiceError =>
  new ServiceError(400, 'InvalidParameterValueException', `Could not unzip uploaded file: ${why}`);

export function firstFile(zip: Buffer, name: string): Buffer {
  const end = zip.lastIndexOf(Buffer.from([0x50, 0x4b, 0x05, 0x06]));
  if (end < 0) throw bad('no end of central directory');
  let at = zip.readUInt32LE(end + 16);
  for (let n = zip.readUInt16LE(end + 10); n > 0; n--) {
    if (zip.readUInt32LE(at) !== 0x02014b50) throw bad('central directory');
    const method = zip.readUInt16LE(at + 10);
    const crc = zip.readUInt32LE(at + 16);
    const size = zip.readUInt32LE(at + 20);
    const nameLength = zip.readUInt16LE(at + 28);
    const local = zip.readUInt32LE(at + 42);
    if (zip.toString('utf8', at + 46, at + 46 + nameLength) === name) {
      if (zip.readUInt32LE(local) !== 0x04034b50) throw bad('local header');
      const from = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
      const raw = zip.subarray(from, from + size);
      const bytes = method === 8 ? inflateRawSync(raw) : raw;
      if (crc32(bytes) !== crc) throw bad('checksum');
      return bytes;
    }
    at += 46 + nameLength + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
  }
  throw bad(`no ${name} in it`);
}
