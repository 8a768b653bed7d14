// The command line. Options of ours stand before the wrapped command; everything behind it belongs to that command.
import yargs from 'yargs';
import { programOnPath } from '../base/program-on-path.ts';
import { COMMANDS, nearestCommand, WRAPPED } from './command-names.ts';
import { UntrustedPath } from '../base/trusted-path.ts';
import { CliError, EXIT } from '../settings/exit.ts';
import { type Flags, loadSettings, SETTINGS, trustDirectory } from '../settings/table.ts';
import { VERSION } from '../settings/version.ts';

const VALUED = new Set<string>(SETTINGS.map((s) => s.key));
/** Settings that stand without a value. */
const SWITCHES: ReadonlySet<string> = new Set(['json', 'quiet', 'preload', 'strict']);

interface Split {
  readonly flags: Flags;
  readonly command: string | undefined;
  readonly rest: readonly string[];
}

/**
 * Takes our options off the front, and for `gg make` and `gg ninja` our long options from among theirs (make and ninja
 * have none of these names).
 */
export function splitArguments(argv: readonly string[]): Split {
  const flags: Record<string, string> = {};
  const take = (words: readonly string[], at: number): number => {
    const m = /^--([a-z-]+)(?:=(.*))?$/s.exec(words[at]!);
    if (!m || !VALUED.has(m[1]!)) return 0;
    if (m[2] !== undefined) {
      flags[m[1]!] = m[2];
      return 1;
    }
    if (SWITCHES.has(m[1]!)) {
      flags[m[1]!] = '1';
      return 1;
    }
    const value = words[at + 1];
    if (value === undefined) throw new CliError(EXIT.usage, `--${m[1]} needs a value`, `gg --${m[1]}=VALUE`);
    if (m[1] === 'jobs' && !/^[0-9]+$/.test(value))
      throw new CliError(EXIT.usage, `--jobs needs a number, and "${value}" is none`, 'gg --jobs=N');
    flags[m[1]!] = value;
    return 2;
  };
  let i = 0;
  for (; i < argv.length; ) {
    const n = argv[i] === '-j' || /^-j[0-9]+$/.test(argv[i]!) ? 0 : take(argv, i);
    if (n > 0) i += n;
    else if (argv[i] === '-j' && /^[0-9]+$/.test(argv[i + 1] ?? '')) {
      flags['jobs'] = argv[i + 1]!;
      i += 2;
    } else if (/^-j[0-9]+$/.test(argv[i]!)) {
      flags['jobs'] = argv[i]!.slice(2);
      i++;
    } else break;
  }
  // `gg -- COMMAND` and `gg PROGRAM ARGS` are `gg build -- ...`.
  if (argv[i] === '--') return { flags, command: 'build', rest: argv.slice(i + 1) };
  const command = argv[i];
  const behind = argv.slice(i + 1);
  if (command === undefined || command.startsWith('-')) return { flags, command, rest: behind };
  if (!COMMANDS.includes(command) && programOnPath(command, process.env['PATH']) !== undefined)
    return { flags, command: 'build', rest: argv.slice(i) };
  if (!WRAPPED.has(command)) return { flags, command, rest: ownRest(behind, take) };
  const rest: string[] = [];
  const own = command === 'make' || command === 'gmake' || command === 'ninja';
  for (let k = 0; k < behind.length; ) {
    if (behind[k] === '--') {
      rest.push(...behind.slice(own ? k : k + 1));
      break;
    }
    // --jobs and --quiet are make's own.
    const theirs = own && /^--(?:jobs|quiet)(?:=|$)/.test(behind[k]!);
    const n = theirs ? 0 : take(behind, k);
    if (n === 0) {
      if (!own && !behind[k]!.startsWith('-')) {
        rest.push(...behind.slice(k));
        break;
      }
      rest.push(behind[k]!);
      k++;
    } else k += n;
  }
  return { flags, command, rest };
}

/** What is left behind a command of ours when our options are taken out, up to a `--`. */
function ownRest(
  behind: readonly string[],
  take: (words: readonly string[], at: number) => number,
): readonly string[] {
  const rest: string[] = [];
  for (let k = 0; k < behind.length; ) {
    if (behind[k] === '--') return [...rest, ...behind.slice(k)];
    const n = take(behind, k);
    if (n === 0) rest.push(behind[k++]!);
    else k += n;
  }
  return rest;
}

