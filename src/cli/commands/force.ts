// `gg force [PATH...]`, also as `gg finalize`.
import { resolve } from 'node:path';
import { tryLstatNs } from '../../base/stat.ts';
import { placeholderAt } from '../../tree/placeholder-at.ts';
import { connectOrStart } from '../../client/client.ts';
import { EXIT } from '../../settings/exit.ts';
import { prepareNative } from '../../client/native.ts';
import { reporterFor } from '../build/run-build.ts';
import { engineChoice, type Settings } from '../../settings/table.ts';

export interface ForceOptions {
  readonly paths: readonly string[];
  readonly all: boolean;
  readonly keepGoing: boolean;
  readonly settings: Settings;
}

export async function force(options: ForceOptions): Promise<number> {
  const { settings } = options;
  const native = await prepareNative();
  const client = await connectOrStart(native.directory);
  const reporter = reporterFor(settings);
  client.onEvent = (message) => reporter.event(message.event);
  process.once('SIGINT', () => {
    client.send({ op: 'abandon' });
    reporter.line("interrupted; 'gg force' goes on from here");
    process.exit(130);
  });
  await client
    .ask(
      {
        op: 'begin',
        cwd: process.cwd(),
        eager: true,
        keepGoing: options.keepGoing,
        jobs: settings.jobs,
        sandbox: settings.sandbox,
        engine: engineChoice(settings, process.env),
      },
      'begun',
    )
    .catch((error: unknown) => {
      client.close();
      throw error;
    });
  reporter.showProgress();
  const paths = options.paths.map((p) => resolve(p));
  const finished = await client.ask(
    {
      op: 'finalize',
      earlier: true,
      ...(paths.length > 0 ? { paths } : {}),
      ...(options.all ? { all: true } : {}),
    },
    'finished',
  );
  reporter.end(finished.bypasses, finished.notes);
  client.close();
  if (finished.elsewhere > 0 && process.stderr.isTTY && paths.length === 0) {
    reporter.line(`${finished.elsewhere} placeholders elsewhere; 'gg force --all' makes them real too`);
  }
  if (reporter.counts.failed > 0) return EXIT.failed;
  const unknown = paths.filter((path) => tryLstatNs(path) === undefined);
  for (const path of unknown) reporter.line(`${path}: not there, and nothing is pending under that name`);
  if (unknown.length > 0) return EXIT.failed;
  const left = [...new Set([...finished.left, ...paths.filter((p) => placeholderAt(p) !== undefined)])];
  for (const path of left.slice(0, 10)) reporter.line(`${path}: still a placeholder`);
  return left.length > 0 ? EXIT.left : EXIT.ok;
}
