// The house as data: which room may import from which, and within a large room which family stands left of which. ARCHITECTURE.md says
// what each room is.

/** A room's floor, and the rooms below it that it may import from. A room never imports from its own floor. */
export interface Room {
  readonly floor: number;
  readonly may: readonly string[];
  /** Families from left to right: each imports only from itself and from those before it. A family is a folder, or `.` for files that
   * stand in the room itself and are not named; `a.ts` names a file of the room. */
  readonly families?: readonly (readonly string[])[];
}

const GROUND = ['base', 'ir', 'report', 'settings', 'ninja', 'deploy', 'driver', 'reapi'];

export const ROOMS: Readonly<Record<string, Room>> = {
  base: { floor: 1, may: [] },
  ir: { floor: 1, may: [] },
  report: { floor: 1, may: [] },
  settings: { floor: 1, may: [] },
  ninja: { floor: 1, may: [] },
  deploy: { floor: 1, may: [] },
  driver: { floor: 1, may: [] },
  reapi: { floor: 1, may: [] },
  wire: { floor: 2, may: ['base', 'ir', 'report', 'settings'] },
  scan: {
    floor: 2,
    may: ['base'],
    families: [
      ['scanner.ts', 'depfile.ts', 'stop.ts'],
      ['text'],
      ['compiler'],
      ['macros'],
      ['disk'],
      ['walk'],
      ['memory'],
      ['.'],
    ],
  },
  store: {
    floor: 2,
    may: ['base', 'ir'],
    families: [
      ['store.ts', 'provenance.ts', 'reductions.ts', 'signature.ts', 'trust-keys.ts'],
      ['local'],
      ['remote'],
    ],
  },
  toolchain: { floor: 3, may: ['base', 'ir', 'scan', 'store'] },
  models: {
    floor: 3,
    may: ['base', 'ir', 'scan', 'driver'],
    families: [
      ['model.ts', 'paths.ts', 'common.ts', 'tools.ts'],
      ['binutils'],
      ['gcc', 'nasm'],
      ['registry.ts'],
    ],
  },
  worker: {
    floor: 4,
    may: ['base', 'ir', 'store', 'toolchain', 'wire'],
    families: [['messages.ts', 'read-message.ts'], ['blobs'], ['run'], ['runtime']],
  },
  caller: { floor: 4, may: ['base', 'models', 'toolchain', 'wire'] },
  tree: { floor: 4, may: ['base', 'ir', 'models', 'scan', 'store'] },
  engine: {
    floor: 5,
    may: ['base', 'ir', 'driver', 'reapi', 'wire', 'store', 'toolchain', 'worker'],
    families: [['.'], ['local'], ['cloud'], ['lambda'], ['reapi'], ['layers']],
  },
  native: { floor: 5, may: ['base', 'models', 'tree', 'wire'] },
  force: { floor: 6, may: ['base', 'ir', 'store', 'engine'] },
  session: {
    floor: 7,
    may: [
      'base',
      'ir',
      'report',
      'settings',
      'driver',
      'wire',
      'scan',
      'store',
      'toolchain',
      'models',
      'worker',
      'caller',
      'tree',
      'engine',
      'force',
    ],
  },
  client: { floor: 7, may: ['base', 'report', 'settings', 'wire', 'native'] },
  server: {
    floor: 8,
    may: [
      ...GROUND.filter((room) => room !== 'ninja'),
      'wire',
      'scan',
      'store',
      'toolchain',
      'models',
      'worker',
      'caller',
      'tree',
      'engine',
      'native',
      'force',
      'session',
    ],
  },
  cli: {
    floor: 9,
    may: [
      ...GROUND,
      'wire',
      'scan',
      'store',
      'toolchain',
      'models',
      'worker',
      'caller',
      'tree',
      'engine',
      'native',
      'force',
      'client',
    ],
  },
};

/** Imports that still go the wrong way. The list may only become shorter. */
export const NOT_YET: readonly string[] = [];

/** Circles of files that are still closed. The list may only become shorter. */
export const CIRCLES: readonly (readonly string[])[] = [
  ['models/gcc/depfile-flags.ts', 'models/gcc/parse.ts'],
  ['scan/disk/directory.ts', 'scan/disk/file-entry.ts'],
  ['scan/walk/programs.ts', 'scan/walk/search.ts'],
  ['server/cli-connection.ts', 'server/server.ts'],
  ['session/calls.ts', 'session/forcer.ts', 'session/freezer.ts', 'session/prefetch.ts'],
  ['session/session.ts', 'session/unmade-outputs.ts'],
];