async function wrapped(split: Split): Promise<number> {
  const settings = loadSettings(split.flags, process.env);
  const { command, rest } = split;
  const { runBuild } = await import('./build/run-build.ts');
  if (command === 'make' || command === 'gmake' || command === 'ninja') {
    return runBuild({ command: [command, ...rest], settings, force: true });
  }
  if (rest.length === 0 || rest[0]!.startsWith('-')) {
    if (rest[0] === '--help' || rest[0] === '-h') {
      process.stdout.write(
        command === 'watch'
          ? 'gg watch [OPTIONS] -- COMMAND...\n\nBuilds as gg build does, again after each change below this directory, until Ctrl-C.\n'
          : command === 'build'
            ? 'gg build [OPTIONS] -- COMMAND...\n\nRuns COMMAND behind the shims and forces what it leaves.\n'
            : "gg infer [OPTIONS] -- COMMAND...\n\nRuns COMMAND behind the shims and leaves placeholders; 'gg force' makes them real.\n",
      );
      return EXIT.ok;
    }
    throw new CliError(EXIT.usage, `gg ${command}: no command`, `gg ${command} -- COMMAND...`);
  }
  if (command === 'watch')
    return (await import('./commands/watch.ts')).watchAndBuild({ command: rest, settings });
  return runBuild({ command: rest, settings, force: command === 'build' });
}

async function other(argv: readonly string[], flags: Flags): Promise<number> {
  let code: number = EXIT.ok;
  const run = (action: () => Promise<number> | number) => async (): Promise<void> => {
    code = await action();
  };
  const parser = yargs([...argv])
    .scriptName('gg')
    .usage(
      '$0 COMMAND\n\nBuilds C and C++ projects through thunks: in parallel, memoized, byte for byte what the plain build makes.',
    )
    .command(
      'make [ARGS..]',
      'run make behind the shims and force what it leaves',
      (y) => y,
      run(() => EXIT.ok),
    )
    .command(
      'ninja [ARGS..]',
      'the same for ninja',
      (y) => y,
      run(() => EXIT.ok),
    )
    .command(
      'build -- COMMAND',
      'the same for any command',
      (y) => y,
      run(() => EXIT.ok),
    )
    .command(
      'watch -- COMMAND',
      'build, and build again after each change below this directory',
      (y) => y,
      run(() => EXIT.ok),
    )
    .command(
      'infer -- COMMAND',
      'run a command and leave placeholders',
      (y) => y,
      run(() => EXIT.ok),
    )
    .command(
      ['force [PATH..]', 'finalize [PATH..]'],
      'make placeholders real: here and below, or only PATH',
      (y) =>
        y
          .positional('PATH', { type: 'string', array: true, describe: 'files or directories' })
          .option('all', {
            type: 'boolean',
            default: false,
            describe: 'everything outstanding, wherever it is',
          })
          .option('keep-going', {
            alias: 'k',
            type: 'boolean',
            default: false,
            describe: 'finish what does not depend on a failure',
          })
          .option('jobs', { alias: 'j', type: 'number', describe: 'thunks at once' }),
      async (args) => {
        const { force } = await import('./commands/force.ts');
        const settings = loadSettings(
          args.jobs === undefined ? flags : { ...flags, jobs: String(args.jobs) },
          process.env,
        );
        code = await force({
          paths: (args['PATH'] as string[] | undefined) ?? [],
          all: args.all,
          keepGoing: args['keep-going'] as boolean,
          settings,
        });
      },
    )
    .command(
      'status',
      'what is outstanding, running, bypassed',
      (y) => y,
      run(async () => (await import('./commands/look.ts')).status(flags['json'] !== undefined)),
    )
    .command(
      'explain <PATH>',
      'what an artifact is, why it ran or was memoized, why a call was bypassed',
      (y) => y.positional('PATH', { type: 'string', demandOption: true }),
      async (args) => {
        code = await (await import('./commands/look.ts')).explain(args.PATH, flags['json'] !== undefined);
      },
    )
    .command(
      'describe <NAME>',
      'the thunk of an object name or a path as text (or with --json)',
      (y) => y.positional('NAME', { type: 'string', demandOption: true }),
      async (args) => {
        code = await (await import('./commands/look.ts')).describe(args.NAME, flags['json'] !== undefined);
      },
    )
    .command(
      'hash <FILE..>',
      "files' object names",
      (y) => y.positional('FILE', { type: 'string', array: true, demandOption: true }),
      async (args) => {
        code = (await import('./commands/look.ts')).hash(args.FILE);
      },
    )
    .command(
      'toolchain [TOOL..]',
      'what a compiler consists of when it runs elsewhere: files, sizes, digest',
      (y) => y.positional('TOOL', { type: 'string', array: true, describe: 'names or paths (default: cc)' }),
      async (args) => {
        const tools = args.TOOL && args.TOOL.length > 0 ? args.TOOL : ['cc'];
        code = await (await import('./commands/toolchain.ts')).toolchain(tools, flags['json'] !== undefined);
      },
    )
    .command(
      'gc',
      'bring the store below its limit, or remove what came from a shared store',
      (y) => y.option('from', { type: 'string', describe: 'the shared store, as GG_REMOTE names it' }),
      async (args) => {
        code = await (await import('./commands/upkeep.ts')).gc(loadSettings(flags, process.env), args.from);
      },
    )
    .command(
      'trust <ACTION> [NAME] [KEY]',
      'whose signatures count with --remote-trust=signed: keygen, add NAME KEY, remove NAME, list',
      (y) =>
        y
          .positional('ACTION', {
            type: 'string',
            demandOption: true,
            choices: ['keygen', 'add', 'remove', 'list'] as const,
          })
          .positional('NAME', { type: 'string' })
          .positional('KEY', { type: 'string', describe: 'ed25519:... or a file' }),
      async (args) => {
        const trust = await import('./commands/trust.ts');
        const directory = trustDirectory(process.env);
        if (args.ACTION === 'keygen') code = trust.keygen(directory);
        else if (args.ACTION === 'list') code = trust.list(directory);
        else if (args.ACTION === 'remove') code = trust.remove(directory, args.NAME ?? '');
        else code = trust.add(directory, args.NAME ?? '', args.KEY ?? '');
      },
    )
    .command(
      'clean',
      'remove all stored results',
      (y) =>
        y.option('force', { type: 'boolean', default: false, describe: 'even if placeholders are lost' }),
      async (args) => {
        code = await (await import('./commands/upkeep.ts')).clean(args.force);
      },
    )
    .command(
      'stop',
      'end the session server',
      (y) => y,
      run(async () => (await import('./commands/upkeep.ts')).stop()),
    )
    .command(
      'doctor',
      'check what a build needs; with --engine lambda also the cloud, by one real invocation',
      (y) => y,
      run(async () => (await import('./commands/upkeep.ts')).doctor(loadSettings(flags, process.env))),
    )
    .command(
      'deploy <TARGET>',
      'put bucket, role and functions where --engine lambda needs them; shows the plan first',
      (y) =>
        y
          .positional('TARGET', { type: 'string', demandOption: true, choices: ['lambda'] as const })
          .option('dry-run', { type: 'boolean', default: false, describe: 'show the plan only' })
          .option('yes', { alias: 'y', type: 'boolean', default: false, describe: 'do not ask' })
          .option('destroy', { type: 'boolean', default: false, describe: 'take all of it away again' })
          .option('template', {
            type: 'boolean',
            default: false,
            describe: 'print a CloudFormation template instead',
          })
          .option('zip', { type: 'string', describe: "write the worker's zip to this file instead" }),
      async (args) => {
        const { deployLambda } = await import('./commands/deploy.ts');
        code = await deployLambda({
          settings: loadSettings(flags, process.env),
          dryRun: args['dry-run'] as boolean,
          yes: args.yes,
          destroy: args.destroy,
          template: args.template,
          zip: args.zip,
        });
      },
    )
    .command(
      'native',
      false,
      (y) => y,
      run(async () => {
        process.stdout.write(`${(await (await import('../client/native.ts')).prepareNative()).directory}\n`);
        return EXIT.ok;
      }),
    )
    .completion('completion', 'print a completion script for the shell')
    .demandCommand(1, 'a command is needed')
    .strict()
    .version(VERSION)
    .alias('h', 'help')
    .epilogue(
      `Options before COMMAND: ${SETTINGS.map((s) => `--${s.key}`).join(', ')}, -jN; each also as a GG_ variable and in the configuration file (see the README).`,
    )
    .exitProcess(false)
    .fail((message, error) => {
      const unknown = /^Unknown (argument|command)s?: (.*)$/s.exec(message);
      const text = unknown ? `${argv[0]}: ${unknown[2]}: not expected here` : message.replaceAll('\n', ' ');
      throw error ?? new CliError(EXIT.usage, text, `'gg ${argv[0] ?? ''} --help' tells what is`);
    });
  await parser.parseAsync();
  return code;
}

