// Hand-written manifests, each for a corner of the language. Keys are file names; build.ninja is the one to load.

export interface Sample {
  readonly name: string;
  readonly files: Readonly<Record<string, string | Buffer>>;
}

const CC = 'rule cc\n  command = cc $flags -c $in -o $out\n';
const CAT = 'rule cat\n  command = cat $in > $out\n';

function sample(name: string, text: string | Buffer, more: Sample['files'] = {}): Sample {
  return { name, files: { 'build.ninja': text, ...more } };
}

export const SAMPLES: readonly Sample[] = [
  sample('empty', ''),
  sample('only comments', '# one\n\n   # two\n   \n\r\n# three\n'),
  sample('one statement', `${CC}build a.o: cc a.c\n`),
  sample('crlf', `${CC}build a.o: cc a.c\n  flags = -O2\n`.replaceAll('\n', '\r\n')),
  sample('all kinds of inputs', `${CC}build a | b c: cc d e | f g || h i |@ v\nbuild v: cc w\n`),
  sample(
    'late variables',
    `flags = 1\n${CC}build a: cc b\nbuild c: cc d\n  flags = 2\nflags = 3\nbuild $flags: cc e\n`,
  ),
  sample('paths are evaluated at once', `x = 1\n${CC}build a$x: cc b\nx = 2\nbuild a$x: cc b$x\n`),
  sample(
    'own variables do not see each other',
    `${CC}flags = F\nbuild a: cc b\n  flags = $flags-own\n  other = $flags\nbuild c: cc d\n  flags = $other\n`,
  ),
  sample(
    'file variable over rule binding',
    `${CC}command = from the file\nbuild a: cc b\nbuild c: cc d\n  x = 1\n`,
  ),
  sample(
    'paths use own variables',
    `${CC}build $o: cc $i | $j || $k |@ $l\n  o = o\n  i = i\n  j = j\n  k = k\n  l = l\n`,
  ),
  sample(
    'escapes',
    `${CC}a = x$$y $  z$:$\n      end$\n\nbuild a$ b$:c$$d: cc e$\n    f $\n  g$\n\n  flags = $a\${a}.\${a.b}$a-b\na.b = dotted\na-b = dashed\n`,
  ),
  sample('quoting', `${CC}build it's$ out "b: cc in$ 1 a'b\\c *? é ~ %+-._/ = @x\n`),
  sample('in_newline', 'rule r\n  command = r $in_newline $in $out\nbuild a b | c: r d e$ f | g\n'),
  sample(
    'response files',
    'rule r\n  command = r @$out.rsp $out\n  rspfile = $out.rsp\n  rspfile_content = $in_newline $flags\nbuild o: r x y\n  flags = -z\nbuild o$ p: r x\nbuild q: r x\n  rspfile = other\n',
  ),
  sample(
    'rspfile from the file does not shine through',
    `${CC}rspfile = f\nbuild a: cc b\n  x = 1\nbuild c: cc d\n`,
  ),
  sample(
    'rule bindings in rule bindings',
    'rule r\n  command = $description; $depfile\n  description = D $out\n  depfile = $out.d\n  deps = gcc\n  restat = 1\n  generator = 1\nbuild a$ b: r c\nbuild d: r e\n  depfile = own\n',
  ),
  sample(
    'pools',
    `pool p\n  depth = 2\npool q\n  depth = 0x\n${CC}build a: cc b\n  pool = p\nbuild c: cc d\n  pool = console\nbuild e: cc f\n  pool =\n`,
  ),
  sample(
    'phony',
    `${CC}build all: phony a b\nbuild a: cc x\nbuild b: phony c | d || e\nbuild c d e: cc y\nbuild none: phony\n`,
  ),
  sample('phony with itself', `build a: phony a b\nbuild c: phony d || c e\nbuild f: phony f\n`),
  sample(
    'defaults',
    `${CC}build a: cc b\nbuild c: cc d\nbuild e: cc f\ndefault c $x\ndefault ./y/../e\n`.replace('$x', 'a'),
  ),
  sample('default with variable', `x = a\n${CC}build a: cc b\nbuild c: cc d\ndefault $x\n`),
  sample(
    'canonical paths',
    `${CC}build ./a//b/../c: cc ../x/./y ../../z /abs/../q /../r a/.. ./ .. ../ ./.. w/ /a//b/.\n`,
  ),
  sample('duplicate inputs', `${CC}build a: cc b b ./b | b || b\nbuild c: cc a a\n`),
  sample(
    'keywords as prefixes',
    `${CC}builder = 1\nrule.x = 2\npools = 3\nbuild build rule: cc pool default\n`,
  ),
  sample('rule names with dots', 'rule a.b-c_d\n  command = x\nbuild o: a.b-c_d\n'),
  sample('no blanks', 'rule r\n command=x $in\nbuild a|b:r c|d||e|@f\nx=1\n'),
  sample(
    'blanks',
    'rule   r  \n     command   =   x $in  \nbuild   a   |   b   :   r   c   |   d   ||   e   |@   f   \n',
  ),
  sample('continued lines', 'rule $\n  r\n  command $\n  = $\n    x $\n  y\nbuild $\n a $\n : $\n r $\n b\n'),
  sample(
    'comments between bindings',
    'rule r\n  # one\n  command = x # y\n# two\n  description = z\nbuild a: r\n\n',
  ),
  sample('text behind a NUL byte', `${CC}build a: cc b\n\0garbage : | =`),
  sample('no newline after a comment', '# fine\nx = 1\n'),
  sample('include', `${CC}x = 1\ninclude sub$ dir/inc.ninja\nbuild b: cc $x\n`, {
    'sub dir/inc.ninja': 'x = 2\nbuild a: cc $x\nrule inner\n  command = inner $x\n',
  }),
  sample('subninja', `${CC}x = 1\nflags = F\nsubninja sub.ninja\nbuild b: cc $x\nx = 9\nflags = G\n`, {
    'sub.ninja':
      'x = 2\nbuild a: cc $x\nrule inner\n  command = inner $x $flags\nbuild c: inner\nbuild d: inner\n  x = 3\nrule cc\n  command = other $x\nbuild e: cc\nrule phony\n  command = not phony\nbuild f: phony\nx = 5\n',
  }),
  sample('nested files', 'x = 1\nsubninja a.ninja\n', {
    'a.ninja': `x = \${x}-a\ninclude b.ninja\nbuild a: r $x\n`,
    'b.ninja': `x = \${x}-b\nrule r\n  command = r $in $x\nsubninja c.ninja\nbuild b: r $x\n`,
    'c.ninja': `build c: r $x\nx = \${x}-c\n`,
  }),
  sample(
    'dyndep',
    `${CAT}build a b: cat c || dd\n  dyndep = dd\nbuild d: cat e | dd\n  dyndep = ./dd\nbuild f: cat d2\n`,
    {
      dd: 'ninja_dyndep_version = 1.0\nbuild b | a2: dyndep | c2 c3\n  restat = 1\nbuild d: dyndep\n',
    },
  ),
  sample(
    'dyndep from the rule',
    'rule r\n  command = x $in\n  dyndep = $out.dd\nbuild a$ b: r c || a$ b.dd\n',
    {
      'a b.dd': '# head\nninja_dyndep_version = 1\nbuild a$ b: dyndep | ./x/../y z\n',
    },
  ),
  sample(
    'validations',
    `${CC}build a: cc b |@ va vb\nbuild va: cc b |@ vc\nbuild vb: phony va c\nbuild vc: cc c\n`,
  ),
  sample('implicit outputs only', `${CC}build | a b: cc c\n`),
  sample('utf-8', 'rule r\n  command = r $in\nbuild größe: r naïve/日本 😀$ x\n'),
  sample(
    'bytes that are no text',
    Buffer.from('rule r\n  command = r $in > $out \xff\nbuild a\xe9b: r c\xc3 \xf0\x9f\x98 d\n', 'latin1'),
  ),
  sample('the roots', `${CC}build a: cc b\nbuild b c: cc d |@ c\nbuild e: phony e2\n`),
  sample('builddir and version', `ninja_required_version = 1.3\nbuilddir = out/log\n${CC}build a: cc b\n`),
];

