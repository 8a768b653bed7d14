// From the text of directives to a program. Groups that hold nothing of interest vanish.
import { latin1FileName } from './file-name.ts';
import { PRAGMA_WITH_EFFECT } from './file-facts.ts';
import { MODE, NAMED_OPERATORS } from './mode.ts';
import { type Include, OP, type Program } from './program.ts';
import type { Symbols } from './symbols.ts';

const NAME = '[A-Za-z_$\\x80-\\xff][\\w$\\x80-\\xff]*';
const FIRST_NAME = new RegExp(`^(${NAME})`);
const REST_NAME = new RegExp(`^[ \\t\\f\\v\\0]*(${NAME})`);
const SIMPLE_CONDITION = new RegExp(
  `^[ \\t\\f\\v\\0]*(!?)[ \\t]*defined[ \\t]*(?:\\([ \\t]*(${NAME})[ \\t]*\\)|[ \\t](${NAME}))[ \\t]*$`,
);
const MACRO_PRAGMA = /^[ \t]*(push_macro|pop_macro)[ \t]*\([ \t]*"([^"\\]*)"[ \t]*\)/;

/** Names that no directive may define. */
const RESERVED: ReadonlySet<string> = new Set(['defined', '__has_include__', '__has_include_next__']);

interface Group {
  /** Where the whole conditional starts, and how much of substance there was before it. */
  readonly start: number;
  readonly substance: number;
  /** The operation whose jump goes to the next branch; -1: none does. */
  pending: number;
  /** Jumps to the end. */
  readonly exits: number[];
  sawElse: boolean;
  /** A branch where none may be. The compiler says so whichever branch it takes. */
  broken: string | undefined;
}

export class DirectiveReader {
  readonly #mode: number;
  readonly #symbols: Symbols;
  readonly #ops: number[] = [];
  readonly #includes: Include[] = [];
  readonly #conditions: string[] = [];
  readonly #details: string[] = [];
  readonly #groups: Group[] = [];
  /** Operations that do something, ever emitted. */
  #substance = 0;

  constructor(mode: number, symbols: Symbols) {
    this.#mode = mode;
    this.#symbols = symbols;
  }

  /** @param text what stands behind "#", from the first character that is no blank. */
  read(text: string): void {
    const name = FIRST_NAME.exec(text)?.[1];
    if (name === undefined) {
      this.#nameless(text);
      return;
    }
    const rest = text.slice(name.length);
    switch (name) {
      case 'define':
        return this.#define(rest);
      case 'undef':
        return this.#withName(rest, true, (id) => this.#emit(OP.UNDEF, id, 0));
      case 'ifdef':
      case 'ifndef':
        return this.#ifdef(rest, name === 'ifdef');
      case 'if':
        return this.#if(rest);
      case 'elif':
        return this.#elif(() => this.#condition(rest));
      case 'elifdef':
      case 'elifndef':
        // Strict standards before C2X and C++23 do not know it: an error, or nothing at all where it is skipped.
        if (!(this.#mode & MODE.elifdef)) return this.fail(`#${name}`);
        return this.#elif(() => this.#nameCondition(rest, name === 'elifdef'));
      case 'else':
        return this.#else();
      case 'endif':
        return this.#endif();
      case 'include':
      case 'include_next':
      case 'import':
        return this.#include(name, rest);
      case 'pragma':
        return this.#pragma(rest);
      case 'error':
        return this.fail(`#error${rest}`);
      case 'line':
      case 'warning':
      case 'ident':
      case 'sccs':
        return;
      case 'assert':
      case 'unassert':
      case 'embed':
        return this.handOver(`#${name}`);
      default:
        if (!(this.#mode & MODE.assembler)) this.fail(`#${name}`);
    }
  }

  finish(): Program {
    if (this.#groups.length > 0) {
      while (this.#groups.length > 0) this.#close(true);
      this.fail('#if without #endif');
    }
    const ops = Int32Array.from(this.#ops);
    const guarded = ops[0] === OP.IFNDEF && ops[2] === ops.length;
    return {
      ops,
      includes: this.#includes,
      conditions: this.#conditions,
      details: this.#details,
      guard: guarded ? ops[1]! : -1,
    };
  }

  handOver(detail: string): void {
    this.#emit(OP.HAND_OVER, this.#details.push(detail) - 1, 0);
  }

  /** The compiler reports an error here. */
  fail(detail: string): void {
    this.#emit(OP.ERROR, this.#details.push(detail) - 1, 0);
  }

  #emit(op: number, a: number, b: number): void {
    this.#substance++;
    this.#ops.push(op, a, b);
  }

  /** Not a name behind "#": nothing, a line marker, or an error. */
  #nameless(text: string): void {
    if (this.#mode & MODE.assembler || /^[ \t\f\v\0]*$/.test(text)) return;
    if (/^[0-9]+[ \t]*$|^[0-9]+[ \t]+"(?:[^"\\]|\\.)*"[ \t]*$/.test(text)) return;
    // Markers with flags say "system header"; anything else is an error.
    this.handOver(`#${text}`);
  }

  #withName(rest: string, defining: boolean, then: (id: number) => void): void {
    const name = REST_NAME.exec(rest)?.[1];
    if (name === undefined) this.handOver(`directive without a name: ${rest}`);
    else if (
      (defining && RESERVED.has(name)) ||
      (this.#mode & MODE.namedOperators && NAMED_OPERATORS.has(name)) ||
      (name.includes('$') && !(this.#mode & MODE.dollars))
    )
      this.handOver(`directive about ${name}`);
    else then(this.#symbols.id(name));
  }

  #define(rest: string): void {
    this.#withName(rest, true, (id) => {
      const body = rest.slice(REST_NAME.exec(rest)![0].length);
      if (body.startsWith('\\')) return this.handOver('universal character name');
      const text = body.startsWith('(') ? body.trimEnd() : ` ${body.trim()}`;
      this.#emit(OP.DEFINE, id, this.#symbols.macro(text));
      if (text.includes('_Pragma') && PRAGMA_WITH_EFFECT.test(text)) this.#target(`#define${rest}`);
    });
  }

  #open(): Group {
    const group: Group = {
      start: this.#ops.length,
      substance: this.#substance,
      pending: -1,
      exits: [],
      sawElse: false,
      broken: undefined,
    };
    this.#groups.push(group);
    return group;
  }

  /** A test; `pending` of the innermost group is where it jumps from. */
  #test(op: number, a: number): void {
    this.#groups.at(-1)!.pending = this.#ops.length;
    this.#ops.push(op, a, -1);
  }

  #ifdef(rest: string, wanted: boolean): void {
    this.#open();
    this.#nameCondition(rest, wanted);
  }

  #nameCondition(rest: string, wanted: boolean): void {
    this.#withName(rest, false, (id) => this.#test(wanted ? OP.IFDEF : OP.IFNDEF, id));
  }

