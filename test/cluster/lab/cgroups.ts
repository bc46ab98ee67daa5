import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { waitFor } from '../../support/wait.ts';
import { type ControlGroups, controlGroups } from './machine.ts';

const foldersBelow = (folder: string): string[] =>
  readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap((entry) => [...foldersBelow(join(folder, entry.name)), join(folder, entry.name)]);

/** A group and all below it, the deepest first. */
const withBelow = (group: string): string[] => (existsSync(group) ? [...foldersBelow(group), group] : []);

const processesIn = (group: string): number[] =>
  readFileSync(join(group, 'cgroup.procs'), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map(Number);

const killIn = (group: string): void => {
  for (const pid of processesIn(group)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // it ended meanwhile
    }
  }
};

/** Kills what lives in the group and below; true once all of it is empty and gone. */
const killAndRemove = (group: string): boolean => {
  for (const each of withBelow(group)) {
    try {
      killIn(each);
      rmdirSync(each);
    } catch {
      return false; // a process has not ended yet, or the group went meanwhile: looked at again
    }
  }
  return true;
};

const everyController = (folder: string): string =>
  readFileSync(join(folder, 'cgroup.controllers'), 'utf8')
    .trim()
    .split(' ')
    .map((each) => `+${each}`)
    .join(' ');

/** In v2 the controllers of a group are given to its children; in v1 a `cpuset` has no processor until it is said. */
const prepare = (version: 1 | 2, parent: string, group: string): void => {
  if (version === 2) {
    writeFileSync(join(parent, 'cgroup.subtree_control'), everyController(parent));
    return;
  }
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    if (existsSync(join(group, file))) writeFileSync(join(group, file), readFileSync(join(parent, file)));
  }
};

/** A control group of the same path in each tree of this machine; nobody else has one of its name. */
export class ControlGroup {
  readonly #groups: ControlGroups;
  readonly #path: string;

  private constructor(groups: ControlGroups, path: string) {
    this.#groups = groups;
    this.#path = path;
  }

  /** One that is there already, or is to be made by {@link make}. `path`: below the root of each tree. */
  static at(path: string): ControlGroup {
    return new ControlGroup(controlGroups(), path);
  }

  /** Names of the groups at the root of the first tree. */
  static roots(): readonly string[] {
    const first = controlGroups().hierarchies[0]?.folder;
    return first === undefined ? [] : readdirSync(first);
  }

  get #folders(): readonly string[] {
    return this.#groups.hierarchies.map(({ folder }) => join(folder, this.#path));
  }

  child(name: string): ControlGroup {
    return new ControlGroup(this.#groups, join(this.#path, name));
  }

  make(): void {
    for (const folder of this.#folders) {
      mkdirSync(folder, { recursive: true });
      prepare(this.#groups.version, join(folder, '..'), folder);
    }
  }

  /** Where processes belong that come to a node later: in v2 a group whose children have controllers holds none. */
  get home(): ControlGroup {
    return this.#groups.version === 2 ? this.child('init') : this;
  }

  /** The command, as a member of the group from its first moment on. */
  joinedBy(command: readonly string[]): readonly [string, readonly string[]] {
    const script = 'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs"; shift; done; shift; exec "$@"';
    return ['sh', ['-c', script, 'join', ...this.#folders, '--', ...command]];
  }

  /** Ids of the processes in it and in the groups below, of every tree. */
  get processes(): readonly number[] {
    return [...new Set(this.#folders.flatMap(withBelow).flatMap(processesIn))];
  }

  /** Kills every process in it and removes it with all groups below. */
  async remove(): Promise<void> {
    await waitFor(`the processes of control group ${this.#path} to end`, () =>
      this.#folders.every(killAndRemove),
    );
  }
}
