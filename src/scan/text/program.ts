// What is left of a file when everything but its directives is taken away.

/** Operations; each is three integers: operation, a, b. Jump targets are indices into `ops`. */
export const OP = {
  /** a: name, b: macro number */
  DEFINE: 0,
  /** a: name */
  UNDEF: 1,
  /** Carry on if the name a is defined, else jump to b. */
  IFDEF: 2,
  /** Carry on if the name a is not defined, else jump to b. */
  IFNDEF: 3,
  /** Carry on if condition a holds, else jump to b. */
  IF: 4,
  /** b: where to */
  JUMP: 5,
  /** a: index into `includes` */
  INCLUDE: 6,
  ONCE: 7,
  SYSTEM_HEADER: 8,
  /** a: name */
  PUSH: 9,
  /** a: name */
  POP: 10,
  /** The compiler stops here with an error. a: index into `details` */
  ERROR: 11,
  /** Beyond us. a: index into `details` */
  HAND_OVER: 12,
  /** Changes macros in a compile, or may do so when it is used, but not under -M. a: index into `details` */
  TARGET: 13,
} as const;

export const OP_STRIDE = 3;

export interface Include {
  readonly directive: 'include' | 'include_next' | 'import';
  /** `macro`: `name` is text to be expanded. */
  readonly form: 'quote' | 'angle' | 'macro';
  readonly name: string;
}

export interface Program {
  readonly ops: Int32Array;
  readonly includes: readonly Include[];
  /** Texts of conditions. */
  readonly conditions: readonly string[];
  readonly details: readonly string[];
  /** Name without whose absence nothing in the file has an effect, or -1. */
  readonly guard: number;
}
