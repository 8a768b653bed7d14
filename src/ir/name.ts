// Object names: what everything in the system is called by.
//
// Format (version 1): TYPE HEX "-" SIZE [ "#" TAG ]
//   TYPE  "V" a value (finished bytes) or "T" a thunk (still to be run)
//   HEX   SHA-256 of the bytes, 64 lower-case hex digits
//   SIZE  their length in bytes, decimal
//   TAG   names one output of a thunk; only on "T" names
// HEX and SIZE map one to one onto a Remote Execution API digest.
import { createHash } from 'node:crypto';

/** A name without a tag: of a value or of a whole thunk. */
export type ObjectName = string & { readonly __objectName: unique symbol };
/** A name as it stands in a thunk's inputs and in placeholders: a value, or a thunk's output with its tag. */
export type ObjectRef = string & { readonly __objectRef: unique symbol };

export interface ParsedRef {
  readonly type: 'V' | 'T';
  readonly hash: string;
  readonly sizeBytes: number;
  readonly tag: string | undefined;
}

const REF = /^([VT])([0-9a-f]{64})-(0|[1-9][0-9]{0,15})(?:#([A-Za-z0-9._+-]{1,64}))?$/;

/** @returns the parts of a name, or undefined when the text is not one (a value with a tag is not one). */
export function parseRef(text: string): ParsedRef | undefined {
  const m = REF.exec(text);
  if (!m) return undefined;
  if (m[1] === 'V' && m[4] !== undefined) return undefined;
  return { type: m[1] as 'V' | 'T', hash: m[2]!, sizeBytes: Number(m[3]), tag: m[4] };
}

export function isValue(name: string): boolean {
  return name.charCodeAt(0) === 0x56;
}

export function isThunk(name: string): boolean {
  return name.charCodeAt(0) === 0x54;
}

/** The name of these bytes as a value. */
export function nameValue(bytes: Uint8Array): ObjectName {
  return `V${createHash('sha256').update(bytes).digest('hex')}-${bytes.byteLength}` as ObjectName;
}

/** The name of a thunk whose canonical form is these bytes. */
export function nameThunk(bytes: Uint8Array): ObjectName {
  return `T${createHash('sha256').update(bytes).digest('hex')}-${bytes.byteLength}` as ObjectName;
}

/** A thunk's output as others refer to it. */
export function outputRef(thunk: ObjectName, tag: string): ObjectRef {
  return `${thunk}#${tag}` as ObjectRef;
}

/** The name without its tag. */
export function baseName(ref: string): ObjectName {
  const hash = ref.indexOf('#');
  return (hash < 0 ? ref : ref.slice(0, hash)) as ObjectName;
}

/** The tag of a reference, or undefined. */
export function tagOf(ref: string): string | undefined {
  const hash = ref.indexOf('#');
  return hash < 0 ? undefined : ref.slice(hash + 1);
}

/** The length in bytes of the object a name stands for. */
export function sizeOf(ref: string): number {
  const base = baseName(ref);
  return Number(base.slice(base.lastIndexOf('-') + 1));
}
