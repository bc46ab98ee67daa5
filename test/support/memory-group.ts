import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Where a version has the groups that limit memory, and its files. */
const versions = [
  {
    root: '/sys/fs/cgroup/memory',
    mark: 'memory.limit_in_bytes',
    limit: 'memory.limit_in_bytes',
    used: 'memory.usage_in_bytes',
    kills: 'memory.oom_control',
    pages: ['total_active_file', 'total_inactive_file'],
    mapped: 'total_mapped_file',
  },
  {
    root: '/sys/fs/cgroup',
    mark: 'cgroup.subtree_control',
    limit: 'memory.max',
    used: 'memory.current',
    kills: 'memory.events',
    pages: ['active_file', 'inactive_file'],
    mapped: 'file_mapped',
  },
] as const;

type Version = (typeof versions)[number];

const isUsable = ({ root, mark }: Version): boolean => {
  const file = join(root, mark);
  if (!existsSync(file)) return false;
  return mark !== 'cgroup.subtree_control' || readFileSync(file, 'utf8').split(/\s/).includes('memory');
};

const version = process.getuid?.() === 0 ? versions.find(isUsable) : undefined;

/** False where no control group can be made that limits memory. */
export const canLimitMemory = version !== undefined;

const numberOf = (text: string, name: string): number =>
  Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);

let made = 0;

/** A control group of a test, without a limit until it is given one. */
export class MemoryGroup {
  readonly folder: string;
  readonly #version: Version;

  private constructor(folder: string, of: Version) {
    this.folder = folder;
    this.#version = of;
  }

  static async make(): Promise<MemoryGroup> {
    if (version === undefined) throw new Error('no control group that limits memory can be made here');
    made += 1;
    const folder = join(version.root, `adaptlet-test-${process.pid}-${made}`);
    await mkdir(folder);
    return new MemoryGroup(folder, version);
  }

  async limitTo(bytes: number): Promise<void> {
    await writeFile(join(this.folder, this.#version.limit), String(bytes));
  }

  /** Bytes without pages of files that nobody has mapped. */
  async used(): Promise<number> {
    const stat = await this.#read('memory.stat');
    const pages = this.#version.pages.reduce((sum, name) => sum + numberOf(stat, name), 0);
    const spare = Math.max(0, pages - numberOf(stat, this.#version.mapped));
    return Number(await this.#read(this.#version.used)) - spare;
  }

  /** Processes that the kernel killed because of the limit. */
  async kills(): Promise<number> {
    return numberOf(await this.#read(this.#version.kills), 'oom_kill');
  }

  /** Once its processes are over. */
  async remove(): Promise<void> {
    for (let left = 50; ; left -= 1) {
      try {
        await rmdir(this.folder);
        return;
      } catch (error) {
        if (left === 0) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }

  #read(file: string): Promise<string> {
    return readFile(join(this.folder, file), 'utf8');
  }
}
