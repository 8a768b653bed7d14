// Lists of small numbers in few bytes: neighbours differ by little, so each is written as its difference from the one before.
// Seven bits a byte, the lowest first, the top bit set on all but the last; the sign is the lowest bit of all.

/** Bytes one number can take. */
const NUMBER_BYTES_MAX = 5;

let scratch = new Uint8Array(1 << 16);

/** @param numbers each below 2^30. */
export function packNumbers(numbers: ArrayLike<number>): Uint8Array {
  if (scratch.length < numbers.length * NUMBER_BYTES_MAX)
    scratch = new Uint8Array(2 * numbers.length * NUMBER_BYTES_MAX);
  let at = 0;
  let last = 0;
  for (let i = 0; i < numbers.length; i++) {
    const difference = numbers[i]! - last;
    last = numbers[i]!;
    let rest = difference < 0 ? -2 * difference - 1 : 2 * difference;
    for (; rest > 127; rest = Math.floor(rest / 128)) scratch[at++] = (rest & 127) | 128;
    scratch[at++] = rest;
  }
  return scratch.slice(0, at);
}

export function unpackNumbers(bytes: Uint8Array): number[] {
  const numbers: number[] = [];
  let last = 0;
  let rest = 0;
  let scale = 1;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!;
    rest += (byte & 127) * scale;
    if (byte > 127) {
      scale *= 128;
      continue;
    }
    last += rest & 1 ? -(rest + 1) / 2 : rest / 2;
    numbers.push(last);
    rest = 0;
    scale = 1;
  }
  return numbers;
}
