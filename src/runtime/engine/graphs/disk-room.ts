import { type StatsFs, statfsSync } from 'node:fs';

/** Kubelets put pods off a node whose disk has less free. */
const freeShare = 0.1;

const mebibytes = (bytes: number): number => Math.max(0, Math.ceil(bytes / 2 ** 20));

type DiskSize = Pick<StatsFs, 'bavail' | 'blocks' | 'bsize'>;

/**
 * Refuses to write what does not fit the room that a budget has left.
 * @throws Error
 */
export const refuseBeyondBudget = (bytes: number, roomBytes: number): void => {
  if (bytes <= roomBytes) return;
  throw new Error(
    `${mebibytes(bytes)} MiB do not fit the disk budget of this runtime, which has room for ${Math.max(0, Math.floor(roomBytes / 2 ** 20))} MiB`,
  );
};

/**
 * Refuses to write what would leave less than a tenth of a disk free.
 * @throws Error
 */
export const refuseWithoutRoom = (
  folder: string,
  bytes: number,
  sizeOf: (folder: string) => DiskSize = statfsSync,
): void => {
  const { bavail, blocks, bsize } = sizeOf(folder);
  const room = (bavail - blocks * freeShare) * bsize;
  if (bytes <= room) return;
  throw new Error(
    `${mebibytes(bytes)} MiB do not fit the disk of ${folder}, which has room for ${mebibytes(room)} MiB: a tenth of it is left free`,
  );
};