/** Broken ones: what matters is ninja's message. */
export const BROKEN: readonly Sample[] = [
  sample('unknown rule', 'build a: nope b\n'),
  sample('missing colon', `${CC}build a cc b\n`),
  sample('no output', `${CC}build : cc b\n`),
  sample('no rule name', 'build a:\n'),
  sample('tab', `${CC}\tbuild a: cc b\n`),
  sample('tab before a binding', 'rule r\n\tcommand = x\n'),
  sample('indent', '  x = 1\n'),
  sample('unexpected tokens', '= x\n'),
  sample('unexpected colon', 'x = 1\n   # c\n: x\n'),
  sample('bad escape', 'x = a $ b$^c\n'),
  sample('bad escape in braces', `xyz = \${a b}\n`),
  sample('dollar at the end', 'x = a$'),
  sample('eof in a value', 'x = abc'),
  sample('eof in a path', `${CC}build a: cc b`),
  sample('eof after build', 'build'),
  sample('lone cr', 'x = a\rb\n'),
  sample('lone cr between', 'x = a\n\ry = b\n'),
  sample('comment without newline', 'x = 1\n# comment'),
  sample('indented comment without newline', 'x = 1\n   # comment'),
  sample('rule without command', 'rule r\n  description = d\nbuild a: r\n'),
  sample('rule without command at the end', 'rule r\n'),
  sample('empty command', 'rule r\n  command =\n\n  \nbuild a: r\n'),
  sample('rule with a strange binding', 'rule r\n  command = x\n  flags = y\n'),
  sample('rule twice', `${CC}${CC}`),
  sample('rule phony', 'rule phony\n  command = x\n'),
  sample('rule without a name', 'rule\n  command = x\n'),
  sample('rule with more', 'rule a b\n'),
  sample('half a response file', 'rule r\n  command = x\n  rspfile = y\nbuild a: r\n'),
  sample('pool twice', 'pool p\n  depth = 1\npool p\n  depth = 1\n'),
  sample('pool console', 'pool console\n  depth = 1\n'),
  sample('pool without depth', 'pool p\n'),
  sample('pool with a negative depth', 'pool p\n  depth = -1\n'),
  sample('pool with a strange binding', 'pool p\n  width = 1\n'),
  sample('pool without a name', 'pool =\n'),
  sample('unknown pool', `${CC}build a: cc b\n  pool = nope\n`),
  sample('multiple rules', `${CC}build a: cc b\nbuild x ./a: cc c\n`),
  sample('an output twice', `${CC}build a a: cc b\n`),
  sample('empty path out', `${CC}build $x: cc b\n`),
  sample('empty path in', `${CC}build a: cc $x b\n`),
  sample('empty path validation', `${CC}build a: cc b |@ $x\n`),
  sample('default unknown', `${CC}build a: cc b\ndefault b c\n`),
  sample('default nothing', 'default\n'),
  sample('default empty', 'default $x\n'),
  sample('default colon', `${CC}build a: cc b\ndefault a: b\n`),
  sample('default too early', `default a\n${CC}build a: cc b\n`),
  sample('missing include', 'x = 1\ninclude nope.ninja\n'),
  sample('include without a path', 'include\n'),
  sample('include of a directory', 'include dir\n', { 'dir/x': '' }),
  sample('include with more', 'include a.ninja b.ninja\n', { 'a.ninja': '' }),
  sample('error in an included file', `${CC}subninja sub/a.ninja\n`, {
    'sub/a.ninja': 'x = 1\nbuild a: nope\n',
  }),
  sample('rule of a subninja', 'subninja a.ninja\nbuild a: r\n', { 'a.ninja': 'rule r\n  command = x\n' }),
  sample('dyndep not an input', `${CC}build a: cc b\n  dyndep = dd\n`),
  sample('assignment without value', 'x\n'),
  sample('assignment with colon', 'x : 1\n'),
  sample('binding without a name', `${CC}build a: cc b\n  = 1\n`),
  sample('long line', `${CC}build ${'a'.repeat(30)} ${'b'.repeat(60)}: nope ${'c'.repeat(60)}\n`),
  sample('column 71 and 72', `${CC}build ${'a'.repeat(63)} nope : nope\n`),
  sample('long line, late error', `x = ${'a'.repeat(90)}$\n  ${'b'.repeat(90)} $! c\n`),
  sample('utf-8 before the error', 'x = größe日本 $! b\n'),
  sample('bytes before the error', Buffer.from('x = \xff\xe9 $! b\n', 'latin1')),
  sample(
    'cycle in rule variables',
    'rule r\n  command = $description\n  description = $depfile\n  depfile = $description\nbuild a: r b\n',
  ),
  sample('command needs itself', 'rule r\n  command = x $command\nbuild a: r b\n'),
  sample('pool needs itself', 'rule r\n  command = x\n  pool = $pool\nbuild a: r b\n'),
  sample('version too new', 'ninja_required_version = 99.1\n???\n'),
  sample('version nonsense', 'ninja_required_version = 2\nbuild a: phony\n'),
  sample('everything is used', `${CC}build a: cc b\nbuild b: cc a\n`),
];

