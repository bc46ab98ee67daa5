/** How large a fleet is. */
export type Size = {
  readonly runtimes: number;
  readonly adapters: number;
  readonly rollouts: number;
  readonly namespaces: number;
};

/** What is measured of each size. */
const parts = ['flaps', 'abort', 'reconnect', 'idle', 'failover'] as const;
export type Part = (typeof parts)[number];

export type FleetSettings = {
  readonly sizes: readonly Size[];
  /** Of load: one change of a rollout and one flap of a link in each. */
  readonly rounds: number;
  /** Seconds from one round to the next: more than one where the cores of a machine are too few, so that counts of work hold. */
  readonly everySeconds: number;
  /** Whole minutes: runtimes ping every 20 s and the operator every 30 s. */
  readonly idleSeconds: number;
  readonly parts: ReadonlySet<Part>;
  /**
   * What is waited for before something is measured. Writes: an operator that writes nothing any more. Plans: runtimes to which
   * nothing is sent any more, while statuses of a large fleet still take their turns: writes at rest are not measured then.
   */
  readonly quiet: 'writes' | 'plans';
  /** Heap of the operator in MiB. */
  readonly heapMib: number;
  /** Where the operator leaves profiles of its processor time; absent: none are made. */
  readonly profile: string | undefined;
};

const numberOf = (name: string, text: string): number => {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`${name}: ${text} is not a count`);
  return value;
};

/**
 * Reads ADAPTLET_BENCH_FLEET (runtimes of each size, as 100,300,1000), ADAPTLET_BENCH_FLEET_OBJECTS (Adapters x rollouts x
 * namespaces, as 10000x200x50) and the rest.
 * @throws what is wrong with them
 */
export const fleetSettings = (env: Readonly<Record<string, string | undefined>>): FleetSettings => {
  const read = (name: string, fallback: string): string => env[`ADAPTLET_BENCH_${name}`] ?? fallback;
  const count = (name: string, fallback: string): number => numberOf(name, read(name, fallback));
  const objects = read('FLEET_OBJECTS', '500x20x5').split('x');
  const [adapters = 0, rollouts = 0, namespaces = 0] = objects.map((text) => numberOf('FLEET_OBJECTS', text));
  if (objects.length !== 3 || adapters < 2 * rollouts || namespaces > rollouts || rollouts < 2)
    throw new Error(
      'FLEET_OBJECTS: write Adapters x rollouts x namespaces; two rollouts at least, two Adapters for each, and no namespace without one',
    );
  const idleSeconds = count('IDLE', '60');
  if (idleSeconds % 60 !== 0) throw new Error('ADAPTLET_BENCH_IDLE: write whole minutes in seconds: 60, 120');
  const profile = env['ADAPTLET_BENCH_PROFILE'];
  const quiet = read('QUIET', 'writes');
  if (quiet !== 'writes' && quiet !== 'plans') throw new Error('ADAPTLET_BENCH_QUIET: write writes or plans');
  const usual = parts.filter((part) => part !== 'flaps' || quiet === 'writes');
  const asked = read('PARTS', usual.join()).split(',');
  if (quiet === 'plans' && asked.includes('flaps'))
    throw new Error(
      'ADAPTLET_BENCH_QUIET=plans: what flaps write cannot be told from what is written at rest: leave flaps out of ADAPTLET_BENCH_PARTS',
    );
  return {
    sizes: read('FLEET', '50')
      .split(',')
      .map((text) => ({ runtimes: numberOf('FLEET', text), adapters, rollouts, namespaces })),
    rounds: count('ROUNDS', '30'),
    everySeconds: count('EVERY', '1'),
    idleSeconds,
    // A replica that is killed leaves no profile.
    parts: new Set(
      parts.filter((part) => asked.includes(part) && (part !== 'failover' || profile === undefined)),
    ),
    quiet,
    heapMib: count('HEAP_MIB', '410'),
    profile,
  };
};
