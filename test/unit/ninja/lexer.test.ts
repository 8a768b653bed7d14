import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NinjaError } from '../../../src/ninja/error.ts';
import { Lexer, type Token } from '../../../src/ninja/lexer.ts';

function lexer(text: string | Buffer): Lexer {
  return new Lexer('f', Buffer.from(text));
}

function tokens(text: string): readonly Token[] {
  const source = lexer(text);
  const result: Token[] = [];
  do result.push(source.readToken());
  while (result.at(-1) !== 'eof' && result.at(-1) !== 'error');
  return result;
}

const TOKENS: readonly (readonly [text: string, tokens: readonly Token[]])[] = [
  ['', ['eof']],
  ['\n \n\r\n  \r\n', ['newline', 'newline', 'newline', 'newline', 'eof']],
  ['# c\n   # c\nx', ['ident', 'eof']],
  ['  x # y', ['indent', 'ident', 'error']],
  ['build builds rule.x pool', ['build', 'ident', 'ident', 'pool', 'eof']],
  ['include subninja default', ['include', 'subninja', 'default', 'eof']],
  [
    'a:b|c||d|@e=f',
    [
      'ident',
      'colon',
      'ident',
      'pipe',
      'ident',
      'pipe2',
      'ident',
      'pipe-at',
      'ident',
      'equals',
      'ident',
      'eof',
    ],
  ],
  ['a $\n  $\r\n b', ['ident', 'ident', 'eof']],
  ['a $b', ['ident', 'error']],
  ['\t', ['error']],
  ['a\0b', ['ident', 'eof']],
];

for (const [text, expected] of TOKENS) {
  test(`tokens of ${JSON.stringify(text)}`, () => assert.deepEqual(tokens(text), expected));
}

test('values: blanks, colons and bars are text, the newline is eaten', () => {
  const source = lexer(`a :|b $$ $x-y.z $\n    \${x.y}$:end\r\nnext`);
  assert.deepEqual(source.readValue(), ['a :|b $ ', { name: 'x-y' }, '.z ', { name: 'x.y' }, ':end']);
  assert.equal(source.readToken(), 'ident');
});

test('paths end at blanks, colons, bars and newlines', () => {
  const source = lexer('a$ b  c$:d:e|f\n');
  const read = (): unknown => source.readPath();
  assert.deepEqual([read(), read(), read()], ['a b', 'c:d', '']);
  assert.equal(source.readToken(), 'colon');
  assert.equal(read(), 'e');
  assert.equal(source.readToken(), 'pipe');
  assert.deepEqual([read(), read()], ['f', '']);
});

test('without variables a text is a plain string', () => {
  assert.equal(lexer('a$ b$$c\n').readValue(), 'a b$c');
  assert.equal(lexer('$\n\n').readValue(), '');
});

function message(text: string | Buffer): string {
  try {
    lexer(text).readValue();
  } catch (error) {
    if (error instanceof NinjaError) return error.message;
    throw error;
  }
  return assert.fail('nothing was thrown');
}

const BAD_ESCAPE = 'bad $-escape (literal $ must be written as $$)';

test('columns count bytes; the line is shown whole', () => {
  assert.equal(message('é $! x\n'), `f:1: ${BAD_ESCAPE}\né $! x\n   ^ near here`);
  const bytes = Buffer.from('\xff $! x\n', 'latin1');
  assert.equal(message(bytes), `f:1: ${BAD_ESCAPE}\n\udcff $! x\n  ^ near here`);
});

test('long lines are cut at 72 bytes, and errors behind that show none', () => {
  const long = 'a'.repeat(71);
  assert.equal(message(`${long}$!\n`), `f:1: ${BAD_ESCAPE}\n${long}$...\n${' '.repeat(71)}^ near here`);
  assert.equal(message(`${long}a$!\n`), `f:1: ${BAD_ESCAPE}\n`);
});

test('an error at the start of a line shows no line', () => {
  assert.equal(message('abc$\n$!'), `f:2: ${BAD_ESCAPE}\n`);
  assert.equal(message('abc'), 'f:1: unexpected EOF\nabc\n   ^ near here');
  assert.equal(message('a\rb'), 'f:1: lexing error\na\rb\n ^ near here');
});