const TWO_DYNDEPS = `${CAT}build a: cat c || dd\n  dyndep = dd\nbuild b: cat c || dd\n  dyndep = dd\nbuild x: cat c\nbuild all: phony a b\n`;

function dyndepSample(name: string, dd: string): Sample {
  return sample(`dyndep: ${name}`, TWO_DYNDEPS, { dd, c: '' });
}

/** Manifests that load, but `ninja all` finds an error before it runs anything. */
export const UNBUILDABLE: readonly Sample[] = [
  dyndepSample('empty', ''),
  dyndepSample('no version', 'build a: dyndep\n'),
  dyndepSample('other variable', 'x = 1\n'),
  dyndepSample('other version', 'ninja_dyndep_version = 2\n'),
  dyndepSample('other minor version', 'ninja_dyndep_version = 1.1\n'),
  dyndepSample('version twice', 'ninja_dyndep_version = 1\nninja_dyndep_version = 1\n'),
  dyndepSample('rule', 'ninja_dyndep_version = 1\nrule r\n'),
  dyndepSample('tab', 'ninja_dyndep_version = 1\n\tx\n'),
  dyndepSample('indent', 'ninja_dyndep_version = 1\n  x = 1\n'),
  dyndepSample('no path', 'ninja_dyndep_version = 1\nbuild : dyndep\n'),
  dyndepSample('empty path', 'ninja_dyndep_version = 1\nbuild $x: dyndep\n'),
  dyndepSample('unknown output', 'ninja_dyndep_version = 1\nbuild nope: dyndep\n'),
  dyndepSample('twice', 'ninja_dyndep_version = 1\nbuild a: dyndep\nbuild ./a: dyndep\n'),
  dyndepSample('explicit output', 'ninja_dyndep_version = 1\nbuild a a2: dyndep\n'),
  dyndepSample('explicit input', 'ninja_dyndep_version = 1\nbuild a: dyndep c\n'),
  dyndepSample('order-only input', 'ninja_dyndep_version = 1\nbuild a: dyndep || c\n'),
  dyndepSample('other rule', 'ninja_dyndep_version = 1\nbuild a: cat\n'),
  dyndepSample('no colon', 'ninja_dyndep_version = 1\nbuild a | b2\n'),
  dyndepSample('other binding', 'ninja_dyndep_version = 1\nbuild a: dyndep\n  x = 1\n'),
  dyndepSample('two bindings', 'ninja_dyndep_version = 1\nbuild a: dyndep\n  restat = 1\n  restat = 1\n'),
  dyndepSample('empty implicit input', 'ninja_dyndep_version = 1\nbuild a: dyndep | $x\n'),
  dyndepSample('one is missing', 'ninja_dyndep_version = 1\nbuild a: dyndep\n'),
  dyndepSample(
    'one too many',
    'ninja_dyndep_version = 1\nbuild a: dyndep\nbuild b: dyndep\nbuild x: dyndep\n',
  ),
  dyndepSample('output of another', 'ninja_dyndep_version = 1\nbuild a | x: dyndep\nbuild b: dyndep\n'),
  dyndepSample('cycle', 'ninja_dyndep_version = 1\nbuild a: dyndep | b\nbuild b: dyndep | a\n'),
  sample('cycle of one', `${CC}build a: cc a\nbuild all: phony a\n`),
  sample('cycle of two', `${CC}build a: cc b\nbuild b: cc a\nbuild all: phony c a\nbuild c: cc\n`),
  sample('cycle through a second output', `${CC}build a a2: cc b\nbuild b: cc c || a2\nbuild all: phony a\n`),
  sample('phony cycle of two', `build a: phony b\nbuild b: phony a\nbuild all: phony a\n`),
  sample('cycle behind the target', `${CC}build a: cc b\nbuild b: cc c\nbuild c: cc b\nbuild all: phony a\n`),
  sample(
    'cycle in a validation',
    `${CC}build a: cc |@ v\nbuild v: cc w\nbuild w: cc v\nbuild all: phony a\n`,
  ),
];