  #if(rest: string): void {
    this.#open();
    this.#condition(rest);
  }

  #condition(rest: string): void {
    const simple = SIMPLE_CONDITION.exec(rest);
    const text = rest.trim();
    // A search in vain is remembered, and an #include of the same name passed over.
    if (text.includes('__has_include')) this.#substance++;
    if (simple) this.#nameCondition(simple[2] ?? simple[3]!, simple[1] === '');
    else if (text === '0') this.#test(OP.JUMP, 0);
    else if (text !== '1') this.#test(OP.IF, this.#conditions.push(text) - 1);
  }

  /** Ends a branch: what was taken leaves, what was not comes in here. */
  #nextBranch(group: Group): void {
    group.exits.push(this.#ops.length);
    this.#ops.push(OP.JUMP, 0, -1);
    if (group.pending >= 0) this.#ops[group.pending + 2] = this.#ops.length;
    group.pending = -1;
  }

  #elif(test: () => void): void {
    const group = this.#groups.at(-1);
    if (!group) return this.fail('#elif without #if');
    if (group.sawElse) {
      group.broken ??= '#elif after #else';
      return;
    }
    // After a branch that is always taken nothing is looked at.
    this.#nextBranch(group);
    test();
  }

  #else(): void {
    const group = this.#groups.at(-1);
    if (!group) return this.fail('#else without #if');
    if (group.sawElse) {
      group.broken ??= '#else after #else';
      return;
    }
    group.sawElse = true;
    this.#nextBranch(group);
  }

  #endif(): void {
    if (this.#groups.length === 0) return this.fail('#endif without #if');
    this.#close(false);
  }

  #close(keep: boolean): void {
    const group = this.#groups.pop()!;
    if (!keep && group.substance === this.#substance) this.#ops.length = group.start;
    else {
      const end = this.#ops.length;
      if (group.pending >= 0) this.#ops[group.pending + 2] = end;
      for (const exit of group.exits) this.#ops[exit + 2] = end;
    }
    if (group.broken !== undefined) this.fail(group.broken);
  }

  #include(directive: Include['directive'], rest: string): void {
    const operand = rest.replace(/^[ \t\f\v\0]+/, '');
    const literal = /^(?:"([^"]*)"|<([^>]*)>)/.exec(operand);
    if (!literal) {
      if (operand === '' || operand.startsWith('<') || operand.startsWith('"'))
        return this.handOver(`#${directive} ${operand}`);
      const include: Include = { directive, form: 'macro', name: operand.trimEnd() };
      return this.#emit(OP.INCLUDE, this.#includes.push(include) - 1, 0);
    }
    const name = latin1FileName(literal[1] ?? literal[2]!);
    if (name === undefined || name === '')
      return this.handOver(name === '' ? 'empty file name' : 'not UTF-8');
    const include: Include = { directive, form: literal[1] !== undefined ? 'quote' : 'angle', name };
    this.#emit(OP.INCLUDE, this.#includes.push(include) - 1, 0);
  }

  #pragma(rest: string): void {
    if (/^[ \t\f\v\0]*once\b/.test(rest)) return this.#emit(OP.ONCE, 0, 0);
    const macro = MACRO_PRAGMA.exec(rest);
    if (macro) {
      const id = this.#symbols.id(macro[2]!);
      return this.#emit(macro[1] === 'push_macro' ? OP.PUSH : OP.POP, id, 0);
    }
    if (/^[ \t\f\v\0]*(?:push_macro|pop_macro)\b/.test(rest)) return this.handOver(`#pragma${rest}`);
    const gcc = /^[ \t\f\v\0]*GCC[ \t]+(\w+)/.exec(rest)?.[1];
    switch (gcc) {
      case 'system_header':
        return this.#emit(OP.SYSTEM_HEADER, 0, 0);
      case 'poison':
      case 'dependency':
      case 'pch_preprocess':
        return this.handOver(`#pragma${rest}`);
      case 'error':
        return this.fail(`#pragma${rest}`);
      case 'target':
      case 'optimize':
        this.#target(`#pragma${rest}`);
    }
  }

  #target(detail: string): void {
    this.#emit(OP.TARGET, this.#details.push(detail) - 1, 0);
  }
}