async function main(argv: readonly string[]): Promise<number> {
  const split = splitArguments(argv);
  if (split.command !== undefined && WRAPPED.has(split.command)) return wrapped(split);
  if (split.command !== undefined && !split.command.startsWith('-') && !COMMANDS.includes(split.command)) {
    const near = nearestCommand(split.command);
    throw new CliError(
      EXIT.usage,
      `${split.command}: no such command${near === undefined ? '' : `; ${near}?`}`,
      `'gg --help' lists the commands; to run another program: gg build -- ${split.command}`,
    );
  }
  // `gg help COMMAND` is `gg COMMAND --help`.
  if (split.command === 'help') return other([...split.rest, '--help'], split.flags);
  return other(split.command === undefined ? [] : [split.command, ...split.rest], split.flags);
}

// A reader that has seen enough (head, a pager that is left) ends a command that only prints; a build goes on without words.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(process.exitCode ?? EXIT.ok);
});
process.stderr.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    if (error instanceof CliError) {
      process.stderr.write(`gg: ${error.message}\ngg:   ${error.advice}\n`);
      process.exitCode = error.code;
    } else if (error instanceof UntrustedPath) {
      process.stderr.write(
        `gg: ${error.message}\ngg:   set GG_DIR to a directory that only you can change\n`,
      );
      process.exitCode = EXIT.config;
    } else {
      process.stderr.write(
        `gg: internal error, version ${VERSION}: ${error instanceof Error ? error.stack : String(error)}\n`.replaceAll(
          '\n    ',
          '\ngg:     ',
        ),
      );
      process.exitCode = EXIT.internal;
    }
  },
);
